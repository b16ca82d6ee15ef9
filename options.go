package pocketmq

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// DefaultMaxLength is how many messages wait in a queue that was declared
// without MaxLength or Unbounded.
const DefaultMaxLength = 65536

// DefaultPrefetch is the prefetch of a consumer that was started without
// Prefetch and whose deliveries the application fetches itself. After as many
// forgotten acks it gets nothing more; Stats shows them as Unacked. A handler's
// default is its concurrency: each of its workers holds one message.
const DefaultPrefetch = 256

// Option configures a Broker. As everywhere in these packages a nil option is ignored, so
// that one may depend on a condition.
type Option func(*Broker)

// Logger sets where the broker reports what nobody is told otherwise: handlers
// that failed or panicked, what Close and Shutdown wait for, and what is lost with
// the broker. The default, also for nil, is silence.
func Logger(l *slog.Logger) Option {
	return func(b *Broker) {
		if l != nil {
			b.log = l
		}
	}
}

// VHost sets the name of the virtual host that error texts speak of; "/" by
// default, and for "". A Broker is one virtual host.
func VHost(name string) Option { return func(b *Broker) { b.vhost = cmp.Or(name, "/") } }

// ExchangeOption configures DeclareExchange.
type ExchangeOption interface{ exchange(*exchangeConfig) }

// QueueOption configures DeclareQueue.
type QueueOption interface{ queue(*queueConfig) }

// BindOption configures Bind, Unbind, BindExchange and UnbindExchange.
type BindOption interface{ bind(*bindConfig) }

// DeleteOption configures DeleteExchange and DeleteQueue.
type DeleteOption interface{ delete(*deleteConfig) }

// ConsumeOption configures Consume and Handle.
type ConsumeOption interface{ consume(*consumeConfig) }

// GetOption configures Get.
type GetOption interface{ get(*getConfig) }

// configOf returns what options configure; apply is the method by which they do.
func configOf[O comparable, C any](opts []O, apply func(O, *C)) (c C) {
	var none O
	for _, o := range opts {
		if o != none {
			apply(o, &c)
		}
	}
	return c
}

type exchangeConfig struct {
	passive, durable, autoDelete, internal bool
	maxDelayed                             int  // 0 = the default
	rabbitMQ                               bool // the session has RabbitMQDefaults
	user                                   string
	args                                   Table
	err                                    error
}

type queueConfig struct {
	passive, durable, autoDelete, exclusive, unbounded bool
	reserved                                           bool // the name may begin with "amq."
	rabbitMQ                                           bool // the session has RabbitMQDefaults
	wire                                               bool // it comes over a connection: what only pocketmq has is refused
	version                                            version
	args                                               Table
	err                                                error
}

// check reports the first option that was wrong, or that contradicts another.
func (c *queueConfig) check() error {
	defaults := c.defaultSettings()
	key, _, _ := defaults.bound()
	if _, bounded := c.args[key]; bounded && c.unbounded && c.err == nil {
		return invalid("the argument '%s' and Unbounded contradict each other", key)
	}
	return c.err
}

type bindConfig struct {
	args Table
}

type deleteConfig struct {
	ifUnused, ifEmpty bool
	user              string
}

type consumeConfig struct {
	tag         string
	prefetch    int
	prefetchSet bool
	window      *Window
	exclusive   bool
	priority    int32
	autoAck     bool
	concurrency int
	notify      func()
	given       func() // see hook.Given
	args        Table
	wire        bool    // over a connection
	version     version // of RabbitMQ, as the session has it
	reading     reading // of a stream
	err         error
}

type getConfig struct{ autoAck bool }

// An option that fits several nouns is a struct with a function for each.
type exchangeOption func(*exchangeConfig)
type queueOption func(*queueConfig)
type deleteOption func(*deleteConfig)
type consumeOption func(*consumeConfig)

func (o exchangeOption) exchange(c *exchangeConfig) {
	if o != nil { // as in the zero DeclareOption
		o(c)
	}
}

func (o queueOption) queue(c *queueConfig) {
	if o != nil {
		o(c)
	}
}

func (o consumeOption) consume(c *consumeConfig) {
	if o != nil {
		o(c)
	}
}

func (o deleteOption) delete(c *deleteConfig) { o(c) }

// DeclareOption fits both DeclareExchange and DeclareQueue.
type DeclareOption struct {
	exchangeOption
	queueOption
}

// Passive makes a declaration only ask: it fails with ErrNotFound if there is
// nothing of that name, and looks at no other property.
func Passive() DeclareOption {
	return DeclareOption{
		func(c *exchangeConfig) { c.passive = true },
		func(c *queueConfig) { c.passive = true },
	}
}

