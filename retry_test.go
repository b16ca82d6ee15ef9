package pocketmq_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// attempts lets a handler fail for ever, and returns when it was called, from the
// first time on.
func attempts(t *testing.T, b *pocketmq.Broker, p pocketmq.RetryPolicy) (at []time.Duration) {
	t.Helper()
	mortal(t, b, "q", pocketmq.Retry(p))
	start := time.Now()
	c := handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
		at = append(at, time.Since(start))
		return errors.New("no")
	})
	send(t, b, "q", "x")
	time.Sleep(time.Hour)
	synctest.Wait()
	c.Close()
	<-c.Done()
	return at
}

func TestRetriesTakeLongerEachTime(t *testing.T) {
	const s = time.Second
	for name, tc := range map[string]struct {
		policy pocketmq.RetryPolicy
		want   []time.Duration
	}{
		"linear":      {pocketmq.RetryPolicy{Min: s, Times: 4}, []time.Duration{0, 1 * s, 3 * s, 6 * s, 10 * s}},
		"capped":      {pocketmq.RetryPolicy{Min: s, Max: 2 * s, Times: 4}, []time.Duration{0, 1 * s, 3 * s, 5 * s, 7 * s}},
		"exponential": {pocketmq.RetryPolicy{Min: s, Exponential: true, Times: 4}, []time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s}},
		"both":        {pocketmq.RetryPolicy{Min: s, Max: 3 * s, Exponential: true, Times: 4}, []time.Duration{0, 1 * s, 3 * s, 6 * s, 9 * s}},
		"once":        {pocketmq.RetryPolicy{Min: 3 * s, Times: 1}, []time.Duration{0, 3 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				require.Equal(t, tc.want, attempts(t, b, tc.policy))
				d := take(t, b, "dead")
				require.Equal(t, "delivery_limit", deaths(t, d)[0]["reason"])
				must(t, d.Ack())
			})
		})
	}
}

// Where only what has not failed waits, handlers that fail pause as for a queue
// without retries.
func TestHandlersPauseWhereFailuresDoNotWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.SetPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{
			"delayed-retry-type": "returned", "delayed-retry-min": 60000, "delivery-limit": 3,
		}}))
		mortal(t, b, "q")
		var at []time.Duration
		start := time.Now()
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
			at = append(at, time.Since(start))
			return errors.New("no")
		})
		send(t, b, "q", "x")
		time.Sleep(time.Hour)
		synctest.Wait()
		const ms = time.Millisecond
		require.Equal(t, []time.Duration{0, 10 * ms, 30 * ms, 70 * ms}, at)
	})
}

func TestRetriesNeverEndWithoutALimit(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		at := attempts(t, b, pocketmq.RetryPolicy{Min: time.Millisecond, Max: time.Second, Exponential: true})
		require.Greater(t, len(at), 3600)
		require.Zero(t, stats(t, b, "dead").Ready)
	})
}

func TestAMessageThatWaitsKeepsNobodyWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: 30 * time.Second}), pocketmq.MaxLength(1))
		send(t, b, "q", "a")
		must(t, take(t, b, "q").Nack(true))
		send(t, b, "q", "b")
		s := stats(t, b, "q")
		require.Equal(t, [3]int{1, 1, 0}, [3]int{s.Delayed, s.Ready, s.Unacked})
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		d := receive(t, c)
		require.Equal(t, "b", string(d.Body))
		must(t, d.Ack())
		start := time.Now()
		d = receive(t, c)
		require.Equal(t, "a", string(d.Body))
		require.True(t, d.Redelivered)
		require.Equal(t, 30*time.Second, time.Since(start))
		require.Zero(t, stats(t, b, "q").Delayed)
	})
}

func TestSeveralConsumersShareWhatHasWaited(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second}))
		first, second := consume(t, b, "q"), consume(t, b, "q")
		fill(t, b, "q", 4)
		for _, c := range []*pocketmq.Consumer{first, second} {
			must(t, pocketmq.SettleAll(pocketmq.Requeued, held(t, c)...))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"1", "3"}, bodies(held(t, first)))
		require.Equal(t, []string{"2", "4"}, bodies(held(t, second)))
	})
}

func TestWhatWaitsLeavesWithTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Minute}))
		fail := func() {
			send(t, b, "q", "a")
			must(t, take(t, b, "q").Nack(true))
		}
		fail()
		_, err := b.DeleteQueue(ctx, "q", pocketmq.IfEmpty())
		require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed)
		n, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		require.Equal(t, 1, n)
		fail()
		n, err = b.DeleteQueue(ctx, "q")
		must(t, err)
		require.Equal(t, 1, n)
		time.Sleep(time.Hour)
	})
}

func TestShutdownWaitsForRetries(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Minute}))
		tries := 0
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
			if tries++; tries == 1 {
				return errors.New("no")
			}
			return nil
		})
		send(t, b, "q", "a")
		synctest.Wait()
		start := time.Now()
		must(t, b.Shutdown(ctx))
		require.Equal(t, 2, tries)
		require.Equal(t, time.Minute, time.Since(start))
	})
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Minute}))
		send(t, b, "q", "a")
		must(t, take(t, b, "q").Nack(true))
		require.ErrorIs(t, b.Shutdown(ctx), pocketmq.ErrMessagesLost)
	})
}

func TestRetryPoliciesThatCannotBe(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, p := range []pocketmq.RetryPolicy{
			{}, {Min: time.Microsecond}, {Min: -time.Second}, {Min: time.Second, Max: time.Millisecond}, {Min: time.Second, Times: -1},
		} {
			_, err := b.DeclareQueue(ctx, "q", pocketmq.Retry(p))
			require.ErrorIs(t, err, pocketmq.ErrInvalid, "%+v", p)
			require.ErrorContains(t, err, "RetryPolicy")
		}
	})
}

// --- by policy ---------------------------------------------------------------

var retryByPolicy = pocketmq.Table{
	"delayed-retry-type": "all", "delayed-retry-min": 1000, "delayed-retry-max": 3000, "delayed-retry-growth": "exponential", "delivery-limit": 4,
}

func TestAPolicySaysAllThatRetryDoes(t *testing.T) {
	const s = time.Second
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q")
		mortal(t, b, "own", pocketmq.Retry(pocketmq.RetryPolicy{Min: 5 * s, Max: 9 * s, Times: 2}))
		setPolicy(t, b, "p", "^(q|own)$", retryByPolicy)
		want := pocketmq.RetryPolicy{Min: s, Max: 3 * s, Exponential: true, Times: 4}
		require.Equal(t, want, stats(t, b, "q").Retry)
		require.Equal(t, 4, stats(t, b, "q").DeliveryLimit)
		start := time.Now()
		var at []time.Duration
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
			at = append(at, time.Since(start))
			return errors.New("no")
		})
		send(t, b, "q", "x")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 1 * s, 3 * s, 6 * s, 9 * s}, at)
		require.Equal(t, "delivery_limit", deaths(t, take(t, b, "dead"))[0]["reason"])

		own := stats(t, b, "own").Retry
		require.Equal(t, [3]any{5 * s, 9 * s, 2}, [3]any{own.Min, own.Max, own.Times}, "the argument goes first, but of limits the lesser counts")
	})
}

func TestAPolicyOfRetriesComesAndGoes(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		fill(t, b, "q", 2)
		before := held(t, c)
		setPolicy(t, b, "p", "^q$", retryByPolicy)
		must(t, before[0].Nack(true)) // also what was handed out before
		require.Equal(t, 1, stats(t, b, "q").Delayed)
		must(t, b.ClearPolicy("p"))
		require.Equal(t, [2]any{pocketmq.RetryPolicy{}, -1}, [2]any{stats(t, b, "q").Retry, stats(t, b, "q").DeliveryLimit})
		must(t, before[1].Nack(true))
		require.Equal(t, "2", string(receive(t, c).Body), "at once")
		start := time.Now()
		require.Equal(t, "1", string(receive(t, c).Body), "what waits goes on waiting")
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestAPolicyOfRetriesIsForQueuesThatHaveThem(t *testing.T) {
	b := newBroker(t)
	setPolicy(t, b, "p", "", retryByPolicy)
	declare(t, b, "classic")
	declare(t, b, "quorum", pocketmq.Quorum())
	declare(t, b, "stream", pocketmq.Stream())
	for queue, want := range map[string]string{"classic": "p", "quorum": "p", "stream": ""} {
		require.Equal(t, want, stats(t, b, queue).Policy, queue)
	}
}
