package pocketmq_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pocketmq/pocketmq"
)

var ctx = context.Background()

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

var body64 = make([]byte, 64)

// benchBound is the number of messages that the queue and the channel may hold in the
// comparison.
const benchBound = 4096

// channel sends n deliveries, the struct that a consumer of pocketmq gets, from
// one goroutine to another through a Go channel.
func channel(n int) time.Duration {
	ch := make(chan pocketmq.Delivery, benchBound)
	d := pocketmq.Delivery{Message: &pocketmq.Message{Body: body64}, Exchange: "orders", RoutingKey: "new"}
	start := time.Now()
	go func() {
		for range n {
			ch <- d
		}
		close(ch)
	}()
	for d := range ch {
		if len(d.Body) != 64 {
			panic("wrong body")
		}
	}
	return time.Since(start)
}

// direct sends n messages from one goroutine to another through a direct
// exchange and a queue, each acked.
func direct(tb testing.TB, n int) time.Duration {
	b, m := directTo(tb, "q", benchBound)
	defer b.Close()
	c, err := b.Consume(ctx, "q", pocketmq.Prefetch(256))
	must(tb, err)
	start := time.Now()
	go publishAll(b, m, n)
	receiveAcked(tb, c, n)
	return time.Since(start)
}

func directTo(tb testing.TB, queue string, bound int) (*pocketmq.Broker, *pocketmq.Message) {
	b := pocketmq.New()
	must(tb, b.DeclareExchange(ctx, "orders", pocketmq.Direct))
	_, err := b.DeclareQueue(ctx, queue, pocketmq.MaxLength(bound))
	must(tb, err)
	must(tb, b.Bind(ctx, queue, "orders", "new"))
	return b, &pocketmq.Message{Body: body64}
}

func publishAll(b *pocketmq.Broker, m *pocketmq.Message, n int) {
	for range n {
		if err := b.Publish(ctx, "orders", "new", m); err != nil {
			panic(err)
		}
	}
}

