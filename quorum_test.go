package pocketmq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func TestAQuorumQueueCountsReturns(t *testing.T) { // QQ-4, QQ-8, QQ-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		mortal(t, b, "q", pocketmq.Quorum())
		declare(t, b, "q", append(toQueue("dead"), pocketmq.Quorum(), pocketmq.Durable())...)
		send(t, b, "q", "a", "b")
		first, second := take(t, b, "q"), take(t, b, "q")
		require.Nil(t, first.Headers)
		must(t, second.Nack(true))
		must(t, first.Nack(true))
		d := take(t, b, "q")
		require.Equal(t, "b", string(d.Body), "the first that came back")
		require.Equal(t, pocketmq.Table{"x-delivery-count": int64(1)}, d.Headers)
		must(t, take(t, b, "q").Ack())
		for range 19 {
			must(t, d.Nack(true))
			d = take(t, b, "q")
		}
		require.Equal(t, int64(20), d.Headers["x-delivery-count"])
		must(t, d.Nack(true))
		d = take(t, b, "dead")
		require.Equal(t, "delivery_limit", deaths(t, d)[0]["reason"])
		require.NotContains(t, d.Headers, "x-delivery-count")
		must(t, d.Ack())
	})
}

func TestAQuorumQueueHasTwoPriorities(t *testing.T) { // QQ-9, QQ-10
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Quorum())
		publish := func(priority uint8, bodies ...string) {
			for _, body := range bodies {
				must(t, b.Publish(ctx, "", "q", &pocketmq.Message{Body: []byte(body), Priority: priority}))
			}
		}
		publish(4, "low 1", "low 2", "low 3")
		publish(5, "high 1", "high 2", "high 3")
		first := take(t, b, "q")
		require.Equal(t, "high 1", string(first.Body))
		must(t, first.Ack())
		require.Equal(t, []string{"high 2", "low 1", "high 3", "low 2", "low 3"}, drain(t, b, "q"), "two to one")

		publish(0, "low")
		back := take(t, b, "q")
		publish(9, "high")
		must(t, back.Nack(true))
		require.Equal(t, []string{"low", "high"}, drain(t, b, "q"), "what came back is before all")
	})
}

// ARGS-23: a time that we do not keep is refused, and one that means nothing on one node is not.
func TestConsumerTimeoutsOfQuorumQueues(t *testing.T) {
	b := newBroker(t)
	for key, tc := range map[string]struct {
		value any
		is    error
	}{
		"x-consumer-timeout":              {1000, pocketmq.ErrNotSupported},
		"x-consumer-disconnected-timeout": {1000, nil},
	} {
		_, err := b.DeclareQueue(ctx, "q "+key, pocketmq.Quorum(), pocketmq.Arguments(pocketmq.Table{key: tc.value}))
		require.ErrorIs(t, err, tc.is, key)
		_, err = b.DeclareQueue(ctx, "wrong", pocketmq.Quorum(), pocketmq.Arguments(pocketmq.Table{key: "soon"}))
		require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed, key)
		_, err = b.DeclareQueue(ctx, "classic", pocketmq.Arguments(pocketmq.Table{key: tc.value}))
		require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed, key)
	}
	declare(t, b, "q", pocketmq.Quorum())
	_, err := b.Consume(ctx, "q", pocketmq.Arguments(pocketmq.Table{"x-consumer-timeout": 1000}))
	require.ErrorIs(t, err, pocketmq.ErrNotSupported)
}
