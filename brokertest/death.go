package brokertest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq"
)

// brief is a time that passes during a test.
const brief = 20 * time.Millisecond

var expiring = []rule{
	{"a message expires after its queue's MessageTTL or its own Expiration, whichever is less", func(k *kit) {
		slow, quick := k.queue(pocketmq.MessageTTL(time.Hour)), k.queue(pocketmq.MessageTTL(brief))
		k.send("", slow, &pocketmq.Message{Body: []byte("own"), Expiration: "20"})
		k.send("", slow, &pocketmq.Message{Body: []byte("stays")})
		k.send("", quick, &pocketmq.Message{Body: []byte("queue's"), Expiration: "3600000"})
		k.eventually("two have expired", func() bool { return k.waiting(slow) == 1 && k.waiting(quick) == 0 })
		k.holds(slow, "stays")
	}},
	{"with a TTL of 0 a message is passed on to who takes it at once, or expires", func(k *kit) {
		q := k.queue(pocketmq.MessageTTL(0))
		k.publish("", q, "lost")
		k.eventually("it has expired", func() bool { return k.waiting(q) == 0 })
		c := k.consume(q)
		k.publish("", q, "taken")
		k.same(k.take(c, 1), strings.Fields("taken"))
	}},
	{"what a consumer holds does not expire, unless it comes back", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.MessageTTL(brief), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		c := k.consume(q, pocketmq.Prefetch(2))
		k.publish("", q, "held", "returned", "left")
		held, returned := k.receive(c), k.receive(c)
		k.equal("the first dead letter", string(k.get(dead).Body), "left")
		c.Cancel()
		k.ok(held.Ack())
		k.ok(returned.Nack(true))
		k.equal("the second dead letter", string(k.get(dead).Body), "returned")
		k.holds(dead)
	}},
	{"an Expiration that is no number of milliseconds is ErrPreconditionFailed", func(k *kit) {
		q := k.queue()
		for _, e := range []string{"soon", "-1", "1.5", "10ms"} {
			k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{Expiration: e}), pocketmq.ErrPreconditionFailed)
		}
	}},
	{"a queue goes when it was not used for its Expires; publishing is no use", func(k *kit) {
		q := k.queue(pocketmq.Expires(brief))
		k.eventually("the queue is gone", func() bool {
			return errors.Is(k.Publish(k.ctx(), "", q, &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
		})
	}},
	{"a queue with a consumer does not go", func(k *kit) {
		q := k.queue(pocketmq.Expires(time.Second)) // time enough to start a consumer
		c := k.consume(q)
		other := k.queue(pocketmq.Expires(1200 * time.Millisecond))
		k.eventually("the other queue is gone", func() bool {
			return errors.Is(k.Publish(k.ctx(), "", other, &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
		})
		k.publish("", q, "1")
		k.same(k.take(c, 1), strings.Fields("1"))
	}},
}

var dying = []rule{
	{"rejected, expired and dropped messages are dead letters, which tell why", func(k *kit) {
		x, dead := k.exchange(pocketmq.Fanout), k.queue()
		k.bind(dead, x, "")
		q := k.queue(pocketmq.DeadLetter(x), pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.DropHead))
		k.publish("", q, "rejected")
		k.ok(k.get(q).Reject())
		k.died(dead, "rejected", "rejected", q)
		k.send("", q, &pocketmq.Message{Body: []byte("expired"), Expiration: "1"})
		k.died(dead, "expired", "expired", q)
		k.publish("", q, "dropped", "stays")
		k.died(dead, "dropped", "maxlen", q)
		k.holds(q, "stays")
	}},
	{"a message that was refused is one with RejectPublishDLX", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead),
			pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.RejectPublishDLX))
		k.publish("", q, "1")
		k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{Body: []byte("2")}), pocketmq.ErrQueueFull)
		k.died(dead, "2", "maxlen", q)
	}},
	{"a dead letter keeps its routing key, unless there is a DeadLetterRoutingKey", func(k *kit) {
		x, dead := k.exchange(pocketmq.Fanout), k.queue()
		k.bind(dead, x, "")
		for _, key := range []string{"", "another"} {
			opts, want := []pocketmq.QueueOption{pocketmq.DeadLetter(x)}, key
			if key != "" {
				opts = append(opts, pocketmq.DeadLetterRoutingKey(key))
			}
			q := k.queue(opts...)
			if key == "" {
				want = q
			}
			k.publish("", q, "1")
			k.ok(k.get(q).Reject())
			d := k.get(dead)
			k.equal("routing key", d.RoutingKey, want)
			k.equal("exchange", d.Exchange, x)
			k.ok(d.Ack())
		}
	}},
	{"it loses its Expiration, and keeps all else", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		k.send("", q, &pocketmq.Message{Expiration: "1", MessageID: "m", Headers: pocketmq.Table{"a": "b"}})
		d := k.get(dead)
		k.equal("expiration", d.Expiration, "")
		k.equal("message ID", d.MessageID, "m")
		k.equal("header", d.Headers["a"], "b")
		k.equal("redelivered", d.Redelivered, false)
	}},
	{"acked, purged and deleted messages are none", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		k.publish("", q, "1", "2", "3")
		k.ok(k.get(q).Ack())
		_, err := k.PurgeQueue(k.ctx(), q)
		k.ok(err)
		k.publish("", q, "4", "rejected")
		last := k.get(q)
		k.ok(k.get(q).Reject())
		k.ok(last.Ack())
		k.publish("", q, "5")
		_, err = k.DeleteQueue(k.ctx(), q)
		k.ok(err)
		k.holds(dead, "rejected")
	}},
	{"a handler's Discard makes a dead letter", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		k.handle(q, func(context.Context, *pocketmq.Delivery) error { return pocketmq.Discard(errors.New("never")) })
		k.publish("", q, "1")
		k.died(dead, "1", "rejected", q)
	}},
	{"try again later: a queue of those that wait leads back", func(k *kit) {
		work, later := k.name("queue"), k.name("queue")
		for name, opts := range map[string][]pocketmq.QueueOption{
			work:  {pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(later)},
			later: {pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(work), pocketmq.MessageTTL(brief)},
		} {
			k.declare(name, opts...)
		}
		k.publish("", work, "1")
		for range 2 {
			d := k.get(work)
			k.equal("body", string(d.Body), "1")
			k.ok(d.Reject())
		}
		d := k.get(work)
		for _, death := range d.Headers["x-death"].([]any) {
			k.equal("deaths in a queue", death.(pocketmq.Table)["count"], any(int64(2)))
		}
		k.ok(d.Ack())
	}},
	{"a quorum queue counts how often a message came back; over its DeliveryLimit it is dead", func(k *kit) {
		dead := k.queue()
		q := k.queue(pocketmq.Quorum(), pocketmq.DeliveryLimit(1), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		k.publish("", q, "1")
		k.ok(k.get(q).Nack(true))
		d := k.get(q)
		k.equal("redelivered", d.Redelivered, true)
		k.equal("count", d.Headers["x-delivery-count"], any(int64(1)))
		k.ok(d.Nack(true))
		k.died(dead, "1", "delivery_limit", q)
	}},
	{"DeliveryLimit: a message that comes back too often is dead", func(k *kit) {
		dead := k.queue()
		name := k.name("queue")
		_, err := k.DeclareQueue(k.ctx(), name, pocketmq.Durable(), pocketmq.DeliveryLimit(1),
			pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(dead))
		if !k.features.DeliveryLimit {
			k.fails(err, pocketmq.ErrPreconditionFailed)
			return
		}
		k.ok(err)
		k.publish("", name, "1")
		k.ok(k.get(name).Nack(true))
		k.ok(k.get(name).Nack(true))
		k.died(dead, "1", "delivery_limit", name)
	}},
}

