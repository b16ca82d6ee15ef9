package amqpserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// quorum declares a quorum queue, which is deleted at the end of the test.
func (c *client) quorum(queue string, args wire.Table) {
	c.t.Helper()
	all := wire.Table{"x-queue-type": "quorum"}
	for key, v := range args {
		all[key] = v
	}
	call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: queue})
	call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: queue, Durable: true, Arguments: all})
}

// counted takes the message that is the next to come out of a queue, and returns it
// with the header x-delivery-count.
func (c *client) counted(queue string) (got *wire.BasicGetOk, text string) {
	c.t.Helper()
	for range 200 {
		c.send(1, &wire.BasicGet{Queue: queue})
		_, m := c.next()
		if m.ID() == wire.IDBasicGetOk {
			p, body := c.content()
			return m.(*wire.BasicGetOk), fmt.Sprintf("%s %v", body, p.Headers["x-delivery-count"])
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(c.t, "queue is empty", queue)
	return nil, ""
}

func TestQuorumQueuesAreDeclared(t *testing.T) { // QQ-1, QQ-2, ARGS-2, QUEUE-17
	const q = "core-qq-declared"
	quorum := wire.Table{"x-queue-type": "quorum"}
	for name, tc := range map[string]struct {
		declare *wire.QueueDeclare
		text    string
	}{
		"non-durable":  {&wire.QueueDeclare{Queue: q, Arguments: quorum}, "invalid property 'non-durable' for queue '" + q + "' in vhost '/'"},
		"auto-delete":  {&wire.QueueDeclare{Queue: q, AutoDelete: true, Arguments: quorum}, "invalid property 'auto-delete' for queue '" + q + "' in vhost '/'"},
		"exclusive":    {&wire.QueueDeclare{Queue: q, Exclusive: true, Durable: true, Arguments: quorum}, "invalid property 'exclusive-owner' for queue '" + q + "' in vhost '/'"},
		"server-named": {&wire.QueueDeclare{Durable: true, Arguments: quorum}, "Cannot declare a server-named queue for type rabbit_quorum_queue"},
		"argument": {&wire.QueueDeclare{Queue: q, Durable: true, Arguments: wire.Table{"x-queue-type": "quorum", "x-max-priority": int32(3)}},
			"invalid arg 'x-max-priority' for queue '" + q + "' in vhost '/' of queue type rabbit_quorum_queue"},
		"classic": {&wire.QueueDeclare{Queue: q, Arguments: wire.Table{"x-delivery-limit": int32(3)}},
			"invalid arg 'x-delivery-limit' for queue '" + q + "' in vhost '/' of queue type rabbit_classic_queue"},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.send(1, tc.declare)
				c.channelClosed(1, 406, "PRECONDITION_FAILED - "+tc.text, wire.IDQueueDeclare)
			})
		})
	}
	t.Run("again", func(t *testing.T) {
		compare(t, func(t *testing.T, s *server) {
			c := s.channel(t)
			c.quorum(q, nil)
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Durable: true, Arguments: quorum})
			c.send(1, &wire.QueueDeclare{Queue: q, Durable: true})
			c.channelClosed(1, 406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '"+q+
				"' in vhost '/': received none but current is the value 'quorum' of type 'longstr'", wire.IDQueueDeclare)
			c.openChannel(1)
			call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
		})
	})
}

func TestQuorumQueuesCountReturns(t *testing.T) { // QQ-4 to QQ-7, QQ-9
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		const q, dead = "core-qq-limited", "core-qq-dead"
		c.quorum(dead, nil)
		c.quorum(q, wire.Table{"x-delivery-limit": int32(2), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
		for i := range 3 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		for i, want := range []string{"0 0", "0 1", "0 2"} {
			got, text := c.counted(q)
			require.Equal(t, want, text, "it comes back to the front")
			require.Equal(t, i > 0, got.Redelivered)
			c.send(1, &wire.BasicNack{DeliveryTag: got.DeliveryTag, Requeue: true})
		}
		_, p, body := c.get(dead)
		require.Equal(t, "0", body)
		headers := without(t, p.Headers)
		delete(headers, "x-delivery-count") // of this queue
		require.Equal(t, wire.Table{
			"x-death":              []any{wire.Table{"count": int64(1), "reason": "delivery_limit", "queue": q, "exchange": "", "routing-keys": []any{q}}},
			"x-first-death-reason": "delivery_limit", "x-first-death-queue": q, "x-first-death-exchange": "",
		}, headers)
		_, text := c.counted(q)
		require.Equal(t, "1 0", text)
		call[*wire.ChannelCloseOk](c, 1, &wire.ChannelClose{})
		c.openChannel(1)
		_, text = c.counted(q)
		require.Equal(t, "1 1", text, "the loss of the channel counts")
		for _, name := range []string{q, dead} {
			call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: name})
		}
	})
}

