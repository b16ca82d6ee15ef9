package fifo

import (
	"errors"
	"slices"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// ErrExclusive is what Subscribe says when one consumer demands to be alone.
var ErrExclusive = errors.New("fifo: exclusive use")

// Subscribe adds a consumer at the end of its turn and assigns waiting messages
// to it. It fails if one of the two demands to be alone (CONS-4).
func (q *Queue[T]) Subscribe(c *Consumer[T]) error {
	if len(q.consumers) > 0 && (c.Exclusive || q.consumers[0].Exclusive) {
		return ErrExclusive
	}
	q.consumers = append(q.consumers, c)
	q.findLone()
	c.inbox = ring.New(q.pool)
	if q.single == nil {
		q.turns.join(c)
	} else {
		c.state = standby
		q.elect()
	}
	q.Dispatch()
	return nil
}

func (q *Queue[T]) findLone() {
	q.lone = nil
	if len(q.consumers) == 1 && q.consumers[0].Gate == nil && !q.prompt {
		q.lone = q.consumers[0]
	}
}

// Unsubscribe removes a consumer. What it held moves back to its place as if it
// had never been assigned: its inbox, and fetched, the entries which the caller
// took and did not hand out. Entries that were handed out stay unacked and may
// still be settled with Ack, Reject and Return. The caller calls Dispatch when it
// has removed, and put back, all that it wants to.
func (q *Queue[T]) Unsubscribe(c *Consumer[T], fetched *ring.Ring[Entry[T]]) {
	i := slices.Index(q.consumers, c)
	if i < 0 {
		return
	}
	q.consumers = slices.Delete(q.consumers, i, i+1)
	q.findLone()
	if c.state == active {
		q.turns.leave(c)
	}
	c.state = gone
	c.Gate.drop(c)
	q.turns.prune()
	q.elect()
	for _, unseen := range []*ring.Ring[Entry[T]]{fetched, &c.inbox} {
		for unseen.Len() > 0 {
			c.Gate.put(c)
			q.Restore(c, unseen.PopFront())
		}
	}
}

// Waits reports whether there is a message for c that it has credit for, if it is
// the only one.
func (q *Queue[T]) Waits(c *Consumer[T]) bool { return q.Ready() > 0 && !c.OutOfCredit() }

// Pending reports whether messages wait that a consumer will get.
func (q *Queue[T]) Pending() bool { return q.Ready()+q.Delayed() > 0 && len(q.consumers) > 0 }

// Consumers is the number of consumers.
func (q *Queue[T]) Consumers() int { return len(q.consumers) }
