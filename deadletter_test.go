package pocketmq_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// toQueue makes dead messages go to a queue.
func toQueue(name string) []pocketmq.QueueOption {
	return []pocketmq.QueueOption{pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey(name)}
}

// mortal declares a queue whose dead messages go to the queue "dead".
func mortal(t testing.TB, b *pocketmq.Broker, name string, opts ...pocketmq.QueueOption) {
	t.Helper()
	declare(t, b, "dead", pocketmq.Unbounded())
	declare(t, b, name, append(opts, toQueue("dead")...)...)
}

// deaths are the entries of x-death, without the time.
func deaths(t testing.TB, d *pocketmq.Delivery) (all []pocketmq.Table) {
	t.Helper()
	for _, e := range d.Headers["x-death"].([]any) {
		death := pocketmq.Table{}
		for key, v := range e.(pocketmq.Table) {
			death[key] = v
		}
		require.IsType(t, time.Time{}, death["time"])
		delete(death, "time")
		all = append(all, death)
	}
	return all
}

func TestWhyMessagesDie(t *testing.T) { // DLX-1
	for reason, die := range map[string]func(t *testing.T, b *pocketmq.Broker){
		"rejected": func(t *testing.T, b *pocketmq.Broker) {
			mortal(t, b, "q")
			send(t, b, "q", "x")
			must(t, take(t, b, "q").Reject())
		},
		"expired": func(t *testing.T, b *pocketmq.Broker) {
			mortal(t, b, "q")
			publish(t, b, "q", expiring("x", 5))
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
		},
		"maxlen": func(t *testing.T, b *pocketmq.Broker) {
			mortal(t, b, "q", pocketmq.MaxLength(1), dropHead)
			send(t, b, "q", "x", "y")
		},
		"delivery_limit": func(t *testing.T, b *pocketmq.Broker) { // QQ-7
			mortal(t, b, "q", pocketmq.DeliveryLimit(2))
			send(t, b, "q", "x")
			for i := range 3 {
				d := take(t, b, "q")
				require.Equal(t, i > 0, d.Redelivered)
				must(t, d.Nack(true))
			}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				die(t, b)
				d := take(t, b, "dead")
				require.Equal(t, "x", string(d.Body))
				require.False(t, d.Redelivered) // ACK-12
				require.Equal(t, reason, deaths(t, d)[0]["reason"])
				s := stats(t, b, "q").DeadLettered
				require.Equal(t, uint64(1), s.Rejected+s.Expired+s.MaxLength+s.DeliveryLimit)
				must(t, d.Ack())
			})
		})
	}
}

func TestADeadLetterTellsOfItsDeaths(t *testing.T) { // DLX-5 to DLX-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Direct)
		exchange(t, b, "dlx", pocketmq.Fanout, pocketmq.Internal()) // DLX-16
		declare(t, b, "q", pocketmq.DeadLetter("dlx"))
		declare(t, b, "r", pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("q"))
		must(t, b.Bind(ctx, "q", "x", "k"))
		must(t, b.Bind(ctx, "r", "dlx", ""))
		sent := &pocketmq.Message{
			Headers: pocketmq.Table{"a": "b", "CC": []any{"c"}}, Expiration: "60000", Priority: 3, DeliveryMode: pocketmq.Persistent,
		}
		must(t, b.Publish(ctx, "x", "k", sent))
		must(t, take(t, b, "q").Reject())
		at := time.Now()
		d := take(t, b, "r")
		require.Equal(t, "dlx", d.Exchange)
		require.Equal(t, "k", d.RoutingKey)
		require.Empty(t, d.Expiration)
		require.Equal(t, sent.Priority, d.Priority)
		require.Equal(t, sent.DeliveryMode, d.DeliveryMode)
		require.Equal(t, pocketmq.Table{
			"a": "b", "CC": []any{"c"},
			"x-death": []any{pocketmq.Table{
				"count": int64(1), "reason": "rejected", "queue": "q", "time": at.UTC(), "exchange": "x",
				"routing-keys": []any{"k", "c"}, "original-expiration": "60000",
			}},
			"x-first-death-reason": "rejected", "x-first-death-queue": "q", "x-first-death-exchange": "x",
			"x-last-death-reason": "rejected", "x-last-death-queue": "q", "x-last-death-exchange": "x",
		}, d.Headers)
		require.Len(t, sent.Headers, 2, "the message is shared, and not changed")

		time.Sleep(time.Hour)
		must(t, d.Reject())
		d = take(t, b, "q")
		require.Equal(t, "", d.Exchange)
		require.Equal(t, "q", d.RoutingKey)
		require.Equal(t, []any{"c"}, d.Headers["CC"])
		require.Equal(t, "r", d.Headers["x-last-death-queue"])
		require.Equal(t, "q", d.Headers["x-first-death-queue"])
		must(t, d.Reject())
		d = take(t, b, "r")
		require.Equal(t, []pocketmq.Table{
			{"count": int64(2), "reason": "rejected", "queue": "q", "exchange": "x", "routing-keys": []any{"k", "c"}, "original-expiration": "60000"},
			{"count": int64(1), "reason": "rejected", "queue": "r", "exchange": "dlx", "routing-keys": []any{"k", "c"}},
		}, deaths(t, d))
		require.Equal(t, at.UTC(), d.Headers["x-death"].([]any)[0].(pocketmq.Table)["time"], "that of the first time")
		must(t, d.Ack())
	})
}

