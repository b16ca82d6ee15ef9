package pocketmq_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// --- what becomes of a message -----------------------------------------------

func TestPublishedMessageWaitsForAConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "hello")
		time.Sleep(24 * time.Hour)
		require.Equal(t, "hello", string(receive(t, consume(t, b, "q")).Body))
	})
}

func TestMessagesOfAPublisherArriveInOrder(t *testing.T) { // ORD-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(3))
		go func() {
			for i := range 100 {
				send(t, b, "q", fmt.Sprint(i))
			}
		}()
		for i := range 100 {
			d := receive(t, c)
			require.Equal(t, fmt.Sprint(i), string(d.Body))
			must(t, d.Ack())
		}
	})
}

func TestEachMessageGoesToOneOfTheConsumers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c1, c2 := consume(t, b, "q"), consume(t, b, "q")
		send(t, b, "q", "a", "b", "c", "d")
		got := append(bodies(held(t, c1)), bodies(held(t, c2))...)
		require.ElementsMatch(t, []string{"a", "b", "c", "d"}, got)
	})
}

func TestEachQueueGetsEveryMessage(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.fanout", "q1", "q2")
		must(t, b.Publish(ctx, "amq.fanout", "", msg("a")))
		must(t, take(t, b, "q1").Reject())
		require.Equal(t, []string{"a"}, drain(t, b, "q2"), "it is settled for each queue by itself")
	})
}

func TestMessageIsSharedNotCopied(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.fanout", "q1", "q2")
		m := &pocketmq.Message{Body: []byte("a"), Headers: pocketmq.Table{"h": int32(1)}, MessageID: "id"}
		must(t, b.Publish(ctx, "amq.fanout", "", m))
		require.Same(t, m, take(t, b, "q1").Message)
		require.Same(t, m, take(t, b, "q2").Message)
	})
}

func TestDeliveryTellsWhereItCameFrom(t *testing.T) { // GET-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.direct", "q")
		for range 2 {
			must(t, b.Publish(ctx, "amq.direct", "q", msg("a")))
		}
		got := take(t, b, "q")
		require.Equal(t, []any{"amq.direct", "q", "", false}, []any{got.Exchange, got.RoutingKey, got.ConsumerTag, got.Redelivered})
		d := receive(t, consume(t, b, "q", pocketmq.ConsumerTag("tag")))
		require.Equal(t, []any{"amq.direct", "q", "tag", false}, []any{d.Exchange, d.RoutingKey, d.ConsumerTag, d.Redelivered})
	})
}

func TestWhatACrashedConsumerHeldIsDeliveredAgain(t *testing.T) { // ACK-12, ACK-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		c := consume(t, b, "q")
		require.False(t, receive(t, c).Redelivered)
		c.Close()
		d := receive(t, consume(t, b, "q"))
		require.Equal(t, "a", string(d.Body))
		require.True(t, d.Redelivered)
	})
}

func TestAckedMessageIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		c := consume(t, b, "q")
		must(t, receive(t, c).Ack())
		c.Close()
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestUnroutableMessageIsDroppedUnlessMandatory(t *testing.T) { // PUB-4, PUB-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, exchange := range []string{"", "amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
			must(t, b.Publish(ctx, exchange, "nowhere", msg("a")))
			require.ErrorIs(t, b.Publish(ctx, exchange, "nowhere", msg("a"), pocketmq.Mandatory), pocketmq.ErrUnroutable)
		}
	})
}

func TestPublishToADeletedQueueIsUnroutable(t *testing.T) { // ORD-8
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.direct", "q")
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		must(t, b.Publish(ctx, "amq.direct", "q", msg("a")))
		require.ErrorIs(t, b.Publish(ctx, "amq.direct", "q", msg("a"), pocketmq.Mandatory), pocketmq.ErrUnroutable)
		declare(t, b, "q")
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestOneFailingQueueDoesNotKeepAMessageFromTheOthers(t *testing.T) { // CONF-8
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.fanout", "q1", "q3")
		declare(t, b, "full", pocketmq.MaxLength(0), pocketmq.Overflow(pocketmq.RejectPublish))
		declare(t, b, "slow", pocketmq.MaxLength(0))
		for _, q := range []string{"full", "slow", "q1"} {
			must(t, b.Unbind(ctx, q, "amq.fanout", q))
			must(t, b.Bind(ctx, q, "amq.fanout", ""))
		}
		timeout, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := b.Publish(timeout, "amq.fanout", "", msg("a"))
		require.ErrorIs(t, err, pocketmq.ErrQueueFull, "the first error")
		require.Equal(t, []string{"a"}, drain(t, b, "q1"))
		require.Equal(t, []string{"a"}, drain(t, b, "q3"))
	})
}

func TestPublishOfAnEndedContextPublishesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, b.Publish(ended, "", "q", msg("a")), context.Canceled)
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestBodyMayBeEmpty(t *testing.T) { // PUB-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		must(t, b.Publish(ctx, "", "q", &pocketmq.Message{}))
		require.Empty(t, take(t, b, "q").Body)
	})
}

// --- Close -------------------------------------------------------------------

func TestCloseReleasesPublishersThatWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(0))
		done := background(func() error { return b.Publish(ctx, "", "q", msg("a")) })
		waits(t, done)
		must(t, b.Close())
		require.ErrorIs(t, result(t, done), pocketmq.ErrClosed)
	})
}

func TestCloseEndsConsumersInAllForms(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		receiving, ranging, channel := consume(t, b, "q"), consume(t, b, "q"), consume(t, b, "q")
		received := background(func() error { _, err := receiving.Receive(ctx); return err })
		ranged := background(func() (last error) {
			for _, err := range ranging.Deliveries() {
				last = err
			}
			return last
		})
		ch := channel.Chan()
		waits(t, received)
		waits(t, ranged)

		must(t, b.Close())
		require.ErrorIs(t, result(t, received), pocketmq.ErrClosed)
		require.ErrorIs(t, result(t, ranged), pocketmq.ErrClosed)
		_, open := <-ch
		require.False(t, open)
		for _, c := range []*pocketmq.Consumer{receiving, ranging, channel} {
			require.True(t, isClosed(c.Done()))
			require.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
		}
	})
}

// busyHandler returns a handler that ends only with its context, and counts
// itself in running.
func busyHandler(running *int) pocketmq.Handler {
	return func(ctx context.Context, _ *pocketmq.Delivery) error {
		*running++
		<-ctx.Done()
		time.Sleep(time.Second) // it takes a while to finish
		*running--
		return nil
	}
}

func TestCloseEndsTheContextsOfHandlersAndWaitsForThem(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		running := 0
		handle(t, b, "q", busyHandler(&running))
		send(t, b, "q", "a")
		synctest.Wait()
		require.Equal(t, 1, running)
		must(t, b.Close())
		require.Zero(t, running)
	})
}

func TestCloseWaitsForHandlersOfConsumersThatHaveEnded(t *testing.T) {
	for name, end := range map[string]func(*pocketmq.Broker, *pocketmq.Consumer){
		"cancelled":     func(_ *pocketmq.Broker, c *pocketmq.Consumer) { c.Cancel() },
		"closed":        func(_ *pocketmq.Broker, c *pocketmq.Consumer) { c.Close() },
		"queue deleted": func(b *pocketmq.Broker, _ *pocketmq.Consumer) { b.DeleteQueue(ctx, "q") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				running := 0
				c := handle(t, b, "q", busyHandler(&running))
				send(t, b, "q", "a")
				synctest.Wait()
				end(b, c)
				require.False(t, isClosed(c.Done()), "its handler runs on")
				must(t, b.Close())
				require.True(t, isClosed(c.Done()))
			})
		})
	}
}

func TestEveryCloseWaitsForHandlers(t *testing.T) {
	for name, client := range map[string]func(b *pocketmq.Broker) pocketmq.Client{
		"broker":                   func(b *pocketmq.Broker) pocketmq.Client { return b },
		"session":                  func(b *pocketmq.Broker) pocketmq.Client { return b.Session() },
		"broker after a session's": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				first, second := pocketmq.Client(b.Session()), pocketmq.Client(b)
				if client != nil {
					first = client(b)
					second = first
				}
				running := 0
				handle(t, first, "q", busyHandler(&running))
				send(t, b, "q", "a")
				synctest.Wait()
				closed := background(first.Close)
				waits(t, closed)
				must(t, second.Close())
				require.Zero(t, running)
				must(t, result(t, closed))
			})
		})
	}
}

func TestCloseMayBeCalledAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Close())
		must(t, b.Close())
		must(t, b.Shutdown(ctx))
	})
}

func TestClosedBrokerDoesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		must(t, b.Close())
		for _, c := range []pocketmq.Client{b, s, b.Session()} {
			for name, err := range everyCall(c, "q", "amq.direct") {
				require.ErrorIs(t, err, pocketmq.ErrClosed, name)
			}
		}
	})
}

// everyCall calls all methods of a client but Close, and yields their errors.
func everyCall(c pocketmq.Client, queue, exchange string) map[string]error {
	_, declareQueue := c.DeclareQueue(ctx, queue)
	_, purge := c.PurgeQueue(ctx, queue)
	_, consume := c.Consume(ctx, queue)
	_, handle := c.Handle(ctx, queue, func(context.Context, *pocketmq.Delivery) error { return nil })
	_, _, get := c.Get(ctx, queue)
	errs := map[string]error{
		"DeclareExchange": c.DeclareExchange(ctx, exchange, pocketmq.Direct, pocketmq.Durable()),
		"DeclareQueue":    declareQueue, "PurgeQueue": purge, "Consume": consume, "Handle": handle, "Get": get,
		"Bind":           c.Bind(ctx, queue, exchange, ""),
		"Unbind":         c.Unbind(ctx, queue, exchange, ""),
		"BindExchange":   c.BindExchange(ctx, exchange, exchange, ""),
		"UnbindExchange": c.UnbindExchange(ctx, exchange, exchange, ""),
		"Publish":        c.Publish(ctx, exchange, "", msg("a")),
		"DeleteExchange": c.DeleteExchange(ctx, exchange),
	}
	_, errs["DeleteQueue"] = c.DeleteQueue(ctx, queue)
	return errs
}

func TestCloseSaysWhatItWaitsForAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		declare(t, b, "orders")
		handle(t, b, "orders", func(context.Context, *pocketmq.Delivery) error {
			time.Sleep(12 * time.Second)
			return nil
		}, pocketmq.ConsumerTag("slow"))
		send(t, b, "orders", "a")
		synctest.Wait()

		closed := background(b.Close)
		time.Sleep(5*time.Second - 1)
		waits(t, closed)
		require.Empty(t, log.read())
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"level=WARN msg=\"closing waits for a handler\" queue=orders consumer=slow\n"}, log.read())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Len(t, log.read(), 1, "it says so once")
		time.Sleep(2 * time.Second)
		must(t, result(t, closed))
	})
}

func TestCloseSaysWhichMessagesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		declare(t, b, "empty")
		declare(t, b, "q")
		send(t, b, "q", "a", "b")
		must(t, b.Close())
		must(t, b.Close())
		require.Equal(t, []string{"level=WARN msg=\"closing the broker loses messages\" queue=q messages=2\n"}, log.read())
	})
}

// --- Shutdown ----------------------------------------------------------------

func TestShutdownLetsConsumersEmptyTheirQueues(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		n := 0
		handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			time.Sleep(time.Second)
			n++
			return ctx.Err()
		})
		send(t, b, "q", "a", "b", "c")
		must(t, b.Shutdown(ctx))
		require.Equal(t, 3, n)
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("d")), pocketmq.ErrClosed)
	})
}

func TestShutdownWaitsForWhatIsNotSettled(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a")
		d := receive(t, c)
		down := background(func() error { return b.Shutdown(ctx) })
		waits(t, down)
		require.NoError(t, c.Err())
		must(t, d.Ack())
		must(t, result(t, down))
		require.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
	})
}

func TestShutdownDoesNotWaitForQueuesWithoutAConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		err := b.Shutdown(ctx)
		require.ErrorIs(t, err, pocketmq.ErrMessagesLost)
		require.EqualError(t, err, "CONNECTION_FORCED - 1 message in queue 'q' is lost with the broker")
	})
}

