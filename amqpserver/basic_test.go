package amqpserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestPropertiesPassThrough(t *testing.T) { // PUB-16, PUB-17, CONN-47
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		headers := wire.Table{
			"b": int8(-1), "B": uint8(1), "s": int16(-2), "u": uint16(2), "I": int32(-3), "i": uint32(3), "l": int64(-4),
			"f": float32(1.5), "d": 2.5, "D": wire.Decimal{Scale: 2, Value: 314}, "S": "text", "x": []byte("bytes"),
			"T": time.Unix(1700000000, 0).UTC(), "t": true, "V": nil, "A": []any{int32(1), "a"}, "F": wire.Table{"k": "v"},
		}
		for _, sent := range []wire.Properties{
			{},
			{Flags: wire.FlagAll &^ wire.FlagUserID &^ wire.FlagExpiration &^ wire.FlagDeliveryMode, Timestamp: time.Unix(0, 0).UTC()},
			{
				Flags:       wire.FlagAll &^ wire.FlagExpiration,
				ContentType: "text/plain", ContentEncoding: "gzip", Headers: headers, DeliveryMode: 1, Priority: 200,
				CorrelationID: "c", ReplyTo: "r", MessageID: "m", Timestamp: time.Unix(1700000000, 0).UTC(), Type: "t",
				UserID: "guest", AppID: "a", ClusterID: "cluster",
			},
		} {
			for _, body := range []string{"", "x", strings.Repeat("long", 100000)} {
				c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &sent, body)
				d := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q, NoAck: true})
				require.Equal(t, q, d.RoutingKey)
				p, got := c.content()
				require.Equal(t, sent, p)
				require.Equal(t, body, got)
			}
		}
	})
}

func TestDeliveryAndAck(t *testing.T) { // CONS-1, ACK-1, ACK-9, ACK-10, GET-1 … GET-4
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		for i := range 4 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		m := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{})
		_, body := c.content()
		require.Equal(t, &wire.BasicGetOk{DeliveryTag: 1, RoutingKey: q, MessageCount: 3}, m)
		require.Equal(t, "0", body)
		c.consume(q, "t")
		for i := 1; i < 4; i++ {
			m, body := c.delivered(1)
			require.Equal(t, &wire.BasicDeliver{ConsumerTag: "t", DeliveryTag: uint64(i + 1), RoutingKey: q}, m)
			require.Equal(t, fmt.Sprint(i), body)
		}
		// What is cancelled keeps its messages (CONS-15), which then come back in order.
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "t"})
		c.send(1, &wire.BasicAck{DeliveryTag: 2}, &wire.BasicNack{DeliveryTag: 3, Requeue: true}, &wire.BasicNack{Multiple: true, Requeue: true})
		c.consume(q, "t2")
		for i, want := range []string{"0", "2", "3"} {
			m, body := c.delivered(1)
			require.Equal(t, &wire.BasicDeliver{ConsumerTag: "t2", DeliveryTag: uint64(i + 5), RoutingKey: q, Redelivered: true}, m)
			require.Equal(t, want, body)
		}
		c.send(1, &wire.BasicAck{DeliveryTag: 6, Multiple: true}, &wire.BasicReject{DeliveryTag: 7})
		expectEmpty(c, q)
	})
}

func expectEmpty(c *client, q string) {
	c.t.Helper()
	call[*wire.BasicGetEmpty](c, 1, &wire.BasicGet{Queue: q})
}

func TestNackMultipleIsOneStep(t *testing.T) { // ACK-10, ACK-11
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		c.consume(q, "a")
		c.consume(q, "b")
		for i := range 6 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		for range 6 {
			c.delivered(1)
		}
		c.send(1, &wire.BasicNack{Multiple: true, Requeue: true})
		got := ""
		for range 6 {
			d, body := c.delivered(1)
			got += d.ConsumerTag + body + " "
		}
		require.Equal(t, "a0 b2 a4 b1 a3 b5 ", got, "each consumer's messages come back in one step")
	})
}

