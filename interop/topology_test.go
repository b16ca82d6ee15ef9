package interop

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exchange declares an exchange for the test.
func exchange(t *testing.T, s *server, ch *amqp.Channel, kind string, args amqp.Table) string {
	t.Helper()
	name := s.name(t, kind)
	require.NoError(t, ch.ExchangeDeclare(name, kind, false, false, false, false, args))
	return name
}

// reaches says which of some queues, each with its letter, get a message.
func reaches(t *testing.T, ch *amqp.Channel, x, key string, headers amqp.Table, queues ...string) string {
	t.Helper()
	c, err := ch.PublishWithDeferredConfirm(x, key, false, false, amqp.Publishing{Headers: headers})
	require.NoError(t, err)
	require.True(t, c.Wait())
	var got string
	for i, q := range queues {
		n, err := ch.QueuePurge(q, false)
		require.NoError(t, err)
		for range n {
			got += string(rune('a' + i))
		}
	}
	return got
}

func TestKindsOfExchanges(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		a, b := s.queue(t, ch), s.queue(t, ch)
		to := func(x, key string, headers amqp.Table) string {
			t.Helper()
			return reaches(t, ch, x, key, headers, a, b)
		}
		bind := func(q, key, x string, args amqp.Table) {
			t.Helper()
			require.NoError(t, ch.QueueBind(q, key, x, false, args))
		}

		direct := exchange(t, s, ch, "direct", nil)
		bind(a, "k", direct, nil)
		bind(b, "k", direct, nil)
		bind(b, "k2", direct, nil)
		assert.Equal(t, "ab", to(direct, "k", nil))
		assert.Equal(t, "b", to(direct, "k2", nil))
		assert.Equal(t, "", to(direct, "k3", nil))

		fanout := exchange(t, s, ch, "fanout", nil)
		bind(a, "ignored", fanout, nil)
		bind(b, "", fanout, nil)
		assert.Equal(t, "ab", to(fanout, "whatever", nil))

		topic := exchange(t, s, ch, "topic", nil)
		bind(a, "stock.*.nyse", topic, nil)
		bind(b, "stock.#", topic, nil)
		assert.Equal(t, "ab", to(topic, "stock.usd.nyse", nil))
		assert.Equal(t, "b", to(topic, "stock", nil))
		assert.Equal(t, "", to(topic, "stocks", nil))

		headers := exchange(t, s, ch, "headers", nil)
		bind(a, "", headers, amqp.Table{"x-match": "all", "format": "pdf", "pages": int32(1)})
		bind(b, "", headers, amqp.Table{"x-match": "any", "format": "pdf", "pages": int32(2)})
		assert.Equal(t, "ab", to(headers, "", amqp.Table{"format": "pdf", "pages": int32(1)}))
		assert.Equal(t, "b", to(headers, "", amqp.Table{"pages": int32(2)}))
		assert.Equal(t, "", to(headers, "", nil))

		assert.Equal(t, "a", to("", a, nil))
		require.NoError(t, ch.QueueUnbind(a, "k", direct, nil))
		assert.Equal(t, "b", to(direct, "k", nil))
	})
}

func TestExchangeToExchange(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q := s.queue(t, ch)
		source, destination := exchange(t, s, ch, "topic", nil), exchange(t, s, ch, "direct", nil)
		require.NoError(t, ch.ExchangeBind(destination, "logs.#", source, false, nil))
		require.NoError(t, ch.QueueBind(q, "logs.error", destination, false, nil))
		assert.Equal(t, "a", reaches(t, ch, source, "logs.error", nil, q))
		assert.Equal(t, "", reaches(t, ch, source, "logs.info", nil, q))
		require.NoError(t, ch.ExchangeUnbind(destination, "logs.#", source, false, nil))
		assert.Equal(t, "", reaches(t, ch, source, "logs.error", nil, q))
	})
}

func TestAlternateExchange(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q, lost := s.queue(t, ch), s.queue(t, ch)
		alternate := exchange(t, s, ch, "fanout", nil)
		x := exchange(t, s, ch, "direct", amqp.Table{"alternate-exchange": alternate})
		require.NoError(t, ch.QueueBind(q, "k", x, false, nil))
		require.NoError(t, ch.QueueBind(lost, "", alternate, false, nil))
		assert.Equal(t, "a", reaches(t, ch, x, "k", nil, q, lost))
		assert.Equal(t, "b", reaches(t, ch, x, "other", nil, q, lost))
	})
}

