package amqpserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// The rules that nothing else in this package is about, each on RabbitMQ as well.

// refuses sends a method that ends channel 1, and opens the channel again.
func (c *client) refuses(m wire.Method, code uint16, format string, args ...any) {
	c.t.Helper()
	c.send(1, m)
	c.channelClosed(1, code, fmt.Sprintf(format, args...), m.ID())
	c.openChannel(1)
}

// counts returns what a declaration tells of a queue, on channel 2, once RabbitMQ has
// had the time to count (ORD-6).
func (c *client) counts(queue string) string {
	c.t.Helper()
	time.Sleep(50 * time.Millisecond)
	ok := call[*wire.QueueDeclareOk](c, 2, &wire.QueueDeclare{Queue: queue, Passive: true})
	return fmt.Sprintf("%d ready, %d consumers", ok.MessageCount, ok.ConsumerCount)
}

// twoChannels returns a client with the channels 1 and 2 open.
func (s *server) twoChannels(t *testing.T) *client {
	t.Helper()
	c := s.channel(t)
	c.openChannel(2)
	return c
}

const noQueue = "NOT_FOUND - no queue '%s' in vhost '/'"

const lockedQueue = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally declared on " +
	"another connection or the exclusive property value does not match that of the original declaration."

func TestCountsOfADeclaration(t *testing.T) { // QUEUE-1, QUEUE-2, QUEUE-24, QUEUE-29
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		q := c.declare()
		for range 3 {
			c.publish(1, "", q, "m")
		}
		require.Equal(t, "3 ready, 0 consumers", c.counts(q))
		c.send(1, &wire.BasicGet{Queue: q})
		c.got(1)
		require.Equal(t, "2 ready, 0 consumers", c.counts(q))
		require.Equal(t, uint32(2), call[*wire.QueuePurgeOk](c, 1, &wire.QueuePurge{Queue: q}).MessageCount)
		c.send(1, &wire.BasicNack{DeliveryTag: 1, Requeue: true})
		require.Equal(t, "1 ready, 0 consumers", c.counts(q))
		c.send(1, &wire.BasicGet{Queue: q})
		c.got(1)
		c.consume(q, "t")
		require.Equal(t, "0 ready, 1 consumers", c.counts(q))
		c.publish(1, "", q, "m")
		c.delivered(1)
		require.Zero(t, call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q}).MessageCount)
		require.Equal(t, "t", expect[*wire.BasicCancel](c, 1).ConsumerTag)
		c.send(1, &wire.BasicAck{DeliveryTag: 2}, &wire.BasicQos{}) // QUEUE-22
		expect[*wire.BasicQosOk](c, 1)
		require.Zero(t, call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q, IfUnused: true, IfEmpty: true}).MessageCount) // QUEUE-25
	})
}

func TestTheLastDeclaredQueue(t *testing.T) { // QUEUE-5, QUEUE-7, QUEUE-9
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		q := c.declare()
		c.send(2, &wire.QueueDeclare{Queue: q, Passive: true, NoWait: true, Durable: true, AutoDelete: true, Arguments: wire.Table{"x-max-length": int32(1)}})
		c.publish(2, "", q, "m")
		c.send(2, &wire.BasicGet{})
		_, body := c.got(2)
		require.Equal(t, "m", body)
		call[*wire.QueueBindOk](c, 2, &wire.QueueBind{Exchange: "amq.direct"}) // EXCH-30: the name is the key
		c.publish(1, "amq.direct", q, "routed")
		c.send(1, &wire.BasicGet{Queue: q})
		c.got(1)
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{})
		c.refuses(&wire.QueueDeclare{Queue: q, Passive: true}, 404, noQueue, q)
		for _, m := range []wire.Method{&wire.BasicGet{Queue: q}, &wire.QueuePurge{Queue: q}, &wire.BasicConsume{Queue: q}} { // QUEUE-30
			c.refuses(m, 404, noQueue, q)
		}
		c.send(2, &wire.BasicConsume{})
		c.channelClosed(2, 404, fmt.Sprintf(noQueue, q), wire.IDBasicConsume)
	})
}