func TestRecover(t *testing.T) { // ACK-13, ACK-14, ACK-16
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.publish(1, "", q, "0")
		c.publish(1, "", q, "1")
		call[*wire.BasicGetOk](c, 1, &wire.BasicGet{})
		c.content()
		c.consume(q, "t")
		c.delivered(1)
		call[*wire.BasicRecoverOk](c, 1, &wire.BasicRecover{Requeue: true})
		for i := range 2 {
			d, body := c.delivered(1)
			require.Equal(t, fmt.Sprint(i), body)
			require.Equal(t, uint64(i+3), d.DeliveryTag)
			require.True(t, d.Redelivered)
		}
	})
}

func TestNoAckConsumer(t *testing.T) { // CONS-8, QOS-8
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: q, ConsumerTag: "t", NoAck: true})
		for i := range 1000 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		for i := range 1000 {
			d, body := c.delivered(1)
			require.Equal(t, fmt.Sprint(i), body)
			require.Equal(t, uint64(i+1), d.DeliveryTag)
		}
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", wire.IDBasicAck)
	})
}

func TestNoAckConsumersWaitWhileTheSharedLimitIsReached(t *testing.T) { // QOS-8
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		before, after, counted := c.declare(), c.declare(), c.declare()
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: before, ConsumerTag: "before", NoAck: true})
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: counted, ConsumerTag: "counted"})
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1, Global: true})
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: after, ConsumerTag: "after", NoAck: true})
		for range 3 { // they count for nothing
			for _, q := range []string{before, after} {
				c.publish(1, "", q, q)
				_, body := c.delivered(1)
				require.Equal(t, q, body)
			}
		}
		c.publish(1, "", counted, "")
		d, _ := c.delivered(1)
		c.publish(1, "", before, "")
		c.publish(1, "", after, "")
		c.silent(100 * time.Millisecond)
		c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		d1, _ := c.delivered(1)
		d2, _ := c.delivered(1)
		require.ElementsMatch(t, []string{"before", "after"}, []string{d1.ConsumerTag, d2.ConsumerTag})
	})
}

func TestQueueDeletionCancelsConsumers(t *testing.T) { // QUEUE-28, CONS-17
	compare(t, func(t *testing.T, s *server) {
		c, other := s.channel(t), s.channel(t)
		q := "t-deleted"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q})
		c.consume(q, "t")
		other.consume(q, "t2")
		c.publish(1, "", q, "held")
		d, _ := c.delivered(1)
		c.send(1, &wire.QueueDelete{Queue: q})
		require.Zero(t, expect[*wire.QueueDeleteOk](c, 1).MessageCount)
		require.Equal(t, &wire.BasicCancel{ConsumerTag: "t", NoWait: true}, expect[*wire.BasicCancel](c, 1))
		require.Equal(t, &wire.BasicCancel{ConsumerTag: "t2", NoWait: true}, expect[*wire.BasicCancel](other, 1))
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "t"})
		c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag}) // ACK-7
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		c.consume(c.declare(), "t") // the tag is free
	})
}

func TestClientsThatDoNotKnowCancel(t *testing.T) { // CONS-17
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.capabilities = nil
		c.handshake()
		c.openChannel(1)
		q := c.declare()
		c.consume(q, "t")
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
		c.silent(500 * time.Millisecond)
	})
}

