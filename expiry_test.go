package pocketmq_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

const day = 24 * time.Hour

// expiring is a message that may wait for so many milliseconds.
func expiring(body string, ms int) *pocketmq.Message {
	return &pocketmq.Message{Body: []byte(body), Expiration: fmt.Sprint(ms)}
}

func publish(t testing.TB, c pocketmq.Client, queue string, messages ...*pocketmq.Message) {
	t.Helper()
	for _, m := range messages {
		must(t, c.Publish(ctx, "", queue, m, pocketmq.Mandatory))
	}
}

func TestMessagesExpireToTheMillisecond(t *testing.T) { // TTL-1, TTL-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(30*day))
		send(t, b, "q", "a")
		publish(t, b, "q", expiring("b", int((40*day).Milliseconds())))
		time.Sleep(30*day - time.Millisecond)
		require.Equal(t, 2, stats(t, b, "q").Ready)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		s := stats(t, b, "q")
		require.Equal(t, 0, s.Ready, "nobody need look for them to go")
		require.Equal(t, uint64(2), s.Expired)
	})
}

func TestTheLesserTTLCounts(t *testing.T) { // TTL-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(time.Second))
		publish(t, b, "q", expiring("soon", 10))
		time.Sleep(10 * time.Millisecond)
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestOnlyTheHeadExpires(t *testing.T) { // TTL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		publish(t, b, "q", msg("stays"), expiring("expired", 10), expiring("fresh", 1000))
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, 3, stats(t, b, "q").Ready, "behind the head it counts")
		d := take(t, b, "q")
		require.Equal(t, 1, d.MessageCount, "and is gone as soon as it is the head")
		require.Equal(t, []string{"fresh"}, drain(t, b, "q"))
		must(t, d.Ack())
	})
}

func TestAConsumerNeverGetsWhatHasExpired(t *testing.T) { // TTL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "0")
		d := receive(t, c)
		publish(t, b, "q", msg("1"), expiring("2", 10), msg("3"))
		time.Sleep(10 * time.Millisecond)
		must(t, d.Ack())
		d = receive(t, c)
		require.Equal(t, "1", string(d.Body))
		must(t, d.Ack())
		require.Equal(t, "3", string(receive(t, c).Body))
	})
}

func TestWhatIsHeldDoesNotExpireUntilItComesBack(t *testing.T) { // TTL-2, TTL-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(time.Second))
		c := consume(t, b, "q")
		send(t, b, "q", "acked", "returned", "unseen")
		time.Sleep(time.Minute)
		acked, returned := receive(t, c), receive(t, c)
		must(t, acked.Ack())
		must(t, returned.Nack(true))
		require.Equal(t, uint64(1), stats(t, b, "q").Expired)
		require.Equal(t, "unseen", string(receive(t, c).Body), "it was assigned in time")
		c.Close()
		require.Equal(t, uint64(2), stats(t, b, "q").Expired)
	})
}

func TestMessagesWithoutTimeGoToAConsumerThatWaits(t *testing.T) { // TTL-6, PUB-7
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(0))
		send(t, b, "q", "nobody is there")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a", "there is no credit")
		d := receive(t, c)
		require.Equal(t, "a", string(d.Body))
		must(t, d.Ack())
		send(t, b, "q", "b")
		require.Equal(t, "b", string(receive(t, c).Body), "an ack counts at once")
		require.Equal(t, uint64(2), stats(t, b, "q").Expired)

		declare(t, b, "p")
		publish(t, b, "p", expiring("", 0))
		require.Zero(t, stats(t, b, "p").Ready)
	})
}

// A lone consumer of a plain queue is served lazily. That must not show when the
// first message comes that expires.
func TestALoneConsumerHasWhatItIsEntitledTo(t *testing.T) { // TTL-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(3))
		send(t, b, "q", "0")
		must(t, receive(t, c).Ack())
		send(t, b, "q", "1")
		publish(t, b, "q", expiring("2", 10), expiring("3", 10), expiring("4", 10))
		time.Sleep(time.Second)
		require.Equal(t, []string{"1", "2", "3"}, bodies(held(t, c)))
		require.Equal(t, uint64(1), stats(t, b, "q").Expired)
	})
}

func TestHandlersAreSpared(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(time.Second))
		send(t, b, "q", "a")
		time.Sleep(2 * time.Second)
		var handled []string
		handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
			handled = append(handled, string(d.Body))
			time.Sleep(3 * time.Second)
			return nil
		})
		send(t, b, "q", "b", "c") // c is not handed out before it has expired
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"b"}, handled)
	})
}

