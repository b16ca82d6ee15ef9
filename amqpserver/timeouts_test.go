package amqpserver_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// since43 runs a test with a server that behaves like RabbitMQ 4.3.
func since43(t *testing.T, test func(t *testing.T, s *server), opts ...amqpserver.Option) {
	t.Helper()
	bubble(t, test, append(opts, amqpserver.Compat(amqpserver.V4_3))...)
}

func timesOut(text string) string {
	return "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: " + text + " ms. " +
		"This timeout value can be configured, see consumers doc guide to learn more"
}

// canceled expects that the server ends a consumer after a time, to the millisecond.
func (c *client) canceled(after time.Duration, channel uint16, tag string) {
	c.t.Helper()
	c.silent(after - time.Millisecond)
	before := time.Now()
	require.Equal(c.t, &wire.BasicCancel{ConsumerTag: tag, NoWait: true}, expect[*wire.BasicCancel](c, channel))
	require.Equal(c.t, time.Millisecond, time.Since(before))
}

func (c *client) consumeWith(q, tag string, args wire.Table) {
	c.t.Helper()
	call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: q, ConsumerTag: tag, Arguments: args})
}

func TestWhichConsumerTimeoutCounts(t *testing.T) { // CHAN-17
	for name, tc := range map[string]struct {
		queue, consumer wire.Table
		policy          pocketmq.Table
		want            time.Duration
	}{
		"the server's":       {want: 30 * time.Minute},
		"the queue's":        {queue: wire.Table{"x-consumer-timeout": int32(5000)}, want: 5 * time.Second},
		"the policy's":       {policy: pocketmq.Table{"consumer-timeout": 4000}, want: 4 * time.Second},
		"the lesser of them": {queue: wire.Table{"x-consumer-timeout": int32(5000)}, policy: pocketmq.Table{"consumer-timeout": 6000}, want: 5 * time.Second},
		"the consumer's": {wire.Table{"x-consumer-timeout": int32(5000)}, wire.Table{"x-consumer-timeout": int64(7000)},
			pocketmq.Table{"consumer-timeout": 6000}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			since43(t, func(t *testing.T, s *server) {
				if tc.policy != nil {
					require.NoError(t, s.broker.SetPolicy(pocketmq.Policy{Name: "p", Definition: tc.policy}))
				}
				c := s.channel(t)
				c.quorum("q", tc.queue)
				c.consumeWith("q", "t", tc.consumer)
				c.publish(1, "", "q", "m")
				c.delivered(1)
				c.canceled(tc.want, 1, "t")
			})
		})
	}
}

func TestWhatIsLateGoesBack(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", wire.Table{"x-consumer-timeout": int32(1000), "x-delivery-limit": int32(0)})
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 2})
		c.consumeWith("q", "slow", nil)
		c.publish(1, "", "q", "a")
		first, _ := c.delivered(1)
		c.silent(600 * time.Millisecond)
		c.publish(1, "", "q", "b")
		second, _ := c.delivered(1)
		c.publish(1, "", "q", "c")
		c.canceled(400*time.Millisecond, 1, "slow")
		c.send(1, &wire.BasicAck{DeliveryTag: first.DeliveryTag}, &wire.BasicAck{DeliveryTag: second.DeliveryTag}) // the first is too late
		c.send(1, &wire.BasicGet{Queue: "q", NoAck: true})
		d, _ := c.got(1)
		require.True(t, d.Redelivered, "a, which did not fail")
		require.EqualValues(t, 1, d.MessageCount, "b was in time")
		c.consumeWith("q", "slow", nil) // the tag is free
		_, body := c.delivered(1)
		require.Equal(t, "c", body)
		c.send(1, &wire.BasicAck{DeliveryTag: first.DeliveryTag}) // and known no longer
		c.channelClosed(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", wire.IDBasicAck)
	})
}

