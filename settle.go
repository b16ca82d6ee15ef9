package pocketmq

import "github.com/pocketmq/pocketmq/internal/fifo"

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

// SettleAll settles many deliveries in the same way. Those of one consumer are
// settled in one step: if they are requeued, all are back at their places before
// any of them is delivered again. Those that were settled before are left out,
// and the error then is ErrSettled.
func SettleAll(o Outcome, deliveries ...*Delivery) error {
	var err error
	var tags []uint64
	rest := deliveries
	for len(rest) > 0 {
		from := rest[0].from
		var others []*Delivery
		tags = tags[:0]
		for i, d := range rest {
			switch {
			case d.from == from:
				tags = append(tags, d.tag)
			case others == nil:
				others = append(make([]*Delivery, 0, len(rest)-i), d)
			default:
				others = append(others, d)
			}
		}
		if from == nil || !from.settleAll(o, tags) {
			err = errSettled
		}
		rest = others
	}
	return err
}

// settleAll settles deliveries in one step, and reports whether all of them were
// unsettled.
func (h *holder) settleAll(o Outcome, tags []uint64) bool {
	q := h.queue
	q.mu.Lock()
	h.mu.Lock()
	entries := make([]entry, 0, len(tags))
	for _, tag := range tags {
		if e, ok := h.unacked.Settle(tag); ok {
			entries = append(entries, e)
		}
	}
	h.apply() // the acks came before
	h.window.put(len(entries))
	if q.gone == nil { // else settling means nothing any more (ACK-7)
		settleEntries(&q.fifo, h.core, o, entries)
	}
	h.mu.Unlock()
	h.unlock()
	return len(entries) == len(tags)
}

func settleEntries(q *fifo.Queue[item], c *fifo.Consumer[item], o Outcome, entries []entry) {
	switch o {
	case Acked:
		q.Ack(c, len(entries))
	case Requeued:
		q.Return(c, entries...)
	default:
		q.Reject(c, len(entries))
	}
}
