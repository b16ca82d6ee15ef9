package pocketmq

import (
	"context"
	"sync"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// relay lets messages of a queue on another machine reach the application by the
// same Consumer and Delivery as those of this process. They are pushed into a
// queue that is in no broker's table, and has this one consumer or, for Get, none.
// It keeps no message for good: whatever settles a delivery, or gives it back,
// does so upstream.
type relay struct {
	queue    *queue
	upstream hook.Upstream
	consumer *Consumer // nil for Get
	exchange *exchange // of the last message, made up for its name; guarded by queue.mu

	mu          sync.Mutex // taken after all other locks; guards what follows
	redelivered map[*Message]uint32
	streak      uint32 // deliveries that were returned since one was done with
}

func newRelay(b *Broker, name string, upstream hook.Upstream) *relay {
	return &relay{
		queue: newQueue(b, name, queueConfig{unbounded: true}, nil), upstream: upstream, redelivered: map[*Message]uint32{},
	}
}

// consumeFrom is consume for a queue on another machine. There the limits hold
// that cfg sets; here the consumer takes what it is sent.
func (s *Session) consumeFrom(ctx context.Context, source hook.Source, name string, cfg consumeConfig) (*Consumer, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := checkTable("arguments", cfg.args, 0); err != nil {
		return nil, err
	}
	if cfg.window != nil {
		return nil, notSupported("SharedPrefetch: a limit that consumers share is not supported with a broker elsewhere; use Prefetch")
	}
	r := newRelay(s.broker, name, source)
	r.consumer = newConsumer(s, r.queue, consumeConfig{
		tag: cfg.tag, autoAck: cfg.autoAck, concurrency: cfg.concurrency, notify: cfg.notify,
	})
	c := r.consumer
	c.relay = r
	if err := s.remember(c); err != nil {
		return nil, err
	}
	err := r.queue.subscribe(c, &consumeConfig{})
	if err == nil {
		err = source.Start(hook.ConsumeConfig{
			Tag: c.tag, Prefetch: cfg.prefetch, Priority: cfg.priority, Exclusive: cfg.exclusive, AutoAck: cfg.autoAck,
			Arguments: cfg.args,
		}, r)
	}
	if err != nil {
		s.release(c)
		return nil, err
	}
	c.endWith(ctx)
	return c, nil
}

// Push is described at hook.Inlet, as are Reset and End.
func (r *relay) Push(message any, exchangeName, key string, redelivered bool) {
	m := message.(*Message)
	r.markRedelivered(m, redelivered)
	q := r.queue
	q.lock()
	if r.exchange == nil || r.exchange.name != exchangeName {
		r.exchange = &exchange{name: exchangeName}
	}
	q.wakeLater(q.fifo.Push(&item{m, r.exchange, key}, 0, 0)) // it does not expire here
	q.unlock()
}

// markRedelivered notes that a message was delivered before. How often is not
// known; but one that fails comes right back, so the number of failures in a row
// is a good guess, and serves the pause before the next.
func (r *relay) markRedelivered(m *Message, redelivered bool) {
	if !redelivered {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.redelivered[m] = max(r.streak, 1)
}

// mark completes a delivery that was just handed out.
func (r *relay) mark(d *Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.redelivered[d.Message]; ok {
		delete(r.redelivered, d.Message)
		d.Redelivered, d.returns = true, n
	}
}

func (r *relay) Reset() {
	c := r.consumer
	r.queue.lock()
	c.mu.Lock()
	for { // what it has fetched, then what it was assigned
		for c.batch.Len() > 0 {
			c.batch.PopFront()
			r.queue.fifo.Ack(&c.core, 1)
		}
		r.queue.fifo.Fetch(&c.core, 0, &c.batch, c.waiting > 0)
		if c.batch.Len() == 0 {
			break
		}
	}
	c.mu.Unlock()
	r.queue.fifo.Purge()
	r.queue.unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.redelivered)
}

func (r *relay) End(why error) { r.consumer.end(why) }

// settle settles a delivery where it came from. For the queue here it is done
// with in any case.
func (r *relay) settle(h *holder, o Outcome, tag uint64) error {
	h.mu.Lock()
	e, ok := h.unacked.Settle(tag)
	if !ok {
		h.mu.Unlock()
		return errSettled
	}
	h.countAck()
	flush := h.mustFlush()
	h.mu.Unlock()
	if flush {
		h.flush()
	}
	r.count(o)
	return r.upstream.Settle(upstreamOutcome(o), e.Value.msg)
}

func (r *relay) count(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o == Requeued {
		r.streak++
	} else {
		r.streak = 0
	}
}

// upstreamOutcome is the outcome to tell others: the finer ways of giving back
// are matters of one's own queue.
func upstreamOutcome(o Outcome) uint8 {
	if o != Acked && o != Rejected {
		o = Requeued
	}
	return uint8(o)
}

func (r *relay) settleAll(h *holder, o Outcome, tags []uint64) (err error) {
	for _, tag := range tags {
		if e := r.settle(h, o, tag); e != nil {
			err = e
		}
	}
	return err
}

// cancel is called when the consumer has ended; r may be nil.
func (r *relay) cancel() {
	if r != nil {
		r.upstream.Cancel()
		r.returnAll()
	}
}

// returnAll gives back what came back to the queue here, or never left it, after
// its consumer has ended; r may be nil.
func (r *relay) returnAll() {
	if r == nil {
		return
	}
	for e, ok := r.take(); ok; e, ok = r.take() {
		_ = r.upstream.Settle(hook.Requeued, e.Value.msg) // fails only if it went back with its connection
	}
}

func (r *relay) take() (entry, bool) {
	r.queue.lock()
	defer r.queue.unlock()
	e, ok := r.queue.fifo.Get()
	if ok {
		r.queue.fifo.Ack(nil, 1)
	}
	return e, ok
}

// getter returns a function that makes deliveries of what a queue elsewhere gave.
func (s *Session) getter(name string, upstream hook.Upstream) func(hook.Got, bool) (any, error) {
	r := newRelay(s.broker, name, upstream)
	h := s.holderOf(r.queue, r)
	var one sync.Mutex // the message that is pushed is the one that comes out
	return func(got hook.Got, autoAck bool) (any, error) {
		if h == nil {
			return nil, errSessionClosed
		}
		one.Lock()
		defer one.Unlock()
		r.Push(got.Message, got.Exchange, got.Key, got.Redelivered)
		d, _, err := h.get(autoAck)
		r.mark(&d)
		d.MessageCount = got.MessageCount
		return d, err
	}
}
