package pocketmq_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

const traces = "amq.rabbitmq.trace"

// traced declares the queue "traces" for copies, and switches tracing on.
func traced(t testing.TB, b *pocketmq.Broker, key string, opts ...pocketmq.QueueOption) {
	t.Helper()
	declare(t, b, "traces", opts...)
	must(t, b.Bind(ctx, "traces", traces, key))
	b.SetTracing(true)
}

// copies returns the keys and bodies of all copies that wait.
func copies(t testing.TB, b *pocketmq.Broker) (all []string) {
	t.Helper()
	for {
		d, ok, err := b.Get(ctx, "traces", pocketmq.AutoAck())
		must(t, err)
		if !ok {
			return all
		}
		all = append(all, d.RoutingKey+" "+string(d.Body))
	}
}

func TestTracingCopiesWhatIsPublishedAndHandedOut(t *testing.T) { // XPLUG-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "before")
		traced(t, b, "#")
		send(t, b, "q", "get", "receive", "try", "range", "channel", "handle")
		must(t, b.Publish(ctx, "amq.topic", "k", msg("nowhere")))
		require.Equal(t, []string{
			"publish. get", "publish. receive", "publish. try", "publish. range", "publish. channel", "publish. handle",
			"publish.amq.topic nowhere",
		}, copies(t, b))

		take(t, b, "q", pocketmq.AutoAck())
		take(t, b, "q", pocketmq.AutoAck())
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		d, err := c.Receive(ctx)
		must(t, err)
		must(t, d.Ack())
		d, ok, err := c.TryReceive()
		must(t, err)
		require.True(t, ok)
		must(t, d.Ack())
		for d, err := range c.Deliveries() {
			must(t, err)
			must(t, d.Ack())
			break
		}
		d = <-c.Chan()
		must(t, d.Ack())
		synctest.Wait() // the next message is on its way into the channel
		c.Close()
		h := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return nil })
		synctest.Wait()
		h.Close()
		require.Equal(t, []string{
			"deliver.q before", "deliver.q get", "deliver.q receive", "deliver.q try", "deliver.q range", "deliver.q channel",
			"deliver.q handle", "deliver.q handle",
		}, copies(t, b))

		b.SetTracing(false)
		send(t, b, "q", "after")
		take(t, b, "q", pocketmq.AutoAck())
		require.Empty(t, copies(t, b))
	})
}

func TestTracingTellsWhereFromAndWhereTo(t *testing.T) { // XPLUG-13
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, pocketmq.VHost("v"))
		bound(t, b, "amq.topic", "b", "a", "c")
		traced(t, b, "#")
		m := &pocketmq.Message{
			Body: []byte("m"), Headers: pocketmq.Table{"CC": []any{"b"}, "BCC": []any{"c"}}, ContentType: "text/plain",
			DeliveryMode: pocketmq.Persistent, Priority: 3, Timestamp: time.Unix(1_700_000_000, 0),
		}
		must(t, b.Publish(ctx, "amq.topic", "a", m))
		headers := pocketmq.Table{
			"exchange_name": "amq.topic", "routing_keys": []any{"a", "b", "c"}, "node": "pocketmq@localhost", "vhost": "v",
			"properties": pocketmq.Table{
				"headers": pocketmq.Table{"CC": []any{"b"}}, "content_type": "text/plain",
				"delivery_mode": int32(2), "priority": int32(3), "timestamp": int32(1_700_000_000),
			},
			"connection": "in process", "channel": int32(0), "user": "none", "routed_queues": []any{"c", "b", "a"},
		}
		copied := take(t, b, "traces", pocketmq.AutoAck())
		require.Equal(t, &pocketmq.Message{Body: []byte("m"), Headers: headers}, copied.Message)

		must(t, take(t, b, "c").Nack(true))
		take(t, b, "traces", pocketmq.AutoAck())
		take(t, b, "c")
		delete(headers, "routed_queues")
		headers["redelivered"] = int32(1)
		copied = take(t, b, "traces", pocketmq.AutoAck())
		require.Equal(t, headers, copied.Headers)
		require.Equal(t, "deliver.c", copied.RoutingKey)
	})
}

