package pocketmq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func TestArgumentsHaveTheirEffectByName(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Arguments(pocketmq.Table{"x-max-length": int32(2), "x-overflow": "drop-head"}))
		fill(t, b, "q", 3)
		require.Equal(t, []string{"2", "3"}, drain(t, b, "q"))
		declare(t, b, "q", pocketmq.MaxLength(2), dropHead) // QUEUE-16: widths don't matter

		exchange(t, b, "x", pocketmq.Direct, pocketmq.Arguments(pocketmq.Table{"alternate-exchange": "amq.fanout"}))
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AlternateExchange("amq.fanout"))
		must(t, b.Bind(ctx, "q", "amq.fanout", ""))
		require.Equal(t, []string{"q"}, routed(t, b, "x", "q", nil))
	})
}

func TestUnknownArgumentsAreStoredAndNeverCompared(t *testing.T) { // EXCH-6, QUEUE-16
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, args := range []pocketmq.Table{{"x-foo": "1"}, {"x-foo": int32(2), "foo": nil}, nil} {
			declare(t, b, "q", pocketmq.Arguments(args))
			exchange(t, b, "x", pocketmq.Direct, pocketmq.Arguments(args))
		}
	})
}

func TestArgumentsAreCheckedAsByRabbitMQ(t *testing.T) { // ARGS-1 to ARGS-18
	type T = pocketmq.Table
	const at = "PRECONDITION_FAILED - invalid arg '"
	for _, tc := range []struct {
		args T
		want string
	}{
		{T{"x-max-length": "5"}, at + `x-max-length' for queue 'Q' in vhost '/': "expected integer, got longstr"`}, // ARGS-3
		{T{"x-max-length": 1.5}, at + `x-max-length' for queue 'Q' in vhost '/': "expected integer, got double"`},
		{T{"x-max-length": -1}, at + "x-max-length' for queue 'Q' in vhost '/': {value_negative,-1}"},          // ARGS-6
		{T{"x-message-ttl": int32(-1)}, at + "x-message-ttl' for queue 'Q' in vhost '/': {value_negative,-1}"}, // ARGS-4
		{T{"x-message-ttl": int64(315360000001)}, at + "x-message-ttl' for queue 'Q' in vhost '/': {value_too_large,315360000001}"},
		{T{"x-expires": 0}, at + "x-expires' for queue 'Q' in vhost '/': {value_zero,0}"},                       // ARGS-5
		{T{"x-max-priority": 256}, at + "x-max-priority' for queue 'Q' in vhost '/': {max_value_exceeded,256}"}, // ARGS-7
		{T{"x-overflow": "foo"}, at + "x-overflow' for queue 'Q' in vhost '/': invalid_overflow"},               // ARGS-8
		{T{"x-overflow": int32(1)}, at + "x-overflow' for queue 'Q' in vhost '/': {unacceptable_type,signedint}"},
		{T{"x-dead-letter-exchange": int32(1)}, // ARGS-9
			"PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'Q' in vhost '/'"},
		{T{"x-dead-letter-routing-key": "k"}, // ARGS-10
			at + "x-dead-letter-routing-key' for queue 'Q' in vhost '/': routing_key_but_no_dlx_defined"},
		{T{"x-single-active-consumer": "yes"}, // ARGS-12
			at + "x-single-active-consumer' for queue 'Q' in vhost '/': {unacceptable_type,longstr}"},
		{T{"x-queue-mode": "foo"}, at + `x-queue-mode' for queue 'Q' in vhost '/': "unsupported queue mode 'foo'"`},    // ARGS-13
		{T{"x-queue-version": 3}, at + `x-queue-version' for queue 'Q' in vhost '/': "unsupported queue version '3'"`}, // ARGS-14
		{T{"x-queue-type": "foo"}, at + `x-queue-type' for queue 'Q' in vhost '/': "unsupported queue type 'foo'"`},    // ARGS-15
		{T{"x-queue-type": int32(1)}, at + "x-queue-type' for queue 'Q' in vhost '/': {unacceptable_type,signedint}"},
		{T{"x-max-age": "5D"}, at + "x-max-age' for queue 'Q' in vhost '/' of queue type rabbit_classic_queue"}, // ARGS-2
		// What RabbitMQ has and this broker does not is refused, never ignored.
	} {
		t.Run(tc.want, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				_, err := b.DeclareQueue(ctx, "Q", pocketmq.Arguments(tc.args))
				require.EqualError(t, err, tc.want)
				require.Empty(t, b.Stats().Queues)
			})
		})
	}
}

func TestArgumentsThatChangeNothingAreAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Arguments(pocketmq.Table{
			"x-queue-type": "classic", "x-queue-mode": "lazy", "x-queue-version": int8(2), "x-single-active-consumer": false,
			"x-max-priority": uint8(0), "x-queue-master-locator": "whatever",
		}))
	})
}

func TestArgumentsOfAnExchangeAreChecked(t *testing.T) { // EXCH-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		err := b.DeclareExchange(ctx, "e3", pocketmq.Direct, pocketmq.Arguments(pocketmq.Table{"alternate-exchange": int32(5)}))
		require.EqualError(t, err,
			"PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'e3' in vhost '/'")
		err = b.DeclareExchange(ctx, "e3", pocketmq.Direct, pocketmq.Arguments(cyclic()))
		require.ErrorIs(t, err, pocketmq.ErrInvalid)
		_, err = b.DeclareQueue(ctx, "q", pocketmq.Arguments(cyclicList()))
		require.ErrorIs(t, err, pocketmq.ErrInvalid)
	})
}
