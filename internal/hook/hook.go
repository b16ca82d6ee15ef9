// Package hook lets packages of this module do what the root package does not
// offer to everybody. The root package sets the functions when it is
// initialised; since it imports this package, its types appear here as any.
package hook

import (
	"context"
	"time"
)

// NodeName is what a broker calls itself where RabbitMQ names a node.
const NodeName = "pocketmq@localhost"

// Version is a version of RabbitMQ that differs from the one before.
type Version int8

// The versions, in order.
const (
	V3_10 Version = iota
	V4_0
	V4_3
)

// The functions, with the types that they take and return.
var (
	// NewMessage returns a new *pocketmq.Message that came with these encoded
	// properties.
	NewMessage func(properties []byte) any

	// Properties returns the encoded properties that a *pocketmq.Message came with.
	// They are those of the message that it is a copy of if changed is true, and nil
	// if that was published in this process.
	Properties func(message any) (properties []byte, changed bool)

	// Route finds the queues that a *pocketmq.Message published in a
	// *pocketmq.Session goes to. The function gives it to them.
	Route func(session any, exchange, key string, message any) (deliver func(ctx context.Context, mandatory bool) error, err error)

	// EndConsumers ends the consumers of a *pocketmq.Session, and returns all that it
	// holds of their queues.
	EndConsumers func(session any)

	// CloseChannels closes the channels of a *pocketmq.Session, all in one step.
	CloseChannels func(session any)

	// Cover makes a new *pocketmq.Window that of a channel with these running
	// *pocketmq.Consumers. What the channel has not settled, and what it has settled in a
	// transaction that is not over, are a []*pocketmq.Delivery each.
	Cover func(window any, consumers []any, unsettled, settled any)

	// Exchange describes an exchange of a *pocketmq.Broker.
	Exchange func(broker any, name string) (kind string, exists bool)

	// CheckPublish reports why nothing can be published to an exchange of a
	// *pocketmq.Broker.
	CheckPublish func(broker any, exchange string) error

	// Queue describes a queue of a *pocketmq.Broker; its kind is its x-queue-type.
	Queue func(broker any, name string) (kind string, exists bool)

	// ConsumerTimeout returns how long a consumer with these arguments may leave a message
	// of a queue of a *pocketmq.Broker unsettled, 0 if nothing says so, and whether that is
	// a quorum queue.
	ConsumerTimeout func(broker any, queue string, args map[string]any) (limit time.Duration, quorum bool)

	// QueueCount returns how many queues a *pocketmq.Broker has.
	QueueCount func(broker any) int

	// CancelConsumers cancels all consumers of a queue of a *pocketmq.Broker.
	CancelConsumers func(broker any, queue string) error

	// IsClosed reports whether a *pocketmq.Broker is closed.
	IsClosed func(broker any) bool

	// Connection returns a pocketmq.SessionOption for a connection of a user to a
	// server that behaves like a version of RabbitMQ. It includes
	// pocketmq.RabbitMQDefaults, and refuses arguments that only pocketmq has.
	Connection func(v Version, name, user string) any

	// Channel returns a new *pocketmq.Session that is a channel of a connection's.
	Channel func(session any, number uint16) any

	// Event tells those who look for events what has happened to a *pocketmq.Session
	// that is a connection or a channel. PID is its name in events, and ErlangArguments
	// is a table as they have it.
	Event           func(session any, key string, headers func() map[string]any)
	PID             func(session any) string
	ErlangArguments func(map[string]any) []any

	// Given returns a pocketmq.ConsumeOption that has a function called for each message
	// which a queue with several consumers gives to this one, before it can be received.
	// The queue is locked then: the function must not call the broker.
	Given func(func()) any

	// Released is the pocketmq.Outcome of a delivery that goes back without counting
	// against the delivery limit.
	Released any

	// ReservedName returns a pocketmq.QueueOption that allows a new queue a name
	// beginning with "amq.".
	ReservedName func() any

	// TrimName removes from the name of a queue or exchange what RabbitMQ does.
	TrimName func(name string) string

	// WithoutBCC returns a *pocketmq.Message as its receivers may see it.
	WithoutBCC func(message any) any

	// CheckExpiration reports what is wrong with the property expiration of a message.
	CheckExpiration func(expiration string) error
)
