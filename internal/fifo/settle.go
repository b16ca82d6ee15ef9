package fifo

import "math"

// All ways of settling are parts of a step which ends with Dispatch, and begins with
// it if something comes back: what came before goes first, also to a lone consumer.
// c is nil for what Get handed out.

// Ack settles n messages for good.
func (q *Queue[T]) Ack(c *Consumer[T], n int) {
	q.counts.Acked += uint64(n)
	q.credit(c, n)
}

// Reject is Ack for a message that was refused.
func (q *Queue[T]) Reject(c *Consumer[T], e Entry[T]) {
	q.credit(c, 1)
	q.bury(e, Rejected)
}

// Return puts a message that was handed out back to its place, as a redelivery,
// unless it has come back too often (QQ-7).
func (q *Queue[T]) Return(c *Consumer[T], e Entry[T]) { q.failed(c, e, q.limits.Place) }

// Lose is Return for a message whose consumer is lost: it never goes behind others
// (QQ-9).
func (q *Queue[T]) Lose(c *Consumer[T], e Entry[T]) {
	place := q.limits.Place
	if place == Back {
		place = ReturnOrder
	}
	q.failed(c, e, place)
}

func (q *Queue[T]) failed(c *Consumer[T], e Entry[T], place Place) {
	e.Returns++
	if limit := q.limits.Failures; limit >= 0 && e.Failures() > limit {
		q.credit(c, 1)
		q.bury(e, DeliveryLimit)
		return
	}
	q.comeBack(c, e, place, false)
}

// Release is Return for a message that was not even tried (QQ-6).
func (q *Queue[T]) Release(c *Consumer[T], e Entry[T]) {
	if e.Released < math.MaxUint16 { // else both stay, so that it does not seem to have failed
		e.Returns++
		e.Released++
	}
	q.comeBack(c, e, q.limits.Place, true)
}

// comeBack takes back a message that somebody saw.
func (q *Queue[T]) comeBack(c *Consumer[T], e Entry[T], place Place, released bool) {
	q.counts.Returned++
	q.credit(c, 1) // first the credit, then the message (ACK-11)
	if delay := q.limits.Delay; delay != nil {
		if by := delay(int(e.Returns), e.Failures(), released); by > 0 {
			q.rarely().delayed.push(delayed[T]{e, q.now + by, q.counts.Returned})
			return
		}
	}
	q.replace(e, place)
}

// replace puts a message that somebody saw to a place.
func (q *Queue[T]) replace(e Entry[T], place Place) {
	switch place {
	case ReturnOrder:
		r := q.rarely()
		r.first++
		e.Seq = r.first
	case Back:
		q.seq++
		q.rarely().moved++
		e.Seq = q.seq
		q.weigh(&e.Value, 1)
		*q.laneOf(e.Priority).ready.PushBack() = e
		return
	}
	q.putBack(e)
}

// putBack puts a message to its place.
func (q *Queue[T]) putBack(e Entry[T]) {
	q.weigh(&e.Value, 1)
	if e.Seq < firstPlace {
		q.rarely().front.push(e)
		return
	}
	q.laneOf(e.Priority).returned.push(e)
}

// Restore puts a message that nobody has seen back to its place, as if it had
// never been assigned.
func (q *Queue[T]) Restore(c *Consumer[T], e Entry[T]) {
	q.counts.Returned++
	q.credit(c, 1) // as in comeBack
	q.putBack(e)
}

// credit gives n units back to c, which queues up again if it was blocked.
func (q *Queue[T]) credit(c *Consumer[T], n int) {
	q.unacked -= n
	if c == nil {
		return
	}
	without := c.OutOfCredit()
	c.Hold(-n)
	switch {
	case !without || c.OutOfCredit():
	case c.Gate != nil:
		q.unblock(c.Gate) // the others as well, as in RabbitMQ
	case c.state == blocked:
		q.turns.join(c)
	}
	if q.single != nil && c == q.single.active && c.unacked == 0 {
		q.elect()
	}
}
