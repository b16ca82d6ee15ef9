package pocketmq

import (
	"context"
	"errors"
	"iter"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/line"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// Consumer receives the messages of one queue; Consume and Handle make it. Its
// methods may be called from any goroutine, and the forms of fetching may be
// mixed: each message goes to one of those who ask.
//
// What the queue has assigned to a consumer waits inside it until it is fetched.
// The prefetch limits how much is assigned and not settled.
type Consumer struct {
	tag     string
	session *Session
	autoAck bool
	handled bool // made by Handle
	reading reading
	notify  func() // called instead of waking a goroutine; nil = none

	wake chan struct{} // gets a token when something is assigned to an idle consumer
	over chan struct{} // closed when the consumer ends
	done chan struct{} // closed when it has ended and its goroutines have returned

	holder // what follows changes with every message that is received

	// Guarded by holder.mu.
	batch   ring.Ring[entry] // fetched from the queue and not handed out
	more    bool             // the queue has more than batch, and there is credit for it
	waiting int              // goroutines that found nothing, and wait
	running int              // goroutines of the consumer, plus 1 until it ends
	err     error            // why the consumer ended; nil while it has not
	channel chan Delivery
	empty   chan struct{} // closed when nothing is on its way into channel any more; nil without

	unwatch      func() bool        // stops watching Consume's context; nil if it never ends
	stopHandlers context.CancelFunc // ends the context of Handle's handlers; nil without

	_     [64]byte              // publishers look at core: it must not lie in a cache line with the above
	core  fifo.Consumer[item]   // guarded by queue.mu
	place line.Place[*Consumer] // in its queue's consumers; guarded likewise
}

// noAckPrefetch is how many messages a connection's consumer without acks, which has
// no limit, may have been assigned that are not sent yet (CONS-8).
const noAckPrefetch = 256

func newConsumer(s *Session, q *queue, cfg consumeConfig) *Consumer {
	c := &Consumer{
		core: fifo.Consumer[item]{Priority: cfg.priority, Prefetch: cfg.prefetch, Exclusive: cfg.exclusive},
		tag:  cfg.tag, session: s, autoAck: cfg.autoAck, handled: cfg.concurrency > 0, reading: cfg.reading, notify: cfg.notify, running: 1,
		wake: make(chan struct{}, 1), over: make(chan struct{}), done: make(chan struct{}),
	}
	if c.autoAck && s.wire {
		c.core.Prefetch = noAckPrefetch
	}
	c.core.Owner = c
	c.batch = ring.New(&q.broker.entries)
	c.holder.queue, c.holder.core = q, &c.core
	if c.core.Uncounted = c.autoAck; cfg.window != nil && !c.autoAck {
		c.window.Store(cfg.window)
		c.eager = true
	}
	return c
}

// Tag is the consumer's name.
func (c *Consumer) Tag() string { return c.tag }

// Done is closed when the consumer has ended and no handler of it runs any more.
func (c *Consumer) Done() <-chan struct{} { return c.done }

// Err tells why the consumer ended: ErrCanceled, ErrQueueDeleted or ErrClosed.
// It is nil while the consumer has not.
func (c *Consumer) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Receive waits for the next message. It returns an error if ctx ends first, or
// if the consumer has ended: that of Err.
func (c *Consumer) Receive(ctx context.Context) (d Delivery, err error) {
	err = c.receive(ctx, c.autoAck, &d)
	return d, err
}

// TryReceive returns the next message if there is one now. The error is as for
// Receive.
func (c *Consumer) TryReceive() (d Delivery, ok bool, err error) {
	ok, err = c.tryReceive(c.autoAck, false, &d)
	return d, ok, err
}

// Deliveries ranges over the messages as they come:
//
//	for d, err := range consumer.Deliveries() {
//
// The loop ends after Cancel, or when the context of Consume ends. If the
// consumer ends for another reason, that is the last err, with an empty
// Delivery. Leaving the loop does not cancel the consumer; another may go on.
func (c *Consumer) Deliveries() iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		for {
			var d Delivery
			err := c.receive(context.Background(), c.autoAck, &d)
			if errors.Is(err, ErrCanceled) {
				return
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Chan returns a channel of the messages, for select; it is the same one each
// time. It is closed when the consumer ends; Err tells why. One message is
// always on its way into the channel; if nobody takes it before the consumer
// ends, it goes back to the queue as if it had never left.
func (c *Consumer) Chan() <-chan Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channel == nil {
		c.channel, c.empty = make(chan Delivery), make(chan struct{})
		if c.err != nil {
			close(c.channel)
			close(c.empty)
		} else {
			c.running++
			go c.forward()
		}
	}
	return c.channel
}

// Cancel ends the consumer, without waiting for its handlers: see Done. What was
// assigned to it and not handed out is back in the queue, at its place, when
// Cancel returns. What was handed out may still be settled.
func (c *Consumer) Cancel() {
	c.end(c.canceled())
	if empty := c.onItsWay(); empty != nil {
		<-empty
	}
}

// Close is Cancel, and returns also what was handed out and is not settled to
// the queue, at its place, with Redelivered set; settling it later gives
// ErrSettled. To let running handlers finish instead, Cancel and wait for Done.
func (c *Consumer) Close() {
	if c.onItsWay() != nil {
		c.Cancel() // what is on its way into the channel was not handed out
	}
	c.queue.endTogether([]*Consumer{c}, []*holder{&c.holder}, c.canceled())
}

// onItsWay returns a channel that is closed when the consumer has ended and the
// message on its way into the channel of Chan is back; nil without Chan.
func (c *Consumer) onItsWay() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.empty
}

func (c *Consumer) canceled() error {
	return newError(ErrCanceled, CodeConnectionForced, "consumer '%s' was cancelled", c.tag)
}

// endWith makes the consumer end when ctx does.
func (c *Consumer) endWith(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.unwatch = context.AfterFunc(ctx, c.Cancel)
	}
}

