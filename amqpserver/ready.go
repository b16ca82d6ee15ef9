package amqpserver

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// ready lists the consumers that may have something to deliver.
type ready struct {
	fetching sync.Mutex  // taken before all other locks
	turn     []*consumer // those who may send in this turn; guarded by fetching

	mu   sync.Mutex // taken after all other locks but output.mu
	next []*consumer
}

func (r *ready) add(k *consumer) {
	r.mu.Lock()
	r.next = append(r.next, k)
	r.mu.Unlock()
}

// take returns the consumer that may send now, or nil. r.fetching is held.
func (r *ready) take() (k *consumer, alone bool) {
	if len(r.turn) == 0 {
		r.mu.Lock()
		r.turn, r.next = r.next, r.turn[:0]
		r.mu.Unlock()
		if len(r.turn) == 0 {
			return nil, true
		}
		slices.Reverse(r.turn) // to be taken from the end
	}
	last := len(r.turn) - 1
	k = r.turn[last]
	r.turn[last] = nil
	r.turn = r.turn[:last]
	r.mu.Lock()
	alone = last == 0 && len(r.next) == 0
	r.mu.Unlock()
	return k, alone
}

// notify is called by the queue, from anywhere, when a message may be there for
// the consumer.
func (k *consumer) notify() {
	if k.listed.Swap(true) {
		return
	}
	k.channel.conn.ready.add(k)
	k.channel.conn.out.wakeWriter()
}

// fetch gets deliveries from the consumers that have some while there are less
// than room bytes to send: one from each in turn, so that consumers of one queue
// send in the order in which it gave them the messages, or more from one that is
// alone.
func (c *conn) fetch(room int) {
	c.ready.fetching.Lock()
	defer c.ready.fetching.Unlock()
	for c.out.hasRoom(room) {
		k, alone := c.ready.take()
		if k == nil {
			return
		}
		n := 1
		if alone {
			n = fetchAlone
		}
		k.listed.Store(false)
		if k.fetch(n, room) && !k.listed.Swap(true) {
			c.ready.add(k) // there is more
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
