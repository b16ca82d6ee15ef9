package pocketmq_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

var errBroken = errors.New("broken")

// --- what the result settles -------------------------------------------------

func TestResultOfAHandlerSettlesItsDelivery(t *testing.T) {
	for name, tc := range map[string]struct {
		result   error
		acked    uint64
		rejected uint64
		returned uint64
	}{
		"nil":                {result: nil, acked: 1},
		"discard":            {result: pocketmq.Discard(errBroken), rejected: 1},
		"discard of nothing": {result: pocketmq.Discard(nil), rejected: 1},
		"wrapped discard":    {result: fmt.Errorf("of no use: %w", pocketmq.Discard(errBroken)), rejected: 1},
		"another error":      {result: errBroken, returned: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				calls := 0
				c := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { calls++; return tc.result })
				send(t, b, "q", "a")
				time.Sleep(15 * time.Millisecond) // after the first pause, before the second has passed
				synctest.Wait()
				s := stats(t, b, "q")
				require.Equal(t, []uint64{tc.acked, tc.rejected, tc.returned}, []uint64{s.Acked, s.Rejected, s.Returned})
				require.Equal(t, 1+int(tc.returned), calls)
				c.Cancel()
			})
		})
	}
}

func TestDiscardKeepsTheError(t *testing.T) {
	err := pocketmq.Discard(errBroken)
	require.ErrorIs(t, err, errBroken)
	require.EqualError(t, err, "discarded: broken")
	require.EqualError(t, pocketmq.Discard(nil), "discarded")
}

// failures are ways for a handler to fail which must not hurt anybody else.
var failures = map[string]func() error{
	"error":         func() error { return errBroken },
	"panic":         func() error { panic("broken") },
	"panic(nil)":    func() error { panic(nil) },
	"runtime error": func() error { var list []error; return list[len(list)] },
	"Goexit":        func() error { runtime.Goexit(); return nil },
	"nil pointer in an error": func() error {
		var err *brittleError
		return err
	},
}

// brittleError has methods that panic for a nil pointer, as many do.
type brittleError struct{ text string }

func (e *brittleError) Error() string { return e.text }

func TestFailedDeliveryComesBack(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				var got []string
				handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
					got = append(got, fmt.Sprint(string(d.Body), d.Redelivered))
					if len(got) == 1 {
						return fail()
					}
					return nil
				})
				send(t, b, "q", "a", "b")
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, []string{"afalse", "atrue", "bfalse"}, got)
			})
		})
	}
}

func TestFailureIsLogged(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logbook
				b := newBroker(t, log.option())
				declare(t, b, "orders")
				c := handle(t, b, "orders", func(context.Context, *pocketmq.Delivery) error { return fail() }, pocketmq.ConsumerTag("c"))
				send(t, b, "orders", "a")
				synctest.Wait()
				c.Cancel()
				synctest.Wait()
				require.Len(t, log.read(), 1)
				line := log.read()[0]
				require.True(t, strings.HasPrefix(line,
					`level=WARN msg="handler failed" queue=orders consumer=c requeue=true returns=0 error=`), line)
				switch name {
				case "error":
					require.Contains(t, line, "error=broken")
				case "panic":
					require.Contains(t, line, "panic: broken")
					require.Contains(t, line, "handler_test.go", "where it was")
				case "Goexit":
					require.Contains(t, line, "ended its goroutine")
				case "nil pointer in an error":
					require.Contains(t, line, "*pocketmq_test.brittleError")
				}
				b.PurgeQueue(ctx, "orders")
			})
		})
	}
}

func TestFailuresPauseLongerEachTimeUpToASecond(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var at []time.Duration
		start := time.Now()
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
			if at = append(at, time.Since(start)/time.Millisecond); len(at) == 11 {
				return nil
			}
			return errBroken
		})
		send(t, b, "q", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270, 4270}, at)
	})
}

func TestOrderIsKeptOverAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		fails := 3
		var got []string
		handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
			if string(d.Body) == "2" && fails > 0 {
				fails--
				return errBroken
			}
			got = append(got, string(d.Body))
			return nil
		})
		send(t, b, "q", "1", "2", "3", "4")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"1", "2", "3", "4"}, got)
	})
}

func TestOneFailingMessageDoesNotStopOtherWorkers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var done atomic.Int32
		c := handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
			if string(d.Body) == "bad" {
				return errBroken
			}
			done.Add(1)
			return nil
		}, pocketmq.Concurrency(2))
		send(t, b, "q", "bad", "1", "2", "3")
		synctest.Wait() // no time passes: it is the pause of the first
		require.Equal(t, int32(3), done.Load())
		c.Cancel()
	})
}

func TestHandlerMaySettleItself(t *testing.T) {
	for name, tc := range map[string]struct {
		handler  pocketmq.Handler
		acked    uint64
		rejected uint64
	}{
		"ack, then nil":      {func(_ context.Context, d *pocketmq.Delivery) error { return d.Ack() }, 1, 0},
		"reject, then nil":   {func(_ context.Context, d *pocketmq.Delivery) error { return d.Reject() }, 0, 1},
		"ack, then an error": {func(_ context.Context, d *pocketmq.Delivery) error { d.Ack(); return errBroken }, 1, 0},
		"ack, then a panic":  {func(_ context.Context, d *pocketmq.Delivery) error { d.Ack(); panic("broken") }, 1, 0},
		"ack of a copy": {func(_ context.Context, d *pocketmq.Delivery) error {
			mine := *d
			return mine.Ack()
		}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				handle(t, b, "q", tc.handler)
				send(t, b, "q", "a")
				time.Sleep(time.Second)
				synctest.Wait()
				s := stats(t, b, "q")
				require.Equal(t, []uint64{tc.acked, tc.rejected, 0}, []uint64{s.Acked, s.Rejected, s.Returned})
				require.Zero(t, s.Ready+s.Unacked)
			})
		})
	}
}

func TestDeliveryKeptByAHandlerStaysThatOfItsMessage(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var kept []*pocketmq.Delivery
		handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
			kept = append(kept, d)
			return nil
		})
		send(t, b, "q", "a", "b")
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, bodies(kept))
		require.ErrorIs(t, kept[0].Ack(), pocketmq.ErrSettled)
	})
}

func TestHandlerWithAutoAckLosesWhatItFails(t *testing.T) { // CONS-8
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				calls := 0
				handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { calls++; return fail() }, pocketmq.AutoAck())
				send(t, b, "q", "a", "b")
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, 2, calls)
				require.Equal(t, uint64(2), stats(t, b, "q").Acked)
			})
		})
	}
}

// --- concurrency -------------------------------------------------------------

func TestHandlerRunsAsOftenAtOnceAsConcurrencySays(t *testing.T) {
	for _, want := range []int{1, 3} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				var opts []pocketmq.ConsumeOption
				if want > 1 { // 1 is the default
					opts = append(opts, pocketmq.Concurrency(want))
				}
				var running, most, done atomic.Int32
				handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Second)
					running.Add(-1)
					done.Add(1)
					return nil
				}, opts...)
				send(t, b, "q", "1", "2", "3", "4", "5", "6")
				time.Sleep(time.Duration(6/want)*time.Second + 1)
				synctest.Wait()
				require.Equal(t, int32(6), done.Load())
				require.Equal(t, int32(want), most.Load())
			})
		})
	}
}

func TestHandlersPrefetchIsItsConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		stop := make(chan struct{})
		block := func(context.Context, *pocketmq.Delivery) error { <-stop; return nil }
		handle(t, b, "q", block, pocketmq.Concurrency(2), pocketmq.Priority(2))
		handle(t, b, "q", block, pocketmq.Prefetch(4), pocketmq.Priority(1))
		send(t, b, "q", "1", "2", "3", "4", "5", "6", "7", "8")
		s := stats(t, b, "q")
		require.Equal(t, []int{2, 4, 2}, []int{s.Consumers[0].Unacked, s.Consumers[1].Unacked, s.Ready})
		close(stop)
	})
}

