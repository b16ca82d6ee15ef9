package brokertest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
)

func errorsIs(err, kind error) bool { return errors.Is(err, kind) }

func fields(s string) []string { return strings.Fields(s) }

var consuming = []rule{
	{"Receive waits for a message", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.ConsumerTag("me"))
		k.equal("tag", c.Tag(), "me")
		got := make(chan *pocketmq.Delivery, 1)
		go func() {
			d, err := c.Receive(context.Background())
			if err == nil {
				got <- &d
			}
			close(got)
		}()
		k.publish("", q, "1")
		d := next(k, got)
		k.equal("body", string(d.Body), "1")
		k.equal("tag", d.ConsumerTag, "me")
		k.equal("redelivered", d.Redelivered, false)
		k.ok(d.Ack())
	}},
	{"TryReceive does not wait", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		_, ok, err := c.TryReceive()
		k.ok(err)
		k.equal("found", ok, false)
		k.publish("", q, "1")
		k.eventually("the message is there", func() bool {
			d, ok, err := c.TryReceive()
			k.ok(err)
			return ok && string(d.Body) == "1"
		})
	}},
	{"Deliveries ranges over the messages, and ends with Cancel", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2", "3")
		var got []string
		for d, err := range c.Deliveries() {
			k.ok(err)
			got = append(got, string(d.Body))
			k.ok(d.Ack())
			if len(got) == 3 {
				c.Cancel()
			}
		}
		k.same(got, fields("1 2 3"))
		k.fails(c.Err(), pocketmq.ErrCanceled)
	}},
	{"Chan gives a channel, which is closed when the consumer ends", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2")
		for _, want := range fields("1 2") {
			d := next(k, c.Chan())
			k.equal("body", string(d.Body), want)
			k.ok(d.Ack())
		}
		c.Cancel()
		for range c.Chan() {
			k.Error("something came after Cancel")
		}
		k.closes("Done", c.Done())
	}},
	{"what waits in Chan goes back when the consumer ends", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2")
		k.equal("body", string(next(k, c.Chan()).Body), "1")
		c.Cancel()
		k.holds(q, "2")
	}},
	{"consumers get messages in turn, one each", func(k *kit) {
		q := k.queue()
		a, b := k.consume(q), k.consume(q)
		k.publish("", q, fields("1 2 3 4")...)
		x, y := k.take(a, 2), k.take(b, 2)
		if x[0] > y[0] {
			x, y = y, x // who is first is the broker's matter
		}
		k.same(append(x, y...), fields("1 3 2 4"))
	}},
	{"a consumer of a higher priority gets all while it has credit", func(k *kit) {
		q := k.queue()
		low, high := k.consume(q), k.consume(q, pocketmq.Priority(5), pocketmq.Prefetch(2))
		k.publish("", q, fields("1 2 3")...)
		k.equal("first of high", string(k.receive(high).Body), "1")
		k.equal("second of high", string(k.receive(high).Body), "2")
		k.same(k.take(low, 1), fields("3"))
	}},
	{"an exclusive consumer is alone, or refused", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.Exclusive())
		_, err := k.Consume(k.ctx(), q)
		k.fails(err, pocketmq.ErrAccessRefused)
		_, err = k.another().Consume(k.ctx(), q)
		k.fails(err, pocketmq.ErrAccessRefused)
		c.Cancel()
		c = k.consume(q)
		_, err = k.Consume(k.ctx(), q, pocketmq.Exclusive())
		k.fails(err, pocketmq.ErrAccessRefused)
		c.Cancel()
	}},
	{"a tag is used once in a client", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.ConsumerTag("t"))
		_, err := k.Consume(k.ctx(), q, pocketmq.ConsumerTag("t"))
		k.fails(err, pocketmq.ErrNotAllowed)
		c.Cancel()
		k.consume(q, pocketmq.ConsumerTag("t"))
		if a, b := k.consume(q).Tag(), k.consume(q).Tag(); a == "" || a == b {
			k.Errorf("tags made up: %q and %q", a, b)
		}
	}},
	{"with AutoAck nothing needs settling", func(k *kit) {
		q := k.queue()
		c := k.consume(q, pocketmq.AutoAck())
		k.publish("", q, "1", "2")
		d := k.receive(c)
		k.equal("body", string(d.Body), "1")
		k.fails(d.Ack(), pocketmq.ErrSettled)
		k.equal("body", string(k.receive(c).Body), "2")
		c.Cancel()
		k.holds(q)
	}},
	{"several goroutines may receive from one consumer, each message once", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		var seen sync.Map
		var n atomic.Int32
		for range 4 {
			go func() {
				for d, err := range c.Deliveries() {
					if err != nil {
						return
					}
					if _, twice := seen.LoadOrStore(string(d.Body), true); twice {
						k.Errorf("%s came twice", d.Body)
					}
					if d.Ack() == nil {
						n.Add(1)
					}
				}
			}()
		}
		for i := range 100 {
			k.publish("", q, strconv.Itoa(i))
		}
		k.eventually("all have come", func() bool { return n.Load() == 100 })
		c.Cancel()
		k.holds(q)
	}},
	{"options that make no sense are ErrInvalid", func(k *kit) {
		q := k.queue()
		_, err := k.Consume(k.ctx(), q, pocketmq.Prefetch(-1))
		k.fails(err, pocketmq.ErrInvalid)
		_, err = k.Consume(k.ctx(), q, pocketmq.Concurrency(2))
		k.fails(err, pocketmq.ErrInvalid)
		_, err = k.Handle(k.ctx(), q, nil)
		k.fails(err, pocketmq.ErrInvalid)
	}},
}

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
		for _, want := range fields("afalse atrue atrue bfalse") {
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
		k.publish("", q, fields("1 2 3 4 5 6")...)
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
		k.publish("", q, fields("1 2 3 4 5")...)
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
		k.same(k.drain(q), fields("1 2 3 4 5"))
	}},
	{"SettleAll settles many", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, fields("1 2 3")...)
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
		k.publish("", q, fields("1 2 3")...)
		a, b, d := k.receive(c), k.receive(c), k.receive(c)
		k.ok(pocketmq.SettleAll(pocketmq.Requeued, d, b, a))
		back := k.take(c, 3)
		if !k.features.OneStep {
			slices.Sort(back) // one by one: the first may have gone out again before the last was back
		}
		k.same(back, fields("1 2 3"))
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
		k.publish("", q, fields("1 2 3")...)
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
		want := fields("a b c d e f g h i j")
		k.publish("", q, want...)
		for _, w := range want {
			k.equal("next", next(k, got), w)
		}
	}},
}

