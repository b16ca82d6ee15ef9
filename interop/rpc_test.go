package interop

import (
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const replyTo = "amq.rabbitmq.reply-to"

func TestDirectReplyTo(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		client, worker := s.channel(t), s.channel(t)
		requests := s.name(t, "rpc")
		_, err := worker.QueueDeclare(requests, true, false, false, false, nil)
		require.NoError(t, err)
		work := consume(t, worker, requests)
		replies, err := client.Consume(replyTo, "", true, false, false, false, nil)
		require.NoError(t, err)

		for _, text := range []string{"first", "second"} {
			require.NoError(t, client.Publish("", requests, false, false, amqp.Publishing{
				ReplyTo: replyTo, CorrelationId: text, Body: []byte(text),
			}))
			d := receive(t, work)
			require.True(t, strings.HasPrefix(d.ReplyTo, replyTo+"."), d.ReplyTo)
			require.NoError(t, worker.Publish("", d.ReplyTo, true, false, amqp.Publishing{
				CorrelationId: d.CorrelationId, Body: []byte(strings.ToUpper(text)),
			}))
			require.NoError(t, d.Ack(false))
			r := receive(t, replies)
			assert.Equal(t, text, r.CorrelationId)
			assert.Equal(t, strings.ToUpper(text), string(r.Body))
		}
	})
}

func TestDirectReplyToIsForChannelsThatConsumeFromIt(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		ended := ch.NotifyClose(make(chan *amqp.Error, 1))
		require.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{ReplyTo: replyTo}))
		err := receive(t, ended)
		assert.Equal(t, 406, err.Code)
		assert.Equal(t, "PRECONDITION_FAILED - fast reply consumer does not exist", err.Reason)
	})
}

func TestDirectReplyToOfAClientThatIsGone(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		client, worker := channel(t, conn), s.confirming(t)
		q := s.name(t, "rpc")
		_, err := worker.QueueDeclare(q, true, false, false, false, nil)
		require.NoError(t, err)
		_, err = client.Consume(replyTo, "", true, false, false, false, nil)
		require.NoError(t, err)
		require.NoError(t, client.Publish("", q, false, false, amqp.Publishing{ReplyTo: replyTo}))
		d := receive(t, consume(t, worker, q))
		require.NoError(t, conn.Close())

		returns := worker.NotifyReturn(make(chan amqp.Return, 1))
		c, err := worker.PublishWithDeferredConfirm("", d.ReplyTo, true, false, amqp.Publishing{})
		require.NoError(t, err)
		require.True(t, c.Wait())
		require.Len(t, returns, 1)
		assert.EqualValues(t, 312, (<-returns).ReplyCode)
	})
}

// The way RPC is done with a queue for the replies.
func TestRPCWithAReplyQueue(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		client, worker := s.channel(t), s.channel(t)
		requests := s.name(t, "rpc")
		_, err := worker.QueueDeclare(requests, true, false, false, false, nil)
		require.NoError(t, err)
		work := consume(t, worker, requests)
		answers := s.queue(t, client)
		replies := consume(t, client, answers)
		require.NoError(t, client.Publish("", requests, false, false, amqp.Publishing{
			ReplyTo: answers, CorrelationId: "1", Body: []byte("question"),
		}))
		d := receive(t, work)
		publish(t, worker, d.ReplyTo, "answer")
		require.NoError(t, d.Ack(false))
		assert.Equal(t, "answer", string(receive(t, replies).Body))
	})
}
