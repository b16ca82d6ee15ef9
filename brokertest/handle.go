package brokertest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pocketmq/pocketmq"
)

var handling = []rule{
	{"a handler that returns nil acks", func(k *kit) {
		q := k.queue()
		got := make(chan string, 10)
		c := k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			got <- string(d.Body)
			return nil
		})
		k.publish("", q, "1", "2")
		k.equal("first", next(k, got), "1")
		k.equal("second", next(k, got), "2")
		c.Cancel()
		k.closes("Done", c.Done())
		k.holds(q)
	}},
	{"an error brings the message back, at its place, with Redelivered", func(k *kit) {
		q := k.queue()
		got := make(chan string, 10)
		tries := 0
		k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			got <- string(d.Body) + strconv.FormatBool(d.Redelivered)
			if tries++; tries < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		k.publish("", q, "a", "b")
		for _, want := range strings.Fields("afalse atrue atrue bfalse") {
			k.equal("delivery", next(k, got), want)
		}
	}},
	{"Discard rejects", func(k *kit) {
		q := k.queue()
		got := make(chan string, 10)
		c := k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			got <- string(d.Body)
			return pocketmq.Discard(errors.New("never"))
		})
		k.publish("", q, "1", "2")
		k.equal("first", next(k, got), "1")
		k.equal("second", next(k, got), "2")
		c.Cancel()
		k.closes("Done", c.Done())
		k.holds(q)
	}},
	{"a panic is a failure", func(k *kit) {
		q := k.queue()
		got := make(chan bool, 10)
		k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			got <- d.Redelivered
			if !d.Redelivered {
				panic("oh")
			}
			return nil
		})
		k.publish("", q, "1")
		k.equal("redelivered", next(k, got), false)
		k.equal("redelivered", next(k, got), true)
	}},
	{"a handler may settle by itself", func(k *kit) {
		q := k.queue()
		done := make(chan error, 1)
		c := k.handle(q, func(_ context.Context, d *pocketmq.Delivery) error {
			done <- d.Ack()
			return errors.New("too late")
		})
		k.publish("", q, "1")
		k.ok(next(k, done))
		c.Cancel()
		k.closes("Done", c.Done())
		k.holds(q)
	}},
	{"Concurrency runs that many at once, and no more", func(k *kit) {
		q := k.queue()
		var running, most atomic.Int32
		release := make(chan struct{})
		k.handle(q, func(context.Context, *pocketmq.Delivery) error {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			running.Add(-1)
			return nil
		}, pocketmq.Concurrency(3))
		k.publish("", q, strings.Fields("1 2 3 4 5 6")...)
		k.eventually("three run", func() bool { return running.Load() == 3 })
		close(release)
		k.eventually("none runs", func() bool {
			info, err := k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
			k.ok(err)
			return info.Messages == 0 && running.Load() == 0
		})
		k.equal("most at once", most.Load(), int32(3))
	}},
	{"a handler publishes, by the same client", func(k *kit) {
		in, out := k.queue(), k.queue()
		k.handle(in, func(ctx context.Context, d *pocketmq.Delivery) error {
			return k.Publish(ctx, "", out, &pocketmq.Message{Body: append([]byte("re: "), d.Body...)})
		})
		k.publish("", in, "1")
		k.equal("body", string(k.get(out).Body), "re: 1")
	}},
	{"request and reply: an exclusive queue, ReplyTo and CorrelationID", func(k *kit) {
		requests := k.queue()
		server := k.another()
		_, err := server.Handle(context.Background(), requests, func(ctx context.Context, d *pocketmq.Delivery) error {
			return server.Publish(ctx, "", d.ReplyTo, &pocketmq.Message{Body: d.Body, CorrelationID: d.CorrelationID})
		})
		k.ok(err)
		replies, err := k.DeclareQueue(k.ctx(), "", pocketmq.Exclusive())
		k.ok(err)
		c := k.consume(replies.Name, pocketmq.AutoAck())
		k.send("", requests, &pocketmq.Message{Body: []byte("ping"), ReplyTo: replies.Name, CorrelationID: "7"})
		d := k.receive(c)
		k.equal("body", string(d.Body), "ping")
		k.equal("correlation", d.CorrelationID, "7")
	}},
}