// It ends the consumer that is late, and no other.
func TestOtherConsumersAreNotLate(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", nil)
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "classic", Durable: true, Arguments: wire.Table{}})
		c.consumeWith("q", "patient", wire.Table{"x-consumer-timeout": int32(3000)})
		c.consumeWith("q", "hasty", wire.Table{"x-consumer-timeout": int32(1000)})
		c.consumeWith("classic", "classic", wire.Table{"x-consumer-timeout": int32(10)})
		c.publish(1, "", "classic", "m")
		c.delivered(1)
		for range 2 {
			c.publish(1, "", "q", "m")
			c.delivered(1)
		}
		c.canceled(time.Second, 1, "hasty")
		d, _ := c.delivered(1)
		require.Equal(t, "patient", d.ConsumerTag)
		c.canceled(2*time.Second, 1, "patient")
		// The message that patient got later is late now that nobody has it any more.
		c.silent(time.Second - time.Millisecond)
		c.channelClosed(1, 406, timesOut("3000"), 0)
	})
}

func TestAChannelIsClosedThatCannotBeTold(t *testing.T) { // CHAN-17
	for name, late := range map[string]func(c *client){
		"the client knows no basic.cancel": func(c *client) {
			c.consumeWith("q", "t", nil)
			c.delivered(1)
		},
		"basic.get": func(c *client) {
			c.send(1, &wire.BasicGet{Queue: "q"})
			c.got(1)
		},
		"the consumer was cancelled": func(c *client) {
			c.consumeWith("q", "t", nil)
			c.delivered(1)
			call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "t"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			since43(t, func(t *testing.T, s *server) {
				c := s.connect(t)
				c.capabilities = wire.Table{}
				c.handshake()
				c.openChannel(1)
				c.openChannel(2)
				c.quorum("q", wire.Table{"x-consumer-timeout": int32(1000)})
				c.publish(1, "", "q", "m")
				late(c)
				c.silent(time.Second - time.Millisecond)
				before := time.Now()
				c.channelClosed(1, 406, timesOut("1000"), 0)
				require.Equal(t, time.Millisecond, time.Since(before))
				c.send(2, &wire.BasicGet{Queue: "q"})
				d, _ := c.got(2)
				require.True(t, d.Redelivered)
				c.send(2, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
				c.silent(time.Hour)
			}, amqpserver.Heartbeat(-1))
		})
	}
}

func TestSettledInTimeIsNotLate(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", wire.Table{"x-consumer-timeout": int32(1000)})
		c.consumeWith("q", "t", nil)
		for range 50 {
			c.publish(1, "", "q", "m")
			d, _ := c.delivered(1)
			c.silent(900 * time.Millisecond)
			c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		}
		c.publish(1, "", "q", "m")
		c.delivered(1)
		c.canceled(time.Second, 1, "t")
	})
}

func TestNoConsumerTimeout(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", nil)
		c.consume("q", "t")
		c.publish(1, "", "q", "m")
		c.delivered(1)
		c.silent(24 * time.Hour)
	}, amqpserver.ConsumerTimeout(-1), amqpserver.Heartbeat(-1))
}

func TestTheTimeoutOfAConsumerIsChecked(t *testing.T) { // ARGS-23
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", nil)
		c.send(1, &wire.BasicConsume{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int32(0)}})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'q' in vhost '/': {value_zero,0}", wire.IDBasicConsume)
	})
}

func TestConsumerTimeoutsOfQueuesSince40(t *testing.T) { // CHAN-17
	for version, closes := range map[amqpserver.Compatibility]bool{amqpserver.V3_10: false, amqpserver.V4_0: true} {
		bubble(t, func(t *testing.T, s *server) {
			c := s.channel(t)
			args := wire.Table{"x-consumer-timeout": int32(1000)}
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "classic", Durable: true, Arguments: args})
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "other", Durable: true})
			c.openChannel(2)
			call[*wire.BasicConsumeOk](c, 2, &wire.BasicConsume{Queue: "other", Arguments: args}) // means nothing
			c.publish(1, "", "other", "m")
			c.delivered(2)
			c.publish(1, "", "classic", "m")
			c.send(1, &wire.BasicGet{Queue: "classic"})
			c.got(1)
			c.silent(time.Minute - time.Millisecond)
			if closes {
				c.channelClosed(1, 406, timesOut("1000"), 0)
			}
			c.silent(10 * time.Minute)
		}, amqpserver.Compat(version), amqpserver.Heartbeat(-1))
	}
}

