package fifo

import (
	"errors"
	"slices"

	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/line"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// Consumer is a queue's view of one consumer: its turn, its credit and what was
// assigned to it and not fetched yet. Set the exported fields before Subscribe.
type Consumer[T any] struct {
	Owner     any   // whatever the caller wants to find again in Woken
	Priority  int32 // higher ones are served first
	Prefetch  int   // most entries assigned and not settled; 0 = no limit
	Exclusive bool  // no other consumer may subscribe beside it
	Uncounted bool  // what it gets takes no unit of the Gate

	Gate *Gate[T] // a further limit, shared with other consumers; nil = none

	// Given is called for each entry that is assigned to it beside other consumers, so
	// that who serves several of them can do it in the same order; nil = nobody asks.
	Given func()

	inbox   ring.Ring[Entry[T]] // assigned, in order, waiting for Fetch
	unacked int                 // assigned and not settled, inbox included
	idle    bool                // wants to be in Woken once something is assigned
	state   state
	place   line.Place[*Consumer[T]] // among the consumers of the queue
	turn    line.Place[*Consumer[T]] // among those of its priority, while active or standing by
}

type state uint8

const (
	gone    state = iota // not subscribed
	active               // in its turn; may turn out to have no credit left
	blocked              // met without credit; joins the end of its turn when it gets some; its Gate knows
	standby              // gets nothing: another is the single active consumer
)

// Unacked is the number of entries assigned to c and not settled.
func (c *Consumer[T]) Unacked() int { return c.unacked }

// OutOfCredit reports whether c's own prefetch limit is reached.
func (c *Consumer[T]) OutOfCredit() bool {
	return c.Prefetch > 0 && c.unacked >= c.Prefetch
}

// Hold counts n entries more that c was given by somebody else than a Queue, or, if
// n is negative, has settled.
func (c *Consumer[T]) Hold(n int) {
	c.unacked += n
	invariant.Check(c.unacked >= 0, "fifo: a consumer settled %d messages more than it was given", -c.unacked)
}

func (c *Consumer[T]) take() bool {
	if c.OutOfCredit() || c.Gate != nil && !c.Gate.take(!c.Uncounted) {
		return false
	}
	c.unacked++
	return true
}

// block notes that c was met without credit, and has left its turn.
func (c *Consumer[T]) block() {
	c.state = blocked
	if c.Gate != nil {
		c.Gate.blocked = append(c.Gate.blocked, c)
	}
}

// turns holds consumers by priority, highest first.
type turns[T any] struct{ levels []turn[T] }

type turn[T any] struct {
	priority int32
	line     line.Line[*Consumer[T]] // the first is next
}

// join puts c at the end of its priority's turn.
func (t *turns[T]) join(c *Consumer[T]) {
	c.state = active
	t.level(c.Priority).Join(&c.turn, c)
}

// level finds the turn of a priority, making it if need be.
func (t *turns[T]) level(priority int32) *line.Line[*Consumer[T]] {
	i := 0
	for i < len(t.levels) && t.levels[i].priority > priority {
		i++
	}
	if i == len(t.levels) || t.levels[i].priority != priority {
		t.levels = append(t.levels, turn[T]{})
		copy(t.levels[i+1:], t.levels[i:])
		t.levels[i] = turn[T]{priority: priority}
	}
	return &t.levels[i].line
}

// leave takes c out of its turn.
func (t *turns[T]) leave(c *Consumer[T]) { t.level(c.Priority).Leave(&c.turn) }

// first returns the consumer that is the first of the highest priority, or nil.
func (t *turns[T]) first() *Consumer[T] {
	for i := range t.levels {
		if c := t.levels[i].line.First(); c != nil {
			return c
		}
	}
	return nil
}

// prune forgets the priorities that nobody waits in.
func (t *turns[T]) prune() {
	t.levels = slices.DeleteFunc(t.levels, func(l turn[T]) bool { return l.line.Len() == 0 })
	if len(t.levels) == 0 {
		t.levels = nil
	}
}

// check is a part of Queue.Check.
func (t *turns[T]) check(s state) error {
	for i, l := range t.levels {
		if i > 0 && t.levels[i-1].priority <= l.priority {
			return errors.New("priorities are out of order")
		}
		for c := range l.line.All() {
			if c.state != s || c.Priority != l.priority {
				return errors.New("a consumer is in the wrong turn")
			}
		}
	}
	return nil
}

// pick returns the consumer that gets the next entry, with its credit already
// taken, and moves it to the end of its turn. It returns nil if no consumer has
// credit. Like RabbitMQ it notices a lack of credit only when a consumer's turn
// comes, which decides where that consumer queues up again.
func (t *turns[T]) pick() *Consumer[T] {
	for i := range t.levels {
		l := &t.levels[i].line
		for c := l.First(); c != nil; c = l.First() {
			if !c.take() {
				l.Leave(&c.turn)
				c.block()
				continue
			}
			if l.Len() > 1 {
				l.Leave(&c.turn)
				l.Join(&c.turn, c)
			}
			return c
		}
	}
	return nil
}
