module github.com/pocketmq/pocketmq/examples/testdouble

go 1.25.0

require (
	github.com/pocketmq/pocketmq v0.0.0
	github.com/rabbitmq/amqp091-go v1.16.0
)

require github.com/google/uuid v1.6.0 // indirect

replace github.com/pocketmq/pocketmq => ../../