// An error of Shutdown says both that its context has ended and that messages are lost.
func TestShutdownThatHasNoTimeLosesMessages(t *testing.T) {
	for _, consumed := range []bool{false, true} {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			declare(t, b, "q")
			send(t, b, "q", "a", "b")
			if consumed { // or else it waits for nothing
				consume(t, b, "q", pocketmq.Prefetch(1))
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			err := b.Shutdown(ended)
			require.ErrorIs(t, err, pocketmq.ErrMessagesLost)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorAs(t, err, new(*pocketmq.Error))
			require.ErrorContains(t, err, "in queue 'q'")
		})
	}
}

func TestShutdownEndsWhenTheLastConsumerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a")
		down := background(func() error { return b.Shutdown(ctx) })
		waits(t, down)
		c.Cancel()
		require.ErrorIs(t, result(t, down), pocketmq.ErrMessagesLost)
	})
}

func TestShutdownWaitsForDeliveriesOfCanceledConsumers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a")
		d := receive(t, c)
		c.Cancel()
		down := background(func() error { return b.Shutdown(ctx) })
		waits(t, down)
		must(t, d.Ack())
		must(t, result(t, down))
	})
}

func TestShutdownSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a", "b")
		d := receive(t, c)
		limited, cancel := context.WithTimeout(ctx, 6*time.Second)
		defer cancel()
		require.ErrorIs(t, b.Shutdown(limited), context.DeadlineExceeded)
		require.Contains(t, log.read()[0], "shutting down waits for a queue\" queue=q ready=0 unacked=2")
		require.ErrorIs(t, d.Ack(), pocketmq.ErrSettled)
	})
}

func TestHandlerCannotShutDownTheBroker(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		refused := make(chan error, 1)
		handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			refused <- b.Shutdown(ctx)
			return nil
		})
		send(t, b, "q", "a")
		require.ErrorIs(t, <-refused, pocketmq.ErrNotAllowed)
	})
}

func TestShutdownThatTakesTooLongCloses(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a")
		timeout, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		require.ErrorIs(t, b.Shutdown(timeout), context.DeadlineExceeded)
		require.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
	})
}

func TestCloseEndsAShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		consume(t, b, "q")
		send(t, b, "q", "a")
		first, second := background(func() error { return b.Shutdown(ctx) }), background(func() error { return b.Shutdown(ctx) })
		waits(t, first)
		waits(t, second)
		must(t, b.Close())
		must(t, result(t, first))
		must(t, result(t, second))
	})
}

func TestHandlersMayPublishDuringAShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "in")
		declare(t, b, "out")
		var got []string
		handle(t, b, "in", func(ctx context.Context, d *pocketmq.Delivery) error {
			time.Sleep(time.Second)
			return b.Publish(ctx, "", "out", msg("did "+string(d.Body)))
		})
		handle(t, b, "out", func(_ context.Context, d *pocketmq.Delivery) error {
			got = append(got, string(d.Body))
			return nil
		})
		send(t, b, "in", "a", "b")
		must(t, b.Shutdown(ctx))
		require.Equal(t, []string{"did a", "did b"}, got)
	})
}

func TestShutdownWaitsForQueuesThatAHandlerDeclaresMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var reply string
		handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			time.Sleep(time.Second)
			if _, err := b.DeclareQueue(ctx, "later"); err != nil {
				return err
			}
			if _, err := b.Handle(ctx, "later", func(_ context.Context, d *pocketmq.Delivery) error {
				time.Sleep(time.Second)
				reply = string(d.Body)
				return nil
			}); err != nil {
				return err
			}
			return b.Publish(ctx, "", "later", msg("b"))
		})
		send(t, b, "q", "a")
		timeout, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		must(t, b.Shutdown(timeout))
		require.Equal(t, "b", reply)
	})
}

