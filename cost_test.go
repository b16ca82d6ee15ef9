//go:build !race

// The race detector allocates, and makes everything larger.

package pocketmq_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// heap is the number of bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the first one only lets go of what sync.Pool holds
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Set POCKETMQ_QUEUES to a million to see it hold for as many.
func TestIdleQueueTakesLessThanAKibibyte(t *testing.T) {
	n := 100_000
	if s := os.Getenv("POCKETMQ_QUEUES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	b := newBroker(t)
	before := heap()
	for i := range n {
		declare(t, b, fmt.Sprint("queue-", i))
	}
	each := (heap() - before) / int64(n)
	t.Logf("%d queues, %d bytes each", n, each)
	require.Less(t, each, int64(1024))
	runtime.KeepAlive(b)
}

func TestQueueThatRanEmptyIsAsSmallAsANewOne(t *testing.T) {
	const n, messages = 1000, 300
	b := newBroker(t)
	before := heap()
	m := msg("a")
	for i := range n {
		q := fmt.Sprint("queue-", i)
		declare(t, b, q)
		c := consume(t, b, q)
		for range messages {
			must(t, b.Publish(ctx, "", q, m))
		}
		for _, d := range held(t, c) {
			must(t, d.Ack())
		}
		require.Len(t, held(t, c), messages-pocketmq.DefaultPrefetch)
		c.Close()
		_, err := b.PurgeQueue(ctx, q)
		must(t, err)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes each", each)
	require.Less(t, each, int64(2048))
	runtime.KeepAlive(b)
}

func TestQueuedMessageTakesAtMost96Bytes(t *testing.T) {
	const n = 1_000_000
	b := newBroker(t)
	declare(t, b, "q", pocketmq.Unbounded())
	m := msg("a")
	before := heap()
	for range n {
		must(t, b.Publish(ctx, "", "q", m))
	}
	each := float64(heap()-before) / n
	t.Logf("%.1f bytes each", each)
	require.LessOrEqual(t, each, 96.0)
	runtime.KeepAlive(b)
}

func TestPublishReceiveAckDoNotAllocate(t *testing.T) {
	_, shared := window(t, 10)
	plain := msg("a")
	withHeaders := &pocketmq.Message{Headers: pocketmq.Table{"h": "1", "n": int32(5)}, Type: "t"}
	for _, tc := range []struct {
		name, exchange, key string
		m                   *pocketmq.Message
		queues              int
		opts                []pocketmq.ConsumeOption
	}{
		{"default exchange", "", "q0", plain, 1, nil},
		{"direct", "amq.direct", "k", plain, 1, nil},
		{"direct to several queues", "amq.direct", "k", plain, 3, nil},
		{"fanout", "amq.fanout", "k", plain, 3, nil},
		{"topic", "amq.topic", "k", plain, 3, nil},
		{"headers", "amq.headers", "k", withHeaders, 1, nil},
		{"with headers", "amq.direct", "k", withHeaders, 1, nil},
		{"one at a time", "amq.direct", "k", plain, 1, []pocketmq.ConsumeOption{pocketmq.Prefetch(1)}},
		{"without a limit", "amq.direct", "k", plain, 1, []pocketmq.ConsumeOption{pocketmq.Prefetch(0)}},
		{"with a window", "amq.direct", "k", plain, 1, []pocketmq.ConsumeOption{shared}},
		{"auto-ack", "amq.direct", "k", plain, 1, []pocketmq.ConsumeOption{pocketmq.AutoAck()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t)
			var consumers []*pocketmq.Consumer
			for i := range tc.queues {
				q := fmt.Sprint("q", i)
				declare(t, b, q)
				if tc.exchange != "" {
					must(t, b.Bind(ctx, q, tc.exchange, "k", pocketmq.Arguments(pocketmq.Table{"n": int64(5)})))
				}
				consumers = append(consumers, consume(t, b, q, tc.opts...))
			}
			round := func() {
				must(t, b.Publish(ctx, tc.exchange, tc.key, tc.m))
				for _, c := range consumers {
					d, err := c.Receive(ctx)
					must(t, err)
					if d.Ack() != nil && tc.name != "auto-ack" {
						t.Fatal("not acked")
					}
				}
			}
			require.Zero(t, testing.AllocsPerRun(2000, round))
		})
	}
}

func TestPublishReceiveAckByTwoConsumersDoNotAllocate(t *testing.T) {
	b := newBroker(t)
	declare(t, b, "q")
	c1, c2 := consume(t, b, "q"), consume(t, b, "q")
	m := msg("a")
	require.Zero(t, testing.AllocsPerRun(2000, func() {
		for _, c := range []*pocketmq.Consumer{c1, c2} { // their turns, in this order
			must(t, b.Publish(ctx, "", "q", m))
			d, err := c.Receive(ctx)
			must(t, err)
			must(t, d.Ack())
		}
	}))
}

func TestPrefetchOfOneReusesItsMemory(t *testing.T) {
	b := newBroker(t)
	declare(t, b, "q")
	c := consume(t, b, "q", pocketmq.Prefetch(1))
	for range 3000 {
		send(t, b, "q", "a")
	}
	require.Zero(t, testing.AllocsPerRun(200, func() { // though there always is a backlog
		for range 10 { // the average is rounded down, and a little less than one for each would be none
			d, err := c.Receive(ctx)
			must(t, err)
			must(t, d.Ack())
		}
	}))
}

func TestPluginExchangesRouteWithoutAllocating(t *testing.T) {
	byHeader := pocketmq.Arguments(pocketmq.Table{"hash-header": "h"})
	m := &pocketmq.Message{Headers: pocketmq.Table{"h": "1"}}
	for name, declareX := range map[string]func(b *pocketmq.Broker) error{
		"hash":    func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, "x", pocketmq.ConsistentHash) },
		"header":  func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, "x", pocketmq.ConsistentHash, byHeader) },
		"modulus": func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, "x", pocketmq.ModulusHash) },
		"random":  func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, "x", pocketmq.Random) },
		"history": func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, "x", pocketmq.RecentHistory) },
		"no delay": func(b *pocketmq.Broker) error {
			return b.DeclareExchange(ctx, "x", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Random))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			must(t, declareX(b))
			declare(t, b, "q")
			bind(t, b, "q", "x", "1")
			c := consume(t, b, "q")
			require.Zero(t, testing.AllocsPerRun(2000, func() {
				must(t, b.Publish(ctx, "x", "k", m))
				d, err := c.Receive(ctx)
				must(t, err)
				must(t, d.Ack())
			}))
		})
	}
}