func TestPublishersThatWaitAreLetInWhenMessagesExpire(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), pocketmq.MessageTTL(time.Second))
		send(t, b, "q", "a")
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		send(t, b, "q", "b")
		require.Equal(t, 500*time.Millisecond, time.Since(start))
		time.Sleep(999 * time.Millisecond)
		require.Equal(t, []string{"b"}, drain(t, b, "q"), "its time begins when it is let in")
	})
}

func TestShutdownDoesNotWaitForWhatAnExpiredQueueHandedOut(t *testing.T) { // ACK-7, TTL-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Expires(time.Minute))
		send(t, b, "q", "a")
		take(t, b, "q")
		limited, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		start := time.Now()
		must(t, b.Shutdown(limited))
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestShutdownWaitsUntilMessagesExpire(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(time.Second))
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a", "b")
		d := receive(t, c)
		done := background(func() error { return b.Shutdown(ctx) })
		time.Sleep(time.Second)
		waits(t, done)
		must(t, d.Ack())
		must(t, result(t, done))
	})
}

func TestPurgeAndDeleteCountWhatHasNotExpired(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		publish(t, b, "q", expiring("", 1), msg(""), msg(""))
		time.Sleep(time.Millisecond)
		n, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		require.Equal(t, 2, n)
		publish(t, b, "q", expiring("", 1))
		time.Sleep(time.Millisecond)
		_, err = b.DeleteQueue(ctx, "q", pocketmq.IfEmpty())
		must(t, err)
	})
}

func TestUnusedQueuesExpire(t *testing.T) { // TTL-9, TTL-10, TTL-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exists := func() bool {
			_, ok := b.Stats().Queue("q")
			return ok
		}
		declare(t, b, "dead")
		declare(t, b, "q", pocketmq.Expires(time.Second), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("dead"))
		must(t, b.Bind(ctx, "q", "amq.fanout", ""))
		const most = 999 * time.Millisecond
		time.Sleep(most)
		_, err := b.DeclareQueue(ctx, "q", pocketmq.Passive())
		must(t, err)
		time.Sleep(most)
		_, _, err = b.Get(ctx, "q")
		must(t, err)
		time.Sleep(most)
		c := consume(t, b, "q")
		time.Sleep(day)
		require.True(t, exists(), "a consumer is there")
		c.Cancel()
		time.Sleep(most)
		send(t, b, "q", "publishing is no use of it")
		require.True(t, exists())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.False(t, exists())
		x, _ := b.Stats().Exchange("amq.fanout")
		require.Empty(t, x.Bindings)
		require.Zero(t, stats(t, b, "dead").Ready, "what was in it is no dead letter")
	})
}

func TestAnExclusiveQueueExpiresOnce(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "q", pocketmq.Exclusive(), pocketmq.Expires(time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		declare(t, b, "q")
		must(t, s.Close())
		require.Zero(t, stats(t, b, "q").Ready, "the name is somebody else's now")
	})
}

func TestDurationsMustBeWholeMilliseconds(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, tc := range []struct {
			option pocketmq.QueueOption
			want   string
		}{
			{pocketmq.MessageTTL(time.Microsecond), "MessageTTL(1µs): must be whole milliseconds"},
			{pocketmq.MessageTTL(-time.Second), "MessageTTL(-1s): must be 0 ms to ten years"},
			{pocketmq.Expires(0), "Expires(0s): must be 1 ms to ten years"},
			{pocketmq.Expires(3651 * day), "Expires(87624h0m0s): must be 1 ms to ten years"},
		} {
			_, err := b.DeclareQueue(ctx, "q", tc.option)
			require.ErrorIs(t, err, pocketmq.ErrInvalid)
			require.ErrorContains(t, err, tc.want)
		}
	})
}

// A million messages with a thousand different times to live expire within
// seconds of the processor's time, one timer at a time.
func TestAMillionMessagesExpire(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		const n, ttls = 1_000_000, 1000
		declare(t, b, "q", pocketmq.Unbounded())
		var messages [ttls]*pocketmq.Message
		for i := range messages {
			messages[i] = expiring("", i+1)
		}
		for i := range n {
			must(t, b.Publish(ctx, "", "q", messages[i*ttls/n]))
		}
		time.Sleep(ttls / 2 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, n/2, stats(t, b, "q").Ready)
		time.Sleep(ttls / 2 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, uint64(n), stats(t, b, "q").Expired)
	})
}