func TestTracingRoutesAMessageOnce(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "random", pocketmq.Random)
		exchange(t, b, "history", pocketmq.RecentHistory)
		exchange(t, b, "later", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Fanout))
		bound(t, b, "random", "a", "b", "c", "d")
		declare(t, b, "q")
		must(t, b.Bind(ctx, "q", "later", ""))
		traced(t, b, "publish.#")
		for range 50 {
			must(t, b.Publish(ctx, "random", "k", msg("m"), pocketmq.Mandatory))
			to := take(t, b, "traces", pocketmq.AutoAck()).Headers["routed_queues"].([]any)
			require.Len(t, to, 1)
			take(t, b, to[0].(string), pocketmq.AutoAck())
		}

		must(t, b.Publish(ctx, "history", "k", msg("m")))
		must(t, b.Bind(ctx, "q", "history", ""))
		require.Equal(t, []string{"m"}, drain(t, b, "q"))

		m := msg("late")
		must(t, m.SetDelay(time.Second))
		must(t, b.Publish(ctx, "later", "k", m))
		require.Equal(t, []string{"publish.history m", "publish.later late"}, copies(t, b))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"late"}, drain(t, b, "q"))
		require.Empty(t, copies(t, b), "it was published once")
	})
}

func TestTracingKeepsTheErrorsOfPublishing(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "full", pocketmq.MaxLength(0), pocketmq.Overflow(pocketmq.RejectPublish))
		traced(t, b, "#")
		long := strings.Repeat("k", 256)
		require.ErrorIs(t, b.Publish(ctx, "", "nothing", msg("m"), pocketmq.Mandatory), pocketmq.ErrUnroutable)
		require.ErrorIs(t, b.Publish(ctx, "", "full", msg("m")), pocketmq.ErrQueueFull)
		require.Len(t, copies(t, b), 2)
		require.ErrorIs(t, b.Publish(ctx, "missing", "k", msg("m")), pocketmq.ErrNotFound)
		require.ErrorIs(t, b.Publish(ctx, "", long, msg("m")), pocketmq.ErrInvalid)
		require.ErrorIs(t, b.Publish(ctx, "", "full", nil), pocketmq.ErrInvalid)
		require.ErrorIs(t, b.Publish(ctx, traces, "publish.x", msg("m")), pocketmq.ErrAccessRefused)
		require.Empty(t, copies(t, b))
	})
}

func TestTracingNeitherWaitsNorTracesItself(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		traced(t, b, "#", pocketmq.MaxLength(1)) // Block
		send(t, b, "q", "1", "2", "3")
		require.Equal(t, 3, stats(t, b, "traces").Ready)
		require.Len(t, copies(t, b), 3)
		require.Empty(t, copies(t, b), "what was got was not copied")
	})
}

func TestTracingCutsKeysThatAreTooLong(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		name := strings.Repeat("x", 255)
		exchange(t, b, name, pocketmq.Fanout)
		traced(t, b, "publish.#")
		must(t, b.Publish(ctx, name, "k", msg("m")))
		d := take(t, b, "traces")
		require.Equal(t, ("publish." + name)[:255], d.RoutingKey)
		require.Equal(t, name, d.Headers["exchange_name"])
	})
}

// A copy nests the headers twice more, which must not be too deep to be sent to anybody.
func TestTracingOfDeepHeaders(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		traced(t, b, "publish.#")
		for _, n := range []int{62, 63, 64} {
			must(t, b.Publish(ctx, "", "nowhere", &pocketmq.Message{Headers: deep(n), Type: "t"}))
			d := take(t, b, "traces", pocketmq.AutoAck())
			properties := pocketmq.Table{"headers": deep(n), "type": "t"}
			if n > 62 {
				delete(properties, "headers")
			}
			require.Equal(t, properties, d.Headers["properties"], n)
			must(t, b.Publish(ctx, "", "traces", &pocketmq.Message{Headers: d.Headers}))
			take(t, b, "traces", pocketmq.AutoAck()) // the copy of the copy
			take(t, b, "traces", pocketmq.AutoAck())
		}
	})
}

// What is traced goes where it would go otherwise, whenever tracing is switched.
func TestTracingMayBeSwitchedAnyTime(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		const n = 500
		declare(t, b, "traces")
		must(t, b.Bind(ctx, "traces", traces, "#"))
		declare(t, b, "q")
		var work sync.WaitGroup
		work.Go(func() {
			for i := range n {
				b.SetTracing(i%2 == 0)
			}
		})
		work.Go(func() {
			for i := range n {
				must(t, b.Publish(ctx, "", "q", msg(strconv.Itoa(i))))
			}
		})
		c := consume(t, b, "q")
		for i := range n {
			d, err := c.Receive(ctx)
			must(t, err)
			require.Equal(t, strconv.Itoa(i), string(d.Body))
			must(t, d.Ack())
		}
		work.Wait()
		b.SetTracing(true)
		send(t, b, "q", "last")
		all := copies(t, b)
		require.Equal(t, "publish. last", all[len(all)-1])
	})
}