func TestQuorumQueuesWithoutALimitPutReturnsAtTheBack(t *testing.T) { // QQ-9, QQ-10
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		const q = "core-qq-back"
		c.quorum(q, nil)
		for i := range 3 {
			c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Priority: uint8(i)}, fmt.Sprint(i))
		}
		got, text := c.counted(q)
		require.Equal(t, "0 0", text)
		c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag, Requeue: true})
		for _, want := range []string{"1 0", "2 0", "0 1"} {
			_, text := c.counted(q)
			require.Equal(t, want, text)
		}
		call[*wire.ChannelCloseOk](c, 1, &wire.ChannelClose{})
		c.openChannel(1)
		c.publish(1, "", q, "3")
		for _, want := range []string{"1 1", "2 1", "0 2", "3 0"} {
			_, text := c.counted(q)
			require.Equal(t, want, text, "what a lost channel had comes first")
		}
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
	})
}

// In 3.10 only basic.get tells that a message never came back.
func TestQuorumQueuesTellConsumersOfReturns(t *testing.T) { // QQ-4
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		const q = "core-qq-consumed"
		c.quorum(q, nil)
		c.publish(1, "", q, "x")
		c.consume(q, "t")
		d := expect[*wire.BasicDeliver](c, 1)
		p, _ := c.content()
		require.NotContains(t, p.Headers, "x-delivery-count")
		c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
		expect[*wire.BasicDeliver](c, 1)
		p, _ = c.content()
		require.Equal(t, int64(1), p.Headers["x-delivery-count"])
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
	})
}

// A limit below 0 is as good as 0 in 3.10, and none since 4.0.
func TestQuorumQueuesWithANegativeLimit(t *testing.T) { // ARGS-17
	for v, dropped := range map[amqpserver.Compatibility]bool{amqpserver.V3_10: true, amqpserver.V4_0: false} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.quorum("q", wire.Table{"x-delivery-limit": int32(-1)})
				c.publish(1, "", "q", "x")
				got, _ := c.counted("q")
				c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag, Requeue: true})
				if dropped {
					expectEmpty(c, "q")
					return
				}
				_, text := c.counted("q")
				require.Equal(t, "x 1", text)
			}, amqpserver.Compat(v))
		})
	}
}

func TestWhatQuorumQueuesRefuse(t *testing.T) { // QQ-13 to QQ-16
	compare(t, func(t *testing.T, s *server) {
		const q = "core-qq-refuses"
		c := s.channel(t)
		c.quorum(q, wire.Table{"x-single-active-consumer": true})
		c.send(1, &wire.QueueDelete{Queue: q, IfUnused: true})
		c.closed(540, "NOT_IMPLEMENTED - cannot delete queue '"+q+
			"' in vhost '/'. queue.delete operations with if-unused flag set are not supported by quorum queues", wire.IDQueueDelete)
		c = s.channel(t)
		c.send(1, &wire.QueueDelete{Queue: q, IfEmpty: true})
		c.closed(540, "NOT_IMPLEMENTED - cannot delete queue '"+q+
			"' in vhost '/'. queue.delete operations with if-empty flag set are not supported by quorum queues", wire.IDQueueDelete)
		c = s.channel(t)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1, Global: true})
		c.send(1, &wire.BasicConsume{Queue: q})
		c.closed(540, "NOT_IMPLEMENTED - queue '"+q+"' in vhost '/' does not support global qos", wire.IDBasicConsume)
		c = s.channel(t)
		c.send(1, &wire.BasicGet{Queue: q})
		c.channelClosed(1, 405, "RESOURCE_LOCKED - cannot obtain access to locked queue '"+q+
			"' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer", wire.IDBasicGet)
		c.openChannel(1)
		for _, tag := range []string{"a", "b"} {
			call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: q, ConsumerTag: tag, Exclusive: true})
		}
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "a"})
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "b"})
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
	})
}

