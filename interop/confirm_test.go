package interop

import (
	"context"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfirms(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		const n = 2000
		ch := s.confirming(t)
		q := s.queue(t, ch)
		confirms := ch.NotifyPublish(make(chan amqp.Confirmation, n))
		for range n {
			publish(t, ch, q, "x")
		}
		for i := range n { // the client puts them in order, and opens "multiple" up
			require.Equal(t, amqp.Confirmation{DeliveryTag: uint64(i + 1), Ack: true}, receive(t, confirms))
		}
		assert.Equal(t, n, messages(t, ch, q))
	})
}

func TestConfirmOfEachMessage(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q := s.queue(t, ch)
		for range 50 {
			c, err := ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{Body: []byte("x")})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			acked, err := c.WaitContext(ctx)
			cancel()
			require.NoError(t, err)
			require.True(t, acked)
		}
	})
}

func TestReturnComesBeforeTheConfirm(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		returns := ch.NotifyReturn(make(chan amqp.Return, 1))
		c, err := ch.PublishWithDeferredConfirm("amq.direct", "nowhere", true, false, amqp.Publishing{
			Body: []byte("x"), MessageId: "m", Headers: amqp.Table{"h": true},
		})
		require.NoError(t, err)
		require.True(t, c.Wait(), "it is acked nevertheless")
		require.Len(t, returns, 1)
		r := <-returns
		assert.EqualValues(t, 312, r.ReplyCode)
		assert.Equal(t, "NO_ROUTE", r.ReplyText)
		assert.Equal(t, "amq.direct", r.Exchange)
		assert.Equal(t, "nowhere", r.RoutingKey)
		assert.Equal(t, "m", r.MessageId)
		assert.Equal(t, amqp.Table{"h": true}, r.Headers)
		assert.Equal(t, "x", string(r.Body))
	})
}

func TestUnroutableWithoutMandatory(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		returns := ch.NotifyReturn(make(chan amqp.Return, 1))
		c, err := ch.PublishWithDeferredConfirm("amq.direct", "nowhere", false, false, amqp.Publishing{})
		require.NoError(t, err)
		require.True(t, c.Wait())
		assert.Empty(t, returns)
	})
}

func TestAFullQueueNacks(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q, err := ch.QueueDeclare("", false, false, true, false, amqp.Table{
			amqp.QueueMaxLenArg: int32(2), amqp.QueueOverflowArg: amqp.QueueOverflowRejectPublish,
		})
		require.NoError(t, err)
		for _, want := range []bool{true, true, false, false} {
			c, err := ch.PublishWithDeferredConfirm("", q.Name, false, false, amqp.Publishing{})
			require.NoError(t, err)
			assert.Equal(t, want, c.Wait())
		}
		assert.Equal(t, 2, messages(t, ch, q.Name))
	})
}

func TestAFullQueueDropsItsHead(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q, err := ch.QueueDeclare("", false, false, true, false, amqp.Table{amqp.QueueMaxLenArg: int32(2)})
		require.NoError(t, err)
		for _, body := range []string{"1", "2", "3"} {
			c, err := ch.PublishWithDeferredConfirm("", q.Name, false, false, amqp.Publishing{Body: []byte(body)})
			require.NoError(t, err)
			assert.True(t, c.Wait())
		}
		assert.Equal(t, "2", string(get(t, ch, q.Name).Body))
	})
}

// A queue declared over AMQP is as RabbitMQ's: no bound but the one it was given.
func TestQueuesHaveNoBoundByDefault(t *testing.T) {
	mem.run(t, func(t *testing.T, s *server) {
		const n = 70_000
		ch := s.confirming(t)
		q := s.queue(t, ch)
		var last *amqp.DeferredConfirmation
		var err error
		for range n {
			last, err = ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{})
			require.NoError(t, err)
		}
		require.True(t, last.Wait())
		assert.Equal(t, n, messages(t, ch, q))
	})
}

func TestTransactions(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "taken")
		require.NoError(t, ch.Tx())

		publish(t, ch, q, "1", "2")
		assert.Equal(t, 1, messages(t, ch, q), "nothing before the commit")
		require.NoError(t, ch.TxCommit())
		assert.Equal(t, 3, messages(t, ch, q))

		publish(t, ch, q, "never")
		d := get(t, ch, q)
		assert.Equal(t, "taken", string(d.Body))
		require.NoError(t, d.Ack(false))
		require.NoError(t, ch.TxRollback())
		assert.Equal(t, 2, messages(t, ch, q))

		require.NoError(t, d.Ack(false), "the rollback undid the ack")
		require.NoError(t, ch.TxCommit())
		require.NoError(t, recoverAll(ch))
		assert.Equal(t, 2, messages(t, ch, q))
	})
}
