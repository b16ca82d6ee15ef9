package interop

import (
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPublishGetAck(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "one", "two")

		d := get(t, ch, q)
		assert.Equal(t, "one", string(d.Body))
		assert.EqualValues(t, 1, d.MessageCount, "that wait behind it")
		assert.Equal(t, q, d.RoutingKey)
		assert.Empty(t, d.Exchange)
		assert.False(t, d.Redelivered)
		require.NoError(t, d.Ack(false))
		require.NoError(t, get(t, ch, q).Ack(false))
		_, ok, err := ch.Get(q, false)
		require.NoError(t, err)
		assert.False(t, ok)
	})
}

func TestPublishConsumeAck(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		const n = 500
		ch := s.channel(t)
		q := s.queue(t, ch)
		deliveries := consume(t, ch, q)
		other := s.channel(t) // channels are not safe for publishing and acking at once
		x := s.name(t, "x")
		require.NoError(t, other.ExchangeDeclare(x, "direct", false, false, false, false, nil))
		require.NoError(t, ch.QueueBind(q, "k", x, false, nil))
		for i := range n {
			require.NoError(t, other.Publish(x, "k", false, false, amqp.Publishing{Body: []byte(strconv.Itoa(i))}))
		}
		for i := range n {
			d := receive(t, deliveries)
			require.Equal(t, strconv.Itoa(i), string(d.Body))
			require.EqualValues(t, i+1, d.DeliveryTag)
			require.NoError(t, d.Ack(false))
		}
	})
}

func TestNack(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "again", "never")

		d := get(t, ch, q)
		require.NoError(t, d.Nack(false, true))
		d = get(t, ch, q)
		assert.Equal(t, "again", string(d.Body), "back in its place")
		assert.True(t, d.Redelivered)
		require.NoError(t, d.Ack(false))
		require.NoError(t, get(t, ch, q).Reject(false))
		assert.Zero(t, messages(t, ch, q))
	})
}

func TestMultiple(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "1", "2", "3", "4", "5")
		deliveries := consume(t, ch, q)
		var got []amqp.Delivery
		for range 5 {
			got = append(got, receive(t, deliveries))
		}
		assert.Equal(t, "1 2 3 4 5", bodies(got))
		require.NoError(t, got[1].Ack(true))        // 1 and 2
		require.NoError(t, got[3].Nack(true, true)) // 3 and 4
		three, four := receive(t, deliveries), receive(t, deliveries)
		assert.Equal(t, "3 4", bodies([]amqp.Delivery{three, four}))
		assert.True(t, three.Redelivered)
		require.NoError(t, ch.Ack(0, true), "0 and multiple: everything")
		require.NoError(t, recoverAll(ch))
		assert.Zero(t, messages(t, ch, q))
	})
}

func TestPrefetch(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Qos(2, 0, false))
		deliveries := consume(t, ch, q)
		publish(t, ch, q, "1", "2", "3")
		one := receive(t, deliveries)
		receive(t, deliveries)
		nothing(t, s, deliveries)
		require.NoError(t, one.Ack(false))
		assert.Equal(t, "3", string(receive(t, deliveries).Body))
	})
}

func TestPrefetchOfTheChannel(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		a, b := s.queue(t, ch), s.queue(t, ch)
		require.NoError(t, ch.Qos(1, 0, true))
		fromA, fromB := consume(t, ch, a), consume(t, ch, b)
		publish(t, ch, a, "a")
		d := receive(t, fromA)
		publish(t, ch, b, "b")
		nothing(t, s, fromB)
		require.NoError(t, d.Ack(false))
		assert.Equal(t, "b", string(receive(t, fromB).Body))
	})
}

func TestAutoAck(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Qos(1, 0, false))
		deliveries, err := ch.Consume(q, "tag", true, false, false, false, nil)
		require.NoError(t, err)
		publish(t, ch, q, "1", "2", "3")
		for range 3 { // the prefetch does not count
			assert.Equal(t, "tag", receive(t, deliveries).ConsumerTag)
		}
	})
}