func TestPrefetch(t *testing.T) { // QOS-2 … QOS-7
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		for i := range 10 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 2})
		c.consume(q, "t")
		c.delivered(1)
		c.delivered(1)
		c.silent(200 * time.Millisecond)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 3, Global: true})
		c.consume(q, "t2") // together they may have one more
		d, body := c.delivered(1)
		require.Equal(t, "t2 2", d.ConsumerTag+" "+body)
		c.silent(200 * time.Millisecond)
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		c.delivered(1)
		c.silent(200 * time.Millisecond)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 2, Global: true})
		c.send(1, &wire.BasicAck{DeliveryTag: 2}) // two are left: still full
		c.silent(200 * time.Millisecond)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{Global: true})
		got := []string{}
		for range 2 { // up to two for each
			d, _ := c.delivered(1)
			got = append(got, d.ConsumerTag)
		}
		require.Len(t, got, 2)
		c.silent(200 * time.Millisecond)
	})
}

func TestConfirms(t *testing.T) { // CONF-3, CONF-7, PUB-5, PUB-6, LEN-5
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Exclusive: true, Arguments: wire.Table{
			"x-max-length": int32(1), "x-overflow": "reject-publish",
		}}).Queue
		c.publish(1, "", "nowhere", "not counted")
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		c.publish(1, "", "nowhere", "")
		require.Equal(t, uint64(1), expect[*wire.BasicAck](c, 1).DeliveryTag)
		c.publishWith(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, &wire.Properties{AppID: "a"}, "back")
		require.Equal(t, &wire.BasicReturn{ReplyCode: 312, ReplyText: "NO_ROUTE", RoutingKey: "nowhere"}, expect[*wire.BasicReturn](c, 1))
		p, body := c.content()
		require.Equal(t, "a back", p.AppID+" "+body)
		require.Equal(t, uint64(2), expect[*wire.BasicAck](c, 1).DeliveryTag)
		c.publish(1, "", q, "fits")
		require.Equal(t, uint64(3), expect[*wire.BasicAck](c, 1).DeliveryTag)
		c.publish(1, "", q, "does not")
		require.Equal(t, uint64(4), expect[*wire.BasicNack](c, 1).DeliveryTag)
	})
}

func TestWhatHasNoQueueIsConfirmedByItself(t *testing.T) { // CONF-5
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		silent := publishFrames(1, &wire.BasicPublish{RoutingKey: "nowhere"}, &wire.Properties{}, "lost")
		mandatory := publishFrames(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, &wire.Properties{}, "back")
		c.write(slices.Concat(silent, silent, mandatory))
		require.Equal(t, &wire.BasicAck{DeliveryTag: 1}, expect[*wire.BasicAck](c, 1))
		require.Equal(t, &wire.BasicAck{DeliveryTag: 2}, expect[*wire.BasicAck](c, 1))
		expect[*wire.BasicReturn](c, 1)
		c.content()
		require.Equal(t, &wire.BasicAck{DeliveryTag: 3}, expect[*wire.BasicAck](c, 1))
	})
}

func TestManyConfirmsAtOnce(t *testing.T) { // CONF-4, CONF-7
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		var b []byte
		const n = 500
		for range n {
			b = append(b, publishFrames(1, &wire.BasicPublish{RoutingKey: "x"}, &wire.Properties{}, "body")...)
		}
		c.write(b)
		for last := uint64(0); last < n; {
			m := expect[*wire.BasicAck](c, 1)
			if !m.Multiple {
				require.Equal(t, last+1, m.DeliveryTag)
			}
			require.Greater(t, m.DeliveryTag, last)
			last = m.DeliveryTag
		}
	})
}

func TestTransactions(t *testing.T) { // TX-1 … TX-8, TX-10
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.openChannel(2)
		q := c.declare()
		c.publish(1, "", q, "first")
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		c.publish(1, "", q, "second")
		c.publishWith(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, &wire.Properties{}, "back")
		require.Equal(t, uint32(1), call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)
		c.send(1, &wire.TxCommit{})
		expect[*wire.BasicReturn](c, 1)
		c.content()
		expect[*wire.TxCommitOk](c, 1)
		require.Equal(t, uint32(2), call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)

		c.send(1, &wire.BasicGet{Queue: q})
		d, body := c.got(1)
		require.Equal(t, "first", body)
		c.publish(1, "", q, "undone")
		c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		call[*wire.TxRollbackOk](c, 1, &wire.TxRollback{})
		c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		call[*wire.TxCommitOk](c, 1, &wire.TxCommit{})
		c.send(1, &wire.BasicGet{Queue: q})
		d, body = c.got(1)
		require.Equal(t, "second", body)
		c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag}, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2", wire.IDBasicAck)
		call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: q}) // TX-8; RabbitMQ returns it a moment later
		back, body := c.delivered(2)
		require.Equal(t, "second", body)
		require.True(t, back.Redelivered)
	})
}

