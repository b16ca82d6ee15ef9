package stream

import (
	"slices"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// Reader is a stream's view of one consumer. Set the exported fields before
// Subscribe.
type Reader[T any] struct {
	Owner    any     // whatever the caller wants to find again in Woken
	Prefetch int     // most messages handed out and not settled; positive
	Filter   *Filter // what it asks for; nil = everything

	next    int64 // offset of the message that it gets next, if its filter allows
	unacked int
	idle    bool // wants to be in Woken once there is a message for it
}

// Filter selects messages by the filter values that they were appended with.
type Filter struct {
	Values     []string
	Unfiltered bool // also messages without a value
}

func (f *Filter) matches(value string) bool {
	switch {
	case f == nil:
		return true
	case value == "":
		return f.Unfiltered
	default:
		return slices.Contains(f.Values, value)
	}
}

// Unacked is the number of messages handed to r and not settled.
func (r *Reader[T]) Unacked() int { return r.unacked }

// OutOfCredit reports whether r holds as many messages as it may.
func (r *Reader[T]) OutOfCredit() bool { return r.unacked >= r.Prefetch }

// Subscribe adds a reader.
func (l *Log[T]) Subscribe(r *Reader[T], p Position) {
	r.next = l.find(p)
	l.readers = append(l.readers, r)
}

// Unsubscribe removes a reader. What was handed to it may still be settled, and
// unseen of it, which nobody saw, is settled with that.
func (l *Log[T]) Unsubscribe(r *Reader[T], unseen int) {
	l.readers = slices.DeleteFunc(l.readers, func(x *Reader[T]) bool { return x == r })
	l.Return(r, unseen)
	r.idle = false
}

// batchLen is the most that Fetch hands out. What a reader has fetched stays in
// memory whatever the retention says.
const batchLen = 256

// Fetch acks n messages of r and moves what r reads next, as much as its credit
// allows, into batch, which is empty. An entry's Seq is the message's offset. If
// wake is set or there is nothing, r will be in Woken when there is something.
func (l *Log[T]) Fetch(r *Reader[T], n int, batch *ring.Ring[fifo.Entry[T]], wake bool) {
	l.Ack(r, n)
	for most := min(r.Prefetch-r.unacked, batchLen); batch.Len() < most && l.seek(r); r.next++ {
		e := batch.PushBack()
		e.Value, e.Seq = l.at(r.next).value, uint64(r.next)
	}
	r.unacked += batch.Len()
	l.unacked += batch.Len()
	l.counts.Delivered += uint64(batch.Len())
	r.idle = wake || batch.Len() == 0
}

// seek moves r to the next message that is for it, and reports whether there is
// one.
func (l *Log[T]) seek(r *Reader[T]) bool {
	r.next = max(r.next, l.first)
	if r.Filter != nil {
		for r.next < l.next && !r.Filter.matches(l.at(r.next).filter) {
			r.next++
		}
	}
	return r.next < l.next
}

// Waits reports whether there is a message for r that r has credit for.
func (l *Log[T]) Waits(r *Reader[T]) bool { return !r.OutOfCredit() && l.seek(r) }

// Behind reports whether a reader has not reached the end.
func (l *Log[T]) Behind() bool {
	return slices.ContainsFunc(l.readers, l.seek)
}

// wakeFor wakes the readers that waited for the message just appended.
func (l *Log[T]) wakeFor(filter string) {
	for _, r := range l.readers {
		if r.idle && r.next < l.next && !r.OutOfCredit() && r.Filter.matches(filter) {
			l.wake(r)
		}
	}
}

func (l *Log[T]) wake(r *Reader[T]) {
	r.idle = false
	l.woken = append(l.woken, r)
}

// Woken returns the readers that must be woken since it was called last. The slice
// is good until the next step.
func (l *Log[T]) Woken() []*Reader[T] {
	w := l.woken
	l.woken = l.woken[:0]
	return w
}

// Ack settles n messages of r.
func (l *Log[T]) Ack(r *Reader[T], n int) {
	l.counts.Acked += uint64(n)
	l.credit(r, n)
}

// Reject is Ack for messages that were refused. They stay like all others.
func (l *Log[T]) Reject(r *Reader[T], n int) {
	l.counts.Rejected += uint64(n)
	l.credit(r, n)
}

// Return is Ack for messages that r gives back. They are not delivered again: r
// is past them.
func (l *Log[T]) Return(r *Reader[T], n int) {
	l.counts.Returned += uint64(n)
	l.credit(r, n)
}

// credit gives n units back to r.
func (l *Log[T]) credit(r *Reader[T], n int) {
	l.unacked -= n
	r.unacked -= n
	invariant.Check(r.unacked >= 0, "stream: a reader settled %d messages more than it was given", -r.unacked)
	if r.idle && l.Waits(r) {
		l.wake(r)
	}
}