// recoverAll returns all that a channel has not acked to the queues.
func recoverAll(ch *amqp.Channel) error {
	return ch.Recover(true) //nolint:staticcheck // deprecated, and still to be served
}

func TestRecover(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "1", "2")
		deliveries := consume(t, ch, q)
		receive(t, deliveries)
		receive(t, deliveries)
		require.NoError(t, recoverAll(ch))
		for _, want := range []string{"1", "2"} {
			d := receive(t, deliveries)
			assert.Equal(t, want, string(d.Body))
			assert.True(t, d.Redelivered)
		}
	})
}

func TestCancel(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		deliveries, err := ch.Consume(q, "tag", false, false, false, false, nil)
		require.NoError(t, err)
		publish(t, ch, q, "before")
		d := receive(t, deliveries)
		require.NoError(t, ch.Cancel("tag", false))
		closed(t, deliveries)
		publish(t, ch, q, "after")
		require.NoError(t, d.Ack(false), "what it has is still its own")
		assert.Equal(t, "after", string(get(t, ch, q).Body))
	})
}

// What a lost connection had not acked goes to the next consumer.
func TestUnackedGoesBackWithTheConnection(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		watcher := s.channel(t)
		q := s.name(t, "q")
		_, err := watcher.QueueDeclare(q, true, false, false, false, nil)
		require.NoError(t, err)
		conn := s.connect(t)
		ch := channel(t, conn)
		publish(t, ch, q, "1", "2")
		deliveries := consume(t, ch, q)
		receive(t, deliveries)
		receive(t, deliveries)
		require.NoError(t, conn.Close())

		again := consume(t, watcher, q)
		for _, want := range []string{"1", "2"} {
			d := receive(t, again)
			assert.Equal(t, want, string(d.Body))
			assert.True(t, d.Redelivered)
		}
	})
}

func TestPurgeAndCounts(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.confirming(t)
		q := s.queue(t, ch)
		for range 3 {
			c, err := ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{})
			require.NoError(t, err)
			require.True(t, c.Wait())
		}
		assert.Equal(t, 3, messages(t, ch, q))
		n, err := ch.QueuePurge(q, false)
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		n, err = ch.QueueDelete(q, false, false, false)
		require.NoError(t, err)
		assert.Zero(t, n)
	})
}

// Two channels of one connection, each with its own tags.
func TestChannelsOfAConnection(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		a, b := channel(t, conn), channel(t, conn)
		q := s.queue(t, a)
		publish(t, a, q, "1", "2")
		one, two := get(t, a, q), get(t, b, q)
		assert.EqualValues(t, 1, one.DeliveryTag)
		assert.EqualValues(t, 1, two.DeliveryTag)
		require.NoError(t, a.Close())
		d := get(t, b, q)
		assert.Equal(t, "1", string(d.Body), "returned with its channel")
		require.NoError(t, d.Ack(false))
		require.NoError(t, two.Ack(false))
	})
}

func TestConsumerPriority(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Qos(1, 0, false))
		low := consume(t, ch, q)
		high, err := ch.Consume(q, "", false, false, false, false, amqp.Table{"x-priority": int32(10)})
		require.NoError(t, err)
		publish(t, ch, q, "1")
		assert.Equal(t, "1", string(receive(t, high).Body))
		publish(t, ch, q, "2")
		assert.Equal(t, "2", string(receive(t, low).Body), "high has no credit left")
	})
}

// In a bubble waiting costs nothing: a worker of half an hour.
func TestSlowWorkerInVirtualTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		publish(t, ch, q, "work")
		start := time.Now()
		d := receive(t, consume(t, ch, q))
		time.Sleep(30 * time.Minute)
		require.NoError(t, d.Ack(false))
		assert.Equal(t, 30*time.Minute, time.Since(start))
	})
}
