package amqpserver

import "github.com/pocketmq/pocketmq/internal/hook"

// Compatibility is the version of RabbitMQ that a Server behaves like.
type Compatibility int

// The versions to choose from, in order.
const (
	V3_10 = Compatibility(hook.V3_10) // RabbitMQ 3.10
	V4_0  = Compatibility(hook.V4_0)  // RabbitMQ 4.0
	V4_3  = Compatibility(hook.V4_3)  // RabbitMQ 4.3
)

// String returns the full version number, as in the server's properties.
func (v Compatibility) String() string {
	switch {
	case v <= V3_10:
		return "3.10.8"
	case v == V4_0:
		return "4.0.9"
	default:
		return "4.3.0"
	}
}

// maxMessageSize is the default limit of a body (PUB-15).
func (v Compatibility) maxMessageSize() int64 {
	if v == V3_10 {
		return 128 << 20
	}
	return 16 << 20
}

// minFrameMax is the frame-max before tune-ok, and the least that may be
// negotiated (CONN-24, CONN-27).
func (v Compatibility) minFrameMax() uint32 {
	if v >= V4_3 {
		return 8192
	}
	return 4096
}
