package amqpserver

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// ready lists the turns of consumers that may have something to deliver.
type ready struct {
	fetching sync.Mutex // taken before all other locks
	now      []turn     // the next ones, the last of them first; guarded by fetching

	mu   sync.Mutex // taken after all other locks but output.mu
	next []turn
}

// turn lets a consumer send all that it may have, a part at a time; or one message,
// which its queue gave it and not to another one: consumers of one queue send in the
// order in which it gave them messages, as RabbitMQ's do.
type turn struct {
	consumer *consumer
	one      bool
}

// notify is called by the queue, from anywhere, when a message may be there for
// the consumer.
func (k *consumer) notify() {
	k.list()
	k.channel.conn.out.wakeWriter()
}

// list gives k a turn for all that it may have, unless it has one.
func (k *consumer) list() {
	if !k.listed.Swap(true) {
		k.channel.conn.ready.add(turn{consumer: k})
	}
}

// given is called by the queue, with its lock held, for each message that is there for
// this consumer and not for another one.
func (k *consumer) given() { k.channel.conn.ready.add(turn{k, true}) }

func (r *ready) add(t turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.one {
		t.consumer.due++
	}
	r.next = append(r.next, t)
}

// take returns the consumer whose turn it is, nil if nobody's, and how many messages it
// may send. If it is the last of its turns there may be more. r.fetching is held.
func (r *ready) take() (k *consumer, n int, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) == 0 && !r.begin() {
		return nil, 0, true
	}
	end := len(r.now) - 1
	t := r.now[end]
	r.now[end] = turn{}
	r.now = r.now[:end]
	switch k = t.consumer; {
	case t.one:
		k.due--
		return k, 1, k.due == 0
	case k.due > 0: // it sends when its turns come
		k.listed.Store(false)
		return k, 0, false
	}
	k.listed.Store(false)
	if end == 0 && len(r.next) == 0 {
		return k, fetchAlone, true
	}
	return k, 1, true
}

// begin takes the next turns up, if there are any.
func (r *ready) begin() bool {
	if cap(r.now) > keepTurns {
		r.now = nil
	}
	r.now, r.next = r.next, r.now[:0]
	slices.Reverse(r.now) // to be taken from the end
	return len(r.now) > 0
}

// keepTurns is for how many turns memory is kept.
const keepTurns = 4096

// fetch gets deliveries from the consumers that have some while there are less
// than room bytes to send: one from each in turn, or more from one that is alone.
func (c *conn) fetch(room int) {
	c.ready.fetching.Lock()
	defer c.ready.fetching.Unlock()
	for c.out.hasRoom(room) {
		k, n, last := c.ready.take()
		if k == nil {
			return
		}
		if k.fetch(n, room) && last {
			k.list()
		}
	}
}

// handOut sends what the consumers could have by now. A queue of RabbitMQ hands out
// at once what it can, so that this comes before a consumer, its channel, its
// connection or its queue ends. The reader calls it.
func (c *conn) handOut() {
	c.fetch(c.out.answerRoom())
	c.out.wakeWriter()
}

// fetchAlone is how many deliveries a consumer may send before others are looked
// for.
const fetchAlone = 64

// fetch sends up to n deliveries, and reports whether there may be more. The
// channel's lock makes the numbers of deliveries rise in the order in which they
// are sent, and keeps deliveries from following cancel-ok.
func (k *consumer) fetch(n, room int) (more bool) {
	ch := k.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	now := ch.conn.age()
	for range n {
		if !k.started || k.gone || !ch.conn.out.hasRoom(room) {
			return k.started && !k.gone
		}
		d, ok, err := k.core.TryReceive()
		if err != nil {
			k.ended(err)
			return false
		}
		if !ok {
			return false
		}
		k.deliver(&d, now)
	}
	return true
}

// deliver sends a delivery. ch.mu is held.
func (k *consumer) deliver(d *pocketmq.Delivery, now time.Duration) {
	ch := k.channel
	if k.replies && ch.conn.server.compat < V4_3 { // a reply takes the next one's number
		ch.conn.out.sendDelivery(ch.id, d, ch.lastTag+1)
		return
	}
	ch.lastTag++
	if !k.noAck {
		ch.unacked.add(ch.lastTag, now, k.timeout, d)
		ch.watch(now, k.timeout)
	}
	ch.conn.out.sendDelivery(ch.id, d, ch.lastTag)
}

// ended removes a consumer that the client did not cancel, because its queue went
// away, and tells the client (CONS-17). ch.mu is held.
func (k *consumer) ended(err error) {
	ch := k.channel
	k.gone = true
	delete(ch.consumers, k.tag)
	switch {
	case errors.Is(err, pocketmq.ErrQueueDeleted), errors.Is(err, pocketmq.ErrCanceled):
		if ch.conn.capabilities.cancelNotify {
			ch.conn.out.send(ch.id, &wire.BasicCancel{ConsumerTag: k.tag, NoWait: true})
		}
	case errors.Is(err, pocketmq.ErrClosed):
		// The channel ends, or the broker was closed: then there is nothing left to serve.
		ch.conn.brokerMayBeClosed()
	}
}
