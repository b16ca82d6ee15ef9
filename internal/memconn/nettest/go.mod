module github.com/pocketmq/pocketmq/internal/memconn/nettest

go 1.25.0

replace github.com/pocketmq/pocketmq => ../../..

require (
	github.com/pocketmq/pocketmq v0.0.0-00010101000000-000000000000
	golang.org/x/net v0.55.0
)
