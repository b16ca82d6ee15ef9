package fifo

import (
	"errors"
	"math/bits"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// lane holds what waits of one priority.
type lane[T any] struct {
	returned heap[Entry[T], *Entry[T]] // came back; all of a lower place than the ready ones
	ready    ring.Ring[Entry[T]]
}

func (l *lane[T]) len() int { return l.ready.Len() + len(l.returned) }

func (l *lane[T]) head() *Entry[T] {
	if len(l.returned) > 0 {
		return &l.returned[0]
	}
	return l.ready.Front()
}

// popTo removes the entry at the head, and sets e to it.
func (l *lane[T]) popTo(e *Entry[T]) {
	if len(l.returned) > 0 {
		*e = l.returned.pop()
		return
	}
	head := l.ready.Front()
	*e = *head
	*head = Entry[T]{}
	l.ready.Advance()
}

func (l *lane[T]) check() error {
	for _, e := range l.returned {
		if front := l.ready.Front(); front != nil && e.Seq > front.Seq {
			return errors.New("a returned message stands behind a ready one")
		}
	}
	return nil
}

// lanes returns all lanes that were ever used.
func (q *Queue[T]) lanes() []*lane[T] {
	all := []*lane[T]{&q.lane}
	if q.above != nil {
		for _, l := range q.above.all {
			if l != nil {
				all = append(all, l)
			}
		}
	}
	return all
}

// lanes are those of the priorities above 0, which most queues do without. They
// are made as they are used, and found by a bit for each that is not empty.
type lanes[T any] struct {
	all  []*lane[T] // by priority; nil = never used
	used [4]uint64
	sums [256 / perSum]int // messages in perSum of them each
	len  int               // and in all of them
}

// perSum is how many lanes are counted together.
const perSum = 16

// laneOf returns the lane of a priority, into which the caller puts a message.
func (q *Queue[T]) laneOf(priority uint8) *lane[T] {
	if priority == 0 {
		return &q.lane
	}
	if q.above == nil {
		q.above = new(lanes[T])
	}
	l := q.above
	for len(l.all) <= int(priority) {
		l.all = append(l.all, nil)
	}
	if l.all[priority] == nil {
		l.all[priority] = &lane[T]{ready: ring.New(q.pool)}
	}
	l.used[priority/64] |= 1 << (priority % 64)
	l.sums[priority/perSum]++
	l.len++
	return l.all[priority]
}

// top returns the highest lane that is not empty. There must be one.
func (l *lanes[T]) top() (lane *lane[T], priority int) {
	for i := len(l.used) - 1; ; i-- {
		if l.used[i] != 0 {
			priority = i*64 + bits.Len64(l.used[i]) - 1
			return l.all[priority], priority
		}
	}
}

func (l *lanes[T]) popTo(e *Entry[T]) {
	top, priority := l.top()
	top.popTo(e)
	l.sums[priority/perSum]--
	l.len--
	if top.len() == 0 {
		l.used[priority/64] &^= 1 << (priority % 64)
	}
}

func (l *lanes[T]) check() error {
	n := 0
	for priority, lane := range l.all {
		if lane == nil {
			continue
		}
		if used := l.used[priority/64]&(1<<(priority%64)) != 0; used != (lane.len() > 0) {
			return errors.New("the bit of a priority is wrong")
		}
		n += lane.len()
	}
	if n != l.len {
		return errors.New("messages with priorities are counted wrong")
	}
	return nil
}

// anyBelow reports whether messages of a lower priority than this wait.
func (l *lanes[T]) anyBelow(priority uint8) bool {
	if l == nil {
		return false
	}
	for i := range int(priority) / 64 {
		if l.used[i] != 0 {
			return true
		}
	}
	return l.used[priority/64]&(1<<(priority%64)-1) != 0
}

// before reports whether at least n messages wait that go before a new one of this
// priority. It may say no though there are: it does not look closely.
func (l *lanes[T]) before(priority uint8, n int) bool {
	if l == nil {
		return n <= 0
	}
	for i := len(l.sums) - 1; i > int(priority)/perSum && n > 0; i-- {
		n -= l.sums[i]
	}
	return n <= 0
}
