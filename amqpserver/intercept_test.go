package amqpserver_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// on is an interceptor of one kind of methods.
func on(name string, fromServer bool, f func(m *amqpserver.Method) error) func(*amqpserver.Method) error {
	return func(m *amqpserver.Method) error {
		if m.Name == name && m.FromServer == fromServer {
			return f(m)
		}
		return nil
	}
}

func always(err error) func(*amqpserver.Method) error {
	return func(*amqpserver.Method) error { return err }
}

func TestInterceptSeesMethods(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var seen []string
		s.Intercept(func(m *amqpserver.Method) error {
			from := "client"
			if m.FromServer {
				from = "server"
			}
			require.Equal(t, "guest /", m.User+" "+m.VHost)
			require.Equal(t, s.Connections()[0].Name, m.Connection)
			seen = append(seen, fmt.Sprintf("%s %s %d %q %q %q %q", from, m.Name, m.Channel, m.Exchange, m.RoutingKey, m.Queue, m.ConsumerTag))
			synctest.Wait() // so that the two directions do not overlap
			return nil
		})
		c := s.channel(t)
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
		c.publish(1, "", "q", "body")
		c.consume("q", "t")
		c.delivered(1)
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
		synctest.Wait()
		require.Equal(t, []string{
			`client channel.open 1 "" "" "" ""`,
			`server channel.open-ok 1 "" "" "" ""`,
			`client queue.declare 1 "" "" "q" ""`,
			`server queue.declare-ok 1 "" "" "q" ""`,
			`client basic.publish 1 "" "q" "" ""`,
			`client basic.consume 1 "" "" "q" "t"`,
			`server basic.consume-ok 1 "" "" "" "t"`,
			`server basic.deliver 1 "" "q" "" "t"`,
			`client connection.close 0 "" "" "" ""`,
			`server connection.close-ok 0 "" "" "" ""`,
		}, seen)
	})
}

func TestInterceptedMethodsFail(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		s.Intercept(on("queue.declare", false, always(&pocketmq.Error{Code: 406, Text: "no queues today"})))
		c.send(1, &wire.QueueDeclare{Queue: "q", Durable: true})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - no queues today", wire.IDQueueDeclare)
		s.Intercept(on("basic.publish", false, always(&pocketmq.Error{Code: 403, Text: "no messages either"})))
		c.openChannel(1)
		c.publish(1, "", "q", "body")
		c.channelClosed(1, 403, "ACCESS_REFUSED - no messages either", wire.IDBasicPublish)
		s.Intercept(on("channel.open", false, always(errors.New("out of order"))))
		c.send(1, &wire.ChannelOpen{})
		c.closed(541, "INTERNAL_ERROR - out of order", wire.IDChannelOpen)
		for _, code := range []int{0, -1, 407, 1<<16 + 406} {
			s.Intercept(on("channel.open", false, always(&pocketmq.Error{Code: code, Text: "what?"})))
			c = s.open(t)
			c.send(1, &wire.ChannelOpen{})
			c.closed(541, fmt.Sprintf("INTERNAL_ERROR - there is no reply code %d: what?", code), wire.IDChannelOpen)
		}
		s.Intercept(on("channel.open-ok", true, always(&pocketmq.Error{Code: 406, Text: "gone"})))
		c = s.open(t)
		c.send(1, &wire.ChannelOpen{})
		c.closed(406, "PRECONDITION_FAILED - gone", 0)
		s.Intercept(nil)
		s.channel(t)
		require.Empty(t, s.broker.Stats().Queues)
	})
}

func TestInterceptedMethodsAreLost(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.consume(q, "t")
		s.Intercept(on("queue.declare", false, always(amqpserver.Ignore)))
		c.send(1, &wire.QueueDeclare{Queue: "lost"})
		c.silent(time.Minute)
		s.Intercept(on("basic.deliver", true, always(amqpserver.Ignore)))
		c.publish(1, "", q, "lost")
		c.silent(time.Minute)
		s.Intercept(nil)
		c.publish(1, "", q, "not lost")
		d, body := c.delivered(1)
		require.Equal(t, "not lost", body)
		require.Equal(t, uint64(2), d.DeliveryTag)
	})
}