func TestADeadLetterKeepsItsKeys(t *testing.T) { // DLX-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "dlx", pocketmq.Direct)
		declare(t, b, "q", pocketmq.DeadLetter("dlx"))
		bound(t, b, "dlx", "cc", "bcc")
		must(t, b.Bind(ctx, "q", "amq.direct", "k"))
		must(t, b.Publish(ctx, "amq.direct", "k", &pocketmq.Message{Headers: pocketmq.Table{"CC": []any{"cc"}, "BCC": []any{"bcc"}}}))
		must(t, take(t, b, "q").Reject())
		must(t, take(t, b, "cc").Ack())
		d := take(t, b, "bcc")
		require.NotContains(t, d.Headers, "BCC")
		require.Equal(t, []any{"k", "cc"}, deaths(t, d)[0]["routing-keys"])
		must(t, d.Ack())
	})
}

// With a key for dead letters those of CC and BCC lead nowhere any more, for ever.
func TestADeadLetterWithAKeyHasNoOther(t *testing.T) { // DLX-4, DLX-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", toQueue("r")...)
		declare(t, b, "r", pocketmq.DeadLetter("amq.direct"))
		bound(t, b, "amq.direct", "cc", "bcc")
		must(t, b.Bind(ctx, "r", "amq.direct", "r"))
		must(t, b.Bind(ctx, "q", "amq.fanout", ""))
		must(t, b.Publish(ctx, "amq.fanout", "", &pocketmq.Message{Headers: pocketmq.Table{"CC": []any{"cc"}, "BCC": []any{"bcc"}}}))
		must(t, take(t, b, "q").Reject())
		d := take(t, b, "r")
		require.Equal(t, []any{"cc"}, d.Headers["CC"])
		must(t, d.Reject())
		d = take(t, b, "r")
		require.Equal(t, []any{"r"}, deaths(t, d)[0]["routing-keys"])
		must(t, d.Ack())
		require.Zero(t, stats(t, b, "cc").Ready+stats(t, b, "bcc").Ready)
	})
}

func TestDeadLettersWithoutAnExchangeAreLost(t *testing.T) { // DLX-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.DeadLetter("later"))
		send(t, b, "q", "a", "b")
		must(t, take(t, b, "q").Reject())
		exchange(t, b, "later", pocketmq.Fanout)
		declare(t, b, "dead")
		must(t, b.Bind(ctx, "dead", "later", ""))
		must(t, take(t, b, "q").Reject())
		require.Equal(t, []string{"b"}, drain(t, b, "dead"))
	})
}

func TestDeadLettersGoInCircles(t *testing.T) { // DLX-14, DLX-15
	t.Run("not by themselves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &logbook{}
			b := newBroker(t, log.option())
			declare(t, b, "q", append(toQueue("q"), pocketmq.MessageTTL(time.Second))...)
			send(t, b, "q", "a")
			time.Sleep(time.Hour)
			s := stats(t, b, "q")
			require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.Expired, uint64(s.Ready)})
			require.Len(t, log.read(), 1)
			require.Contains(t, log.read()[0], "circles")
		})
	})
	t.Run("if somebody rejects them", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			declare(t, b, "work", toQueue("later")...)
			declare(t, b, "later", append(toQueue("work"), pocketmq.MessageTTL(time.Minute))...)
			send(t, b, "work", "a")
			for i := range 5 {
				d := take(t, b, "work")
				if i > 0 {
					require.Equal(t, int64(i), deaths(t, d)[0]["count"])
				}
				must(t, d.Reject())
				time.Sleep(time.Minute)
				synctest.Wait()
			}
			require.Equal(t, 1, stats(t, b, "work").Ready)
		})
	})
}

func TestDeadLettersKeepTheirOrder(t *testing.T) { // ACK-8, DLX-18
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q")
		c := consume(t, b, "q")
		var want []string
		for i := range 100 {
			send(t, b, "q", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		must(t, pocketmq.SettleAll(pocketmq.Rejected, held(t, c)...))
		require.Equal(t, want, drain(t, b, "dead"))
	})
}

