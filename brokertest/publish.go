package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq"
)

var publishing = []rule{
	{"a nil error means that the queue has the message", func(k *kit) {
		q := k.queue()
		k.publish("", q, "hello")
		d, ok, err := k.Get(k.ctx(), q)
		k.ok(err)
		k.equal("found", ok, true)
		k.equal("body", string(d.Body), "hello")
		k.equal("exchange", d.Exchange, "")
		k.equal("routing key", d.RoutingKey, q)
		k.ok(d.Ack())
	}},
	{"properties and headers arrive as they were sent", func(k *kit) {
		q := k.queue()
		sent := &pocketmq.Message{
			Body: []byte("b"), ContentType: "text/plain", ContentEncoding: "none", DeliveryMode: pocketmq.Persistent, Priority: 7,
			CorrelationID: "c", ReplyTo: "r", MessageID: "m", Timestamp: time.Unix(1_700_000_000, 0), Type: "t", AppID: "a",
			Headers: pocketmq.Table{
				"bool": true, "int32": int32(-5), "int64": int64(1 << 40), "float": 1.5, "string": "s", "bytes": []byte{0, 255},
				"nil": nil, "time": time.Unix(1_600_000_000, 0), "decimal": pocketmq.Decimal{Scale: 2, Value: 314},
				"table": pocketmq.Table{"in": "side"}, "array": []any{"x", int32(1), pocketmq.Table{"deep": true}},
			},
		}
		k.send("", q, sent)
		d := k.get(q)
		got := *d.Message
		k.equal("timestamp", got.Timestamp.Unix(), sent.Timestamp.Unix())
		got.Timestamp = sent.Timestamp
		k.equal("time in headers", got.Headers["time"].(time.Time).Unix(), int64(1_600_000_000))
		for key, want := range sent.Headers {
			if key != "time" && !reflect.DeepEqual(got.Headers[key], want) {
				k.Errorf("header %s: got %#v, want %#v", key, got.Headers[key], want)
			}
		}
		k.equal("number of headers", len(got.Headers), len(sent.Headers))
		for _, p := range [][2]any{
			{got.ContentType, sent.ContentType}, {got.ContentEncoding, sent.ContentEncoding}, {got.DeliveryMode, sent.DeliveryMode},
			{got.Priority, sent.Priority}, {got.CorrelationID, sent.CorrelationID}, {got.ReplyTo, sent.ReplyTo},
			{got.MessageID, sent.MessageID}, {got.Type, sent.Type}, {got.AppID, sent.AppID},
		} {
			k.equal("property", p[0], p[1])
		}
		k.ok(d.Ack())
	}},
	{"bodies may be empty or large", func(k *kit) {
		q := k.queue()
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		k.send("", q, &pocketmq.Message{})
		k.send("", q, &pocketmq.Message{Body: large})
		k.equal("length", len(k.get(q).Body), 0)
		if d := k.get(q); !bytes.Equal(d.Body, large) {
			k.Errorf("%d bytes arrived changed, as %d", len(large), len(d.Body))
		}
	}},
	{"a message that no queue gets is dropped", func(k *kit) {
		k.publish(k.exchange(pocketmq.Direct), "nobody", "x")
		k.publish("", k.name("missing"), "x")
	}},
	{"with Mandatory it is ErrUnroutable", func(k *kit) {
		x, q := k.exchange(pocketmq.Direct), k.queue()
		k.bind(q, x, "somebody")
		m := &pocketmq.Message{Body: []byte("x")}
		k.fails(k.Publish(k.ctx(), x, "nobody", m, pocketmq.Mandatory), pocketmq.ErrUnroutable)
		k.ok(k.Publish(k.ctx(), x, "somebody", m, pocketmq.Mandatory))
		k.fails(k.Publish(k.ctx(), "", k.name("missing"), m, pocketmq.Mandatory), pocketmq.ErrUnroutable)
		k.holds(q, "x")
	}},
	{"an exchange that does not exist is ErrNotFound", func(k *kit) {
		k.fails(k.Publish(k.ctx(), k.name("missing"), "", &pocketmq.Message{}), pocketmq.ErrNotFound)
	}},
	{"an internal exchange is ErrAccessRefused", func(k *kit) {
		x := k.exchange(pocketmq.Fanout, pocketmq.Internal())
		k.fails(k.Publish(k.ctx(), x, "", &pocketmq.Message{}), pocketmq.ErrAccessRefused)
	}},
	{"what AMQP cannot carry is refused at once", func(k *kit) {
		q, long := k.queue(), string(bytes.Repeat([]byte("x"), 256))
		for _, m := range []*pocketmq.Message{
			nil, {CorrelationID: long}, {Headers: pocketmq.Table{"x": struct{}{}}}, {Headers: pocketmq.Table{long: 1}},
		} {
			k.fails(k.Publish(k.ctx(), "", q, m), pocketmq.ErrInvalid)
		}
		k.fails(k.Publish(k.ctx(), "", long, &pocketmq.Message{}), pocketmq.ErrInvalid)
		k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{}, 64), pocketmq.ErrInvalid)
		k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{DeliveryMode: 9}), pocketmq.ErrPreconditionFailed)
		k.fails(k.Publish(k.ctx(), "", q, &pocketmq.Message{Headers: pocketmq.Table{"CC": "no list"}}), pocketmq.ErrPreconditionFailed)
		k.holds(q)
	}},
	{"one publisher's error is no other's", func(k *kit) {
		q, missing, internal := k.queue(), k.name("missing"), k.exchange(pocketmq.Direct, pocketmq.Internal())
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 20 {
					m := &pocketmq.Message{Body: []byte(strconv.Itoa(n))}
					var err, want error
					switch i {
					case 0:
						err, want = k.Publish(k.ctx(), missing, "", m), pocketmq.ErrNotFound
					case 1:
						err, want = k.Publish(k.ctx(), internal, "", m), pocketmq.ErrAccessRefused
					case 2:
						err, want = k.Publish(k.ctx(), "", missing, m, pocketmq.Mandatory), pocketmq.ErrUnroutable
					case 3:
						m.Headers = pocketmq.Table{"CC": 1}
						err, want = k.Publish(k.ctx(), "", q, m), pocketmq.ErrPreconditionFailed
					default:
						err = k.Publish(k.ctx(), "", q, m)
					}
					if !isKind(err, want) {
						k.Errorf("publisher %d: got %v, want %v", i, err, want)
					}
				}
			})
		}
		all.Wait()
		k.equal("messages", len(k.drain(q)), 4*20)
	}},
	{"many goroutines may publish at once, and all arrives", func(k *kit) {
		q := k.queue()
		const publishers, each = 16, 25
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for n := range each {
					if err := k.Publish(k.ctx(), "", q, &pocketmq.Message{Body: fmt.Appendf(nil, "%d %d", p, n)}); err != nil {
						k.Errorf("publishing: %v", err)
					}
				}
			})
		}
		all.Wait()
		last := map[int]int{}
		for _, body := range k.drain(q) {
			var p, n int
			_, err := fmt.Sscanf(body, "%d %d", &p, &n)
			k.ok(err)
			k.equal(fmt.Sprintf("the next message of publisher %d", p), n, last[p])
			last[p] = n + 1
		}
		k.equal("publishers", len(last), publishers)
		for p, n := range last {
			k.equal(fmt.Sprintf("messages of publisher %d", p), n, each)
		}
	}},
	{"the same message may be published again", func(k *kit) {
		a, b := k.queue(), k.queue()
		m := &pocketmq.Message{Body: []byte("x")}
		k.send("", a, m)
		k.send("", b, m)
		k.send("", b, m)
		k.holds(a, "x")
		k.holds(b, "x", "x")
	}},
}

