package pocketmq

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// Stats is what a Broker looks like at one moment. Each part is exact when it is
// taken, but they are taken one after another.
type Stats struct {
	Exchanges []ExchangeStats // by name
	Queues    []QueueStats    // by name
}

// ExchangeStats describes an exchange.
type ExchangeStats struct {
	Name       string
	Kind       string
	Durable    bool
	AutoDelete bool
	Internal   bool
	Alternate  string // the alternate exchange; "" is none, or the default exchange

	Policy, OperatorPolicy string // the names of those that apply; "" is none

	Bindings []BindingStats // that lead away from it, by destination and key

	Published  uint64 // messages published to it, also in vain; what other exchanges pass on does not count
	Unroutable uint64 // of these, messages that reached no queue
	Delayed    int    // messages that it holds back; see DelayedMessage
}

// BindingStats describes a binding.
type BindingStats struct {
	Destination string
	ToExchange  bool // the destination is an exchange, not a queue
	Key         string
	Arguments   Table // must not be changed
}

// QueueStats describes a queue. The counters run from its declaration on.
type QueueStats struct {
	Name       string
	Type       string // as in x-queue-type
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	MaxLength  int   // messages that may wait; -1 is any number
	MaxBytes   int64 // bytes of their bodies, or of memory that a stream takes; -1 is any number
	Overflow   OverflowPolicy

	DeliveryLimit int         // how often a message may come back; -1 is any number
	Retry         RetryPolicy // when it is ready again then; zero is at once

	Policy, OperatorPolicy string // the names of those that apply; "" is none

	MaxAge       time.Duration // of a stream; 0 is any
	SegmentBytes int64         // of a stream

	Ready             int // messages that wait for a consumer, or that a stream has
	Unacked           int // messages held by consumers or taken with Get, and not settled
	Delayed           int // messages that came back and wait to be ready again; see Retry
	WaitingPublishers int // calls of Publish that wait for room
	Consumers         []ConsumerStats

	Published   uint64 // messages that came in
	Delivered   uint64 // messages assigned to consumers or got, redeliveries included
	Redelivered uint64 // deliveries of messages that had been delivered before
	Acked       uint64 // messages done with
	Rejected    uint64 // messages refused by Reject, or Nack without requeue
	Returned    uint64 // deliveries that came back to the queue
	Dropped     uint64 // messages dropped from the head because the queue was full
	Refused     uint64 // publishes refused because the queue was full
	Purged      uint64 // messages removed by PurgeQueue, or with the queue
	Expired     uint64 // messages that waited longer than they may
	Exhausted   uint64 // messages that came back more often than the delivery limit allows

	DeadLettered DeadLetterStats // what was passed on to the dead letter exchange
	HeldLetters  int             // of these, messages that stay until they are there; see DeadLetterAtLeastOnce
}

// DeadLetterStats are numbers of messages by the reason for which they died, in
// RabbitMQ's terms. Those that no queue took are counted, too.
type DeadLetterStats struct {
	Rejected      uint64 // rejected
	Expired       uint64 // expired
	MaxLength     uint64 // maxlen: dropped, or refused with RejectPublishDLX
	DeliveryLimit uint64 // delivery_limit
}

// ConsumerStats describes a consumer.
type ConsumerStats struct {
	Tag       string
	Prefetch  int // 0 is no limit
	Priority  int
	Exclusive bool
	AutoAck   bool
	Standby   bool // it waits to become the single active consumer
	Unacked   int  // messages assigned to it and not settled

	// Offset is where it reads a stream: no message before it comes any more.
	Offset int64
}

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	var s Stats
	for _, q := range b.queues.All() {
		s.Queues = append(s.Queues, q.stats())
	}
	for _, x := range b.exchanges.All() {
		s.Exchanges = append(s.Exchanges, b.exchangeStats(x))
	}
	slices.SortFunc(s.Exchanges, func(a, b ExchangeStats) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Queues, func(a, b QueueStats) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// Queue returns the part that describes one queue, and false if there is none of
// that name.
func (s Stats) Queue(name string) (QueueStats, bool) {
	i := slices.IndexFunc(s.Queues, func(q QueueStats) bool { return q.Name == name })
	if i < 0 {
		return QueueStats{}, false
	}
	return s.Queues[i], true
}

// Exchange is Queue for exchanges.
func (s Stats) Exchange(name string) (ExchangeStats, bool) {
	i := slices.IndexFunc(s.Exchanges, func(x ExchangeStats) bool { return x.Name == name })
	if i < 0 {
		return ExchangeStats{}, false
	}
	return s.Exchanges[i], true
}

func (b *Broker) exchangeStats(x *exchange) ExchangeStats {
	s := ExchangeStats{
		Name: x.name, Kind: x.kind, Durable: x.durable, AutoDelete: x.autoDelete, Internal: x.internal, Alternate: x.alternateName(),
		Published: x.published.Load(), Unroutable: x.unroutable.Load(),
	}
	if x.delays != nil {
		s.Delayed = x.delays.len()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Policy, s.OperatorPolicy = x.inForce.user.name(), x.inForce.operator.name()
	for _, n := range x.bindings {
		s.Bindings = append(s.Bindings, BindingStats{
			Destination: n.to.name(), ToExchange: n.to.exchange != nil, Key: n.key, Arguments: maps.Clone(n.args),
		})
	}
	slices.SortFunc(s.Bindings, func(a, b BindingStats) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Key, b.Key))
	})
	return s
}

func (q *queue) stats() QueueStats {
	q.lock()
	defer q.unlock()
	q.countSource()
	n := q.store().Counts()
	s := QueueStats{
		Name: q.name, Type: q.kind(), Durable: q.durable, AutoDelete: q.autoDelete, Exclusive: q.owner != nil,
		MaxLength: q.settings.maxLength, MaxBytes: q.settings.maxBytes, Overflow: q.settings.overflow,
		DeliveryLimit: max(q.settings.deliveryLimit, -1), Retry: q.settings.retryPolicy(),
		Policy: q.policies.user.name(), OperatorPolicy: q.policies.operator.name(),
		Ready: q.store().Ready(), Unacked: q.store().Unacked(), Delayed: q.fifo.Delayed(), WaitingPublishers: len(q.waiters),
		Published: n.Published, Delivered: n.Delivered, Redelivered: n.Redelivered, Acked: n.Acked,
		Rejected: n.Dead[fifo.Rejected], Returned: n.Returned, Dropped: n.Dead[fifo.MaxLength], Refused: q.rejected, Purged: n.Purged,
		Expired: n.Dead[fifo.Expired], Exhausted: n.Dead[fifo.DeliveryLimit], HeldLetters: q.fifo.Held(),
	}
	if q.outbox != nil {
		sent := &q.outbox.sent
		s.DeadLettered = DeadLetterStats{
			Rejected: sent[fifo.Rejected], Expired: sent[fifo.Expired],
			MaxLength: sent[fifo.MaxLength], DeliveryLimit: sent[fifo.DeliveryLimit],
		}
	}
	if keep := q.settings.stream; keep != nil {
		s.MaxAge, s.SegmentBytes = keep.MaxAge, keep.SegmentBytes
	}
	for c := range q.consumers.All() {
		k := ConsumerStats{
			Tag: c.tag, Prefetch: c.core.Prefetch, Priority: int(c.core.Priority), Exclusive: c.core.Exclusive,
			AutoAck: c.autoAck, Standby: !c.core.IsActive(), Unacked: c.core.Unacked(),
		}
		if q.log != nil {
			k.Offset = q.log.Position(&c.core)
		}
		s.Consumers = append(s.Consumers, k)
	}
	return s
}
