package pocketmq

import "github.com/pocketmq/pocketmq/internal/hook"

// version is a version of RabbitMQ, where they differ in what the core does. The
// Go API follows 4.0, and a connection its server's compatibility level.
type version = hook.Version

const (
	v3_10 = hook.V3_10
	v4_0  = hook.V4_0
	v4_3  = hook.V4_3

	noVersion = v3_10 - 1 // of a binding that was made by the Go API
	onlyHere  = v4_3 + 1  // no version has it
)
