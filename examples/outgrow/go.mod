module github.com/pocketmq/pocketmq/examples/outgrow

go 1.25.0

require (
	github.com/pocketmq/pocketmq v0.0.0
	github.com/pocketmq/pocketmq/rabbitmq v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace (
	github.com/pocketmq/pocketmq => ../../
	github.com/pocketmq/pocketmq/rabbitmq => ../../rabbitmq
)
