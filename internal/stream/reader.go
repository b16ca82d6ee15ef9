package stream

import (
	"slices"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/line"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// reader is a consumer and its place in the log. Its turn and its gate mean
// nothing here: nobody takes anything away from anybody.
type reader[T any] struct {
	*fifo.Consumer[T]
	filter *Filter
	next   int64 // offset of the message that it gets next, if its filter allows
	idle   bool  // wants to be in Woken once there is a message for it
	place  line.Place[*reader[T]]
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

// Subscribe adds a consumer, whose Prefetch is positive. A nil filter is none.
func (l *Log[T]) Subscribe(c *fifo.Consumer[T], at Position, f *Filter) {
	r := &reader[T]{Consumer: c, filter: f, next: l.find(at)}
	l.readers.Join(&r.place, r)
	if l.byConsumer == nil {
		l.byConsumer = map[*fifo.Consumer[T]]*reader[T]{}
	}
	l.byConsumer[c] = r
}

// Unsubscribe removes a consumer, and settles fetched, the entries which the caller
// took and did not hand out. What was handed out may still be settled.
func (l *Log[T]) Unsubscribe(c *fifo.Consumer[T], fetched *ring.Ring[fifo.Entry[T]]) {
	if r := l.reader(c); r != nil {
		l.readers.Leave(&r.place)
		delete(l.byConsumer, c)
	}
	for fetched.Len() > 0 {
		l.Restore(c, fetched.PopFront())
	}
}

// reader returns the reader of a consumer, or nil if it is gone.
func (l *Log[T]) reader(c *fifo.Consumer[T]) *reader[T] { return l.byConsumer[c] }

// batchLen is the most that Fetch hands out. What a consumer has fetched stays in
// memory whatever the retention says.
const batchLen = 256

// Fetch settles n messages of c as Ack does, and moves what c reads next, as much
// as its credit allows, into batch, which is empty. An entry's Seq is the offset of
// the message. If wake is set or there is nothing, c will be in Woken when there is
// something.
func (l *Log[T]) Fetch(c *fifo.Consumer[T], n int, batch *ring.Ring[fifo.Entry[T]], wake bool) {
	r := l.reader(c)
	r.idle = false // it is awake
	l.Ack(c, n)
	for most := min(c.Prefetch-c.Unacked(), batchLen); batch.Len() < most && l.seek(r); r.next++ {
		e := batch.PushBack()
		e.Value, e.Seq = l.at(r.next).value, uint64(r.next)
	}
	c.Hold(batch.Len())
	l.unacked += batch.Len()
	l.counts.Delivered += uint64(batch.Len())
	r.idle = wake || batch.Len() == 0
}

// seek moves r to the next message that is for it, and reports whether there is
// one.
func (l *Log[T]) seek(r *reader[T]) bool {
	r.next = max(r.next, l.first)
	if r.filter != nil {
		for r.next < l.next && !r.filter.matches(l.at(r.next).filter) {
			r.next++
		}
	}
	return r.next < l.next
}

// Waits reports whether there is a message for c that it has credit for.
func (l *Log[T]) Waits(c *fifo.Consumer[T]) bool {
	r := l.reader(c)
	return r != nil && l.waits(r)
}

func (l *Log[T]) waits(r *reader[T]) bool { return !r.OutOfCredit() && l.seek(r) }

// Position is the offset of the message that c gets next, or of one before it that
// its filter does not allow.
func (l *Log[T]) Position(c *fifo.Consumer[T]) int64 {
	if r := l.reader(c); r != nil {
		return max(r.next, l.first)
	}
	return l.next
}

// Consumers is the number of consumers.
func (l *Log[T]) Consumers() int { return l.readers.Len() }

// Pending reports whether a consumer has not read all that is there for it.
func (l *Log[T]) Pending() bool {
	for r := range l.readers.All() {
		if l.seek(r) {
			return true
		}
	}
	return false
}

// wakeFor wakes the consumers that waited for the message just appended.
func (l *Log[T]) wakeFor(filter string) {
	for r := range l.readers.All() {
		if r.idle && r.next < l.next && !r.OutOfCredit() && r.filter.matches(filter) {
			l.wake(r)
		}
	}
}

func (l *Log[T]) wake(r *reader[T]) {
	r.idle = false
	l.woken = append(l.woken, r.Consumer)
}

// Woken returns the consumers that must be woken since it was called last. The
// slice is good until the next step.
func (l *Log[T]) Woken() []*fifo.Consumer[T] {
	w := l.woken
	l.woken = l.woken[:0]
	return w
}

// The ways of settling differ only in how they are counted: no message leaves, and
// none is delivered to the same consumer again.

// Ack settles n messages of c.
func (l *Log[T]) Ack(c *fifo.Consumer[T], n int) {
	l.counts.Acked += uint64(n)
	l.credit(c, n)
}

// Reject is Ack for a message that was refused.
func (l *Log[T]) Reject(c *fifo.Consumer[T], _ fifo.Entry[T]) { l.Ack(c, 1) }

// Return is Ack for a message that c gives back.
func (l *Log[T]) Return(c *fifo.Consumer[T], _ fifo.Entry[T]) {
	l.counts.Returned++
	l.credit(c, 1)
}

// Lose is Return.
func (l *Log[T]) Lose(c *fifo.Consumer[T], e fifo.Entry[T]) { l.Return(c, e) }

// Release is Return.
func (l *Log[T]) Release(c *fifo.Consumer[T], e fifo.Entry[T]) { l.Return(c, e) }

// Restore is Return for a message that nobody has seen.
func (l *Log[T]) Restore(c *fifo.Consumer[T], e fifo.Entry[T]) { l.Return(c, e) }

// credit gives n units back to c.
func (l *Log[T]) credit(c *fifo.Consumer[T], n int) {
	l.unacked -= n
	c.Hold(-n)
	if r := l.reader(c); r != nil && r.idle && l.waits(r) {
		l.wake(r)
	}
}