func TestInterceptedMessages(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		faults := []error{nil, amqpserver.Nack, nil, amqpserver.Ignore, nil, nil}
		s.Intercept(on("basic.publish", false, func(*amqpserver.Method) error {
			fault := faults[0]
			faults = faults[1:]
			return fault
		}))
		var frames []byte
		for i := range 6 {
			frames = append(frames, publishFrames(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{}, fmt.Sprint(i+1))...)
		}
		c.write(frames)
		require.Equal(t, &wire.BasicAck{DeliveryTag: 1}, expect[*wire.BasicAck](c, 1))
		require.Equal(t, uint64(2), expect[*wire.BasicNack](c, 1).DeliveryTag)
		for _, tag := range []uint64{3, 5, 6} { // not several at once: 4 is not among them
			require.Equal(t, &wire.BasicAck{DeliveryTag: tag}, expect[*wire.BasicAck](c, 1))
		}
		for _, want := range []string{"1", "3", "5", "6"} {
			c.send(1, &wire.BasicGet{Queue: q, NoAck: true})
			_, body := c.got(1)
			require.Equal(t, want, body)
		}
	})
}

func TestInterceptedConnectionsAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		for _, f := range []func(*amqpserver.Method) error{
			on("basic.qos", false, always(amqpserver.Drop)),
			on("basic.qos-ok", true, always(fmt.Errorf("such as this one: %w", amqpserver.Drop))),
		} {
			c := s.channel(t)
			s.Intercept(f)
			c.send(1, &wire.BasicQos{})
			c.dropped(0, 0)
			s.Intercept(nil)
		}
	})
}

// An interceptor that waits keeps its direction of the connection, and does not keep
// anybody from noticing the end of it.
func TestInterceptorsThatWait(t *testing.T) {
	for _, name := range []string{"basic.qos", "basic.qos-ok"} {
		for _, end := range []string{"released", "the client is gone", "dropped", "shut down"} {
			t.Run(name+" "+end, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *server) {
					released := make(chan struct{})
					s.Intercept(on(name, name == "basic.qos-ok", func(m *amqpserver.Method) error {
						select {
						case <-released:
						case <-m.Context.Done():
						}
						return nil
					}))
					c, other := s.channel(t), s.channel(t)
					c.send(1, &wire.BasicQos{}, &wire.QueueDeclare{Queue: "q", Exclusive: true})
					c.silent(time.Hour)
					call[*wire.QueueDeclareOk](other, 1, &wire.QueueDeclare{Exclusive: true})
					switch end {
					case "released":
						close(released)
						expect[*wire.BasicQosOk](c, 1)
						expect[*wire.QueueDeclareOk](c, 1)
						return
					case "the client is gone":
						require.NoError(t, c.nc.Close())
					case "dropped":
						s.DropConnections()
					case "shut down":
						soon, cancel := withTimeout(time.Minute)
						defer cancel()
						_ = s.Shutdown(soon)
					}
					synctest.Wait()
					for _, info := range s.Connections() {
						require.NotEqual(t, c.nc.LocalAddr().String(), info.Peer)
					}
				})
			})
		}
	}
}

func TestCancelConsumers(t *testing.T) { // CONS-17
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.consume(q, "t")
		c.publish(1, "", q, "m")
		c.delivered(1)
		require.NoError(t, s.CancelConsumers("/", q))
		require.Equal(t, &wire.BasicCancel{ConsumerTag: "t", NoWait: true}, expect[*wire.BasicCancel](c, 1))
		c.publish(1, "", q, "m")
		c.silent(time.Second)
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		c.consume(q, "t")
		c.delivered(1)
		require.ErrorIs(t, s.CancelConsumers("/", "nope"), pocketmq.ErrNotFound)
		require.ErrorIs(t, s.CancelConsumers("nope", q), amqpserver.ErrNoVHost)
	})
}

// A message that waits for room waits with an interceptor, too, and what comes after
// it is seen in order.
func TestInterceptWhileAPublishWaits(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		take := s.full(t, "full", 1)
		c := s.channel(t)
		q := c.declare()
		c.publish(1, "", q, "m")
		c.send(1, &wire.BasicGet{Queue: q})
		c.got(1)
		var seen []string
		s.Intercept(func(m *amqpserver.Method) error {
			seen = append(seen, m.Name)
			return nil
		})
		c.publish(1, "", "full", "waits")
		c.send(1, &wire.BasicAck{DeliveryTag: 1}, &wire.BasicQos{})
		synctest.Wait()
		require.Equal(t, []string{"basic.publish"}, seen)
		take()
		expect[*wire.BasicQosOk](c, 1)
		require.Equal(t, []string{"basic.publish", "basic.ack", "basic.qos", "basic.qos-ok"}, seen)
	})
}