func TestEquivalenceOfQueues(t *testing.T) { // QUEUE-10 … QUEUE-13, QUEUE-16, QUEUE-19
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		const q = "srv-equivalent"
		declare := func(m wire.QueueDeclare) *wire.QueueDeclare {
			m.Queue = q
			return &m
		}
		args := wire.Table{"x-max-length": int32(100), "x-foo": "a"}
		call[*wire.QueueDeclareOk](c, 1, declare(wire.QueueDeclare{Arguments: args}))
		defer func() { call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q}) }()
		call[*wire.QueueDeclareOk](c, 1, declare(wire.QueueDeclare{Arguments: wire.Table{"x-max-length": int64(100), "foo": true}}))
		const differs = "PRECONDITION_FAILED - inequivalent arg '%s' for queue '" + q + "' in vhost '/': received "
		c.refuses(declare(wire.QueueDeclare{Durable: true, AutoDelete: true}), 406, differs+"'true' but current is 'false'", "durable")
		c.refuses(declare(wire.QueueDeclare{AutoDelete: true}), 406, differs+"'true' but current is 'false'", "auto_delete")
		c.refuses(declare(wire.QueueDeclare{}), 406, differs+"none but current is the value '100' of type 'signedint'", "x-max-length")
		c.refuses(declare(wire.QueueDeclare{Arguments: wire.Table{"x-max-length": int32(5)}}), 406, differs+"'5' but current is '100'", "x-max-length")
		c.refuses(declare(wire.QueueDeclare{Arguments: wire.Table{"x-max-length": int32(100), "x-overflow": "drop-head"}}), 406,
			differs+"the value 'drop-head' of type 'longstr' but current is none", "x-overflow")
		c.refuses(declare(wire.QueueDeclare{Exclusive: true, Durable: true}), 405, lockedQueue, q)
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "srv-own", Exclusive: true, Durable: true})
		c.refuses(&wire.QueueDeclare{Queue: "srv-own"}, 405, lockedQueue, "srv-own")
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "srv-own", Exclusive: true})
	})
}

func TestExclusiveQueues(t *testing.T) { // QUEUE-14, QUEUE-15, QUEUE-18
	compare(t, func(t *testing.T, s *server) {
		c, other := s.twoChannels(t), s.twoChannels(t)
		const q = "srv-exclusive"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true})
		for _, m := range []wire.Method{
			&wire.QueueDeclare{Queue: q, Passive: true}, &wire.QueueDeclare{Queue: q, Exclusive: true}, &wire.BasicConsume{Queue: q},
			&wire.BasicGet{Queue: q}, &wire.QueuePurge{Queue: q}, &wire.QueueDelete{Queue: q}, &wire.QueueBind{Queue: q, Exchange: "amq.fanout"},
		} {
			other.refuses(m, 405, lockedQueue, q)
		}
		call[*wire.QueueUnbindOk](other, 1, &wire.QueueUnbind{Queue: q, Exchange: "amq.fanout"})
		other.publish(1, "", q, "m")
		call[*wire.BasicQosOk](other, 1, &wire.BasicQos{})
		require.Equal(t, "1 ready, 0 consumers", c.counts(q))
		call[*wire.ChannelCloseOk](c, 1, &wire.ChannelClose{})
		require.Equal(t, "1 ready, 0 consumers", c.counts(q))
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
		other.refuses(&wire.QueueDeclare{Queue: q, Passive: true}, 404, noQueue, q)
	})
}

func TestAutoDeleteQueues(t *testing.T) { // QUEUE-21, QUEUE-22, QUEUE-23
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		declare := func(exclusive bool) string {
			return call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{AutoDelete: true, Exclusive: exclusive}).Queue
		}
		gone := func(q string) {
			t.Helper()
			time.Sleep(50 * time.Millisecond)
			c.send(2, &wire.QueueDeclare{Queue: q, Passive: true})
			c.channelClosed(2, 404, fmt.Sprintf(noQueue, q), wire.IDQueueDeclare)
			c.openChannel(2)
		}
		for _, exclusive := range []bool{false, true} {
			q := declare(exclusive)
			c.publish(1, "", q, "1")
			c.publish(1, "", q, "2")
			c.send(1, &wire.BasicGet{Queue: q})
			got, _ := c.got(1)
			require.Equal(t, "1 ready, 0 consumers", c.counts(q))
			c.consume(q, "a")
			d, _ := c.delivered(1)
			call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "a"})
			gone(q)
			c.send(1, &wire.BasicAck{DeliveryTag: got.DeliveryTag}, &wire.BasicNack{DeliveryTag: d.DeliveryTag, Requeue: true})
			call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		}
		q := declare(false)
		c.consume(q, "a")
		call[*wire.ChannelCloseOk](c, 1, &wire.ChannelClose{})
		gone(q)
	})
}

