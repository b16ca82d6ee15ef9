package fifo

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// Queue is the state of one queue. Make it with New.
type Queue[T any] struct {
	returned returned[T] // came back; all of a lower place than the ready ones
	ready    ring.Ring[Entry[T]]
	seq      uint64
	limit    int // most messages waiting, or -1 for any number
	unacked  int
	pool     *ring.Pool[Entry[T]]

	consumers []*Consumer[T] // in the order in which they subscribed
	lone      *Consumer[T]   // the only consumer, if there is one and it has no gate
	turns     turns[T]
	woken     []*Consumer[T]

	counts Counts
}

// Counts are a queue's running totals. What came in has left, or is ready, or
// is unacked; Check checks the balance.
type Counts struct {
	Published   uint64 // entries pushed
	Delivered   uint64 // entries assigned to a consumer or got, redeliveries included
	Redelivered uint64 // of these, entries that had been delivered before
	Acked       uint64 // entries settled for good by an ack
	Rejected    uint64 // entries settled for good by a reject or nack without requeue
	Returned    uint64 // entries that came back, whether anybody saw them or not
	Dropped     uint64 // entries that left from the head because the queue was full
	Purged      uint64 // entries removed by Purge
}

// New returns an empty queue for at most limit messages that wait for a
// consumer (any number if limit is negative), with its storage from pool.
// Entries that come back may exceed the limit: nothing is ever lost to it here,
// the caller looks at Full and decides.
func New[T any](limit int, pool *ring.Pool[Entry[T]]) Queue[T] {
	return Queue[T]{limit: limit, pool: pool, ready: ring.New(pool)}
}

// Ready is the number of messages that wait for a consumer, as AMQP counts
// them: unacked ones are not ready.
func (q *Queue[T]) Ready() int { return q.ready.Len() + len(q.returned) }

// Unacked is the number of messages that were assigned to a consumer, present
// or gone, or handed out by Get, and are not settled.
func (q *Queue[T]) Unacked() int { return q.unacked }

// Limit is the limit that New was given.
func (q *Queue[T]) Limit() int { return q.limit }

// Full reports whether a further message that no consumer takes at once would
// exceed the limit.
func (q *Queue[T]) Full() bool { return q.limit >= 0 && q.Ready() >= q.limit }

// Over reports whether more messages are waiting than the limit allows.
func (q *Queue[T]) Over() bool { return q.limit >= 0 && q.Ready() > q.limit }

// Counts returns the running totals.
func (q *Queue[T]) Counts() Counts {
	n := q.counts
	n.Published = q.seq
	return n
}

// Push adds a message at the tail and, if nothing else is waiting, assigns it to
// the consumer whose turn it is. It returns a consumer to be woken, or nil.
//
// A lone consumer is only told that there is something; it fetches as much as
// its credit allows. Nobody can tell that from an assignment now, and fetching
// many costs little more than fetching one. Who wants to see the queue as if each
// had been assigned calls Dispatch.
func (q *Queue[T]) Push(v *T) *Consumer[T] {
	q.seq++
	c := q.lone
	if c == nil && len(q.consumers) > 0 && q.Ready() == 0 {
		if c := q.turns.pick(); c != nil {
			return q.assign(c, &Entry[T]{Value: *v, Seq: q.seq})
		}
	}
	e := q.ready.PushBack()
	e.Value, e.Seq = *v, q.seq
	if c == nil || !c.idle || c.OutOfCredit() {
		return nil
	}
	c.idle = false
	return c
}

// TryPush is Push for a message that must not wait: it adds the message only if
// a consumer can take it at once, and reports whether one did.
func (q *Queue[T]) TryPush(v *T) (wake *Consumer[T], ok bool) {
	if q.Ready() > 0 {
		return nil, false
	}
	c := q.turns.pick()
	if c == nil {
		return nil, false
	}
	q.seq++
	return q.assign(c, &Entry[T]{Value: *v, Seq: q.seq}), true
}