var prioritising = []rule{
	{"the highest priority first, and in order within one", func(k *kit) {
		q := k.queue(pocketmq.MaxPriority(5))
		for _, body := range strings.Fields("1a 3a 1b 3b 0a 9a 5a") { // what is over the maximum counts as that
			k.send("", q, &pocketmq.Message{Body: []byte(body), Priority: body[0] - '0'})
		}
		k.same(k.drain(q), strings.Fields("9a 5a 3a 3b 1a 1b 0a"))
	}},
	{"what comes back goes to its place in its priority", func(k *kit) {
		q := k.queue(pocketmq.MaxPriority(5))
		for _, body := range strings.Fields("1a 2a 2b") {
			k.send("", q, &pocketmq.Message{Body: []byte(body), Priority: body[0] - '0'})
		}
		d := k.get(q)
		k.send("", q, &pocketmq.Message{Body: []byte("3a"), Priority: 3})
		k.ok(d.Nack(true))
		k.holds(q, strings.Fields("3a 2a 2b 1a")...)
	}},
	{"in a queue without MaxPriority they mean nothing", func(k *kit) {
		q := k.queue()
		for _, body := range strings.Fields("1a 3a 2a") {
			k.send("", q, &pocketmq.Message{Body: []byte(body), Priority: body[0] - '0'})
		}
		k.holds(q, strings.Fields("1a 3a 2a")...)
	}},
	{"a SingleActiveConsumer gets all; when its client ends, the next does", func(k *kit) {
		q := k.queue(pocketmq.SingleActiveConsumer())
		first, second := k.another(), k.another()
		a, err := first.Consume(context.Background(), q)
		k.ok(err)
		b, err := second.Consume(context.Background(), q)
		k.ok(err)
		k.publish("", q, "1", "2", "3")
		k.same(k.take(a, 2), strings.Fields("1 2"))
		_, ok, err := b.TryReceive()
		k.ok(err)
		k.equal("the second has something", ok, false)
		k.ok(first.Close())
		k.same(k.take(b, 1), strings.Fields("3"))
	}},
}

// waiting is the number of messages that wait in a queue.
func (k *kit) waiting(queue string) int {
	k.Helper()
	info, err := k.DeclareQueue(k.ctx(), queue, pocketmq.Passive())
	k.ok(err)
	return info.Messages
}

// died checks the next dead letter.
func (k *kit) died(dead, body, reason, queue string) {
	k.Helper()
	d := k.get(dead)
	k.equal("body", string(d.Body), body)
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) == 0 {
		k.Fatalf("a dead letter without x-death: %v", d.Headers)
	}
	death, _ := deaths[0].(pocketmq.Table)
	k.equal("reason", death["reason"], any(reason))
	k.equal("queue", death["queue"], any(queue))
	k.ok(d.Ack())
}

// manyBytes is a body of n bytes that begins with its name.
func manyBytes(name string, n int) string { return name + strings.Repeat(".", n-len(name)) }