func receiveAcked(tb testing.TB, c *pocketmq.Consumer, n int) {
	for range n {
		d, err := c.Receive(ctx)
		if err != nil || len(d.Body) != 64 {
			tb.Fatal(err)
		}
		if err := d.Ack(); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkDirectVersusChannel measures both in turns, and reports the medians
// and their ratio.
func BenchmarkDirectVersusChannel(b *testing.B) {
	const n = 200_000
	var channels, directs []time.Duration
	for b.Loop() {
		channels = append(channels, channel(n))
		directs = append(directs, direct(b, n))
	}
	c, d := median(channels), median(directs)
	b.ReportMetric(float64(c)/n, "channel-ns/msg")
	b.ReportMetric(float64(d)/n, "pocketmq-ns/msg")
	b.ReportMetric(float64(d)/float64(c), "ratio")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkDirect is the pocketmq half of the comparison, for allocations and
// profiles.
func BenchmarkDirect(b *testing.B) {
	b.ReportAllocs()
	direct(b, b.N)
}

// BenchmarkChannel is the other half.
func BenchmarkChannel(b *testing.B) {
	b.ReportAllocs()
	channel(b.N)
}

// BenchmarkManyToMany has four publishers and four consumers on one queue.
func BenchmarkManyToMany(b *testing.B) {
	b.Run("pocketmq", func(b *testing.B) {
		b.ReportAllocs()
		br, m := directTo(b, "q", benchBound)
		defer br.Close()
		var done sync.WaitGroup
		n := (b.N + 3) / 4
		done.Add(4 * n)
		for range 4 {
			c, err := br.Consume(ctx, "q", pocketmq.Prefetch(256))
			must(b, err)
			go func() {
				for d, err := range c.Deliveries() {
					if err != nil {
						return // the broker is closed
					}
					if d.Ack() != nil {
						panic("not acked")
					}
					done.Done()
				}
			}()
		}
		b.ResetTimer()
		for range 4 {
			go publishAll(br, m, n)
		}
		done.Wait()
	})
	b.Run("channel", func(b *testing.B) {
		ch := make(chan pocketmq.Delivery, benchBound)
		var done sync.WaitGroup
		n := (b.N + 3) / 4
		done.Add(4 * n)
		for range 4 {
			go func() {
				for range ch {
					done.Done()
				}
			}()
		}
		b.ResetTimer()
		for range 4 {
			go func() {
				for range n {
					ch <- pocketmq.Delivery{}
				}
			}()
		}
		done.Wait()
		close(ch)
	})
}

// BenchmarkFanout delivers each message to ten queues; ns/op is for all ten.
func BenchmarkFanout(b *testing.B) {
	b.ReportAllocs()
	br := pocketmq.New()
	defer br.Close()
	must(b, br.DeclareExchange(ctx, "news", pocketmq.Fanout))
	var done sync.WaitGroup
	for i := range 10 {
		q := fmt.Sprint("q", i)
		_, err := br.DeclareQueue(ctx, q, pocketmq.MaxLength(benchBound))
		must(b, err)
		must(b, br.Bind(ctx, q, "news", ""))
		c, err := br.Consume(ctx, q)
		must(b, err)
		done.Go(func() { receiveAcked(b, c, b.N) })
	}
	m := &pocketmq.Message{Body: body64}
	b.ResetTimer()
	for range b.N {
		must(b, br.Publish(ctx, "news", "", m))
	}
	done.Wait()
}

// publishAndGet is the cost of one message in one goroutine, without a consumer.
func publishAndGet(b *testing.B, br *pocketmq.Broker, exchange, key string, m *pocketmq.Message) {
	b.ReportAllocs()
	for b.Loop() {
		must(b, br.Publish(ctx, exchange, key, m))
		if _, ok, err := br.Get(ctx, "q", pocketmq.AutoAck()); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkTopic shows that bindings which don't match cost nothing.
func BenchmarkTopic(b *testing.B) {
	for _, bindings := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprint(bindings), func(b *testing.B) {
			br, m := directTo(b, "q", benchBound)
			defer br.Close()
			must(b, br.DeclareExchange(ctx, "logs", pocketmq.Topic))
			must(b, br.Bind(ctx, "q", "logs", "app.*.error"))
			_, err := br.DeclareQueue(ctx, "other")
			must(b, err)
			for i := range bindings {
				must(b, br.Bind(ctx, "other", "logs", fmt.Sprintf("app.host%d.*.#", i)))
			}
			publishAndGet(b, br, "logs", "app.db.error", m)
		})
	}
}

// BenchmarkHeaders routes by two headers, with ten bindings of which one matches.
func BenchmarkHeaders(b *testing.B) {
	br, _ := directTo(b, "q", benchBound)
	defer br.Close()
	for i := range 10 {
		q := "q"
		if i > 0 {
			q = fmt.Sprint("other", i)
			_, err := br.DeclareQueue(ctx, q)
			must(b, err)
		}
		must(b, br.Bind(ctx, q, "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"kind": "order", "region": i})))
	}
	publishAndGet(b, br, "amq.headers", "", &pocketmq.Message{
		Body: body64, Headers: pocketmq.Table{"kind": "order", "region": 0},
	})
}

// BenchmarkConsistentHash routes to one of many destinations, each of which takes
// part in the draw.
func BenchmarkConsistentHash(b *testing.B) {
	for _, destinations := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(destinations), func(b *testing.B) {
			br, m := directTo(b, "q", benchBound)
			defer br.Close()
			must(b, br.DeclareExchange(ctx, "hash", pocketmq.ConsistentHash))
			for i := range destinations { // all lead to q in the end
				x := fmt.Sprint("x", i)
				must(b, br.DeclareExchange(ctx, x, pocketmq.Fanout))
				must(b, br.Bind(ctx, "q", x, ""))
				must(b, br.BindExchange(ctx, x, "hash", "1"))
			}
			publishAndGet(b, br, "hash", "app.db.error", m)
		})
	}
}

// BenchmarkPrefetch1 fetches every message on its own.
func BenchmarkPrefetch1(b *testing.B) {
	b.ReportAllocs()
	br, m := directTo(b, "q", benchBound)
	defer br.Close()
	c, err := br.Consume(ctx, "q", pocketmq.Prefetch(1))
	must(b, err)
	b.ResetTimer()
	go publishAll(br, m, b.N)
	receiveAcked(b, c, b.N)
}

// BenchmarkHandler is BenchmarkDirect with a handler.
func BenchmarkHandler(b *testing.B) {
	b.ReportAllocs()
	br, m := directTo(b, "q", benchBound)
	defer br.Close()
	var done sync.WaitGroup
	done.Add(b.N)
	_, err := br.Handle(ctx, "q", func(context.Context, *pocketmq.Delivery) error {
		done.Done()
		return nil
	}, pocketmq.Prefetch(256))
	must(b, err)
	b.ResetTimer()
	publishAll(br, m, b.N)
	done.Wait()
}

// BenchmarkBlockedPublisher has room for one message, so that publisher and
// consumer wait for each other every time; a channel of one is beside it.
func BenchmarkBlockedPublisher(b *testing.B) {
	b.Run("pocketmq", func(b *testing.B) {
		b.ReportAllocs()
		br, m := directTo(b, "q", 1)
		defer br.Close()
		c, err := br.Consume(ctx, "q", pocketmq.Prefetch(1))
		must(b, err)
		b.ResetTimer()
		go publishAll(br, m, b.N)
		receiveAcked(b, c, b.N)
	})
	b.Run("channel", func(b *testing.B) {
		ch := make(chan pocketmq.Delivery, 1)
		go func() {
			for range b.N {
				ch <- pocketmq.Delivery{}
			}
		}()
		for range b.N {
			<-ch
		}
	})
}

// BenchmarkDeclareQueue shows what an idle queue costs; B/op is its memory.
func BenchmarkDeclareQueue(b *testing.B) {
	b.ReportAllocs()
	br := pocketmq.New()
	defer br.Close()
	for i := range b.N {
		_, err := br.DeclareQueue(ctx, fmt.Sprint("queue", i))
		must(b, err)
	}
}

// BenchmarkDelay delays messages, with a million others waiting, and routes them
// when they are due.
func BenchmarkDelay(b *testing.B) {
	br := pocketmq.New()
	defer br.Close()
	must(b, br.DeclareExchange(ctx, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct), pocketmq.MaxDelayed(1<<24)))
	_, err := br.DeclareQueue(ctx, "q", pocketmq.MaxLength(10), pocketmq.Overflow(pocketmq.DropHead))
	must(b, err)
	must(b, br.Bind(ctx, "q", "late", "k"))
	hour, now := msg("a"), msg("a")
	must(b, hour.SetDelay(time.Hour))
	must(b, now.SetDelay(time.Millisecond))
	for range 1_000_000 {
		must(b, br.Publish(ctx, "late", "k", hour))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		must(b, br.Publish(ctx, "late", "k", now))
	}
	for {
		x, _ := br.Stats().Exchange("late")
		if x.Delayed == 1_000_000 {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkPriorities compares a queue of 256 priorities with a plain one, by turns.
func BenchmarkPriorities(b *testing.B) {
	const n = 100_000
	var messages [256]*pocketmq.Message
	for i := range messages {
		messages[i] = &pocketmq.Message{Body: body64, Priority: uint8(i)}
	}
	run := func(opts ...pocketmq.QueueOption) time.Duration {
		br := pocketmq.New()
		defer br.Close()
		declare(b, br, "q", append(opts, pocketmq.MaxLength(benchBound))...)
		c := consume(b, br, "q", pocketmq.Prefetch(256))
		start := time.Now()
		go func() {
			for i := range n {
				if err := br.Publish(ctx, "", "q", messages[i*7%256]); err != nil {
					panic(err)
				}
			}
		}()
		receiveAcked(b, c, n)
		return time.Since(start)
	}
	var plain, levels []time.Duration
	for b.Loop() {
		plain = append(plain, run())
		levels = append(levels, run(pocketmq.MaxPriority(255)))
	}
	p, l := median(plain), median(levels)
	b.ReportMetric(float64(p)/n, "plain-ns/msg")
	b.ReportMetric(float64(l)/n, "256-ns/msg")
	b.ReportMetric(float64(l)/float64(p), "ratio")
}

// BenchmarkEndConsumers is the time for one of many consumers of a queue to end, the
// last ones first: it does not grow with their number.
func BenchmarkEndConsumers(b *testing.B) {
	for kind, opts := range map[string][]pocketmq.QueueOption{
		"classic": nil, "single-active": {pocketmq.SingleActiveConsumer()}, "stream": {pocketmq.Stream()},
	} {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) { endConsumers(b, n, opts...) })
		}
	}
}

func endConsumers(b *testing.B, n int, opts ...pocketmq.QueueOption) {
	var took time.Duration
	for b.Loop() {
		br := pocketmq.New()
		declare(b, br, "q", opts...)
		all := make([]*pocketmq.Consumer, n)
		for i := range all {
			all[i] = consume(b, br, "q")
		}
		start := time.Now()
		for _, c := range slices.Backward(all) {
			c.Cancel()
		}
		took += time.Since(start)
		must(b, br.Close())
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*n), "ns/consumer")
}