func TestPartialCommit(t *testing.T) { // TX-10
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Exclusive: true, Arguments: wire.Table{
			"x-max-length": int32(0), "x-overflow": "reject-publish",
		}}).Queue
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		c.publish(1, "", q, "refused")
		c.send(1, &wire.TxCommit{})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - partial tx completion", wire.IDTxCommit)
	})
}

func TestDirectReplyTo(t *testing.T) { // RPC-1 … RPC-8
	const name = "amq.rabbitmq.reply-to"
	compare(t, func(t *testing.T, s *server) {
		c, responder := s.channel(t), s.channel(t)
		q := "t-rpc"
		call[*wire.QueueDeclareOk](responder, 1, &wire.QueueDeclare{Queue: q, Exclusive: true})
		require.Equal(t, &wire.QueueDeclareOk{Queue: name, ConsumerCount: 1}, call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: name}))
		tag := call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: name, NoAck: true}).ConsumerTag
		require.Regexp(t, `^amq\.ctag-[\w-]{22}$`, tag)
		c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Flags: wire.FlagAppID, ReplyTo: name, ClusterID: "c"}, "request")
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		responder.send(1, &wire.BasicGet{Queue: q, NoAck: true})
		expect[*wire.BasicGetOk](responder, 1)
		p, body := responder.content()
		require.Equal(t, "request", body)
		require.Equal(t, wire.FlagAppID|wire.FlagReplyTo|wire.FlagClusterID, p.Flags)
		require.Regexp(t, `^amq\.rabbitmq\.reply-to\.[^.]+\.[^.=]+==$`, p.ReplyTo)
		require.Equal(t, &wire.QueueDeclareOk{Queue: p.ReplyTo, ConsumerCount: 1},
			call[*wire.QueueDeclareOk](responder, 1, &wire.QueueDeclare{Queue: p.ReplyTo, Passive: true}))
		responder.publish(1, "", p.ReplyTo, "reply")

		d, body := c.delivered(1)
		require.Equal(t, &wire.BasicDeliver{ConsumerTag: tag, DeliveryTag: 1, RoutingKey: p.ReplyTo}, d)
		require.Equal(t, "reply", body)
		responder.publishWith(1, &wire.BasicPublish{RoutingKey: p.ReplyTo, Mandatory: true}, &wire.Properties{}, "returned")
		require.Equal(t, "NO_ROUTE", expect[*wire.BasicReturn](responder, 1).ReplyText) // RPC-7
		_, body = responder.content()
		require.Equal(t, "returned", body)
		_, body = c.delivered(1)
		require.Equal(t, "returned", body)
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: tag})
		call[*wire.ConfirmSelectOk](responder, 1, &wire.ConfirmSelect{})
		responder.publish(1, "", p.ReplyTo, "too late")
		expect[*wire.BasicAck](responder, 1)
		c.silent(200 * time.Millisecond)
		c.send(1, &wire.BasicConsume{Queue: name, NoAck: true}) // and again
		expect[*wire.BasicConsumeOk](c, 1)
		c.send(1, &wire.BasicConsume{Queue: name, NoAck: true})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - reply consumer already set", wire.IDBasicConsume)
	})
}

