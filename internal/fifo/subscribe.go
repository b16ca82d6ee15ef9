package fifo

import (
	"errors"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// ErrExclusive is what Subscribe says when one consumer demands to be alone.
var ErrExclusive = errors.New("fifo: exclusive use")

// Subscribe adds a consumer at the end of its turn and assigns waiting messages
// to it. It fails if one of the two demands to be alone (CONS-4).
func (q *Queue[T]) Subscribe(c *Consumer[T]) error {
	if q.consumers.Len() > 0 && (c.Exclusive || q.consumers.First().Exclusive) {
		return ErrExclusive
	}
	q.consumers.Join(&c.place, c)
	c.Gate.join()
	q.findLone()
	c.inbox = ring.New(q.pool)
	if q.single == nil {
		q.turns.join(c)
	} else {
		q.standBy(c)
		q.elect()
	}
	q.Dispatch()
	return nil
}

func (q *Queue[T]) findLone() {
	q.lone = nil
	if c := q.consumers.First(); q.consumers.Len() == 1 && c.Gate == nil && !q.prompt {
		q.lone = c
	}
}

// Unsubscribe removes a consumer. What it held moves back to its place as if it
// had never been assigned: its inbox, and fetched, the entries which the caller
// took and did not hand out. Entries that were handed out stay unacked and may
// still be settled with Ack, Reject and Return. The caller calls Dispatch when it
// has removed, and put back, all that it wants to.
func (q *Queue[T]) Unsubscribe(c *Consumer[T], fetched *ring.Ring[Entry[T]]) {
	if !c.place.In() {
		return
	}
	q.consumers.Leave(&c.place)
	q.findLone()
	q.leaveTurn(c)
	c.state = gone
	c.Gate.leave(c)
	q.turns.prune()
	q.elect()
	for _, unseen := range []*ring.Ring[Entry[T]]{fetched, &c.inbox} {
		for unseen.Len() > 0 {
			c.Gate.put(c)
			q.Restore(c, unseen.PopFront())
		}
	}
}

// leaveTurn takes c out of where it waits, if it does.
func (q *Queue[T]) leaveTurn(c *Consumer[T]) {
	switch {
	case !c.turn.In():
	case c.state == standby:
		q.single.others.leave(c)
		q.single.others.prune()
	default:
		q.turns.leave(c)
	}
}

// Waits reports whether there is a message for c that it has credit for, if it is
// the only one.
func (q *Queue[T]) Waits(c *Consumer[T]) bool { return q.Ready() > 0 && !c.OutOfCredit() }

// Pending reports whether messages wait that a consumer will get.
func (q *Queue[T]) Pending() bool { return q.Ready()+q.Delayed() > 0 && q.consumers.Len() > 0 }

// Consumers is the number of consumers.
func (q *Queue[T]) Consumers() int { return q.consumers.Len() }