func TestCC(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		a, b, c := s.queue(t, ch), s.queue(t, ch), s.queue(t, ch)
		headers := amqp.Table{"CC": []any{b}, "BCC": []any{c}}
		assert.Equal(t, "abc", reaches(t, ch, "", a, headers, a, b, c))
		require.NoError(t, ch.Publish("", a, false, false, amqp.Publishing{Headers: headers}))
		assert.Equal(t, amqp.Table{"CC": []any{b}}, get(t, ch, c).Headers)
	})
}

func TestExclusiveQueue(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		owner := s.connect(t)
		q := s.queue(t, channel(t, owner))
		_, err := s.channel(t).QueueDeclarePassive(q, false, false, true, false, nil)
		assert.ErrorContains(t, err, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '"+q+"' in vhost '/'")
		assert.Zero(t, messages(t, channel(t, owner), q), "another channel of the connection may")
		require.NoError(t, owner.Close())
		_, err = s.channel(t).QueueDeclarePassive(q, false, false, true, false, nil)
		assert.ErrorContains(t, err, "NOT_FOUND - no queue '"+q+"' in vhost '/'")
	})
}

func TestAutoDelete(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch := channel(t, conn)
		x, q := s.name(t, "x"), s.name(t, "q")
		require.NoError(t, ch.ExchangeDeclare(x, "fanout", true, true, false, false, nil))
		_, err := ch.QueueDeclare(q, true, true, false, false, nil)
		require.NoError(t, err)
		require.NoError(t, ch.QueueBind(q, "", x, false, nil))
		_, err = ch.Consume(q, "tag", false, false, false, false, nil)
		require.NoError(t, err)
		require.NoError(t, ch.Cancel("tag", false))
		_, err = channel(t, conn).QueueDeclarePassive(q, true, true, false, false, nil)
		assert.ErrorContains(t, err, "NOT_FOUND - no queue '"+q+"'")
		err = channel(t, conn).ExchangeDeclarePassive(x, "fanout", true, true, false, false, nil)
		assert.ErrorContains(t, err, "NOT_FOUND - no exchange '"+x+"'", "it had no other binding")
	})
}

// A consumer learns that its queue is gone.
func TestCancelNotification(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch, other := channel(t, conn), channel(t, conn)
		q := s.queue(t, ch)
		cancelled := ch.NotifyCancel(make(chan string, 1))
		deliveries, err := ch.Consume(q, "tag", false, false, false, false, nil)
		require.NoError(t, err)
		_, err = other.QueueDelete(q, false, false, false)
		require.NoError(t, err)
		assert.Equal(t, "tag", receive(t, cancelled))
		closed(t, deliveries)
		assert.NotEmpty(t, s.queue(t, ch), "the channel lives on")
	})
}

func TestQueueDeclareTellsCounts(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.namedQueue(t, ch)
		consume(t, ch, q)
		other := s.namedQueue(t, ch)
		publish(t, ch, other, "1", "2")
		got, err := ch.QueueDeclare(q, false, false, true, false, nil)
		require.NoError(t, err)
		assert.Equal(t, amqp.Queue{Name: q, Consumers: 1}, got)
		got, err = ch.QueueDeclare(other, false, false, true, false, nil)
		require.NoError(t, err)
		assert.Equal(t, amqp.Queue{Name: other, Messages: 2}, got)
	})
}

// A channel remembers the last queue it declared: "" stands for it.
func TestTheLastQueue(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.QueueBind("", "", "amq.fanout", false, nil))
		publish(t, ch, q, "x")
		n, err := ch.QueuePurge("", false)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	})
}

func TestDeleteIfUnusedOrEmpty(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch := channel(t, conn)
		q := s.queue(t, ch)
		publish(t, ch, q, "x")
		_, err := channel(t, conn).QueueDelete(q, false, true, false)
		assert.ErrorContains(t, err, "PRECONDITION_FAILED - queue '"+q+"' in vhost '/' not empty")
		get(t, ch, q)
		consume(t, ch, q)
		_, err = channel(t, conn).QueueDelete(q, true, false, false)
		assert.ErrorContains(t, err, "PRECONDITION_FAILED - queue '"+q+"' in vhost '/' in use")
		_, err = ch.QueueDelete("interop.never.was", false, false, false)
		assert.NoError(t, err, "that there is none is no error")
	})
}