// Durable marks what survives a restart of a RabbitMQ. A Broker in a process
// ends with its process, so here it is only a property that a declaration must
// repeat.
func Durable() DeclareOption {
	return DeclareOption{
		func(c *exchangeConfig) { c.durable = true },
		func(c *queueConfig) { c.durable = true },
	}
}

// AutoDelete removes an exchange when its last binding as a source is removed,
// and a queue when its last consumer is gone; neither before it had one.
func AutoDelete() DeclareOption {
	return DeclareOption{
		func(c *exchangeConfig) { c.autoDelete = true },
		func(c *queueConfig) { c.autoDelete = true },
	}
}

// Internal makes an exchange that only other exchanges may publish to.
func Internal() ExchangeOption {
	return exchangeOption(func(c *exchangeConfig) { c.internal = true })
}

// AlternateExchange names the exchange that gets the messages which this one
// can route nowhere. It need not exist yet; it is looked up for each message. The
// default exchange gets none.
func AlternateExchange(name string) ExchangeOption {
	return exchangeOption(func(c *exchangeConfig) { set(&c.args, "alternate-exchange", name) })
}

// MaxLength bounds the number of messages that wait in the queue; those
// assigned to a consumer don't count. With 0 the queue passes on only what a
// consumer takes at once. See Overflow for what happens to the rest.
func MaxLength(n int) QueueOption {
	return queueOption(func(c *queueConfig) {
		if n < 0 {
			c.err = invalid("MaxLength(%d): must not be negative; use Unbounded for a queue without a limit", n)
		}
		set(&c.args, "x-max-length", int64(n))
	})
}

// Unbounded takes the default limit off a queue. Memory is the limit then.
func Unbounded() QueueOption { return queueOption(func(c *queueConfig) { c.unbounded = true }) }

// Overflow says what a full queue does with one more message.
func Overflow(p OverflowPolicy) QueueOption {
	return queueOption(func(c *queueConfig) {
		if _, ok := overflowNames[p]; !ok {
			c.err = invalid("Overflow(%d): no such policy; there are Block, DropHead, RejectPublish and RejectPublishDLX", p)
		}
		set(&c.args, "x-overflow", p.String())
	})
}

// OverflowPolicy is what a full queue does with one more message.
type OverflowPolicy int

const (
	// Block makes the publisher wait until there is room or its context ends, as
	// with a Go channel. RabbitMQ has no such policy; it is the default here.
	Block OverflowPolicy = iota
	// DropHead drops the oldest waiting message; it is RabbitMQ's default.
	DropHead
	// RejectPublish refuses the new message: Publish returns ErrQueueFull.
	RejectPublish
	// RejectPublishDLX is RejectPublish, and the refused message is a dead letter.
	RejectPublishDLX
)

var overflowNames = map[OverflowPolicy]string{
	Block: "block", DropHead: "drop-head", RejectPublish: "reject-publish", RejectPublishDLX: "reject-publish-dlx",
}

func (p OverflowPolicy) refuses() bool { return p == RejectPublish || p == RejectPublishDLX }

// String returns the policy's name as the argument x-overflow has it.
func (p OverflowPolicy) String() string {
	if name, ok := overflowNames[p]; ok {
		return name
	}
	return fmt.Sprintf("OverflowPolicy(%d)", int(p))
}

// MaxBytes bounds the size of the messages that wait in the queue, as MaxLength
// does their number, and beside it: the bytes of their bodies. With Block, a
// message that is larger than that alone, and that no consumer takes at once, is
// refused with ErrQueueFull. For a stream see Stream.
func MaxBytes(n int64) QueueOption {
	return queueOption(func(c *queueConfig) {
		if n < 0 {
			c.err = invalid("MaxBytes(%d): must not be negative", n)
		}
		set(&c.args, "x-max-length-bytes", n)
	})
}

// MessageTTL is how long a message may wait in the queue, in whole milliseconds,
// 0 to ten years. If its Expiration is less, that counts. After that it is dead: see
// DeadLetter. With 0 the queue passes on only what a consumer takes at once.
//
// As in RabbitMQ only the message at the head is looked at. One that has expired
// behind a message that has not still counts as waiting, but is never delivered.
// What a consumer holds does not expire; if it comes back too late, it does then.
func MessageTTL(d time.Duration) QueueOption {
	return durationArgument("MessageTTL", "x-message-ttl", d, 0)
}

// Expires deletes the queue, with what waits in it, when it has had no consumer
// for this time, and nobody used Get or declared it, in whole milliseconds, 1 ms
// to ten years. Publishing does not count.
func Expires(d time.Duration) QueueOption { return durationArgument("Expires", "x-expires", d, 1) }

