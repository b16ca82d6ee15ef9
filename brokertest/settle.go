package brokertest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pocketmq/pocketmq"
)

var settling = []rule{
	{"a delivery is settled once; then it is ErrSettled", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2", "3")
		for _, settle := range []func(*pocketmq.Delivery) error{
			func(d *pocketmq.Delivery) error { return d.Ack() },
			func(d *pocketmq.Delivery) error { return d.Reject() },
			func(d *pocketmq.Delivery) error { return d.Nack(false) },
		} {
			d := k.receive(c)
			copied := *d
			k.ok(settle(d))
			k.fails(d.Ack(), pocketmq.ErrSettled)
			k.fails(copied.Nack(true), pocketmq.ErrSettled)
			k.fails(d.Reject(), pocketmq.ErrSettled)
		}
		c.Cancel()
		k.holds(q)
	}},
	{"Nack with requeue brings it back with Redelivered", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1")
		k.ok(k.receive(c).Nack(true))
		d := k.receive(c)
		k.equal("redelivered", d.Redelivered, true)
		k.ok(d.Ack())
		c.Close()
		k.holds(q)
	}},
	{"what comes back goes to its original place", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.Prefetch(3))
		k.publish("", q, strings.Fields("1 2 3 4 5")...)
		a, b, d := k.receive(c), k.receive(c), k.receive(c)
		c.Cancel()
		k.ok(d.Nack(true))
		k.ok(a.Nack(true))
		k.ok(b.Nack(true))
		k.eventually("all are back", func() bool {
			info, err := k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
			k.ok(err)
			return info.Messages == 5
		})
		k.same(k.drain(q), strings.Fields("1 2 3 4 5"))
	}},
	{"SettleAll settles many", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, strings.Fields("1 2 3")...)
		a, b, d := k.receive(c), k.receive(c), k.receive(c)
		k.ok(a.Ack())
		k.fails(pocketmq.SettleAll(pocketmq.Acked, a, b, d), pocketmq.ErrSettled)
		k.fails(b.Ack(), pocketmq.ErrSettled)
		c.Close()
		k.holds(q)
	}},
	{"SettleAll returns many in one step", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, strings.Fields("1 2 3")...)
		a, b, d := k.receive(c), k.receive(c), k.receive(c)
		k.ok(pocketmq.SettleAll(pocketmq.Requeued, d, b, a))
		back := k.take(c, 3)
		if !k.features.OneStep {
			slices.Sort(back) // one by one: the first may have gone out again before the last was back
		}
		k.same(back, strings.Fields("1 2 3"))
	}},
	{"settling works after Cancel", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2")
		a, b := k.receive(c), k.receive(c)
		c.Cancel()
		k.ok(a.Ack())
		k.ok(b.Nack(true))
		k.holds(q, "2")
	}},
	{"settling a message of a deleted queue means nothing, and is no error", func(k *kit) {
		q := k.queue()
		k.publish("", q, "1")
		d := k.get(q)
		_, err := k.DeleteQueue(k.ctx(), q)
		k.ok(err)
		k.ok(d.Ack())
	}},
	{"a closed client returns what it has not settled", func(k *kit) {
		q := k.queue()
		other := k.another()
		c, err := other.Consume(context.Background(), q)
		k.ok(err)
		k.publish("", q, strings.Fields("1 2 3")...)
		held := k.receive(c)
		k.ok(k.receive(c).Ack())
		got, ok, err := other.Get(k.ctx(), q)
		k.ok(err)
		if ok {
			k.equal("got", string(got.Body), "3") // unless it was sent ahead to the consumer
		}
		k.ok(other.Close())
		if held.Ack() == nil {
			k.Error("a delivery of a closed client can be settled")
		}
		d := k.get(q)
		k.equal("body", string(d.Body), "1")
		k.equal("redelivered", d.Redelivered, true)
		k.ok(d.Ack())
		k.holds(q, "3")
	}},
}

var ordering = []rule{
	{"one publisher and one consumer: in the order of publishing", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		var want []string
		for i := range 200 {
			want = append(want, strconv.Itoa(i))
		}
		published := make(chan struct{})
		go func() {
			defer close(published)
			for _, body := range want {
				if err := k.Publish(k.ctx(), "", q, &pocketmq.Message{Body: []byte(body)}); err != nil {
					k.Errorf("publishing: %v", err)
				}
			}
		}()
		k.same(k.take(c, len(want)), want)
		k.closes("all is confirmed", published)
	}},
	{"messages that fail now and then keep the order", func(k *kit) {
		q := k.queue()
		got := make(chan string, 100)
		k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			if !d.Redelivered && d.Body[0]%3 == 0 {
				return errors.New("once")
			}
			got <- string(d.Body)
			return nil
		})
		want := strings.Fields("a b c d e f g h i j")
		k.publish("", q, want...)
		for _, w := range want {
			k.equal("next", next(k, got), w)
		}
	}},
}
