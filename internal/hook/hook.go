// Package hook lets packages of this module do what the root package does not
// offer to everybody. The root package sets the functions when it is
// initialised; since it imports this package, its types appear here as any.
package hook

import "context"

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

	// Reserve takes n units of a *pocketmq.Window for nobody; less than 0 gives them
	// back, without telling those who wait for them.
	Reserve func(window any, n int)

	// Exchange describes an exchange of a *pocketmq.Broker.
	Exchange func(broker any, name string) (kind string, internal, exists bool)

	// QueueExists reports whether a *pocketmq.Broker has a queue of this name.
	QueueExists func(broker any, name string) bool

	// QueueCount returns how many queues a *pocketmq.Broker has.
	QueueCount func(broker any) int

	// CancelConsumers cancels all consumers of a queue of a *pocketmq.Broker.
	CancelConsumers func(broker any, queue string) error

	// IsClosed reports whether a *pocketmq.Broker is closed.
	IsClosed func(broker any) bool

	// ReservedName returns a pocketmq.QueueOption that allows a new queue a name
	// beginning with "amq.".
	ReservedName func() any

	// Release returns a pocketmq.BindOption for bindings that follow the rules of
	// RabbitMQ 3.10 (0), 4.0 (1) or 4.3 (2) where they have changed.
	Release func(n int) any

	// CheckExpiration reports what is wrong with the property expiration of a message.
	CheckExpiration func(expiration string) error

	// Integer reads an integer of any width from a table. If v is none, why tells
	// so in RabbitMQ's words.
	Integer func(v any) (n int64, why string)
)