func TestConsumerTimeout(t *testing.T) { // CHAN-17
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.openChannel(2)
		call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: q})
		for i := range 50 { // each is settled in time
			c.publish(1, "", q, "m")
			d, _ := c.delivered(2)
			require.Equal(t, uint64(i+1), d.DeliveryTag)
			time.Sleep(25 * time.Minute)
			c.send(2, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		}
		c.publish(1, "", q, "m")
		c.delivered(2)
		c.silent(30 * time.Minute)
		time.Sleep(time.Minute)
		c.channelClosed(2, 406, "PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. Timeout value used: 1800000 ms. "+
			"This timeout value can be configured, see consumers doc guide to learn more", 0)
		c.send(1, &wire.BasicGet{Queue: q})
		d, _ := c.got(1)
		require.True(t, d.Redelivered)
	})
}

func TestGeneratedNames(t *testing.T) { // QUEUE-3, CONS-2
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		require.Regexp(t, `^amq\.gen-[\w-]{22}$`, q)
		require.Regexp(t, `^amq\.ctag-[\w-]{22}$`, call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{}).ConsumerTag)
	})
}

func TestChannelAndConnectionEndReturnMessages(t *testing.T) { // CHAN-9, CONN-69, ACK-17, QUEUE-18
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := "t-returned"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q})
		defer c.send(1, &wire.QueueDelete{Queue: q})
		for i := range 3 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		other := s.channel(t)
		exclusive := other.declare()
		other.consume(q, "t")
		for range 3 {
			other.delivered(1)
		}
		call[*wire.ChannelCloseOk](other, 1, &wire.ChannelClose{})
		require.Equal(t, uint32(3), call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)
		other.openChannel(1)
		other.consume(q, "t")
		for range 3 {
			d, _ := other.delivered(1)
			require.True(t, d.Redelivered)
		}
		require.NoError(t, other.nc.Close())
		time.Sleep(time.Second)
		ok := call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true})
		require.Equal(t, &wire.QueueDeclareOk{Queue: q, MessageCount: 3}, ok)
		require.NotNil(t, call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true}))
		c.openChannel(2)
		c.send(2, &wire.QueueDeclare{Queue: exclusive, Passive: true})
		require.Equal(t, uint16(404), expect[*wire.ChannelClose](c, 2).ReplyCode)
	})
}

func TestConfirmsAreNotHeldUpByAFullQueue(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		_, err := s.broker.DeclareQueue(ctx, "blocks", pocketmq.MaxLength(2))
		require.NoError(t, err)
		c := s.channel(t)
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		var b []byte
		for range 3 {
			b = append(b, publishFrames(1, &wire.BasicPublish{RoutingKey: "blocks"}, &wire.Properties{}, "body")...)
		}
		c.write(b)
		require.Equal(t, &wire.BasicAck{DeliveryTag: 2, Multiple: true}, expect[*wire.BasicAck](c, 1))
		c.silent(time.Hour)
		_, ok, err := s.broker.Get(ctx, "blocks", pocketmq.AutoAck())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, &wire.BasicAck{DeliveryTag: 3}, expect[*wire.BasicAck](c, 1))
	}, amqpserver.Heartbeat(-1))
}

func TestTransactionRoutesWhenItPublishes(t *testing.T) { // TX-3
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		late := "t-declared-late"
		early := c.declare()
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		c.publish(1, "", late, "")
		c.publish(1, "amq.fanout", "", "")
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: late, Exclusive: true})
		call[*wire.QueueBindOk](c, 1, &wire.QueueBind{Queue: early, Exchange: "amq.fanout"})
		call[*wire.TxCommitOk](c, 1, &wire.TxCommit{})
		expectEmpty(c, early)
		c.send(1, &wire.BasicGet{Queue: late}) // to the default exchange a name is enough
		c.got(1)
	})
}

