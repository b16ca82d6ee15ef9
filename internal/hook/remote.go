package hook

import "context"

// What a client of a broker elsewhere uses of the root package: the options of
// its methods, its errors, and its consumers, whose messages then come from an
// Upstream.

// ExchangeConfig is what options of DeclareExchange say.
type ExchangeConfig struct {
	Passive, Durable, AutoDelete, Internal bool
	Arguments                              map[string]any
}

// QueueConfig is what options of DeclareQueue say.
type QueueConfig struct {
	Passive, Durable, AutoDelete, Exclusive bool
	Arguments                               map[string]any
}

// DeleteConfig is what options of DeleteExchange and DeleteQueue say.
type DeleteConfig struct{ IfUnused, IfEmpty bool }

// ConsumeConfig is what options of Consume and Handle say, with the defaults.
type ConsumeConfig struct {
	Tag                string
	Prefetch           int
	Priority           int32
	Exclusive, AutoAck bool
}

// The outcomes, as pocketmq.Outcome has them.
const (
	Acked uint8 = iota
	Requeued
	Rejected
)

// Upstream is where the messages of a relay come from. Deliveries are named by
// their *pocketmq.Message, which therefore must be a new one for each.
type Upstream interface {
	// Settle settles a delivery at its origin.
	Settle(outcome uint8, message any) error

	// Cancel ends the flow of messages: when it returns, none is pushed any more.
	// It is called once, when the consumer has ended for whatever reason. What
	// nobody was handed out is settled as Requeued afterwards.
	Cancel()
}

// Source is the Upstream of a consumer.
type Source interface {
	Upstream

	// Start lets the messages flow. After an error the consumer has never been.
	Start(ConsumeConfig, Inlet) error
}

// Inlet is a relay as its Upstream sees it. Methods may be called from any
// goroutine, but in none that holds a lock which Settle or Cancel need.
type Inlet interface {
	// Push adds a message, which was delivered before if redelivered is set.
	Push(message any, exchange, key string, redelivered bool)

	// Reset forgets what was pushed and not handed out: the connection is lost,
	// and the messages will come again.
	Reset()

	// End ends the consumer.
	End(why error)
}

// Got is what a queue elsewhere gave to Get.
type Got struct {
	Message       any
	Exchange, Key string
	Redelivered   bool
	MessageCount  int
}

// The functions, with the types that they take and return. The options are
// slices of the root's option types.
var (
	ExchangeOptions func(opts any) ExchangeConfig
	QueueOptions    func(opts any) (QueueConfig, error)
	BindOptions     func(opts any) map[string]any
	DeleteOptions   func(opts any) DeleteConfig
	PublishOptions  func(opts any) (mandatory bool, err error)
	GetOptions      func(opts any) (autoAck bool)

	// Consume and Handle are the methods of a *pocketmq.Session with the messages
	// coming from elsewhere. They return a *pocketmq.Consumer.
	Consume func(ctx context.Context, session any, queue string, opts any, source Source) (consumer any, err error)
	Handle  func(ctx context.Context, session any, queue string, handler, opts any, source Source) (consumer any, err error)

	// Getter returns what makes pocketmq.Delivery values in a *pocketmq.Session
	// of messages that come from up.
	Getter func(session any, queue string, up Upstream) (deliver func(got Got, autoAck bool) (delivery any, err error))

	// CheckName, CheckKey and CheckTable report what AMQP cannot carry.
	CheckName  func(what, name string) error
	CheckKey   func(what, key string) error
	CheckTable func(what string, table map[string]any) error

	// CheckMessage reports what keeps a *pocketmq.Message from being published.
	CheckMessage func(message any) error

	// RandomName returns the characters with which names end that are made up.
	RandomName func() string

	// Error returns a *pocketmq.Error of this sentinel.
	Error func(is error, code int, text string) error
)
