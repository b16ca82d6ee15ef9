package pocketmq_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// bubble runs a test with a broker of its own, where time is virtual, and where
// a goroutine that is left behind at the end is a failure.
func bubble(t *testing.T, test func(t *testing.T, b *pocketmq.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newBroker(t)) })
}

// newBroker returns a broker that is checked and closed at the end of the test.
func newBroker(t testing.TB, opts ...pocketmq.Option) *pocketmq.Broker {
	b := pocketmq.New(opts...)
	t.Cleanup(func() {
		assert.NoError(t, b.CheckInvariants(), "before Close")
		must(t, b.Close())
		assert.NoError(t, b.CheckInvariants(), "after Close")
	})
	return b
}

// --- topology and messages ---------------------------------------------------

func msg(body string) *pocketmq.Message { return &pocketmq.Message{Body: []byte(body)} }

func declare(t testing.TB, c pocketmq.Client, queue string, opts ...pocketmq.QueueOption) {
	t.Helper()
	_, err := c.DeclareQueue(ctx, queue, opts...)
	must(t, err)
}

// bound declares queues, each bound to an exchange with its own name as the key.
func bound(t testing.TB, c pocketmq.Client, exchange string, queues ...string) {
	t.Helper()
	for _, q := range queues {
		declare(t, c, q)
		must(t, c.Bind(ctx, q, exchange, q))
	}
}

// send publishes messages to a queue, through the default exchange.
func send(t testing.TB, c pocketmq.Client, queue string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		must(t, c.Publish(ctx, "", queue, msg(body), pocketmq.Mandatory))
	}
}

// take gets a message out of a queue, which must have one.
func take(t testing.TB, c pocketmq.Client, queue string, opts ...pocketmq.GetOption) *pocketmq.Delivery {
	t.Helper()
	d, ok, err := c.Get(ctx, queue, opts...)
	must(t, err)
	require.True(t, ok, "queue %q is empty", queue)
	return &d
}

// drain takes everything that waits in a queue for good.
func drain(t testing.TB, c pocketmq.Client, queue string) (bodies []string) {
	t.Helper()
	for {
		d, ok, err := c.Get(ctx, queue, pocketmq.AutoAck())
		must(t, err)
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(d.Body))
	}
}

// routed publishes a message and returns the names of the queues that got it,
// each as often as it did.
func routed(t testing.TB, b *pocketmq.Broker, exchange, key string, headers pocketmq.Table) (queues []string) {
	t.Helper()
	must(t, b.Publish(ctx, exchange, key, &pocketmq.Message{Headers: headers}))
	for _, q := range b.Stats().Queues {
		for range drain(t, b, q.Name) {
			queues = append(queues, q.Name)
		}
	}
	return queues
}

func stats(t testing.TB, b *pocketmq.Broker, queue string) pocketmq.QueueStats {
	t.Helper()
	s, ok := b.Stats().Queue(queue)
	require.True(t, ok, "there is no queue %q", queue)
	return s
}

func exchangeExists(b *pocketmq.Broker, name string) bool {
	_, ok := b.Stats().Exchange(name)
	return ok
}

// --- consumers ---------------------------------------------------------------

func consume(t testing.TB, c pocketmq.Client, queue string, opts ...pocketmq.ConsumeOption) *pocketmq.Consumer {
	t.Helper()
	consumer, err := c.Consume(ctx, queue, opts...)
	must(t, err)
	return consumer
}

func handle(t testing.TB, c pocketmq.Client, queue string, h pocketmq.Handler, opts ...pocketmq.ConsumeOption) *pocketmq.Consumer {
	t.Helper()
	consumer, err := c.Handle(ctx, queue, h, opts...)
	must(t, err)
	return consumer
}

// receive returns the next message of a consumer, which must come within a
// minute of virtual time.
func receive(t testing.TB, c *pocketmq.Consumer) *pocketmq.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d, err := c.Receive(ctx)
	require.NoError(t, err, "consumer %q", c.Tag())
	return &d
}

// held takes all that is assigned to a consumer, and settles none of it.
func held(t testing.TB, c *pocketmq.Consumer) (all []*pocketmq.Delivery) {
	t.Helper()
	for {
		d, ok, err := c.TryReceive()
		must(t, err)
		if !ok {
			return all
		}
		all = append(all, &d)
	}
}

func bodies(all []*pocketmq.Delivery) (s []string) {
	for _, d := range all {
		s = append(s, string(d.Body))
	}
	return s
}

// --- goroutines --------------------------------------------------------------

// background runs f in a goroutine. Its result is for waits and result.
func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// waits fails the test unless the function is blocked.
func waits(t testing.TB, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		require.FailNow(t, "it did not wait", "but returned: %v", err)
	default:
	}
}

// result returns what the function returned. It must not need more time.
func result(t testing.TB, done <-chan error) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		return err
	default:
		require.FailNow(t, "it still waits")
		return nil
	}
}

func isClosed(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// logbook keeps what a broker logs.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

func (l *logbook) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func (l *logbook) option() pocketmq.Option {
	return pocketmq.Logger(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
}