func TestGoexitDoesNotCostAWorker(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		calls := 0
		c := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { calls++; runtime.Goexit(); return nil }, pocketmq.AutoAck())
		send(t, b, "q", "1", "2", "3")
		synctest.Wait()
		require.Equal(t, 3, calls)
		c.Cancel()
		require.True(t, isClosed(c.Done()))
	})
}

// --- the context, and ending -------------------------------------------------

type key struct{}

func TestHandlersContextIsMadeFromTheOneGivenToHandle(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		given, cancel := context.WithCancel(context.WithValue(ctx, key{}, "value"))
		var ended error
		c, err := b.Handle(given, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			require.Equal(t, "value", ctx.Value(key{}))
			<-ctx.Done()
			ended = ctx.Err()
			return nil
		})
		must(t, err)
		send(t, b, "q", "a", "b")
		synctest.Wait()
		require.NoError(t, ended)
		cancel()
		require.True(t, isClosed(c.Done()))
		require.ErrorIs(t, ended, context.Canceled)
		require.ErrorIs(t, c.Err(), pocketmq.ErrCanceled)
		require.Equal(t, []string{"b"}, drain(t, b, "q"))
	})
}

func TestCancelLetsRunningHandlersFinish(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			time.Sleep(time.Second)
			return ctx.Err()
		})
		send(t, b, "q", "a", "b")
		synctest.Wait()
		c.Cancel()
		require.False(t, isClosed(c.Done()))
		time.Sleep(time.Second)
		require.True(t, isClosed(c.Done()))
		require.Equal(t, uint64(1), stats(t, b, "q").Acked)
		require.Equal(t, []string{"b"}, drain(t, b, "q"))
	})
}

func TestHandlersContextEndsWithItsConsumersGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var given context.Context
		c := handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error { given = ctx; return nil })
		send(t, b, "q", "a")
		synctest.Wait()
		require.NoError(t, given.Err())
		c.Cancel()
		<-c.Done()
		require.Error(t, given.Err(), "or it would keep memory and timers")
	})
}

func TestClosedConsumersHandlerSettlesInVain(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { time.Sleep(time.Second); return nil })
		send(t, b, "q", "a")
		synctest.Wait()
		c.Close()
		d := take(t, b, "q")
		require.True(t, d.Redelivered)
		<-c.Done()
		require.Zero(t, stats(t, b, "q").Acked)
		must(t, d.Ack())
	})
}

func TestHandlerMayCancelItsConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var c *pocketmq.Consumer
		ready := make(chan struct{})
		c = handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { <-ready; c.Cancel(); return nil })
		close(ready)
		send(t, b, "q", "a")
		<-c.Done()
		require.Equal(t, uint64(1), stats(t, b, "q").Acked)
	})
}

func TestCancelCutsThePauseAfterAFailureShort(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return errBroken })
		send(t, b, "q", "a")
		synctest.Wait()
		start := time.Now()
		c.Cancel()
		<-c.Done()
		require.Equal(t, start, time.Now())
		require.True(t, take(t, b, "q").Redelivered)
	})
}

func TestHandlerMayUseTheBroker(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		handle(t, b, "q", func(ctx context.Context, d *pocketmq.Delivery) error {
			next := string(d.Body) + "x"
			if len(next) > 5 {
				_, err := b.DeleteQueue(ctx, "q")
				return err
			}
			return b.Publish(ctx, "", "q", msg(next))
		})
		send(t, b, "q", "x")
		synctest.Wait()
		require.Empty(t, b.Stats().Queues)
	})
}

func TestHandlerMaySeeTheQueueDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var ended error
		c := handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			time.Sleep(time.Second)
			ended = ctx.Err()
			return nil
		})
		send(t, b, "q", "a", "b")
		synctest.Wait()
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		require.ErrorIs(t, c.Err(), pocketmq.ErrQueueDeleted)
		<-c.Done()
		require.NoError(t, ended, "it may finish")
	})
}
