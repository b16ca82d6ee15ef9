package brokertest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq"
)

var prefetching = []rule{
	{"a consumer holds no more than its Prefetch", func(k *kit) {
		q := k.queue()
		a := k.consume(q, pocketmq.Prefetch(2))
		k.publish("", q, strings.Fields("1 2 3 4")...)
		first := k.receive(a)
		k.receive(a)
		b := k.consume(q)
		k.same(k.take(b, 2), strings.Fields("3 4")) // what a may not hold is for others
		k.publish("", q, "5")
		k.same(k.take(b, 1), strings.Fields("5"))
		b.Cancel()
		k.publish("", q, "6")
		_, ok, err := a.TryReceive()
		k.ok(err)
		k.equal("found", ok, false)
		k.ok(first.Ack())
		k.equal("body", string(k.receive(a).Body), "6")
	}},
	{"Prefetch(0) is no limit", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.Prefetch(0))
		for i := range 2 * pocketmq.DefaultPrefetch {
			k.publish("", q, strconv.Itoa(i))
		}
		for range 2 * pocketmq.DefaultPrefetch {
			k.receive(c)
		}
	}},
	{"SharedPrefetch is a limit for several consumers", func(k *kit) {
		w, err := pocketmq.NewWindow(2)
		k.ok(err)
		a, b := k.queue(), k.queue()
		c, err := k.Consume(context.Background(), a, pocketmq.SharedPrefetch(w))
		if !k.features.SharedPrefetch {
			k.fails(err, pocketmq.ErrNotSupported)
			return
		}
		k.ok(err)
		d := k.consume(b, pocketmq.SharedPrefetch(w))
		k.publish("", a, "1", "2")
		first := k.receive(c)
		k.receive(c)
		k.publish("", b, "3")
		_, ok, err := d.TryReceive()
		k.ok(err)
		k.equal("found", ok, false)
		k.ok(first.Ack())
		k.equal("body", string(k.receive(d).Body), "3")
	}},
}

var limiting = []rule{
	{"a queue that rejects when full is ErrQueueFull", func(k *kit) {
		q := k.queue(pocketmq.MaxLength(2), pocketmq.Overflow(pocketmq.RejectPublish))
		k.publish("", q, "1", "2")
		k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{}), pocketmq.ErrQueueFull)
		k.ok(k.get(q).Ack())
		k.publish("", q, "3")
		k.holds(q, "2", "3")
	}},
	{"a queue that drops when full drops its oldest message", func(k *kit) {
		q := k.queue(pocketmq.MaxLength(2), pocketmq.Overflow(pocketmq.DropHead))
		k.publish("", q, "1", "2", "3")
		k.holds(q, "2", "3")
	}},
	{"MaxBytes counts the bytes of what waits", func(k *kit) {
		q := k.queue(pocketmq.MaxBytes(100), pocketmq.Overflow(pocketmq.DropHead))
		k.publish("", q, manyBytes("1", 60), manyBytes("2", 60), manyBytes("3", 40))
		k.holds(q, manyBytes("2", 60), manyBytes("3", 40))
	}},
	{"a full queue makes publishers wait", func(k *kit) {
		if !k.features.Blocking {
			_, err := k.DeclareQueue(k.ctx(), k.name("queue"), pocketmq.MaxLength(1))
			k.fails(err, pocketmq.ErrNotSupported)
			_, err = k.DeclareQueue(k.ctx(), k.name("queue"), pocketmq.Overflow(pocketmq.Block))
			k.fails(err, pocketmq.ErrNotSupported)
			return
		}
		q := k.queue(pocketmq.MaxLength(1))
		k.publish("", q, "1")
		short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		k.fails(k.Publish(short, "", q, &pocketmq.Message{}), context.DeadlineExceeded)
		done := make(chan error, 1)
		go func() { done <- k.Publish(k.ctx(), "", q, &pocketmq.Message{Body: []byte("2")}) }()
		k.ok(k.get(q).Ack())
		k.ok(next(k, done))
		k.holds(q, "2")
	}},
}