func TestDefaultExchangeAsAlternate(t *testing.T) { // ROUTE-27
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		x := "t-alternate"
		call[*wire.ExchangeDeclareOk](c, 1, &wire.ExchangeDeclare{Exchange: x, Type: "direct", Arguments: wire.Table{"alternate-exchange": ""}})
		defer c.send(1, &wire.ExchangeDelete{Exchange: x})
		c.publishWith(1, &wire.BasicPublish{Exchange: x, RoutingKey: q, Mandatory: true}, &wire.Properties{}, "")
		expect[*wire.BasicReturn](c, 1)
	})
}

func TestRequeueOverTheLimitDropsBeforeItDelivers(t *testing.T) { // LEN-7
	for _, limit := range []int32{0, 2} {
		for name, m := range map[string]wire.Method{
			"recover": &wire.BasicRecoverAsync{Requeue: true},
			"nack":    &wire.BasicNack{DeliveryTag: 5, Multiple: true, Requeue: true},
		} {
			t.Run(fmt.Sprint(name, limit), func(t *testing.T) {
				compare(t, func(t *testing.T, s *server) {
					c := s.channel(t)
					q := call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Exclusive: true, Arguments: wire.Table{"x-max-length": limit}}).Queue
					c.consume(q, "t")
					for i := range 5 {
						c.publish(1, "", q, fmt.Sprint(i))
						c.delivered(1)
					}
					c.send(1, m)
					for i := range limit {
						_, body := c.delivered(1)
						require.Equal(t, fmt.Sprint(5-limit+i), body)
					}
					c.silent(300 * time.Millisecond)
				})
			})
		}
	}
}

// A body is split into frames as was negotiated; a header cannot be (CONN-42).
func TestFramesOfAConsumerWithASmallFrameMax(t *testing.T) {
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(ok *wire.ConnectionTuneOk) { ok.FrameMax = 4096 }
		c.handshake()
		c.openChannel(1)
		q := c.declare()
		c.consume(q, "t")
		s.channel(t).publishWith(1, &wire.BasicPublish{RoutingKey: q},
			&wire.Properties{Headers: wire.Table{"x": strings.Repeat("h", 10000)}}, strings.Repeat("b", 5000))
		expect[*wire.BasicDeliver](c, 1)
		for _, want := range []int{10025, 4088, 912} {
			f, err := c.read()
			require.NoError(t, err)
			require.Len(t, f.Payload, want)
		}
	})
}

// A message without its BCC is what it was otherwise: properties that are present
// and empty are not absent (PUB-16, ROUTE-23).
func TestEmptyPropertiesOfAMessageWithBCC(t *testing.T) {
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.consume(q, "t")
		for _, headers := range []wire.Table{{}, {"a": int32(1)}} {
			sent := wire.Properties{Headers: wire.Table{"BCC": []any{"nowhere"}}, DeliveryMode: 1}
			sent.Flags = wire.FlagAll &^ wire.FlagUserID &^ wire.FlagExpiration
			for key, v := range headers {
				sent.Headers[key] = v
			}
			sent.Timestamp = time.Unix(0, 0)
			for _, key := range []string{q, "nowhere, too"} {
				c.write(publishFrames(1, &wire.BasicPublish{RoutingKey: key, Mandatory: true}, &sent, "body"))
				if key == q {
					expect[*wire.BasicDeliver](c, 1)
				} else {
					expect[*wire.BasicReturn](c, 1)
				}
				got, _ := c.content()
				require.Equal(t, sent.Flags, got.Flags)
				require.Equal(t, fmt.Sprint(headers), fmt.Sprint(got.Headers))
			}
		}
	})
}

