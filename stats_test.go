package pocketmq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func TestStatsOfAQueueDescribeIt(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "plain")
		declare(t, b, "q", pocketmq.AutoDelete(), pocketmq.Durable(), pocketmq.MaxLength(7), reject)
		declare(t, b, "mine", pocketmq.Exclusive(), pocketmq.Unbounded(), dropHead)
		require.Equal(t, []pocketmq.QueueStats{
			{Name: "mine", Type: "classic", Exclusive: true, MaxLength: -1, MaxBytes: -1, DeliveryLimit: -1, Overflow: pocketmq.DropHead},
			{Name: "plain", Type: "classic", MaxLength: pocketmq.DefaultMaxLength, MaxBytes: -1, DeliveryLimit: -1},
			{Name: "q", Type: "classic", Durable: true, AutoDelete: true, MaxLength: 7, MaxBytes: -1, DeliveryLimit: -1, Overflow: pocketmq.RejectPublish},
		}, b.Stats().Queues)
		_, ok := b.Stats().Queue("nope")
		require.False(t, ok)
	})
}

func TestStatsOfAQueueCountWhatHappensToItsMessages(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(4), reject)
		c := consume(t, b, "q", pocketmq.Prefetch(3))
		send(t, b, "q", "1", "2", "3", "4", "5", "6", "7")
		require.Error(t, b.Publish(ctx, "", "q", msg("8")))
		all := held(t, c)
		want := pocketmq.QueueStats{
			Name: "q", Type: "classic", MaxLength: 4, MaxBytes: -1, DeliveryLimit: -1, Overflow: pocketmq.RejectPublish, Ready: 4, Unacked: 3,
			Published: 7, Delivered: 3, Refused: 1,
			Consumers: []pocketmq.ConsumerStats{{Tag: c.Tag(), Prefetch: 3, Unacked: 3}},
		}
		require.Equal(t, want, stats(t, b, "q"))

		must(t, all[0].Ack())      // 4 follows
		must(t, all[1].Reject())   // 5
		must(t, all[2].Nack(true)) // 3 again
		want.Ready, want.Unacked, want.Delivered, want.Redelivered = 2, 3, 6, 1
		want.Acked, want.Rejected, want.Returned = 1, 1, 1
		require.Equal(t, want, stats(t, b, "q"))

		c.Close() // 3, 4 and 5 come back; it has not fetched them
		require.Equal(t, "3", string(take(t, b, "q").Body))
		n, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		require.Equal(t, 4, n)
		want.Ready, want.Unacked, want.Delivered, want.Redelivered = 0, 1, 7, 2
		want.Returned, want.Purged, want.Consumers = 4, 4, nil
		require.Equal(t, want, stats(t, b, "q"))
	})
}

func TestStatsCountDroppedMessages(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(2), dropHead)
		fill(t, b, "q", 5)
		s := stats(t, b, "q")
		require.Equal(t, []uint64{5, 3, 0}, []uint64{s.Published, s.Dropped, s.Refused})
		require.Equal(t, 2, s.Ready)
	})
}

func TestStatsSeeAcksAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q") // a lone consumer hands its acks in later
		fill(t, b, "q", 3)
		all := held(t, c)
		for i, d := range all {
			must(t, d.Ack())
			s := stats(t, b, "q")
			require.Equal(t, []int{i + 1, 2 - i, 2 - i}, []int{int(s.Acked), s.Unacked, s.Consumers[0].Unacked})
		}
	})
}

func TestStatsOfConsumers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q1")
		declare(t, b, "q2")
		consume(t, b, "q1", pocketmq.ConsumerTag("b"), pocketmq.Priority(-3), pocketmq.AutoAck())
		consume(t, b, "q1", pocketmq.ConsumerTag("a"), pocketmq.Prefetch(0))
		handle(t, b, "q2", nothing, pocketmq.ConsumerTag("c"), pocketmq.Concurrency(5), pocketmq.Exclusive())
		require.Equal(t, []pocketmq.ConsumerStats{
			{Tag: "b", Prefetch: pocketmq.DefaultPrefetch, Priority: -3, AutoAck: true}, {Tag: "a"},
		}, stats(t, b, "q1").Consumers, "in the order in which they came")
		require.Equal(t, []pocketmq.ConsumerStats{{Tag: "c", Prefetch: 5, Exclusive: true}}, stats(t, b, "q2").Consumers)
	})
}

func TestStatsCountPublishersThatWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(0))
		blocked(t, b, "q", "a")
		blocked(t, b, "q", "b")
		s := stats(t, b, "q")
		require.Equal(t, 2, s.WaitingPublishers)
		require.Zero(t, s.Published)
	})
}

func TestStatsOfAnExchangeDescribeIt(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "y", pocketmq.Fanout)
		exchange(t, b, "x", pocketmq.Headers, pocketmq.Durable(), pocketmq.AutoDelete(), pocketmq.Internal(),
			pocketmq.AlternateExchange("y"))
		args := pocketmq.Table{"x-match": "any", "h": int32(1)}
		must(t, b.BindExchange(ctx, "y", "x", ""))
		bind(t, b, "q", "x", "k2", pocketmq.Arguments(args))
		bind(t, b, "q", "x", "k1")
		x, ok := b.Stats().Exchange("x")
		require.True(t, ok)
		require.Equal(t, pocketmq.ExchangeStats{
			Name: "x", Kind: pocketmq.Headers, Durable: true, AutoDelete: true, Internal: true, Alternate: "y",
			Bindings: []pocketmq.BindingStats{
				{Destination: "q", Key: "k1"}, {Destination: "q", Key: "k2", Arguments: args}, {Destination: "y", ToExchange: true},
			},
		}, x)
		_, ok = b.Stats().Exchange("nope")
		require.False(t, ok)
	})
}

func TestStatsOfAnExchangeCountItsMessages(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		published := func(name string) []uint64 {
			x, _ := b.Stats().Exchange(name)
			return []uint64{x.Published, x.Unroutable}
		}
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AlternateExchange("ae"))
		exchange(t, b, "ae", pocketmq.Direct)
		declare(t, b, "q1")
		declare(t, b, "q2")
		bind(t, b, "q1", "x", "one")
		bind(t, b, "q1", "x", "two")
		bind(t, b, "q2", "x", "two")
		bind(t, b, "q2", "ae", "rest")
		for _, key := range []string{"one", "one", "two", "rest", "nowhere"} {
			must(t, b.Publish(ctx, "x", key, msg("a")))
		}
		require.Equal(t, []uint64{5, 1}, published("x"))
		require.Equal(t, []uint64{0, 0}, published("ae"), "what others pass on does not count")
		send(t, b, "q1", "a", "b")
		must(t, b.Publish(ctx, "x", "one", msg("a")))
		require.Equal(t, []uint64{2, 0}, published(""))
		require.Equal(t, []uint64{6, 1}, published("x"))
	})
}

func TestCountsOfAnExchangeSurviveItsQueues(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.direct", "q")
		for range 3 {
			must(t, b.Publish(ctx, "amq.direct", "q", msg("a")))
		}
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		x, _ := b.Stats().Exchange("amq.direct")
		require.Equal(t, uint64(3), x.Published)
	})
}
