// Package wire is the AMQP 0-9-1 codec: frames, methods, content headers, basic properties and field tables, with
// RabbitMQ's extensions. It turns bytes into typed values and back, and knows nothing of connections or queues.
//
// Reading goes through a [Reader], whose frames borrow its buffer until the next read. Writing appends to a byte
// slice that the caller owns, so that a connection gathers many frames in one buffer and writes once. An append
// function that fails returns the slice as it was, so that a frame is written whole or not at all.
//
// Errors are as fine as a server needs to answer them the way RabbitMQ does; each exported Err value says what that is.
package wire

//go:generate go run ./gen