func isKind(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

var routing = []rule{
	{"the exchange \"\" leads to the queue that the key names", func(k *kit) {
		a, b := k.queue(), k.queue()
		k.publish("", a, "1")
		k.holds(a, "1")
		k.holds(b)
	}},
	{"direct: by equal keys", func(k *kit) {
		x, a, b := k.exchange(pocketmq.Direct), k.queue(), k.queue()
		k.bind(a, x, "red")
		k.bind(a, x, "blue")
		k.bind(b, x, "blue")
		k.publish(x, "red", "r")
		k.publish(x, "blue", "b")
		k.publish(x, "Red", "none")
		k.holds(a, "r", "b")
		k.holds(b, "b")
	}},
	{"fanout: to all, whatever the key", func(k *kit) {
		x, a, b := k.exchange(pocketmq.Fanout), k.queue(), k.queue()
		k.bind(a, x, "")
		k.bind(b, x, "ignored")
		k.publish(x, "any", "1")
		k.holds(a, "1")
		k.holds(b, "1")
	}},
	{"topic: by patterns of words", func(k *kit) {
		x := k.exchange(pocketmq.Topic)
		for pattern, matches := range map[string]string{
			"a.*.c": "a.b.c a.x.c", "#": "a a.b a.b.c a.x.c a.b.c.d c", "a.#": "a a.b a.b.c a.x.c a.b.c.d", "*": "a c", "a.b.c": "a.b.c",
		} {
			q := k.queue()
			k.bind(q, x, pattern)
			for _, key := range []string{"a", "a.b", "a.b.c", "a.x.c", "a.b.c.d", "c"} {
				k.publish(x, key, key)
			}
			k.holds(q, strings.Fields(matches)...)
			k.ok(k.Unbind(k.ctx(), q, x, pattern))
		}
	}},
	{"headers: by all of them, or any", func(k *kit) {
		x, all, some := k.exchange(pocketmq.Headers), k.queue(), k.queue()
		k.bind(all, x, "", pocketmq.Arguments(pocketmq.Table{"x-match": "all", "a": "1", "b": int32(2)}))
		k.bind(some, x, "", pocketmq.Arguments(pocketmq.Table{"x-match": "any", "a": "1", "b": int32(2)}))
		for body, h := range map[string]pocketmq.Table{
			"both": {"a": "1", "b": int32(2), "c": true}, "none": {"a": "2"},
		} {
			k.send(x, "", &pocketmq.Message{Body: []byte(body), Headers: h})
		}
		k.send(x, "", &pocketmq.Message{Body: []byte("one"), Headers: pocketmq.Table{"a": "1"}})
		k.holds(all, "both")
		k.holds(some, "both", "one")
	}},
	{"a queue gets a message once, however many bindings match", func(k *kit) {
		x, q := k.exchange(pocketmq.Topic), k.queue()
		for _, key := range []string{"a.*", "*.b", "#"} {
			k.bind(q, x, key)
		}
		k.publish(x, "a.b", "1")
		k.holds(q, "1")
	}},
	{"exchanges lead to exchanges", func(k *kit) {
		from, to, q := k.exchange(pocketmq.Direct), k.exchange(pocketmq.Topic), k.queue()
		k.ok(k.BindExchange(k.ctx(), to, from, "a.b"))
		k.bind(q, to, "a.*")
		k.publish(from, "a.b", "1")
		k.publish(from, "a.c", "2")
		k.holds(q, "1")
		k.ok(k.UnbindExchange(k.ctx(), to, from, "a.b"))
		k.publish(from, "a.b", "3")
		k.holds(q)
	}},
	{"the alternate exchange gets what an exchange leads nowhere", func(k *kit) {
		other, q := k.exchange(pocketmq.Fanout), k.queue()
		x := k.exchange(pocketmq.Direct, pocketmq.AlternateExchange(other))
		k.bind(q, other, "")
		k.ok(k.Publish(k.ctx(), x, "nowhere", &pocketmq.Message{Body: []byte("1")}, pocketmq.Mandatory))
		d := k.get(q)
		k.equal("exchange", d.Exchange, x)
		k.equal("key", d.RoutingKey, "nowhere")
	}},
	{"the headers CC and BCC add keys; BCC is not delivered", func(k *kit) {
		a, b, c := k.queue(), k.queue(), k.queue()
		k.send("", a, &pocketmq.Message{Body: []byte("1"), Headers: pocketmq.Table{"CC": []any{b}, "BCC": []any{c}}})
		for _, q := range []string{a, b, c} {
			d := k.get(q)
			k.equal("key", d.RoutingKey, a)
			_, seen := d.Headers["BCC"]
			k.equal("BCC is there", seen, false)
		}
	}},
	{"an unbound queue gets nothing more", func(k *kit) {
		x, q := k.exchange(pocketmq.Direct), k.queue()
		k.bind(q, x, "k")
		k.bind(q, x, "k")
		k.ok(k.Unbind(k.ctx(), q, x, "other"))
		k.publish(x, "k", "1")
		k.ok(k.Unbind(k.ctx(), q, x, "k"))
		k.publish(x, "k", "2")
		k.holds(q, "1")
	}},
}

var declaring = []rule{
	{"declaring the same again is no error, and tells what waits", func(k *kit) {
		x := k.exchange(pocketmq.Topic)
		k.ok(k.DeclareExchange(k.ctx(), x, pocketmq.Topic, pocketmq.Durable()))
		q := k.queue()
		k.publish("", q, "1", "2")
		k.consume(k.queue())
		k.eventually("the declaration tells of two messages", func() bool {
			info, err := k.DeclareQueue(k.ctx(), q, pocketmq.Durable())
			k.ok(err)
			return info == pocketmq.QueueInfo{Name: q, Messages: 2}
		})
	}},
	{"declaring with other properties is ErrPreconditionFailed", func(k *kit) {
		x, q := k.exchange(pocketmq.Topic), k.queue()
		k.fails(k.DeclareExchange(k.ctx(), x, pocketmq.Direct, pocketmq.Durable()), pocketmq.ErrPreconditionFailed)
		k.fails(k.DeclareExchange(k.ctx(), x, pocketmq.Topic), pocketmq.ErrPreconditionFailed)
		_, err := k.DeclareQueue(k.ctx(), q, pocketmq.Durable(), pocketmq.AutoDelete())
		k.fails(err, pocketmq.ErrPreconditionFailed)
	}},
	{"an unknown kind of exchange is ErrInvalid", func(k *kit) {
		k.fails(k.DeclareExchange(k.ctx(), k.name("exchange"), "no-such-kind"), pocketmq.ErrInvalid)
		k.publish("", k.queue(), "and all else goes on")
	}},
	{"names of the broker's own are ErrAccessRefused", func(k *kit) {
		k.fails(k.DeclareExchange(k.ctx(), "amq.mine", pocketmq.Direct), pocketmq.ErrAccessRefused)
		_, err := k.DeclareQueue(k.ctx(), "amq.mine")
		k.fails(err, pocketmq.ErrAccessRefused)
		k.fails(k.DeclareExchange(k.ctx(), "", pocketmq.Direct), pocketmq.ErrAccessRefused)
		k.fails(k.DeleteExchange(k.ctx(), "amq.direct"), pocketmq.ErrAccessRefused)
	}},
	{"Passive asks: ErrNotFound if there is none", func(k *kit) {
		q := k.queue()
		_, err := k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
		k.ok(err)
		_, err = k.DeclareQueue(k.ctx(), k.name("missing"), pocketmq.Passive())
		k.fails(err, pocketmq.ErrNotFound)
		k.ok(k.DeclareExchange(k.ctx(), "amq.topic", "", pocketmq.Passive()))
		k.fails(k.DeclareExchange(k.ctx(), k.name("missing"), pocketmq.Topic, pocketmq.Passive()), pocketmq.ErrNotFound)
	}},
	{"a queue without a name gets a new one each time", func(k *kit) {
		a, err := k.DeclareQueue(k.ctx(), "", pocketmq.Exclusive())
		k.ok(err)
		b, err := k.DeclareQueue(k.ctx(), "", pocketmq.Exclusive())
		k.ok(err)
		if a.Name == "" || a.Name == b.Name {
			k.Fatalf("got the names %q and %q", a.Name, b.Name)
		}
		k.publish("", a.Name, "1")
		k.holds(a.Name, "1")
	}},
	{"an exclusive queue is for its own client, and goes with it", func(k *kit) {
		owner, q := k.another(), k.name("queue")
		_, err := owner.DeclareQueue(k.ctx(), q, pocketmq.Exclusive())
		k.ok(err)
		k.publish("", q, "1") // anybody may
		_, err = k.Consume(k.ctx(), q)
		k.fails(err, pocketmq.ErrResourceLocked)
		_, err = k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
		k.fails(err, pocketmq.ErrResourceLocked)
		_, _, err = k.Get(k.ctx(), q)
		k.fails(err, pocketmq.ErrResourceLocked)
		k.ok(owner.Close())
		_, err = k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
		k.fails(err, pocketmq.ErrNotFound)
	}},
	{"an auto-delete queue goes with its last consumer", func(k *kit) {
		q := k.queue(pocketmq.AutoDelete())
		a, b := k.consume(q), k.consume(q)
		a.Cancel()
		_, err := k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
		k.ok(err)
		b.Cancel()
		k.eventually("the queue is gone", func() bool {
			_, err := k.DeclareQueue(k.ctx(), q, pocketmq.Passive())
			return errors.Is(err, pocketmq.ErrNotFound)
		})
	}},
	{"deleting returns what waited; that there is none is no error", func(k *kit) {
		q := k.queue()
		k.publish("", q, "1", "2", "3")
		n, err := k.DeleteQueue(k.ctx(), q)
		k.ok(err)
		k.equal("messages", n, 3)
		n, err = k.DeleteQueue(k.ctx(), q)
		k.ok(err)
		k.equal("messages", n, 0)
		k.ok(k.DeleteExchange(k.ctx(), k.name("missing")))
	}},
	{"IfUnused and IfEmpty are conditions", func(k *kit) {
		q, x := k.queue(), k.exchange(pocketmq.Direct)
		k.publish("", q, "1")
		_, err := k.DeleteQueue(k.ctx(), q, pocketmq.IfEmpty())
		k.fails(err, pocketmq.ErrPreconditionFailed)
		k.consume(q)
		_, err = k.DeleteQueue(k.ctx(), q, pocketmq.IfUnused())
		k.fails(err, pocketmq.ErrPreconditionFailed)
		k.bind(q, x, "k")
		k.fails(k.DeleteExchange(k.ctx(), x, pocketmq.IfUnused()), pocketmq.ErrPreconditionFailed)
	}},
	{"purging returns the number of what waited, and leaves what is held", func(k *kit) {
		q := k.queue()
		k.publish("", q, "1", "2", "3")
		held := k.get(q)
		n, err := k.PurgeQueue(k.ctx(), q)
		k.ok(err)
		k.equal("messages", n, 2)
		k.ok(held.Nack(true))
		k.holds(q, "1")
	}},
	{"what does not exist is ErrNotFound", func(k *kit) {
		q, x, missing := k.queue(), k.exchange(pocketmq.Direct), k.name("missing")
		k.fails(k.Bind(k.ctx(), missing, x, ""), pocketmq.ErrNotFound)
		k.fails(k.Bind(k.ctx(), q, missing, ""), pocketmq.ErrNotFound)
		k.fails(k.Bind(k.ctx(), "", x, ""), pocketmq.ErrNotFound)
		k.fails(k.BindExchange(k.ctx(), missing, x, ""), pocketmq.ErrNotFound)
		_, err := k.PurgeQueue(k.ctx(), missing)
		k.fails(err, pocketmq.ErrNotFound)
		_, err = k.Consume(k.ctx(), missing)
		k.fails(err, pocketmq.ErrNotFound)
		_, err = k.Handle(k.ctx(), missing, func(context.Context, *pocketmq.Delivery) error { return nil })
		k.fails(err, pocketmq.ErrNotFound)
		_, _, err = k.Get(k.ctx(), missing)
		k.fails(err, pocketmq.ErrNotFound)
		k.ok(k.Unbind(k.ctx(), missing, x, ""))
		k.ok(k.Unbind(k.ctx(), q, missing, ""))
	}},
	{"contradicting options are ErrInvalid", func(k *kit) {
		for _, o := range [][]pocketmq.QueueOption{
			{pocketmq.MaxLength(-1)}, {pocketmq.MaxLength(1), pocketmq.Unbounded()}, {pocketmq.Overflow(99)},
		} {
			_, err := k.DeclareQueue(k.ctx(), k.name("queue"), o...)
			k.fails(err, pocketmq.ErrInvalid)
		}
	}},
}
