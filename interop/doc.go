// Package interop holds no code, only tests: client libraries as their users
// know them, unchanged, against pocketmq's AMQP server. Wherever it makes sense
// the same test also runs against a RabbitMQ at 127.0.0.1:5672, so that what we
// believe of RabbitMQ is checked, too.
//
// There are scripts in other languages in examples/python and in js, and
// suite_test.go runs the test suite of amqp091-go itself.
package interop