// The look at the channels is no sign of life.
func TestASilentPeerIsNoticedBetweenLooks(t *testing.T) { // CONN-75
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 60 }
		c.handshake()
		time.Sleep(10 * time.Minute)
		require.Empty(t, s.Connections())
	})
}

// While a publish waits nobody looks, and then it is done at once.
func TestConsumerTimeoutWhileAPublishWaits(t *testing.T) { // CHAN-17
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.consume(q, "t")
		c.publish(1, "", q, "m")
		c.delivered(1)
		c.openChannel(2)
		_, err := s.broker.DeclareQueue(t.Context(), "full", pocketmq.MaxLength(1))
		require.NoError(t, err)
		c.publish(2, "", "full", "a")
		c.publish(2, "", "full", "b") // waits
		c.silent(time.Hour)
		_, ok, err := s.broker.Get(t.Context(), "full", pocketmq.AutoAck())
		require.NoError(t, err)
		require.True(t, ok)
		before := time.Now()
		c.channelClosed(1, 406, timesOut("1800000"), 0)
		require.Zero(t, time.Since(before))
	}, amqpserver.Compat(amqpserver.V3_10), amqpserver.Heartbeat(-1))
}

// What a transaction that is rolled back has settled has been there all the time.
func TestRolledBackIsAsLateAsBefore(t *testing.T) { // CHAN-17, TX-7
	for _, v := range []amqpserver.Compatibility{amqpserver.V3_10, amqpserver.V4_0, amqpserver.V4_3} {
		for _, multiple := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
				c.quorum("q", nil)
				publisher := s.channel(t)
				publisher.publish(1, "", "q", "m")
				c.consumeWith("q", "t", nil)
				d, _ := c.delivered(1)
				c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag, Multiple: multiple})
				c.silent(90 * time.Second)
				call[*wire.TxRollbackOk](c, 1, &wire.TxRollback{})
				if v == amqpserver.V4_3 {
					c.canceled(10*time.Second, 1, "t")
				} else {
					c.channelClosed(1, 406, timesOut("100000"), 0)
				}
			}, amqpserver.Compat(v), amqpserver.ConsumerTimeout(100*time.Second), amqpserver.Heartbeat(-1))
		}
	}
}

// A channel that ends for another reason while its time is up ends once.
func TestAChannelIsClosedOnce(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		_, err := s.broker.DeclareQueue(ctx, "full", pocketmq.MaxLength(1))
		require.NoError(t, err)
		c := s.channel(t)
		c.quorum("q", wire.Table{"x-consumer-timeout": int32(1000)})
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		c.publish(1, "", "q", "m")
		call[*wire.TxCommitOk](c, 1, &wire.TxCommit{})
		c.send(1, &wire.BasicGet{Queue: "q"})
		c.got(1)
		c.publish(1, "", "full", "m")
		c.publish(1, "", "full", "m")
		c.send(1, &wire.TxCommit{})
		c.silent(2 * time.Second)
		_, err = s.broker.DeleteQueue(ctx, "full")
		require.NoError(t, err)
		c.channelClosed(1, 406, "PRECONDITION_FAILED - partial tx completion", wire.IDTxCommit)
		c.openChannel(1)
	}, amqpserver.Heartbeat(-1))
}

// What is late stays in the channel's list, but not its message.
func TestLateMessagesAreNotKept(t *testing.T) { // CHAN-17
	since43(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.quorum("q", wire.Table{"x-consumer-timeout": int32(1000)})
		const n, size = 40, 1 << 20
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		for range n {
			c.publish(1, "", "q", strings.Repeat("m", size))
			c.consumeWith("q", "t", nil)
			c.delivered(1)
			c.canceled(time.Second, 1, "t")
			call[*wire.QueuePurgeOk](c, 1, &wire.QueuePurge{Queue: "q"})
		}
		require.Less(t, heap(), before+n*size/2)
	})
}
