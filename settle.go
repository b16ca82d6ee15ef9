package pocketmq

import (
	"cmp"
	"slices"
	"strings"
)

// Outcome is how a delivery is settled.
type Outcome uint8

const (
	// Acked means that the message is done with.
	Acked Outcome = iota
	// Requeued means that it goes back to its place in the queue.
	Requeued
	// Rejected means that it leaves the queue as refused: to the dead letter
	// exchange, if the queue has one.
	Rejected

	restored // goes back as if nobody had seen it
	released // goes back, and that does not count against the delivery limit
)

// SettleAll settles many deliveries in the same way. Those of one consumer are
// settled in one step: if they are requeued, all are back at their places before
// any of them is delivered again. Consumers come in the order of their queues' names
// and of their tags. Those that were settled before are left out, and the error then
// is ErrSettled.
func SettleAll(o Outcome, deliveries ...*Delivery) error {
	if o > Rejected && o != released {
		return invalid("SettleAll: there is no such outcome as %d", o)
	}
	if slices.Contains(deliveries, nil) {
		return invalid("SettleAll: a delivery is nil")
	}
	for _, d := range deliveries {
		if o != Acked && d.from != nil && d.from.queue.onlyAcks() { // STREAM-7
			return d.from.queue.notInStreams("basic.nack and basic.reject")
		}
	}
	var err error
	var tags []uint64
	rest := inTurn(deliveries)
	freed := freeTogether(rest)
	for len(rest) > 0 {
		from := rest[0].from
		tags, rest = splitOff(from, rest, tags[:0])
		if from == nil {
			err = errSettled
		} else if e := from.settleAll(o, tags, freed.by[from]); e != nil {
			err = e
		}
	}
	for w := range freed.in {
		w.offer()
	}
	return err
}

// splitOff appends the tags of those deliveries to tags that came from a holder, and
// returns the others.
func splitOff(from *holder, deliveries []*Delivery, tags []uint64) (_ []uint64, others []*Delivery) {
	for i, d := range deliveries {
		switch {
		case d.from == from:
			tags = append(tags, d.tag)
		case others == nil:
			others = append(make([]*Delivery, 0, len(deliveries)-i), d)
		default:
			others = append(others, d)
		}
	}
	return tags, others
}

// freed is the room in windows that is made before the deliveries are settled that
// take it.
type freed struct {
	by map[*holder]int
	in map[*Window]int
}

// freeTogether makes the room for deliveries of several consumers before any of their
// queues hears of them, as RabbitMQ does: else the first that comes back would meet a
// window in which the others still count.
func freeTogether(deliveries []*Delivery) (f freed) {
	matters := func(d *Delivery) bool {
		return d.from != nil && d.from != deliveries[0].from && d.from.window.Load() != nil
	}
	if !slices.ContainsFunc(deliveries, matters) {
		return freed{}
	}
	f = freed{map[*holder]int{}, map[*Window]int{}}
	type unit struct {
		from *holder
		tag  uint64
	}
	seen := map[unit]bool{} // a delivery may be given twice
	for _, d := range deliveries {
		if d.from == nil || seen[unit{d.from, d.tag}] {
			continue
		}
		if w := d.from.window.Load(); w != nil && d.from.holds(d.tag) {
			seen[unit{d.from, d.tag}] = true
			f.by[d.from]++
			f.in[w]++
		}
	}
	for w, n := range f.in {
		w.put(n)
	}
	return f
}

// inTurn returns deliveries in the order in which RabbitMQ settles them: by queue, and
// then by consumer, whose names it compares. What was got comes before.
func inTurn(deliveries []*Delivery) []*Delivery {
	order := func(a, b *Delivery) int {
		if a.from == b.from {
			return 0
		}
		return cmp.Or(strings.Compare(a.queueName(), b.queueName()), strings.Compare(a.ConsumerTag, b.ConsumerTag))
	}
	if slices.IsSortedFunc(deliveries, order) {
		return deliveries
	}
	return slices.SortedStableFunc(slices.Values(deliveries), order)
}

// queueName is where d came from; "" if nobody delivered it.
func (d *Delivery) queueName() string {
	if d.from == nil {
		return ""
	}
	return d.from.queue.name
}

// settle is settleAll for one delivery.
func (h *holder) settle(o Outcome, tag uint64) error {
	return h.settleAll(o, []uint64{tag}, 0)
}

// settleAll settles deliveries in one step. It fails unless all of them were
// unsettled. Room for so many has been freed, and is offered by the caller.
func (h *holder) settleAll(o Outcome, tags []uint64, freed int) error {
	if h.relay != nil {
		return h.relay.settleAll(h, o, tags)
	}
	q := h.queue
	q.lock() // what came before goes first
	var err error
	h.mu.Lock()
	h.apply() // so did these acks
	if o == Rejected && q.levels && !q.quorum {
		tags = h.highestFirst(tags)
	}
	settled := 0
	for _, tag := range tags {
		if h.settleLater(o, tag) {
			settled++
		} else {
			err = errSettled
		}
	}
	h.window.Load().put(settled - freed) // others may have been quicker
	h.mu.Unlock()
	if q.gone == nil {
		if o == Requeued || o == released {
			q.dropReturned()
		}
		q.fifo.Dispatch()
	}
	if freed > 0 {
		q.unlock()
	} else {
		h.unlock()
	}
	return err
}

// highestFirst returns tags in the order in which a queue of RabbitMQ with priorities,
// which is a queue for each, lets messages die that are rejected together (DLX-1). h.mu
// is held.
func (h *holder) highestFirst(tags []uint64) []uint64 {
	return slices.SortedStableFunc(slices.Values(tags), func(a, b uint64) int {
		return cmp.Compare(h.unacked.Priority(b), h.unacked.Priority(a))
	})
}

// settleLater settles a delivery in a step that its queue ends by Dispatch. Both
// locks are held.
func (h *holder) settleLater(o Outcome, tag uint64) bool {
	e, ok := h.unacked.Settle(tag)
	if !ok {
		return false
	}
	q := h.queue.store()
	switch {
	case h.queue.gone != nil: // settling means nothing any more (ACK-7)
	case o == Acked:
		q.Ack(h.core, 1)
	case o == Requeued:
		q.Return(h.core, e)
	case o == released:
		q.Release(h.core, e)
	case o == restored:
		q.Restore(h.core, e)
	default:
		q.Reject(h.core, e)
	}
	return true
}
