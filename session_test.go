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

// --- exclusive queues --------------------------------------------------------

func TestExclusiveQueueIsUsedOnlyThroughItsSession(t *testing.T) { // QUEUE-14, QUEUE-15
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		owner, other := b.Session(), b.Session()
		declare(t, owner, "qx", pocketmq.Exclusive())
		must(t, owner.Bind(ctx, "qx", "amq.direct", "bound"))
		for _, c := range []pocketmq.Client{b, other} {
			for name, err := range everyCall(c, "qx", "amq.direct") {
				switch name {
				case "DeclareQueue", "PurgeQueue", "Consume", "Handle", "Get", "Bind", "DeleteQueue":
					require.ErrorIs(t, err, pocketmq.ErrResourceLocked, name)
					require.EqualError(t, err, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'qx' in vhost '/'. "+
						"It could be originally declared on another connection or the exclusive property value does not match that of "+
						"the original declaration.")
				}
			}
			_, err := c.DeclareQueue(ctx, "qx", pocketmq.Passive())
			require.ErrorIs(t, err, pocketmq.ErrResourceLocked)
			must(t, c.Unbind(ctx, "qx", "amq.direct", "never bound"))
			require.ErrorIs(t, c.Unbind(ctx, "qx", "amq.direct", "bound"), pocketmq.ErrResourceLocked)
			send(t, c, "qx", "a")
		}
		require.Equal(t, []string{"a", "a"}, drain(t, owner, "qx"))
		declare(t, owner, "qx", pocketmq.Exclusive())
		must(t, owner.Bind(ctx, "qx", "amq.direct", "k"))
	})
}

func TestQueueExclusiveToTheBrokerIsNotForSessions(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Exclusive())
		_, _, err := b.Session().Get(ctx, "q")
		require.ErrorIs(t, err, pocketmq.ErrResourceLocked)
		_, _, err = b.Get(ctx, "q")
		must(t, err)
	})
}

func TestExclusiveQueueIsDeletedWithItsSession(t *testing.T) { // QUEUE-18
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "mine", pocketmq.Exclusive())
		declare(t, s, "ours")
		must(t, s.Bind(ctx, "mine", "amq.fanout", ""))
		require.True(t, stats(t, b, "mine").Exclusive)
		must(t, s.Close())
		_, exists := b.Stats().Queue("mine")
		require.False(t, exists)
		require.Empty(t, routed(t, b, "amq.fanout", "", nil))
		declare(t, b, "ours", pocketmq.Passive())
		declare(t, b, "mine") // the name is free
	})
}

func TestExclusiveAutoDeleteQueueGoesWithWhicheverIsFirst(t *testing.T) { // QUEUE-23
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "q", pocketmq.Exclusive(), pocketmq.AutoDelete())
		consume(t, s, "q").Cancel()
		require.Empty(t, b.Stats().Queues)
		declare(t, s, "q", pocketmq.Exclusive(), pocketmq.AutoDelete())
		consume(t, s, "q")
		must(t, s.Close())
		require.Empty(t, b.Stats().Queues)
	})
}

func TestDeletedExclusiveQueueIsForgottenByItsSession(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "q", pocketmq.Exclusive())
		_, err := s.DeleteQueue(ctx, "q")
		must(t, err)
		declare(t, b, "q")
		must(t, s.Close())
		declare(t, b, "q", pocketmq.Passive())
	})
}

// --- Close -------------------------------------------------------------------

func TestClosedSessionReturnsWhatItHasNotSettled(t *testing.T) { // ACK-16, ACK-17, ORD-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		fill(t, b, "q", 7)
		must(t, take(t, s, "q").Ack())
		got := take(t, s, "q")
		cancelled := consume(t, s, "q", pocketmq.Prefetch(1))
		receive(t, cancelled)
		cancelled.Cancel()
		c := consume(t, s, "q", pocketmq.Prefetch(3))
		received := receive(t, c)
		must(t, s.Close())

		require.ErrorIs(t, got.Ack(), pocketmq.ErrSettled)
		require.ErrorIs(t, received.Ack(), pocketmq.ErrSettled)
		var all []string
		for range 6 {
			d := take(t, b, "q")
			all = append(all, fmt.Sprint(string(d.Body), d.Redelivered))
		}
		require.Equal(t, []string{"2true", "3true", "4true", "5false", "6false", "7false"}, all)
	})
}

func TestClosedSessionEndsItsConsumersAndNoOthers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s1, s2 := b.Session(), b.Session()
		c1, c2, c3 := consume(t, s1, "q"), consume(t, s2, "q"), consume(t, b, "q")
		must(t, s1.Close())
		require.ErrorIs(t, c1.Err(), pocketmq.ErrClosed)
		require.EqualError(t, c1.Err(), "CONNECTION_FORCED - the session is closed")
		require.NoError(t, c2.Err())
		require.NoError(t, c3.Err())
	})
}

func TestClosedSessionWaitsForItsHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		running := 0
		handle(t, s, "q", busyHandler(&running))
		send(t, b, "q", "a")
		synctest.Wait()
		require.Equal(t, 1, running)
		must(t, s.Close())
		require.Zero(t, running)
	})
}

func TestClosedSessionDoesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		child := s.Session()
		must(t, s.Close())
		must(t, s.Close())
		for _, c := range []pocketmq.Client{s, child, s.Session(), s.Session().Session()} {
			for name, err := range everyCall(c, "q", "amq.direct") {
				require.ErrorIs(t, err, pocketmq.ErrClosed, name)
				require.EqualError(t, err, "CONNECTION_FORCED - the session is closed")
			}
			must(t, c.Close())
		}
		send(t, b, "q", "a") // the broker goes on
	})
}

func TestBrokerClosesItsSessions(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		running := 0
		consumers := []*pocketmq.Consumer{consume(t, s, "q"), consume(t, s.Session(), "q")}
		handle(t, s.Session().Session(), "q", busyHandler(&running))
		send(t, b, "q", "1", "2", "3")
		synctest.Wait()
		require.Equal(t, 1, running)
		must(t, b.Close())
		require.Zero(t, running)
		for _, c := range consumers {
			require.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
		}
		must(t, s.Close())
	})
}

// --- sessions of sessions ----------------------------------------------------

func TestChildSessionSharesWhatIsExclusive(t *testing.T) { // QUEUE-18
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		child := s.Session()
		declare(t, child, "q", pocketmq.Exclusive())
		declare(t, s.Session(), "q", pocketmq.Exclusive())
		consume(t, s, "q")
		must(t, child.Close())
		declare(t, s, "q", pocketmq.Exclusive(), pocketmq.Passive())
		must(t, s.Close())
		require.Empty(t, b.Stats().Queues)
	})
}

func TestChildSessionHasConsumersAndDeliveriesOfItsOwn(t *testing.T) { // CHAN-8, CHAN-9, CONS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		one, two := s.Session(), s.Session()
		c1, c2 := consume(t, one, "q", pocketmq.ConsumerTag("t")), consume(t, two, "q", pocketmq.ConsumerTag("t"))
		fill(t, b, "q", 3)
		d2 := receive(t, c2)
		receive(t, c1)
		must(t, one.Close())
		require.ErrorIs(t, c1.Err(), pocketmq.ErrClosed)
		require.NoError(t, c2.Err())
		must(t, d2.Ack())
		require.Equal(t, []string{"1", "3"}, bodies(held(t, c2)))
	})
}

func TestEveryCloseOfASessionWaitsForTheHandlersOfItsChildren(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		s := b.Session()
		running := 0
		handle(t, s.Session(), "q", busyHandler(&running))
		send(t, b, "q", "a")
		synctest.Wait()
		closed := background(s.Close)
		waits(t, closed)
		must(t, s.Close())
		require.Zero(t, running)
		must(t, result(t, closed))
	})
}

// --- RabbitMQ's defaults -----------------------------------------------------

func TestSessionWithRabbitMQDefaults(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session(nil, pocketmq.RabbitMQDefaults())
		for i, c := range []pocketmq.Client{s, s.Session()} {
			free, bounded := fmt.Sprint("free", i), fmt.Sprint("bounded", i)
			declare(t, c, free)
			require.Equal(t, -1, stats(t, b, free).MaxLength)
			declare(t, c, bounded, pocketmq.MaxLength(1))
			send(t, c, bounded, "a", "b")
			require.Equal(t, []string{"b"}, drain(t, b, bounded), "the head was dropped")
			declare(t, b, free) // that the defaults differ is no difference
			declare(t, b, bounded, pocketmq.MaxLength(1))
		}
		declare(t, s, "blocks", pocketmq.MaxLength(0), pocketmq.Overflow(pocketmq.Block))
		blocked(t, b, "blocks", "a")
		declare(t, b, "bounded by default")
		declare(t, s, "bounded by default")
	})
}

// --- memory ------------------------------------------------------------------

func TestSessionForgetsWhatIsOver(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "stays")
		var unsettled []*pocketmq.Delivery
		for i := range 1000 {
			q := fmt.Sprint("q", i)
			declare(t, s, q)
			send(t, s, q, "a")
			take(t, s, q) // never settled, but deleted
			_, err := s.DeleteQueue(ctx, q)
			must(t, err)
			send(t, s, "stays", "a")
			c := consume(t, s, "stays")
			d := receive(t, c)
			c.Cancel()
			if i%100 == 0 {
				unsettled = append(unsettled, d)
			} else {
				must(t, d.Ack())
			}
		}
		require.Less(t, s.Remembered(), 200)
		must(t, s.Close())
		require.Zero(t, s.Remembered())
		require.Len(t, drain(t, b, "stays"), len(unsettled))
	})
}

func TestSessionsOfConsumersThatComeAndGoAreIndependent(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for range 3 {
			s := b.Session()
			timeout, cancel := context.WithTimeout(ctx, time.Second)
			c, err := s.Consume(timeout, "q", pocketmq.ConsumerTag("t"))
			must(t, err)
			for range c.Deliveries() {
				require.Fail(t, "there is nothing")
			}
			cancel()
			must(t, s.Close())
			must(t, s.Close())
		}
	})
}
