package fifo

import "github.com/pocketmq/pocketmq/internal/ring"

// Fetch settles n messages of c as Ack does, and moves what is assigned to c to
// batch, which is empty and then the caller's. If wake is set or there is nothing,
// c will be in Woken, or come back from Push, when it gets something.
func (q *Queue[T]) Fetch(c *Consumer[T], n int, batch *ring.Ring[Entry[T]], wake bool) {
	c.idle = false // it is awake
	q.Ack(c, n)
	if c.inbox.Len() == 0 && q.alone(c) {
		q.fill(c, batch)
	}
	if c != q.lone {
		q.Dispatch() // also what fill left
	}
	if batch.Len() == 0 {
		c.inbox.MoveTo(batch, c.inbox.Len())
	}
	c.idle = wake || batch.Len() == 0
}

// alone reports whether Dispatch would give c as much as its credit allows, and nothing
// to anybody else.
func (q *Queue[T]) alone(c *Consumer[T]) bool {
	return c == q.lone || q.consumers.Len() == 1 && q.consumers.First() == c && c.Gate == nil && q.single == nil && !q.timed &&
		q.limits.Weight == 0 // turns are not counted there
}

// fill is Dispatch for a lone consumer, directly into its batch: it gives at least one
// message if it can, and as many as that is quick for.
func (q *Queue[T]) fill(c *Consumer[T], batch *ring.Ring[Entry[T]]) {
	n := q.Ready()
	if c.Prefetch > 0 {
		n = min(n, c.Prefetch-c.unacked)
	}
	if !q.isPlain() {
		for ; n > 0 && !q.isPlain(); n-- {
			e := batch.PushBack()
			q.popTo(e)
			c.unacked++
			q.delivered(e.Returns)
		}
		return
	}
	if n > 0 {
		q.ready.MoveTo(batch, n)
		n = batch.Len()
		c.unacked += n
		q.unacked += n
		q.counts.Delivered += uint64(n)
		if q.limits.Bytes >= 0 {
			for e := range batch.All() {
				q.weigh(&e.Value, -1)
			}
		}
	}
}

// isPlain reports whether all that waits is in ready, so that its order is theirs.
func (q *Queue[T]) isPlain() bool {
	return q.above == nil && q.inFront()+len(q.returned) == 0
}

// Get removes the message at the head, without a consumer. The caller owns it
// until it calls Ack, Reject or Return with a nil consumer.
func (q *Queue[T]) Get() (Entry[T], bool) {
	if q.Ready() == 0 {
		return Entry[T]{}, false
	}
	e := q.pop()
	q.delivered(e.Returns)
	q.expire()
	return e, true
}