// A limit that all consumers share counts what was got before it was set, and
// settling that does not make room: RabbitMQ calls it obscure itself.
func TestGlobalPrefetchAndWhatWasGot(t *testing.T) {
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		for range 10 {
			c.publish(1, "", q, "m")
		}
		c.send(1, &wire.BasicGet{Queue: q}, &wire.BasicGet{Queue: q})
		c.got(1)
		c.got(1)
		limit := func(n uint16) {
			t.Helper()
			call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: n, Global: true})
		}
		delivered := func(tags ...uint64) {
			t.Helper()
			for _, tag := range tags {
				d, _ := c.delivered(1)
				require.Equal(t, tag, d.DeliveryTag)
			}
			c.silent(100 * time.Millisecond)
		}
		limit(2)
		c.consume(q, "t")
		delivered()
		limit(3)
		delivered(3)
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		delivered()
		c.send(1, &wire.BasicGet{Queue: q})
		c.got(1)
		delivered()
		c.send(1, &wire.BasicAck{DeliveryTag: 3})
		delivered(5)
		limit(0)
		delivered(6, 7, 8, 9, 10)
		c.send(1, &wire.BasicAck{DeliveryTag: 10, Multiple: true})
		limit(1)
		c.publish(1, "", q, "m")
		c.publish(1, "", q, "m")
		delivered(11)
	})
}

func TestCancelSendsWhatCameBefore(t *testing.T) { // CONS-15
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		for _, noAck := range []bool{true, false} {
			q := c.declare()
			for priority, tag := range []string{"other", "cancelled"} {
				call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{
					Queue: q, ConsumerTag: tag, NoAck: noAck, Arguments: wire.Table{"x-priority": int32(priority)},
				})
			}
			const messages = 100
			var frames []byte
			for range messages {
				frames = append(frames, publishFrames(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{}, "x")...)
			}
			frames, err := wire.AppendMethodFrame(frames, 1, &wire.BasicCancel{ConsumerTag: "cancelled"})
			require.NoError(t, err)
			c.write(frames)
			for range messages {
				d, _ := c.delivered(1)
				require.Equal(t, "cancelled", d.ConsumerTag)
			}
			expect[*wire.BasicCancelOk](c, 1)
			call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "other"})
		}
	})
}

func TestDeletingAQueueSendsWhatCameBefore(t *testing.T) { // QUEUE-28
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: q, ConsumerTag: "t", NoAck: true})
		const messages = 100
		var frames []byte
		for range messages {
			frames = append(frames, publishFrames(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{}, "x")...)
		}
		frames, err := wire.AppendMethodFrame(frames, 1, &wire.QueueDelete{Queue: q})
		require.NoError(t, err)
		c.write(frames)
		deliveries, deleted := 0, false
		for deliveries < messages || !deleted { // RabbitMQ may send delete-ok before or among them
			_, m := c.next()
			switch m := m.(type) {
			case *wire.BasicDeliver:
				c.content()
				deliveries++
			case *wire.QueueDeleteOk:
				require.Zero(t, m.MessageCount)
				deleted = true
			default:
				require.Fail(t, "unexpected", "%T", m)
			}
		}
		require.Equal(t, &wire.BasicCancel{ConsumerTag: "t", NoWait: true}, expect[*wire.BasicCancel](c, 1))
	})
}

// What a connection gives back when it ends is not for its own other channels.
func TestNothingIsDeliveredToConnectionThatEnds(t *testing.T) { // CONN-68
	bubble(t, func(t *testing.T, s *server) {
		const channels = 300
		call[*wire.QueueDeclareOk](s.channel(t), 1, &wire.QueueDeclare{Queue: "q", Durable: true})
		require.NoError(t, s.broker.Publish(ctx, "", "q", &pocketmq.Message{Body: []byte("m")}))
		for range 10 {
			c := s.channel(t)
			c.consume("q", "t")
			c.delivered(1)
			for n := uint16(2); n <= channels; n++ {
				c.openChannel(n)
				call[*wire.BasicConsumeOk](c, n, &wire.BasicConsume{Queue: "q", NoAck: true})
			}
			call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
			q, _ := s.broker.Stats().Queue("q")
			require.Equal(t, 1, q.Ready)
		}
	})
}