func TestShutdownReleasesPublishersThatWaitButHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "in")
		declare(t, b, "out", pocketmq.MaxLength(0))
		c := consume(t, b, "out", pocketmq.Prefetch(1))
		send(t, b, "out", "a")
		calls := 0
		handle(t, b, "in", func(ctx context.Context, _ *pocketmq.Delivery) error {
			calls++
			return b.Publish(ctx, "", "out", msg("b"))
		})
		send(t, b, "in", "x")
		outside := background(func() error { return b.Publish(ctx, "", "out", msg("c")) })
		waits(t, outside)
		require.Equal(t, 2, stats(t, b, "out").WaitingPublishers)

		down := background(func() error { return b.Shutdown(ctx) })
		waits(t, down)
		require.ErrorIs(t, result(t, outside), pocketmq.ErrClosed)
		for _, body := range []string{"a", "b"} {
			d := receive(t, c)
			require.Equal(t, body, string(d.Body))
			must(t, d.Ack())
		}
		must(t, result(t, down))
		require.Equal(t, 1, calls, "the handler's Publish went through")
	})
}

func TestShutdownRefusesNewWork(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a")
		down := background(func() error { return b.Shutdown(ctx) })
		waits(t, down)
		for _, client := range []pocketmq.Client{b, b.Session()} {
			for name, err := range everyCall(client, "q", "amq.direct") {
				assert.ErrorIs(t, err, pocketmq.ErrClosed, name)
			}
		}
		must(t, receive(t, c).Ack())
		must(t, result(t, down))
	})
}

// --- options -----------------------------------------------------------------

func TestErrorsNameTheVirtualHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, pocketmq.VHost("shop"))
		require.EqualError(t, b.Publish(ctx, "nope", "", msg("a")), "NOT_FOUND - no exchange 'nope' in vhost 'shop'")
	})
}

func TestNilOptionsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, nil, pocketmq.Logger(nil))
		must(t, b.DeclareExchange(ctx, "x", pocketmq.Direct, nil))
		declare(t, b, "q", nil)
		must(t, b.Bind(ctx, "q", "x", "k", nil, pocketmq.Arguments(nil)))
		must(t, b.Unbind(ctx, "q", "x", "k", nil))
		consume(t, b, "q", nil)
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { panic("logged to nobody") }, nil)
		send(t, b, "q", "a", "b")
		_, _, err := b.Get(ctx, "q", nil)
		must(t, err)
		_, err = b.DeleteQueue(ctx, "q", nil)
		must(t, err)
		must(t, b.DeleteExchange(ctx, "x", nil))
	})
}

// --- names -------------------------------------------------------------------

func TestNamesMayHaveAnyCharacterUpTo255Bytes(t *testing.T) { // QUEUE-34
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, name := range []string{strings.Repeat("x", 255), "ünï cødé\x00\t'\"", "amqfoo", "AMQ.foo"} {
			declare(t, b, name)
			must(t, b.DeclareExchange(ctx, name, pocketmq.Fanout))
			must(t, b.Bind(ctx, name, name, name))
			must(t, b.Publish(ctx, name, name, msg("a")))
			require.Len(t, drain(t, b, name), 1)
		}
	})
}

func TestLineBreaksAreRemovedFromNames(t *testing.T) { // EXCH-16
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.DeclareExchange(ctx, "x\r\n1", pocketmq.Direct))
		info, err := b.DeclareQueue(ctx, "\nq\r1")
		must(t, err)
		require.Equal(t, "q1", info.Name)
		must(t, b.Bind(ctx, "q\n1", "x1\r", "k\n"))
		require.Empty(t, routed(t, b, "x1", "k", nil), "keys are left as they are")
		require.Equal(t, []string{"q1"}, routed(t, b, "x1", "k\n", nil))
		must(t, b.Unbind(ctx, "q\n1", "x\n1", "k\n"))
		require.Empty(t, routed(t, b, "x1", "k\n", nil))
		_, err = b.DeleteQueue(ctx, "q\r1")
		must(t, err)
		must(t, b.DeleteExchange(ctx, "x\r1"))
		require.False(t, exchangeExists(b, "x1"))
	})
}

// What a consumer was assigned and nobody took is lost as well.
func TestShutdownNamesWhatConsumersDidNotTake(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		handle(t, b, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			<-ctx.Done() // one of three
			return nil
		}, pocketmq.Prefetch(10))
		send(t, b, "q", "a", "b", "c")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.Shutdown(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, pocketmq.ErrMessagesLost)
		require.ErrorContains(t, err, "2 messages in queue 'q' are lost with the broker")
	})
}