var prefetching = []rule{
	{"a consumer holds no more than its Prefetch", func(k *kit) {
		q := k.queue()
		a := k.consume(q, pocketmq.Prefetch(2))
		k.publish("", q, fields("1 2 3 4")...)
		first := k.receive(a)
		k.receive(a)
		b := k.consume(q)
		k.same(k.take(b, 2), fields("3 4")) // what a may not hold is for others
		k.publish("", q, "5")
		k.same(k.take(b, 1), fields("5"))
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

var getting = []rule{
	{"Get takes the first message, or reports that there is none", func(k *kit) {
		q := k.queue()
		_, ok, err := k.Get(k.ctx(), q)
		k.ok(err)
		k.equal("found", ok, false)
		k.publish("", q, fields("1 2 3")...)
		d, ok, err := k.Get(k.ctx(), q)
		k.ok(err)
		k.equal("found", ok, true)
		k.equal("body", string(d.Body), "1")
		k.equal("behind it", d.MessageCount, 2)
		k.equal("tag", d.ConsumerTag, "")
		k.ok(d.Ack())
		k.fails(d.Ack(), pocketmq.ErrSettled)
		k.holds(q, "2", "3")
	}},
	{"what was got may be returned", func(k *kit) {
		q := k.queue()
		k.publish("", q, "1", "2")
		k.ok(k.get(q).Nack(true))
		d := k.get(q)
		k.equal("body", string(d.Body), "1")
		k.equal("redelivered", d.Redelivered, true)
		k.ok(d.Reject())
		k.holds(q, "2")
	}},
	{"a Get that fails does not return what was got before", func(k *kit) {
		a, b := k.queue(), k.queue()
		k.publish("", a, "1")
		d := k.get(a)
		_, _, err := k.Get(k.ctx(), k.name("missing"))
		k.fails(err, pocketmq.ErrNotFound)
		_, ok, err := k.Get(k.ctx(), b)
		k.ok(err)
		k.equal("found", ok, false)
		k.ok(d.Ack())
		k.holds(a)
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

var ending = []rule{
	{"after Cancel nothing comes, and what was not handed out is back", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, fields("1 2 3")...)
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
		k.same(k.take(c, 1), fields("1"))
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