func TestDelayedMessageTakesAtMost128Bytes(t *testing.T) {
	const n = 200_000
	b := newBroker(t)
	exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct))
	m := delayed(t, "a", time.Hour)
	before := heap()
	for range n {
		must(t, b.Publish(ctx, "late", "k", m))
	}
	each := float64(heap()-before) / n
	t.Logf("%.1f bytes each", each)
	require.LessOrEqual(t, each, 128.0)
	runtime.KeepAlive(b)
}

// Set POCKETMQ_MESSAGES to ten million to see it hold for as many.
func TestStreamTakesAsMuchMemoryAsItsMaxBytes(t *testing.T) { // STREAM-17
	n := 500_000
	if s := os.Getenv("POCKETMQ_MESSAGES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	const limit = 32 << 20
	b := newBroker(t)
	before := heap()
	declare(t, b, "events", pocketmq.Stream(), pocketmq.MaxBytes(limit))
	var readers []*pocketmq.Consumer
	for range 3 {
		readers = append(readers, consume(t, b, "events", pocketmq.StreamFirst()))
	}
	idle := consume(t, b, "events", pocketmq.StreamFirst())
	largest, received := int64(0), 0
	for i := range n {
		send(t, b, "events", "a small one")
		for _, c := range readers {
			d, ok, err := c.TryReceive()
			must(t, err)
			if ok {
				must(t, d.Ack())
				received++
			}
		}
		if i%(n/10) == n/20 {
			largest = max(largest, heap()-before)
		}
	}
	t.Logf("%d messages, at most %d bytes for a limit of %d", n, largest, limit)
	require.Equal(t, 3*n, received)
	require.Less(t, largest, int64(limit))
	require.Greater(t, largest, int64(limit/2))
	runtime.KeepAlive(idle)
}
