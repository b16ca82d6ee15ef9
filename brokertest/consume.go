package brokertest

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pocketmq/pocketmq"
)

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
		k.same(got, strings.Fields("1 2 3"))
		k.fails(c.Err(), pocketmq.ErrCanceled)
	}},
	{"Chan gives a channel, which is closed when the consumer ends", func(k *kit) {
		q := k.queue()
		c := k.consume(q)
		k.publish("", q, "1", "2")
		for _, want := range strings.Fields("1 2") {
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
		k.publish("", q, strings.Fields("1 2 3 4")...)
		x, y := k.take(a, 2), k.take(b, 2)
		if x[0] > y[0] {
			x, y = y, x // who is first is the broker's matter
		}
		k.same(append(x, y...), strings.Fields("1 3 2 4"))
	}},
	{"a consumer of a higher priority gets all while it has credit", func(k *kit) {
		q := k.queue()
		low, high := k.consume(q), k.consume(q, pocketmq.Priority(5), pocketmq.Prefetch(2))
		k.publish("", q, strings.Fields("1 2 3")...)
		k.equal("first of high", string(k.receive(high).Body), "1")
		k.equal("second of high", string(k.receive(high).Body), "2")
		k.same(k.take(low, 1), strings.Fields("3"))
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

var getting = []rule{
	{"Get takes the first message, or reports that there is none", func(k *kit) {
		q := k.queue()
		_, ok, err := k.Get(k.ctx(), q)
		k.ok(err)
		k.equal("found", ok, false)
		k.publish("", q, strings.Fields("1 2 3")...)
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
