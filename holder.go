package pocketmq

import (
	"sync"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// holder keeps what was handed to an application and is not settled yet: by a
// consumer, or for the messages that a session got from a queue with Get.
type holder struct {
	queue  *queue
	core   *fifo.Consumer[item] // what the queue knows of the consumer, guarded by queue.mu; nil for Get
	window *Window              // nil = none

	mu      sync.Mutex // taken after queue.mu; guards the fields below
	unacked fifo.Unacked[item]
	acked   int  // settled by an ack of which the queue has not heard
	eager   bool // the queue must hear of every ack at once
	starved bool // messages wait, and only credit is lacking
}

// ack settles a delivery. The queue hears of it at once if that can make a
// difference to anybody, else with the next fetch: the credit of a lone consumer
// is of no use to others, and not going to the queue's lock for each message is
// what makes it as fast as a channel.
func (h *holder) ack(tag uint64) error {
	h.mu.Lock()
	if _, ok := h.unacked.Settle(tag); !ok {
		h.mu.Unlock()
		return errSettled
	}
	h.acked++
	flush := h.mustFlush()
	h.mu.Unlock()
	if flush {
		h.flush()
	}
	return nil
}

// creditBatch is the part of its prefetch, 1/creditBatch, after which a lone
// consumer hands in its acks while publishers wait for room. Letting them in one
// by one would wake one goroutine for each message.
const creditBatch = 8

// mustFlush reports whether the queue must hear of h.acked now. h.mu is held.
func (h *holder) mustFlush() bool {
	if h.eager || h.starved {
		return true
	}
	switch h.queue.eager.Load() {
	case 0:
		return false
	case eagerWaiters:
		return h.acked >= h.core.Prefetch/creditBatch
	default:
		return true
	}
}

// flush hands the acks in now, and lets the queue act on it.
func (h *holder) flush() {
	h.queue.mu.Lock()
	h.collect()
	h.unlock()
}

// collect hands the acks in; the queue's lock is held, the holder's is not.
func (h *holder) collect() {
	h.mu.Lock()
	h.apply()
	h.mu.Unlock()
}

// apply hands the acks in; both locks are held.
func (h *holder) apply() {
	if n := h.takeAcked(); n > 0 {
		h.queue.fifo.Ack(h.core, n)
	}
}

// takeAcked returns the number of acks to be handed in; both locks are held.
func (h *holder) takeAcked() int {
	n := h.acked
	h.acked = 0
	if n > 0 {
		h.window.put(n)
	}
	return n
}

// unlock ends a step of h's queue in which h may have given credit back.
func (h *holder) unlock() {
	h.queue.unlock()
	h.window.offer()
}

// requeue returns a delivery to its place in the queue.
func (h *holder) requeue(tag uint64) error {
	return h.settle(tag, func(q *fifo.Queue[item], e entry) { q.Return(h.core, e) })
}

// reject removes a delivery from the queue as refused.
func (h *holder) reject(tag uint64) error {
	return h.settle(tag, func(q *fifo.Queue[item], _ entry) { q.Reject(h.core, 1) })
}

// restore returns a delivery that the application never saw.
func (h *holder) restore(tag uint64) error {
	return h.settle(tag, func(q *fifo.Queue[item], e entry) { q.Restore(h.core, e) })
}

// settle takes a delivery back and applies step to it, if its queue still
// exists; if not, settling means nothing any more (ACK-7).
func (h *holder) settle(tag uint64, step func(*fifo.Queue[item], entry)) error {
	q := h.queue
	q.mu.Lock()
	h.mu.Lock()
	e, ok := h.unacked.Settle(tag)
	if ok {
		h.apply() // the acks came before
		h.window.put(1)
		if q.gone == nil {
			step(&q.fifo, e)
		}
	}
	h.mu.Unlock()
	h.unlock()
	if !ok {
		return errSettled
	}
	return nil
}

// returnAll returns everything that is not settled, in order.
func (h *holder) returnAll() {
	q := h.queue
	q.mu.Lock()
	h.mu.Lock()
	h.apply()
	all := h.unacked.Drain()
	h.window.put(len(all))
	if q.gone == nil {
		q.fifo.Return(h.core, all...)
	}
	h.mu.Unlock()
	h.unlock()
}

// fill makes d the delivery of e.
func (h *holder) fill(d *Delivery, e *entry) {
	d.Message = e.Value.msg
	d.Exchange = e.Value.exchange.name
	d.RoutingKey = e.Value.key
	d.Redelivered = e.Returns > 0
	d.returns = e.Returns
	d.from = h
}

// get takes the message at the queue's head.
func (h *holder) get(autoAck bool) (d Delivery, ok bool, err error) {
	q := h.queue
	q.lock()
	defer q.unlock()
	if q.gone != nil {
		return d, false, q.whyGone()
	}
	e, ok := q.fifo.Get()
	if !ok {
		return d, false, nil
	}
	h.fill(&d, &e)
	d.MessageCount = q.fifo.Ready()
	if autoAck {
		q.fifo.Ack(nil, 1)
		return d, true, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d.tag = h.unacked.Add(e)
	return d, true, nil
}