func TestConditionalDeletion(t *testing.T) { // QUEUE-26, QUEUE-27
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		q := c.declare()
		c.publish(2, "", q, "m")
		call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: q})
		c.delivered(2)
		const inUse = "PRECONDITION_FAILED - queue '%s' in vhost '/' in use"
		c.refuses(&wire.QueueDelete{Queue: q, IfUnused: true, IfEmpty: true}, 406, inUse, q)
		full := c.declare()
		c.publish(1, "", full, "m")
		call[*wire.BasicQosOk](c, 2, &wire.BasicQos{PrefetchCount: 1})
		call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: full, ConsumerTag: "t"})
		c.delivered(2)
		c.publish(1, "", full, "m")
		require.Equal(t, "1 ready, 1 consumers", c.counts(full))
		c.refuses(&wire.QueueDelete{Queue: full, IfUnused: true, IfEmpty: true}, 406, "PRECONDITION_FAILED - queue '%s' in vhost '/' not empty", full)
		call[*wire.QueueDeleteOk](c, 2, &wire.QueueDelete{Queue: q, IfEmpty: true}) // its message is not settled
		expect[*wire.BasicCancel](c, 2)
	})
}

func TestConsumersThatExcludeOthers(t *testing.T) { // CONS-4, CONS-5, CONS-7, CONS-14
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		q := c.declare()
		call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: q, ConsumerTag: "a", Exclusive: true, NoLocal: true})
		const inUse = "ACCESS_REFUSED - queue '%s' in vhost '/' in exclusive use"
		c.refuses(&wire.BasicConsume{Queue: q}, 403, inUse, q)
		c.refuses(&wire.BasicConsume{Queue: q, Exclusive: true}, 403, inUse, q)
		c.publish(2, "", q, "own")
		_, body := c.delivered(2)
		require.Equal(t, "own", body)
		call[*wire.BasicGetEmpty](c, 1, &wire.BasicGet{Queue: q})
		require.Equal(t, "a", call[*wire.BasicCancelOk](c, 2, &wire.BasicCancel{ConsumerTag: "a"}).ConsumerTag)
		require.Equal(t, "never heard of", call[*wire.BasicCancelOk](c, 2, &wire.BasicCancel{ConsumerTag: "never heard of"}).ConsumerTag)
		c.consume(q, "b")
		c.refuses(&wire.BasicConsume{Queue: q, Exclusive: true}, 403, inUse, q)
	})
}

func TestSettlingOnAnotherChannel(t *testing.T) { // ACK-3, ACK-6
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		a, b := c.declare(), c.declare()
		for _, q := range []string{a, b} {
			c.publish(2, "", q, "m")
			c.send(2, &wire.BasicGet{Queue: q})
			c.got(2)
		}
		c.refuses(&wire.BasicAck{DeliveryTag: 1}, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
		c.send(2, &wire.BasicNack{DeliveryTag: 2, Multiple: true, Requeue: true})
		require.Equal(t, "1 ready, 0 consumers", c.counts(a))
		require.Equal(t, "1 ready, 0 consumers", c.counts(b))
	})
}