// What differs since 4.0: QQ-4, QQ-8, QUEUE-17, QQ-18.
func TestQuorumQueuesSince40(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", nil)
		c.publish(1, "", "q", "x")
		for i := range 21 {
			got, text := c.counted("q")
			require.Equal(t, map[bool]string{true: "x <nil>", false: fmt.Sprint("x ", i)}[i == 0], text)
			c.send(1, &wire.BasicNack{DeliveryTag: got.DeliveryTag, Requeue: true})
		}
		expectEmpty(c, "q")
		c.send(1, &wire.QueueDeclare{Queue: "q", Durable: true})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "+
			"received 'classic' but current is 'quorum'", wire.IDQueueDeclare)
		c.openChannel(1)

		c.quorum("single", wire.Table{"x-single-active-consumer": true})
		c.consume("single", "low")
		c.publish(1, "", "single", "1")
		_, body := c.delivered(1)
		require.Equal(t, "1", body)
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: "single", ConsumerTag: "high", Arguments: wire.Table{"x-priority": int32(1)}})
		c.publish(1, "", "single", "2")
		c.silent(time.Second) // until low has settled all
		c.send(1, &wire.BasicAck{Multiple: true})
		d, body := c.delivered(1)
		require.Equal(t, "high 2", d.ConsumerTag+" "+body)
	}, amqpserver.Compat(amqpserver.V4_0))
}

// What differs since 4.3: QQ-4, QQ-6, QQ-10.
func TestQuorumQueuesSince43(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", wire.Table{"x-delivery-limit": int32(1)})
		c.publish(1, "", "q", "none")
		for _, p := range []uint8{0, 3, 5, 40, 31} {
			c.publishWith(1, &wire.BasicPublish{RoutingKey: "q"}, &wire.Properties{Flags: wire.FlagPriority, Priority: p}, fmt.Sprint(p))
		}
		for i := range 5 { // nack does not count
			c.send(1, &wire.BasicGet{Queue: "q"})
			got := expect[*wire.BasicGetOk](c, 1)
			p, body := c.content()
			require.Equal(t, "40", body)
			require.Equal(t, wire.Table{"x-acquired-count": int64(i)}, p.Headers)
			c.send(1, &wire.BasicNack{DeliveryTag: got.DeliveryTag, Requeue: true})
		}
		for range 2 {
			got, _ := c.counted("q")
			c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag, Requeue: true})
		}
		require.Equal(t, []string{"31", "5", "none", "3", "0"}, c.bodies("q"))
	}, amqpserver.Compat(amqpserver.V4_3))
}

// QQ-20: x-delayed-retry is of 4.3; before, it is stored and ignored.
func TestDelayedRetry(t *testing.T) {
	for version, want := range map[amqpserver.Compatibility]time.Duration{amqpserver.V4_0: 0, amqpserver.V4_3: 3 * time.Second} {
		t.Run(version.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.quorum("q", wire.Table{
					"x-delayed-retry-type": "failed", "x-delayed-retry-min": int32(1000), "x-delayed-retry-max": int32(5000),
				})
				c.publish(1, "", "q", "x")
				c.consume("q", "t")
				start := time.Now()
				for range 3 {
					d, _ := c.delivered(1)
					c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
				}
				require.Equal(t, want, time.Since(start))
			}, amqpserver.Compat(version))
		})
	}
}

// QQ-20: a policy of retries is for the queues that have them.
func TestDelayedRetryByPolicy(t *testing.T) {
	definition := pocketmq.Table{"delayed-retry-type": "failed", "delayed-retry-min": 1000, "delayed-retry-max": 5000}
	for version, want := range map[amqpserver.Compatibility]time.Duration{amqpserver.V4_0: 0, amqpserver.V4_3: 3 * time.Second} {
		t.Run(version.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.quorum("q", nil)
				call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "classic", Durable: true})
				require.NoError(t, s.broker.SetPolicy(pocketmq.Policy{Name: "p", Definition: definition}))
				classic, _ := s.broker.Stats().Queue("classic")
				require.Empty(t, classic.Policy)
				c.publish(1, "", "q", "x")
				c.consume("q", "t")
				start := time.Now()
				for range 3 {
					d, _ := c.delivered(1)
					c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
				}
				require.Equal(t, want, time.Since(start))
			}, amqpserver.Compat(version))
		})
	}
}