// assign gives an entry to a consumer that has paid for it, and returns the
// consumer if it must be woken.
func (q *Queue[T]) assign(c *Consumer[T], e *Entry[T]) *Consumer[T] {
	q.delivered(e)
	*c.inbox.PushBack() = *e
	if !c.idle {
		return nil
	}
	c.idle = false
	return c
}

func (q *Queue[T]) delivered(e *Entry[T]) {
	q.unacked++
	q.counts.Delivered++
	if e.Returns > 0 {
		q.counts.Redelivered++
	}
}

// Dispatch assigns waiting messages while a consumer has credit. Every step does
// so, but for those that only concern a lone consumer: Push and Fetch.
func (q *Queue[T]) Dispatch() {
	for q.Ready() > 0 {
		c := q.turns.pick()
		if c == nil {
			return
		}
		e := q.pop()
		if c = q.assign(c, &e); c != nil {
			q.woken = append(q.woken, c)
		}
	}
}

// pop removes the entry at the head.
func (q *Queue[T]) pop() Entry[T] {
	if len(q.returned) > 0 {
		return q.returned.pop()
	}
	return q.ready.PopFront()
}

// Woken returns the consumers that must be woken since it was called last. The
// slice is good until the next step.
func (q *Queue[T]) Woken() []*Consumer[T] {
	w := q.woken
	q.woken = q.woken[:0]
	return w
}

// Wake puts c, which Push returned, into Woken, for a caller that wakes later.
func (q *Queue[T]) Wake(c *Consumer[T]) { q.woken = append(q.woken, c) }

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
	q.turns.join(c)
	q.Dispatch()
	return nil
}

// SetGate puts a subscribed consumer under a further limit. The caller has taken
// from the gate what is unacked.
func (q *Queue[T]) SetGate(c *Consumer[T], gate Gate) {
	c.Gate = gate
	q.findLone()
}

