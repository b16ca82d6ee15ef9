package brokertest

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
)

var ending = []rule{
	{"after Cancel nothing comes, and what was not handed out is back", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, strings.Fields("1 2 3")...)
		held := k.receive(c)
		c.Cancel()
		k.closes("Done", c.Done())
		k.fails(c.Err(), pocketmq.ErrCanceled)
		_, err := c.Receive(k.ctx())
		k.fails(err, pocketmq.ErrCanceled)
		_, _, err = c.TryReceive()
		k.fails(err, pocketmq.ErrCanceled)
		d := k.get(q)
		k.equal("body", string(d.Body), "2")
		if k.features.Unseen {
			k.equal("redelivered", d.Redelivered, false)
		}
		k.ok(d.Ack())
		k.ok(held.Ack())
		k.holds(q, "3")
		c.Cancel()
	}},
	{"Close of a consumer returns also what was handed out", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2")
		d := k.receive(c)
		c.Close()
		k.fails(d.Ack(), pocketmq.ErrSettled)
		k.holds(q, "1", "2")
	}},
	{"a consumer ends with the context of Consume", func(k *kit) {
		q := k.queue()
		ctx, cancel := context.WithCancel(context.Background())
		c, err := k.Consume(ctx, q)
		k.ok(err)
		cancel()
		k.closes("Done", c.Done())
		k.fails(c.Err(), pocketmq.ErrCanceled)
		k.publish("", q, "1")
		k.holds(q, "1")
	}},
	{"Cancel lets a running handler finish", func(k *kit) {
		q := k.queue()
		started, finish := make(chan struct{}), make(chan struct{})
		c := k.handle(q, func(ctx context.Context, _ *pocketmq.Delivery) error {
			close(started)
			<-finish
			return ctx.Err()
		})
		k.publish("", q, "1")
		k.closes("it runs", started)
		c.Cancel()
		select {
		case <-c.Done():
			k.Error("Done, while a handler runs")
		default:
		}
		close(finish)
		k.closes("Done", c.Done())
		k.holds(q)
	}},
	{"consumers end with ErrQueueDeleted when their queue is deleted", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1")
		d := k.receive(c)
		_, err := k.DeleteQueue(k.ctx(), q)
		k.ok(err)
		k.closes("Done", c.Done())
		k.fails(c.Err(), pocketmq.ErrQueueDeleted)
		_, err = c.Receive(k.ctx())
		k.fails(err, pocketmq.ErrQueueDeleted)
		k.ok(d.Ack())
		var last error
		for _, err := range c.Deliveries() {
			last = err
		}
		k.fails(last, pocketmq.ErrQueueDeleted)
	}},
	{"Close ends consumers, and waits for handlers, whose contexts end", func(k *kit) {
		q, client := k.queue(), k.another()
		started := make(chan struct{})
		var finished atomic.Bool
		c, err := client.Handle(context.Background(), q, func(ctx context.Context, _ *pocketmq.Delivery) error {
			close(started)
			<-ctx.Done()
			time.Sleep(5 * time.Millisecond)
			finished.Store(true)
			return nil
		})
		k.ok(err)
		k.publish("", q, "1")
		k.closes("it runs", started)
		k.ok(client.Close())
		k.equal("the handler has finished", finished.Load(), true)
		k.closes("Done", c.Done())
		k.fails(c.Err(), pocketmq.ErrClosed)
		k.holds(q) // it was acked
	}},
	{"Close while all are busy: nothing hangs, and nothing confirmed is lost", func(k *kit) {
		q, client := k.queue(), k.another()
		var confirmed, handled sync.Map
		note := func(_ context.Context, d *pocketmq.Delivery) error { handled.Store(string(d.Body), true); return nil }
		_, err := client.Handle(context.Background(), q, note, pocketmq.Concurrency(4))
		k.ok(err)
		var all sync.WaitGroup
		for p := range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					body := strconv.Itoa(p) + "/" + strconv.Itoa(n)
					if client.Publish(context.Background(), "", q, &pocketmq.Message{Body: []byte(body)}) != nil {
						return
					}
					confirmed.Store(body, true)
				}
			})
		}
		k.eventually("it is busy", func() bool { n := 0; handled.Range(func(any, any) bool { n++; return n < 50 }); return n >= 50 })
		k.ok(client.Close())
		all.Wait()
		for _, body := range k.drain(q) {
			handled.Store(body, true)
		}
		confirmed.Range(func(body, _ any) bool {
			if _, ok := handled.Load(body); !ok {
				k.Errorf("%s was confirmed, and is lost", body)
			}
			return true
		})
	}},
	{"a closed client says ErrClosed, and may be closed again", func(k *kit) {
		q, client := k.queue(), k.another()
		c, err := client.Consume(context.Background(), q)
		k.ok(err)
		k.ok(client.Close())
		k.ok(client.Close())
		_, err = c.Receive(k.ctx())
		k.fails(err, pocketmq.ErrClosed)
		k.fails(client.Publish(k.ctx(), "", q, &pocketmq.Message{}), pocketmq.ErrClosed)
		_, err = client.Consume(k.ctx(), q)
		k.fails(err, pocketmq.ErrClosed)
		_, _, err = client.Get(k.ctx(), q)
		k.fails(err, pocketmq.ErrClosed)
		_, err = client.DeclareQueue(k.ctx(), q, pocketmq.Durable())
		k.fails(err, pocketmq.ErrClosed)
		k.fails(client.DeclareExchange(k.ctx(), "x", pocketmq.Direct), pocketmq.ErrClosed)
		k.fails(client.Bind(k.ctx(), q, "amq.direct", ""), pocketmq.ErrClosed)
	}},
}

var contexts = []rule{
	{"Receive ends with its context; the consumer goes on", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err := c.Receive(short)
		k.fails(err, context.DeadlineExceeded)
		k.publish("", q, "1")
		k.same(k.take(c, 1), strings.Fields("1"))
	}},
	{"nothing begins with a context that has ended", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := c.Receive(over)
		k.fails(err, context.Canceled)
		k.fails(k.Publish(over, "", q, &pocketmq.Message{}), context.Canceled)
		_, err = k.DeclareQueue(over, q)
		k.fails(err, context.Canceled)
		k.fails(k.Bind(over, q, "amq.direct", ""), context.Canceled)
		_, err = k.Consume(over, q)
		k.fails(err, context.Canceled)
		_, _, err = k.Get(over, q)
		k.fails(err, context.Canceled)
		k.holds(q)
	}},
	{"a nil context is ErrInvalid", func(k *kit) {
		q := k.queue()
		var none context.Context
		k.fails(k.Publish(none, "", q, &pocketmq.Message{}), pocketmq.ErrInvalid)
		_, err := k.Consume(none, q)
		k.fails(err, pocketmq.ErrInvalid)
		_, err = k.consume(q).Receive(none)
		k.fails(err, pocketmq.ErrInvalid)
	}},
}