func durationArgument(option, key string, d time.Duration, least int64) QueueOption {
	return queueOption(func(c *queueConfig) {
		ms := d.Milliseconds()
		switch {
		case d%time.Millisecond != 0:
			c.err = invalid("%s(%v): must be whole milliseconds", option, d)
		case ms < least || ms > maxTime:
			c.err = invalid("%s(%v): must be %d ms to ten years", option, d, least)
		}
		set(&c.args, key, ms)
	})
}

// DeadLetter names the exchange that gets the queue's dead messages: those that
// were rejected, that expired, that came back too often, and that were dropped or
// refused because the queue was full. It need not exist yet, and is looked up for
// each; while there is none they are lost. "" is the default exchange.
//
// A dead message keeps its routing keys, unless there is a DeadLetterRoutingKey. It
// loses its Expiration, and its header x-death tells, as RabbitMQ has it, where and
// why it died. It is passed on at most once: nothing waits for room in the queues
// where it goes, so a Block queue takes it beyond its limit, and one that refuses
// loses it. Where it would go round in circles, without anybody rejecting it on
// the way, it is dropped, and logged. What is purged or deleted is no dead letter.
// DeadLetterAtLeastOnce loses none.
func DeadLetter(exchange string) QueueOption {
	return queueOption(func(c *queueConfig) { set(&c.args, "x-dead-letter-exchange", exchange) })
}

// DeadLetterRoutingKey is the routing key with which the queue's dead messages are
// passed on to its DeadLetter exchange, instead of their own.
func DeadLetterRoutingKey(key string) QueueOption {
	return queueOption(func(c *queueConfig) { set(&c.args, "x-dead-letter-routing-key", key) })
}

// DeadLetterAtLeastOnce keeps dead messages until all queues that they go to have
// them, and there is at least one (QQ-19). One that a queue refuses, or that is led to
// no queue, is tried again every three minutes, and when a [Policy] changes where dead
// letters go. Meanwhile it counts against the limits of the queue that it died in, but
// purging does not remove it; what QueueStats has of it is HeldLetters. It is lost with
// the queue, or if a policy ends this.
//
// It has no effect without a DeadLetter exchange, nor with the overflow policies
// [DropHead] and [RejectPublishDLX], with which dead letters are sent at most once. A
// RabbitMQ has it for [Quorum] queues with [RejectPublish] only.
func DeadLetterAtLeastOnce() QueueOption {
	return queueOption(func(c *queueConfig) { set(&c.args, "x-dead-letter-strategy", atLeastOnce) })
}

// MaxPriority makes the queue hand out messages by their Priority, the highest
// first; n, at most 255, is the highest that counts. Messages of the same priority
// keep their order. What a consumer holds is not overtaken, so it should have a
// small Prefetch. When a DropHead queue is full it drops from the head, too: the
// oldest of the highest priority. With 0 the queue has no priorities.
func MaxPriority(n int) QueueOption {
	return queueOption(func(c *queueConfig) {
		if n < 0 || n > math.MaxUint8 {
			c.err = invalid("MaxPriority(%d): must be 0 to 255", n)
		}
		set(&c.args, "x-max-priority", int64(n))
	})
}

// SingleActiveConsumer makes only one consumer of the queue get messages: that
// which was started first. The others stand by. When it ends, the first of those
// with the highest Priority takes over, beginning with what went back.
func SingleActiveConsumer() QueueOption {
	return queueOption(func(c *queueConfig) { set(&c.args, "x-single-active-consumer", true) })
}

// Quorum makes the queue one of RabbitMQ's type quorum, as far as that shows with
// one node: it is durable, and neither exclusive nor auto-delete; a message that
// comes back goes before all that never left, with its returns counted in the
// header x-delivery-count; after 20 of them it is dead, unless there is another
// DeliveryLimit; and of a SingleActiveConsumer's standbys one with a higher
// Priority takes over. See docs/COMPAT.md for more.
func Quorum() QueueOption {
	return queueOption(func(c *queueConfig) {
		c.durable = true
		c.setType(quorumType)
	})
}

// setType says what the queue is, which can be one thing only.
func (c *queueConfig) setType(name string) {
	if other, ok := c.args["x-queue-type"]; ok && other != name {
		c.err = invalid("a queue cannot be of the types %v and %s", other, name)
	}
	set(&c.args, "x-queue-type", name)
}

// DeliveryLimit is how often a message may come back to the queue, by a Nack with
// requeue, or because its consumer or session ended: one that comes back once more
// is dead; see DeadLetter. So with 2 it is delivered at most three times.
func DeliveryLimit(n int) QueueOption {
	return queueOption(func(c *queueConfig) {
		if n < 0 {
			c.err = invalid("DeliveryLimit(%d): must not be negative", n)
		}
		set(&c.args, "x-delivery-limit", int64(n))
	})
}

