package pocketmq

import "slices"

// Outcome is how a delivery is settled.
type Outcome uint8

const (
	// Acked means that the message is done with.
	Acked Outcome = iota
	// Requeued means that it goes back to its place in the queue.
	Requeued
	// Rejected means that it leaves the queue as refused.
	Rejected
)

// SettleAll settles many deliveries in the same way. All that belong to one queue
// are settled in one step: if they are requeued, all are back at their places
// before any of them is delivered again. Those that were settled before are
// left out, and the error then is ErrSettled.
func SettleAll(o Outcome, deliveries ...*Delivery) error {
	var err error
	for rest := deliveries; len(rest) > 0; {
		var q *queue
		if rest[0].from != nil {
			q = rest[0].from.queue
		}
		some, others := split(rest, q)
		rest = others
		if q == nil || !q.settle(o, some) {
			err = errSettled
		}
	}
	return err
}

// split returns the deliveries of a queue (of none if q is nil), and the others.
func split(all []*Delivery, q *queue) (some, others []*Delivery) {
	of := func(d *Delivery) bool { return q == nil && d.from == nil || d.from != nil && d.from.queue == q }
	i := slices.IndexFunc(all, func(d *Delivery) bool { return !of(d) })
	if i < 0 {
		return all, nil
	}
	some = slices.Clone(all[:i])
	for _, d := range all[i:] {
		if of(d) {
			some = append(some, d)
		} else {
			others = append(others, d)
		}
	}
	return some, others
}

// settle settles deliveries of this queue, and reports whether all of them were
// unsettled.
func (q *queue) settle(o Outcome, deliveries []*Delivery) bool {
	var windows []*Window
	all := true
	q.mu.Lock()
	q.fifo.Dispatch() // what came before goes first
	for _, d := range deliveries {
		if d.tag == 0 || !d.from.settleLater(o, d.tag) {
			all = false
			continue
		}
		if w := d.from.window.Load(); w != nil && !slices.Contains(windows, w) {
			windows = append(windows, w)
		}
	}
	q.fifo.Dispatch()
	q.unlock()
	for _, w := range windows {
		w.offer()
	}
	return all
}

// settleLater settles a delivery in a step that its queue ends by Dispatch; the
// queue's lock is held.
func (h *holder) settleLater(o Outcome, tag uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.unacked.Settle(tag)
	if !ok {
		return false
	}
	h.window.Load().put(1)
	q := &h.queue.fifo
	if h.queue.gone == nil && h.acked > 0 {
		q.AckLater(h.core, h.takeAcked()) // they came before
	}
	switch {
	case h.queue.gone != nil: // settling means nothing any more (ACK-7)
	case o == Acked:
		q.AckLater(h.core, 1)
	case o == Requeued:
		q.ReturnLater(h.core, e)
	default:
		q.RejectLater(h.core, 1)
	}
	return true
}
