package pocketmq_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// What happens at the same moment as the end of a session or broker.

func TestNothingStartsInASessionThatIsBeingClosed(t *testing.T) {
	for name, use := range map[string]func(s *pocketmq.Session){
		"Consume": func(s *pocketmq.Session) { _, _ = s.Consume(ctx, "q") },
		"Get":     func(s *pocketmq.Session) { _, _, _ = s.Get(ctx, "q") },
	} {
		t.Run(name, func(t *testing.T) {
			b := pocketmq.New()
			defer b.Close()
			declare(t, b, "q")
			send(t, b, "q", "a")
			for range 2000 {
				s := b.Session()
				use(s) // so that what it uses is known when Close comes
				var users sync.WaitGroup
				for range 2 {
					users.Go(func() { use(s) })
				}
				runtime.Gosched()
				must(t, s.Close())
				users.Wait()
				q := stats(t, b, "q")
				require.Empty(t, q.Consumers)
				require.Equal(t, 1, q.Ready)
			}
		})
	}
}

func TestCloseTellsAllHandlersBeforeItWaitsForAny(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "1")
		declare(t, b, "2")
		second := make(chan struct{})
		handle(t, b, "1", func(context.Context, *pocketmq.Delivery) error { <-second; return nil })
		_, err := b.Session().Handle(ctx, "2", func(ctx context.Context, _ *pocketmq.Delivery) error {
			<-ctx.Done()
			close(second)
			return nil
		})
		must(t, err)
		send(t, b, "1", "a")
		send(t, b, "2", "b")
		synctest.Wait()
		must(t, b.Close())
	})
}

func TestClosingASessionReleasesAHandlerThatPublishesThroughAnotherPartOfIt(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "in")
		declare(t, b, "full", pocketmq.MaxLength(0))
		connection := b.Session()
		in, out := connection.Session(), connection.Session()
		_, err := in.Handle(ctx, "in", func(context.Context, *pocketmq.Delivery) error {
			return out.Publish(ctx, "", "full", msg("b"))
		})
		must(t, err)
		send(t, b, "in", "a")
		synctest.Wait()
		must(t, connection.Close())
		require.Equal(t, 1, stats(t, b, "in").Ready)
	})
}

func TestDropHeadSparesWhatAnAckedConsumerMayHave(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), dropHead)
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "1")
		first := receive(t, c)
		send(t, b, "q", "2")
		second := take(t, b, "q")
		send(t, b, "q", "3")
		must(t, first.Ack()) // the consumer has credit for 3
		must(t, second.Nack(true))
		require.Zero(t, stats(t, b, "q").Dropped)
	})
}

// askedForValue calls back when it is asked for a value.
type askedForValue struct {
	context.Context
	f func()
}

func (a askedForValue) Value(key any) any {
	a.f()
	return a.Context.Value(key)
}

func TestNoLockIsHeldWhileAContextIsAsked(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(0))
		published := background(func() error {
			return b.Publish(askedForValue{ctx, func() { b.Stats() }}, "", "q", msg("a"))
		})
		waits(t, published)
		must(t, b.Shutdown(ctx))
		require.ErrorIs(t, result(t, published), pocketmq.ErrClosed)
	})
}