func TestMethodsWithoutAnswers(t *testing.T) { // CHAN-14, CONF-1
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		const q, x = "srv-nowait", "srv-nowait"
		c.send(1,
			&wire.QueueDeclare{Queue: q, Exclusive: true, NoWait: true}, &wire.ExchangeDeclare{Exchange: x, Type: "direct", NoWait: true},
			&wire.ExchangeBind{Destination: "amq.fanout", Source: x, NoWait: true}, &wire.ExchangeUnbind{Destination: "amq.fanout", Source: x, NoWait: true},
			&wire.QueueBind{Queue: q, Exchange: x, RoutingKey: "k", NoWait: true}, &wire.QueuePurge{Queue: q, NoWait: true},
			&wire.ConfirmSelect{NoWait: true}, &wire.ConfirmSelect{NoWait: true}, &wire.BasicConsume{Queue: q, ConsumerTag: "t", NoWait: true})
		c.publish(1, x, "k", "m")
		var seen []string
		for range 2 { // in any order
			_, m := c.next()
			if seen = append(seen, m.ID().String()); m.ID() == wire.IDBasicDeliver {
				c.content()
			}
		}
		require.ElementsMatch(t, []string{"basic.ack", "basic.deliver"}, seen)
		c.send(1, &wire.BasicCancel{ConsumerTag: "t", NoWait: true}, &wire.ExchangeDelete{Exchange: x, NoWait: true}, &wire.QueueDelete{Queue: q, NoWait: true})
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		c.refuses(&wire.QueueBind{Queue: q, Exchange: "amq.fanout", NoWait: true}, 404, noQueue, q)
	})
}

func TestFlowAndAccess(t *testing.T) { // CHAN-10, CHAN-13, CONN-83
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		require.True(t, call[*wire.ChannelFlowOk](c, 1, &wire.ChannelFlow{Active: true}).Active)
		require.Equal(t, uint16(1), call[*wire.AccessRequestOk](c, 1, &wire.AccessRequest{Realm: "/data", Exclusive: true}).Ticket)
		call[*wire.ConnectionUpdateSecretOk](c, 0, &wire.ConnectionUpdateSecret{NewSecret: "s", Reason: "r"})
	})
}

func TestEmptyBodyFrames(t *testing.T) { // CONN-58, CONN-61
	compare(t, func(t *testing.T, s *server) {
		c := s.twoChannels(t)
		q := c.declare()
		header := func(ch uint16, size byte) {
			c.frame(wire.FrameHeader, ch, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00"+string([]byte{size})+"\x00\x00")
		}
		c.send(1, &wire.BasicPublish{RoutingKey: q})
		c.send(2, &wire.BasicPublish{RoutingKey: q})
		header(1, 4)
		header(2, 2)
		c.frame(wire.FrameBody, 1, "")
		c.frame(wire.FrameBody, 1, "on")
		c.frame(wire.FrameBody, 2, "tw")
		c.frame(wire.FrameBody, 1, "")
		c.frame(wire.FrameBody, 1, "e.")
		c.send(1, &wire.BasicGet{Queue: q, NoAck: true}, &wire.BasicGet{Queue: q, NoAck: true})
		_, first := c.got(1)
		_, second := c.got(1)
		require.ElementsMatch(t, []string{"one.", "tw"}, []string{first, second})
		c.send(1, &wire.BasicPublish{RoutingKey: q})
		header(1, 0)
		c.frame(wire.FrameBody, 1, "")
		c.closed(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", 0)
	})
}

func TestReplyNameIsNoQueue(t *testing.T) { // RPC-3, RPC-9, RPC-10
	compare(t, func(t *testing.T, s *server) {
		const name = "amq.rabbitmq.reply-to"
		c := s.channel(t)
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: name, ConsumerTag: "t", NoAck: true})
		c.publishWith(1, &wire.BasicPublish{RoutingKey: name, Mandatory: true}, &wire.Properties{}, "m")
		require.Equal(t, name, expect[*wire.BasicReturn](c, 1).RoutingKey)
		c.content()
		require.Zero(t, call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: name}).MessageCount)
		c.refuses(&wire.QueueBind{Queue: name, Exchange: "amq.fanout"}, 404, noQueue, name)
		q := c.declare()
		c.consume(q, "t")
		c.send(1, &wire.BasicConsume{Queue: name, ConsumerTag: "t", NoAck: true})
		c.closed(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", wire.IDBasicConsume)
	})
}

func TestHeartbeatOfTheClient(t *testing.T) { // CONN-26, CONN-76
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 300 }
		c.handshake()
		c = s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 0 }
		c.handshake()
		c.silent(5 * time.Second)
	})
}
