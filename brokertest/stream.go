package brokertest

import (
	"errors"
	"strconv"
	"time"

	"github.com/pocketmq/pocketmq"
)

var streaming = []rule{
	{"each consumer reads from where it begins, and removes nothing", func(k *kit) {
		q := k.queue(pocketmq.Stream())
		k.publish("", q, "0", "1", "2")
		for _, tc := range []struct {
			at    pocketmq.ConsumeOption
			first int64
		}{{pocketmq.StreamFirst(), 0}, {pocketmq.StreamOffset(1), 1}, {pocketmq.StreamTime(time.Unix(1, 0)), 0}} {
			c := k.consume(q, tc.at, pocketmq.Prefetch(2))
			for want := tc.first; want < 3; want++ {
				d := k.receive(c)
				offset, ok := d.Offset()
				k.equal("has an offset", ok, true)
				k.equal("offset", offset, want)
				k.equal("body", string(d.Body), strconv.FormatInt(want, 10))
				k.equal("redelivered", d.Redelivered, false)
				k.ok(d.Ack())
			}
			c.Close()
		}
	}},
	{"a consumer waits for the offset it begins at", func(k *kit) {
		q := k.queue(pocketmq.Stream())
		k.publish("", q, "0")
		c := k.consume(q, pocketmq.StreamOffset(2))
		k.publish("", q, "1", "2")
		k.equal("body", string(k.receive(c).Body), "2")
	}},
	{"acks and nacks give credit, and nothing comes again", func(k *kit) {
		q := k.queue(pocketmq.Stream())
		k.publish("", q, "0", "1", "2", "3")
		c := k.consume(q, pocketmq.StreamFirst(), pocketmq.Prefetch(1))
		for _, settle := range []func(*pocketmq.Delivery) error{
			(*pocketmq.Delivery).Ack, (*pocketmq.Delivery).Reject, func(d *pocketmq.Delivery) error { return d.Nack(true) },
		} {
			k.ok(settle(k.receive(c)))
		}
		k.equal("body", string(k.receive(c).Body), "3")
	}},
	{"Get and PurgeQueue are refused", func(k *kit) {
		q := k.queue(pocketmq.Stream())
		_, err := k.PurgeQueue(k.ctx(), q)
		k.equal("purging is not supported", errors.Is(err, pocketmq.ErrNotSupported), true)
		_, _, err = k.Get(k.ctx(), q)
		k.equal("getting is not supported", errors.Is(err, pocketmq.ErrNotSupported), true)
	}},
}
