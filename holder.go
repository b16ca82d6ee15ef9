package pocketmq

import (
	"sync"
	"sync/atomic"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// holder keeps what was handed to an application and is not settled yet: by a
// consumer, or for the messages that a session got from a queue with Get.
type holder struct {
	queue  *queue
	core   *fifo.Consumer[item]   // what the queue knows of the consumer, guarded by queue.mu; nil for Get
	window atomic.Pointer[Window] // that settling makes room in; nil = none; changes under both locks
	relay  *relay                 // to where the messages came from; nil = the queue has them from publishers
	heard  uint64                 // how many of acked the queue has heard of, guarded by queue.mu
	shown  atomic.Uint64          // acked, for a queue with priorities; see hear

	mu      sync.Mutex // taken after queue.mu; guards the fields below
	unacked fifo.Unacked[item]
	acked   uint64 // how many were settled by an ack that the queue need not hear of at once
	closed  bool   // everything went back: nothing more is handed out
	eager   bool   // the queue must hear of every ack at once
	starved bool   // messages wait, and only credit is lacking
}

// ack settles a delivery. The queue hears of it at once if that can make a
// difference to anybody, else with the next fetch: the credit of a lone consumer
// is of no use to others, and not going to the queue's lock for each message is
// what makes it as fast as a channel.
func (h *holder) ack(tag uint64) error {
	if h.relay != nil {
		return h.relay.settle(h, Acked, tag)
	}
	h.mu.Lock()
	if !h.unacked.Drop(tag) {
		h.mu.Unlock()
		return errSettled
	}
	h.countAck()
	flush := h.mustFlush()
	h.mu.Unlock()
	if flush {
		h.flush()
	}
	return nil
}

// countAck counts an ack; h.mu is held.
func (h *holder) countAck() {
	h.acked++
	if h.queue.levels {
		h.shown.Store(h.acked)
	}
}

// mustFlush reports whether the queue must hear of h.acked now. h.mu is held.
func (h *holder) mustFlush() bool {
	return h.eager || h.starved || h.queue.eager.Load() != 0
}

// flush hands the acks in now, and lets the queue act on it.
func (h *holder) flush() {
	h.queue.mu.Lock()
	h.queue.tick()
	h.collect()
	h.unlock()
}

// collect hands the acks in; the queue's lock is held, the holder's is not.
func (h *holder) collect() {
	h.mu.Lock()
	h.apply()
	h.mu.Unlock()
}

// hear is collect for a queue with priorities. Its publishers often must know what was
// acked before, and would get in the consumer's way if they took its lock for that.
func (h *holder) hear() {
	h.handIn(h.hearOf(h.shown.Load()))
}

// apply hands the acks in; both locks are held.
func (h *holder) apply() {
	h.handIn(h.takeAcked())
}

// takeAcked returns the number of acks to be handed in; both locks are held.
func (h *holder) takeAcked() int { return h.hearOf(h.acked) }

// hearOf returns how many of so many acks, all that there were, are news to the queue,
// and gives the room that they make to the window. The queue's lock is held.
func (h *holder) hearOf(acked uint64) int {
	n := int(acked - h.heard)
	h.heard = acked
	if n > 0 {
		h.window.Load().put(n)
	}
	return n
}

// handIn tells the queue of n acks; its lock is held.
func (h *holder) handIn(n int) {
	if n > 0 {
		h.queue.store().Ack(h.core, n)
		h.queue.fifo.Dispatch()
	}
}

// unlock ends a step of h's queue in which h may have given credit back.
func (h *holder) unlock() {
	w := h.window.Load()
	h.queue.unlock()
	w.offer()
}

// giveBack returns everything that is not settled to its place. The queue's lock
// is held, and the caller lets it dispatch, and calls offer later.
func (h *holder) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.apply()
	h.closed = true
	all := h.unacked.Drain()
	h.window.Load().put(len(all))
	if h.queue.gone != nil {
		return
	}
	for _, e := range all {
		h.queue.store().Lose(h.core, e)
	}
}

// holds reports whether a delivery is not settled.
func (h *holder) holds(tag uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unacked.Has(tag)
}

// fill makes d the delivery of e. It sets every field, one by one: that is much
// quicker than making a Delivery and copying it.
func (h *holder) fill(d *Delivery, e *entry, consumerTag string, tag uint64) {
	it := &e.Value
	if d.Message = it.msg; h.queue.quorum {
		d.Message = h.queue.counted(e, h.core == nil)
	}
	d.Exchange = it.exchange.name
	d.RoutingKey = it.key
	d.ConsumerTag = consumerTag
	d.Redelivered = e.Returns > 0
	d.MessageCount = 0
	d.returns = e.Returns
	d.tag = tag
	d.from = h
}

// get takes the message at the queue's head.
func (h *holder) get(autoAck bool) (d Delivery, ok bool, err error) {
	q := h.queue
	if err := q.checkGet(); err != nil {
		return d, false, err
	}
	q.lock()
	defer q.unlock()
	if q.gone != nil {
		return d, false, q.whyGone()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return d, false, errSessionClosed
	}
	q.restartExpiry() // TTL-9
	e, ok := q.fifo.Get()
	if !ok {
		return d, false, nil
	}
	var tag uint64
	if autoAck {
		q.fifo.Ack(nil, 1)
	} else {
		tag = h.unacked.Add(&e)
	}
	h.fill(&d, &e, "", tag)
	d.MessageCount = q.fifo.Ready()
	return d, true, nil
}