func TestDeadLettersNeverWait(t *testing.T) { // DLX-17, LEN-8
	for policy, want := range map[pocketmq.OverflowPolicy][]string{
		pocketmq.Block:         {"full", "a"},
		pocketmq.DropHead:      {"a"},
		pocketmq.RejectPublish: {"full"},
	} {
		t.Run(policy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "dead", pocketmq.MaxLength(1), pocketmq.Overflow(policy))
				send(t, b, "dead", "full")
				declare(t, b, "q", toQueue("dead")...)
				send(t, b, "q", "a")
				must(t, take(t, b, "q").Reject())
				require.Equal(t, want, drain(t, b, "dead"))
			})
		})
	}
}

func TestARefusedMessageIsADeadLetter(t *testing.T) { // DLX-20
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q", pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.RejectPublishDLX))
		send(t, b, "q", "a")
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("b")), pocketmq.ErrQueueFull)
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
		d := take(t, b, "dead")
		require.Equal(t, "maxlen", deaths(t, d)[0]["reason"])
		s := stats(t, b, "q")
		require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.Refused, s.Dropped})
		must(t, d.Ack())
	})
}

func TestWhatIsRemovedIsNoDeadLetter(t *testing.T) { // DLX-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q")
		send(t, b, "q", "a")
		_, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		send(t, b, "q", "b")
		_, err = b.DeleteQueue(ctx, "q")
		must(t, err)
		mortal(t, b, "auto", pocketmq.AutoDelete())
		send(t, b, "auto", "c")
		consume(t, b, "auto").Close()
		require.Zero(t, stats(t, b, "dead").Ready)
	})
}

func TestADiscardedMessageIsADeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q")
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return pocketmq.Discard(nil) })
		send(t, b, "q", "a", "b")
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, drain(t, b, "dead"))
	})
}

func TestWhoeverClosesExhaustsTheDeliveryLimit(t *testing.T) { // QQ-6, QQ-7
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q", pocketmq.DeliveryLimit(0))
		send(t, b, "q", "seen", "unseen")
		s := b.Session()
		c := consume(t, s, "q")
		receive(t, c)
		must(t, s.Close())
		require.Equal(t, []string{"seen"}, drain(t, b, "dead"))
		require.Equal(t, []string{"unseen"}, drain(t, b, "q"))
		require.Equal(t, uint64(1), stats(t, b, "q").Exhausted)
	})
}

func TestShutdownWaitsForDeadLettersOnTheirWay(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q")
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return pocketmq.Discard(nil) })
		n := 0
		handle(t, b, "dead", func(context.Context, *pocketmq.Delivery) error { n++; return nil })
		for range 1000 {
			send(t, b, "q", "x")
		}
		must(t, b.Shutdown(ctx))
		require.Equal(t, 1000, n)
	})
}

// Queues whose dead letters go to each other are settled from many goroutines:
// nothing is lost, and nobody waits for ever.
func TestDeadLettersInBothDirections(t *testing.T) {
	b := newBroker(t)
	declare(t, b, "a", append(toQueue("b"), pocketmq.MaxLength(10), dropHead)...)
	declare(t, b, "b", append(toQueue("a"), pocketmq.MaxLength(10), dropHead)...)
	var wg sync.WaitGroup
	for _, q := range []string{"a", "b"} {
		consumer := consume(t, b, q, pocketmq.Prefetch(3))
		wg.Go(func() {
			for range 2000 {
				must(t, b.Publish(ctx, "", q, msg(q)))
				if d, ok, _ := consumer.TryReceive(); ok {
					must(t, d.Reject())
				}
			}
		})
	}
	wg.Wait()
}

func TestBytesAreLimited(t *testing.T) { // LEN-1, LEN-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "drop", pocketmq.MaxBytes(10), dropHead)
		send(t, b, "drop", "12345", "12345", "x")
		require.Equal(t, []string{"12345"}, drain(t, b, "dead"))
		send(t, b, "drop", "more than ten bytes")
		require.Zero(t, stats(t, b, "drop").Ready, "itself included")

		declare(t, b, "reject", pocketmq.MaxBytes(10), pocketmq.Overflow(pocketmq.RejectPublish))
		send(t, b, "reject", "1234567")
		require.ErrorIs(t, b.Publish(ctx, "", "reject", msg("1234")), pocketmq.ErrQueueFull)
		send(t, b, "reject", "123")
		require.EqualValues(t, 10, stats(t, b, "reject").MaxBytes)

		declare(t, b, "block", pocketmq.MaxBytes(10))
		send(t, b, "block", "1234567")
		done := background(func() error { return b.Publish(ctx, "", "block", msg("1234")) })
		waits(t, done)
		must(t, take(t, b, "block").Ack())
		must(t, result(t, done))
		require.ErrorContains(t, b.Publish(ctx, "", "block", msg("more than ten bytes")), "never")
		c := consume(t, b, "block", pocketmq.Prefetch(2))
		send(t, b, "block", "more than ten bytes")
		require.Equal(t, []string{"1234", "more than ten bytes"}, bodies(held(t, c)), "a consumer takes it at once")
	})
}
