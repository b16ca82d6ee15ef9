package pocketmq

import "context"

// Client is what an application's modules depend on: topology, publishing and
// consuming, and nothing that a RabbitMQ on another machine could not do. A
// Broker and a Session of it are Clients.
//
// All methods may be called from any goroutine, and none keeps the options or
// tables it is given, except where it says so. A context bounds how long a
// method may wait; only for Consume and Handle it also bounds what they start.
//
// Errors are *Error values, or wrap the error of the context; compare them with
// errors.Is.
type Client interface {
	// DeclareExchange makes sure that an exchange of this name and kind (Direct,
	// Fanout, Topic, Headers, …) with these properties exists. If there is one
	// with other properties, the error is ErrPreconditionFailed and names the
	// property.
	DeclareExchange(ctx context.Context, name, kind string, opts ...ExchangeOption) error

	// DeleteExchange removes an exchange with its bindings. That there is none is
	// no error.
	DeleteExchange(ctx context.Context, name string, opts ...DeleteOption) error

	// DeclareQueue makes sure that a queue with these properties exists, as
	// DeclareExchange does. For the name "" it makes a new queue, whose name is in
	// the result.
	DeclareQueue(ctx context.Context, name string, opts ...QueueOption) (QueueInfo, error)

	// DeleteQueue removes a queue with its bindings and the messages that wait in
	// it, and returns their number. Its consumers end with ErrQueueDeleted. That
	// there is none is no error.
	DeleteQueue(ctx context.Context, name string, opts ...DeleteOption) (int, error)

	// PurgeQueue removes the messages that wait in a queue and returns their
	// number. Those held by consumers are not touched.
	PurgeQueue(ctx context.Context, name string) (int, error)

	// Bind leads messages from an exchange to a queue; what key means is the
	// exchange's matter. Binding twice is the same as binding once. With
	// Arguments the table must not be changed afterwards.
	Bind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error

	// Unbind removes the binding with exactly this key and these arguments. That
	// there is none is no error.
	Unbind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error

	// BindExchange leads messages from the exchange source to the exchange
	// destination, which routes them on by the same routing key and headers.
	BindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error

	// UnbindExchange is to BindExchange what Unbind is to Bind.
	UnbindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error

	// Publish routes a message and returns nil once every queue it is routed to
	// has it: that is the publisher confirm. The exchange "" routes to the queue
	// that the key names. From now on nobody may change the message; see Message.
	//
	// A message that is routed nowhere is dropped, as in AMQP, or with Mandatory
	// an ErrUnroutable. An exchange that does not exist is ErrNotFound. A full
	// queue makes Publish wait, drops its oldest message, or gives ErrQueueFull,
	// according to its OverflowPolicy. If there are several queues and one of
	// them fails, the others have the message nevertheless.
	Publish(ctx context.Context, exchange, key string, m *Message, opts ...PublishOption) error

	// Consume starts a consumer whose messages the application fetches: one by
	// one, by ranging over them, or from a channel. It ends with ctx.
	Consume(ctx context.Context, queue string, opts ...ConsumeOption) (*Consumer, error)

	// Handle starts a consumer that calls h for each message; see Handler. It
	// ends with ctx.
	Handle(ctx context.Context, queue string, h Handler, opts ...ConsumeOption) (*Consumer, error)

	// Get takes one message out of a queue, and reports false if none waits; then
	// the Delivery is empty. It does not wait for one.
	Get(ctx context.Context, queue string, opts ...GetOption) (Delivery, bool, error)

	// Close ends everything that was started through this Client, waits for
	// running handlers, and returns what is not settled to the queues. It may be
	// called more than once. A handler must not call it: it would wait for itself.
	Close() error
}

var (
	_ Client = (*Broker)(nil)
	_ Client = (*Session)(nil)
)

// Sender is a Client that can have several messages of one goroutine on their way
// at once. Where publishing takes no longer than a function call there is no use
// for it, and a Broker is none; a client of a broker elsewhere is.
type Sender interface {
	Client

	// Send begins to publish a message. The function waits for the outcome, which
	// is that of Publish; but a message whose connection is lost is not published
	// again, and the outcome is ErrConnectionLost: whether it has arrived is
	// unknown then. What one goroutine sends to one exchange arrives in that
	// order, as far as it does.
	Send(ctx context.Context, exchange, key string, m *Message, opts ...PublishOption) (wait func(context.Context) error, err error)
}

// QueueInfo is what DeclareQueue tells of a queue.
type QueueInfo struct {
	Name      string
	Messages  int // that wait for a consumer, or that a stream has
	Consumers int // 0 for a stream, and not those of a quorum queue that stand by, as in RabbitMQ; see Stats
}