// set sets an argument in a table that may not be made yet.
func set(t *Table, key string, v any) {
	if *t == nil {
		*t = Table{}
	}
	(*t)[key] = v
}

// IfUnused lets a deletion fail with ErrPreconditionFailed if the queue has
// consumers, or the exchange has bindings as a source.
func IfUnused() DeleteOption { return deleteOption(func(c *deleteConfig) { c.ifUnused = true }) }

// IfEmpty lets DeleteQueue fail with ErrPreconditionFailed if messages wait in
// the queue. It means nothing to an exchange.
func IfEmpty() DeleteOption { return deleteOption(func(c *deleteConfig) { c.ifEmpty = true }) }

// ExclusiveOption fits both DeclareQueue and Consume.
type ExclusiveOption struct {
	queueOption
	consumeOption
}

// Exclusive makes a queue usable only through the session that declares it (or,
// declared on the Broker itself, outside all sessions), and deletes it with that
// session; anybody may publish to it. A consumer that is Exclusive is the only
// one of its queue, or is refused with ErrAccessRefused.
func Exclusive() ExclusiveOption {
	return ExclusiveOption{
		func(c *queueConfig) { c.exclusive = true },
		func(c *consumeConfig) { c.exclusive = true },
	}
}

// ConsumerTag names a consumer; the name must be free in its session. Without
// it the consumer gets a name beginning with "amq.ctag-".
func ConsumerTag(tag string) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if len(tag) > maxShortString {
			c.err = invalid("ConsumerTag: has %d bytes; AMQP allows %d", len(tag), maxShortString)
		}
		c.tag = tag
	})
}

// Prefetch limits how many unsettled messages a consumer may hold; 0 means any
// number. The default is the concurrency of a handler, and DefaultPrefetch
// otherwise.
func Prefetch(n int) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if n < 0 {
			c.err = invalid("Prefetch(%d): must not be negative; 0 means no limit", n)
		}
		c.prefetch, c.prefetchSet = n, true
	})
}

// SharedPrefetch puts a consumer under a limit that it shares with all other
// consumers of the same Window, in addition to its own Prefetch. With AutoAck it
// holds nothing of the limit, and gets messages while the others do not reach it.
// Quorum queues and streams have none: Consume fails with ErrNotSupported.
func SharedPrefetch(w *Window) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if !w.isMade() {
			c.err = invalid("SharedPrefetch: the window is nil or has no size; make one with NewWindow")
		}
		c.window = w
	})
}

// Priority sets a consumer's priority, 0 by default. While consumers of a higher
// priority have credit, those of a lower one get nothing.
func Priority(p int) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if p < math.MinInt32 || p > math.MaxInt32 {
			c.err = invalid("Priority(%d): must fit into 32 bits", p)
		}
		c.priority = int32(p)
	})
}

// Concurrency sets how many goroutines run a handler, 1 by default.
func Concurrency(n int) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if n < 1 {
			c.err = invalid("Concurrency(%d): a handler needs at least one goroutine", n)
		}
		c.concurrency = n
	})
}

// Notify has f called whenever there may be something for TryReceive after it
// found nothing, and when the consumer ends. It is for those who serve many
// consumers in one goroutine. f runs in the goroutine that publishes, settles, or does
// what there are Events of, while it holds no lock of the broker: f must not block, and
// what it takes is that goroutine's time. It may use the broker, but what it publishes,
// receives or settles may have f called again.
func Notify(f func()) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if f == nil {
			c.err = invalid("Notify: the function is nil")
		}
		c.notify = f
	})
}

// SessionOption configures a Session.
type SessionOption func(*Session)

// RabbitMQDefaults makes the queues that a session declares as RabbitMQ would:
// unbounded where MaxLength does not say otherwise, and with DropHead where
// Overflow does not.
func RabbitMQDefaults() SessionOption { return func(s *Session) { s.rabbitMQ = true } }

// AutoAckOption fits both Consume and Get.
type AutoAckOption struct{}

func (AutoAckOption) consume(c *consumeConfig) { c.autoAck = true }
func (AutoAckOption) get(c *getConfig)         { c.autoAck = true }

// AutoAck settles each message when it is handed to the application, which then
// must not settle it (it would get ErrSettled). A message whose processing
// fails is lost. It is what AMQP calls no-ack.
func AutoAck() AutoAckOption { return AutoAckOption{} }

// PublishOption is a set of flags for Publish.
type PublishOption uint8

// Mandatory lets Publish fail with ErrUnroutable if the message reaches no
// queue, which otherwise nobody would notice.
const Mandatory PublishOption = 1
