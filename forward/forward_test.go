package forward_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/forward"
)

var ctx = context.Background()

// inBubble runs a test in virtual time with two brokers, the first of which has a
// queue "outbox".
func inBubble(t *testing.T, test func(t *testing.T, from, to *pocketmq.Broker)) {
	synctest.Test(t, func(t *testing.T) {
		from, to := pocketmq.New(), pocketmq.New()
		defer to.Close()
		defer from.Close()
		declare(t, from, "outbox", pocketmq.MaxLength(10))
		test(t, from, to)
	})
}

func declare(t *testing.T, c pocketmq.Client, queue string, opts ...pocketmq.QueueOption) {
	t.Helper()
	_, err := c.DeclareQueue(ctx, queue, opts...)
	require.NoError(t, err)
}

func start(t *testing.T, from, to pocketmq.Client, opts ...forward.Option) *forward.Forwarder {
	t.Helper()
	f, err := forward.Start(ctx, from, "outbox", to, "events", opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func events(t *testing.T, c pocketmq.Client, queue, key string) {
	t.Helper()
	require.NoError(t, c.DeclareExchange(ctx, "events", pocketmq.Direct))
	declare(t, c, queue)
	require.NoError(t, c.Bind(ctx, queue, "events", key))
}

func publish(t *testing.T, c pocketmq.Client, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, c.Publish(ctx, "", "outbox", &pocketmq.Message{Body: []byte(strconv.Itoa(i))}))
	}
}

func drain(t *testing.T, c pocketmq.Client, queue string) (bodies []string) {
	t.Helper()
	for {
		d, ok, err := c.Get(ctx, queue, pocketmq.AutoAck())
		require.NoError(t, err)
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(d.Body))
	}
}

func TestMessagesAreForwardedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		events(t, to, "in", "outbox") // they keep their key
		f := start(t, from, to)
		publish(t, from, 100)
		synctest.Wait()
		got := drain(t, to, "in")
		require.Len(t, got, 100)
		for i, body := range got {
			assert.Equal(t, strconv.Itoa(i), body)
		}
		assert.Equal(t, forward.Stats{Forwarded: 100}, f.Stats())
		q, _ := from.Stats().Queue("outbox")
		assert.Zero(t, q.Ready+q.Unacked)
	})
}

func TestKey(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		events(t, to, "in", "k")
		start(t, from, to, forward.Key("k"))
		publish(t, from, 1)
		synctest.Wait()
		assert.Len(t, drain(t, to, "in"), 1)
	})
}

func TestWhatIsMissingIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		f := start(t, from, to, forward.Mandatory())
		publish(t, from, 11) // one is on its way, ten wait
		full, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		assert.ErrorIs(t, from.Publish(full, "", "outbox", &pocketmq.Message{}), context.DeadlineExceeded, "the queue is the bound")
		events(t, to, "in", "outbox")
		time.Sleep(11 * time.Second)
		assert.Len(t, drain(t, to, "in"), 11)
		assert.Greater(t, f.Stats().Failures, uint64(5))
		assert.NoError(t, f.Err())
	})
}

func TestAFinalErrorEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		require.NoError(t, to.DeclareExchange(ctx, "events", pocketmq.Direct, pocketmq.Internal()))
		f := start(t, from, to)
		publish(t, from, 3)
		<-f.Done()
		assert.ErrorIs(t, f.Err(), pocketmq.ErrAccessRefused)
		assert.Equal(t, []string{"0", "1", "2"}, drain(t, from, "outbox"))
	})
}

func TestEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(t *testing.T, f *forward.Forwarder, from, to *pocketmq.Broker)
		want error
	}{
		"shut down": {func(t *testing.T, f *forward.Forwarder, _, _ *pocketmq.Broker) { assert.NoError(t, f.Shutdown(ctx)) }, nil},
		"closed":    {func(_ *testing.T, f *forward.Forwarder, _, _ *pocketmq.Broker) { _ = f.Close() }, pocketmq.ErrClosed},
		"queue deleted": {func(_ *testing.T, _ *forward.Forwarder, from, _ *pocketmq.Broker) {
			_, _ = from.DeleteQueue(ctx, "outbox")
		}, pocketmq.ErrQueueDeleted},
		"source closed": {func(_ *testing.T, _ *forward.Forwarder, from, _ *pocketmq.Broker) { _ = from.Close() }, pocketmq.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
				f := start(t, from, to)
				synctest.Wait()
				assert.NoError(t, f.Err())
				tc.end(t, f, from, to)
				<-f.Done()
				assert.ErrorIs(t, f.Err(), tc.want)
			})
		})
	}
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		_, err := forward.Start(ctx, from, "missing", to, "")
		assert.ErrorIs(t, err, pocketmq.ErrNotFound)
		_, err = forward.Start(ctx, from, "outbox", to, "", forward.InFlight(0))
		assert.ErrorIs(t, err, pocketmq.ErrInvalid)
		_, err = forward.Start(ctx, nil, "outbox", to, "")
		assert.ErrorIs(t, err, pocketmq.ErrInvalid)
		_, err = forward.Start(ctx, from, "outbox", nil, "")
		assert.ErrorIs(t, err, pocketmq.ErrInvalid)
	})
}

func TestShutdownIsLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		f := start(t, from, to) // there is no exchange
		publish(t, from, 2)
		synctest.Wait()
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		assert.ErrorIs(t, f.Shutdown(limited), context.DeadlineExceeded)
		assert.Equal(t, []string{"0", "1"}, drain(t, from, "outbox"))
	})
}

func TestFailedAttemptsAreLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, from, to *pocketmq.Broker) {
		var log bytes.Buffer
		f := start(t, from, to, forward.Logger(slog.New(slog.NewTextHandler(&log, nil)))) // there is no exchange
		publish(t, from, 1)
		synctest.Wait()
		_ = f.Close()
		assert.Contains(t, log.String(), "no exchange 'events'")
	})
}
