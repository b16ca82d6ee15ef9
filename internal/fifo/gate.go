package fifo

import "slices"

// Gate is a queue's side of a limit that some of its consumers share, maybe with
// those of other queues. It works as RabbitMQ's: once the limit has refused one of
// them, none is asked again until Resume. Who is met meanwhile leaves its turn, and
// all that have credit of their own queue up again together, in the order in which
// they left.
type Gate[T any] struct {
	Limit Limit

	members int            // consumers behind it
	refused bool           // nobody is asked
	blocked []*Consumer[T] // who left its turn, in this order
}

// A Limit is what a Gate asks.
type Limit interface {
	// Take takes a unit, if the message is counted, and reports whether there was
	// one. If not, it remembers to have Resume called once there may be one.
	Take(counted bool) bool
	// Put gives a unit back that was taken for a message which will not be settled
	// by its consumer.
	Put()
	// Forget says that no consumer is left: Resume need not be called.
	Forget()
}

func (g *Gate[T]) take(counted bool) bool {
	if g.refused || !g.Limit.Take(counted) {
		g.refused = true
		return false
	}
	return true
}

// put gives back what was taken for a message that its consumer has not seen.
func (g *Gate[T]) put(c *Consumer[T]) {
	if g != nil && !c.Uncounted {
		g.Limit.Put()
	}
}

// join notes that there is a consumer more.
func (g *Gate[T]) join() {
	if g != nil {
		g.members++
	}
}

// leave forgets a consumer.
func (g *Gate[T]) leave(c *Consumer[T]) {
	if g == nil {
		return
	}
	g.blocked = slices.DeleteFunc(g.blocked, func(b *Consumer[T]) bool { return b == c })
	if g.members--; g.members == 0 {
		g.Limit.Forget()
	}
}

// SetGate puts a subscribed consumer behind a further limit, which has counted what
// is unacked, or takes it away from there with nil.
func (q *Queue[T]) SetGate(c *Consumer[T], g *Gate[T]) {
	g.join()
	c.Gate.leave(c)
	c.Gate = g
	if g != nil && c.state == blocked {
		g.blocked = append(g.blocked, c)
	}
	q.findLone()
}

// Resume tells the queue that the limit of g may have units again. The caller calls
// Dispatch.
func (q *Queue[T]) Resume(g *Gate[T]) {
	g.refused = false
	q.unblock(g)
}

// unblock lets those queue up again that have credit of their own. If their limit
// still refuses, they only change places when their turns come.
func (q *Queue[T]) unblock(g *Gate[T]) {
	g.blocked = slices.DeleteFunc(g.blocked, func(c *Consumer[T]) bool {
		if c.state == blocked && c.OutOfCredit() {
			return false
		}
		if c.state == blocked {
			q.turns.join(c)
		}
		return true
	})
}