func (q *Queue[T]) findLone() {
	q.lone = nil
	if len(q.consumers) == 1 && q.consumers[0].Gate == nil {
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
	q.turns.prune()
	for _, unseen := range []*ring.Ring[Entry[T]]{fetched, &c.inbox} {
		for unseen.Len() > 0 {
			if c.Gate != nil {
				c.Gate.Put()
			}
			q.Restore(c, unseen.PopFront())
		}
	}
}

// Consumers is the number of consumers.
func (q *Queue[T]) Consumers() int { return len(q.consumers) }

// Fetch settles n messages of c as Ack does, and moves what is assigned to c to
// batch, which is empty and then the caller's. If wake is set or there is nothing,
// c will be in Woken, or come back from Push, when it gets something.
func (q *Queue[T]) Fetch(c *Consumer[T], n int, batch *ring.Ring[Entry[T]], wake bool) {
	c.idle = false // it is awake
	q.Ack(c, n)
	if c != q.lone {
		q.Dispatch()
	}
	if c == q.lone && c.inbox.Len() == 0 {
		q.fill(c, batch)
	} else {
		c.inbox.MoveTo(batch, c.inbox.Len())
	}
	c.idle = wake || batch.Len() == 0
}

// fill is Dispatch for a lone consumer, directly into its batch.
func (q *Queue[T]) fill(c *Consumer[T], batch *ring.Ring[Entry[T]]) {
	n := q.Ready()
	if c.Prefetch > 0 {
		n = min(n, c.Prefetch-c.unacked)
	}
	if len(q.returned) > 0 {
		for ; n > 0 && len(q.returned) > 0; n-- {
			e := q.returned.pop()
			c.unacked++
			q.delivered(&e)
			*batch.PushBack() = e
		}
		return
	}
	if n > 0 {
		q.ready.MoveTo(batch, n)
		n = batch.Len()
		c.unacked += n
		q.unacked += n
		q.counts.Delivered += uint64(n)
	}
}

// Get removes the message at the head, without a consumer. The caller owns it
// until it calls Ack, Reject or Return with a nil consumer.
func (q *Queue[T]) Get() (Entry[T], bool) {
	if q.Ready() == 0 {
		return Entry[T]{}, false
	}
	e := q.pop()
	q.delivered(&e)
	return e, true
}

// The four ways of settling are parts of a step which ends with Dispatch, and
// begins with it if something comes back: what came before goes first, also to a
// lone consumer. c is nil for what Get handed out.

// Ack settles n messages for good.
func (q *Queue[T]) Ack(c *Consumer[T], n int) {
	q.counts.Acked += uint64(n)
	q.credit(c, n)
}

// Reject is Ack for messages that were refused.
func (q *Queue[T]) Reject(c *Consumer[T], n int) {
	q.counts.Rejected += uint64(n)
	q.credit(c, n)
}

// Return puts a message that was handed out back to its place, as a redelivery.
func (q *Queue[T]) Return(c *Consumer[T], e Entry[T]) {
	e.Returns++
	q.Restore(c, e)
}

// Restore puts a message that nobody has seen back to its place, as if it had
// never been assigned.
func (q *Queue[T]) Restore(c *Consumer[T], e Entry[T]) {
	q.counts.Returned++
	q.credit(c, 1) // first the credit, then the message (ACK-11)
	q.returned.push(e)
}

// credit gives n units back to c, which queues up again if it was blocked.
func (q *Queue[T]) credit(c *Consumer[T], n int) {
	q.unacked -= n
	if c == nil {
		return
	}
	c.Hold(-n)
	if c.state == blocked && n > 0 && !c.OutOfCredit() {
		q.turns.join(c)
	}
}

// Unblock tells the queue that c's Gate may have units again: if c was refused
// by it, it queues up again.
func (q *Queue[T]) Unblock(c *Consumer[T]) {
	if c.state == blocked && !c.OutOfCredit() {
		q.turns.join(c)
		q.Dispatch()
	}
}

// DropHead removes the message at the head of a queue that is over its limit.
// It must not be called on an empty queue.
func (q *Queue[T]) DropHead() Entry[T] {
	q.counts.Dropped++
	return q.pop()
}

// Purge removes all messages that wait and returns their number (QUEUE-29).
func (q *Queue[T]) Purge() int {
	n := q.Ready()
	q.counts.Purged += uint64(n)
	q.ready.Clear()
	q.returned = nil
	return n
}

// Check reports the first contradiction in the state, or nil. It is for tests,
// and looks at every consumer and message.
func (q *Queue[T]) Check() error {
	if err := q.turns.check(); err != nil {
		return err
	}
	for _, c := range q.consumers {
		switch {
		case c.state == gone:
			return errors.New("a subscribed consumer is gone")
		case (c.state == active) != q.turns.has(c):
			return errors.New("a consumer lost its turn")
		case c.inbox.Len() > c.unacked:
			return errors.New("an inbox holds more than is unacked")
		case c.Prefetch > 0 && c.unacked > c.Prefetch:
			return errors.New("more is unacked than the prefetch allows")
		case q.Ready() > 0 && c.state == active && c.Gate == nil && !c.OutOfCredit() && len(q.consumers) > 1:
			return errors.New("a message waits beside a consumer with credit")
		}
	}
	for _, e := range q.returned {
		if front := q.ready.Front(); front != nil && e.Seq > front.Seq {
			return errors.New("a returned message stands behind a ready one")
		}
	}
	n := q.Counts()
	if left := n.Acked + n.Rejected + n.Dropped + n.Purged; n.Published-left != uint64(q.Ready()+q.unacked) {
		return fmt.Errorf("%d published, %d gone, but %d ready and %d unacked", n.Published, left, q.Ready(), q.unacked)
	}
	if back := n.Returned + n.Acked + n.Rejected; n.Delivered-back != uint64(q.unacked) {
		return fmt.Errorf("%d delivered, %d settled, but %d unacked", n.Delivered, back, q.unacked)
	}
	return nil
}