// forward feeds the channel of Chan.
func (c *Consumer) forward() {
	defer c.leave()
	defer close(c.channel)
	defer close(c.empty)
	for {
		// The message must not count as acked before somebody has it.
		var d Delivery
		if err := c.receive(context.Background(), false, &d); err != nil {
			return
		}
		tag := d.tag
		if c.autoAck {
			d.tag = 0
		}
		select {
		case c.channel <- d:
			if c.autoAck {
				_ = c.ack(tag) // fails only if Close was quicker
			}
		case <-c.over:
			_ = c.holder.settle(restored, tag) // likewise
			return
		}
	}
}

func (c *Consumer) receive(ctx context.Context, autoAck bool, d *Delivery) error {
	if ctx == nil {
		return errNilContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		ok, err := c.tryReceive(autoAck, true, d)
		if ok || err != nil {
			return err
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// tryReceive hands out the next message of the batch, or of the next batch. If
// there is none and park is set, the caller is counted as waiting and must call
// wait.
func (c *Consumer) tryReceive(autoAck, park bool, d *Delivery) (ok bool, err error) {
	c.mu.Lock()
	if c.batch.Len() == 0 {
		c.mu.Unlock()
		return c.fetch(autoAck, park, d)
	}
	flush, more := c.handOut(autoAck, d)
	c.mu.Unlock()
	c.handedOut(d, flush, more)
	return true, nil
}

// fetch is tryReceive for a batch that is used up: it hands in the acks and gets
// a new batch from the queue.
func (c *Consumer) fetch(autoAck, park bool, d *Delivery) (ok bool, err error) {
	q := c.queue
	q.mu.Lock()
	q.tick()
	c.mu.Lock()
	if c.batch.Len() == 0 && c.err == nil {
		acked := c.takeAcked()
		q.store().Fetch(&c.core, acked, &c.batch, c.waiting > 0)
		c.more = q.store().Waits(&c.core)
		c.starved = c.core.OutOfCredit() && (c.batch.Len() == 0 || c.waiting > 0)
	}
	var flush, more bool
	if ok = c.batch.Len() > 0; ok {
		flush, more = c.handOut(autoAck, d)
	} else if err = c.err; err == nil && park {
		c.waiting++
	}
	c.mu.Unlock()
	c.unlock()
	if ok {
		c.handedOut(d, flush, more)
	}
	return ok, err
}

// handOut makes the next entry of the batch a delivery. The caller holds c.mu,
// and passes what it returns to handedOut when it has unlocked.
func (c *Consumer) handOut(autoAck bool, d *Delivery) (flush, more bool) {
	e := c.batch.Front()
	var tag uint64
	if autoAck {
		c.countAck()
		flush = c.mustFlush()
	} else {
		tag = c.unacked.Add(e)
	}
	c.fill(d, e, c.tag, tag)
	if c.relay != nil {
		c.relay.mark(d)
	}
	*e = entry{}
	c.batch.Advance()
	return flush, c.waiting > 0 && (c.batch.Len() > 0 || c.more)
}

// handedOut finishes handOut: it hands in the acks, and wakes another goroutine
// for the rest of the batch.
func (c *Consumer) handedOut(d *Delivery, flush, more bool) {
	if c.queue.broker.tracing.Load() {
		c.session.traceDelivery(c.queue, d)
	}
	if flush {
		c.flush()
	}
	if more {
		c.wakeOne()
	}
}

// wait parks a goroutine that tryReceive counted as waiting, until there may be a
// message for it.
func (c *Consumer) wait(ctx context.Context) (err error) {
	select {
	case <-c.wake:
	case <-c.over:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	c.waiting--
	c.mu.Unlock()
	return err
}

// wakeOne lets one waiting goroutine look for messages. If none waits yet the
// token stays, so that it is not missed.
func (c *Consumer) wakeOne() {
	if c.notify != nil {
		c.notify()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end ends the consumer, the first time it is called.
func (c *Consumer) end(why error) { c.queue.endTogether([]*Consumer{c}, nil, why) }

// detach is the part of endTogether under the queue's lock. It reports whether
// the consumer had not ended before, and whether its queue ends with it.
func (c *Consumer) detach(why error) (first, queueEnded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false, false
	}
	c.err = why
	c.eager = true // from now on the queue does not know whom to collect from
	c.apply()
	close(c.over)
	return true, c.queue.unsubscribe(c)
}

// isEnding reports whether the consumer has ended, or is about to. It takes no lock.
func (c *Consumer) isEnding() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// ended is the part of endTogether without locks.
func (c *Consumer) ended(why error) {
	c.relay.cancel()
	c.window.Load().offer()
	c.mu.Lock()
	unwatch, stop := c.unwatch, c.stopHandlers
	c.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	if stop != nil && errors.Is(why, ErrClosed) {
		stop()
	}
	if c.notify != nil {
		c.notify()
	}
	c.session.broker.tellNews()
	c.session.forget(c)
	c.leave()
}

// leave is called when a goroutine of the consumer returns, and when it ends.
func (c *Consumer) leave() {
	c.mu.Lock()
	c.running--
	last, stop := c.running == 0, c.stopHandlers
	c.mu.Unlock()
	if !last {
		return
	}
	if stop != nil {
		stop() // nobody uses the context any more: release it
	}
	close(c.done)
}
