package amqpserver_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// full makes a queue of this name in which there is no room, so that publishers
// wait, and returns a function that takes its oldest message out.
func (s *server) full(t *testing.T, name string, messages int) (take func() string) {
	t.Helper()
	_, err := s.broker.DeclareQueue(ctx, name, pocketmq.MaxLength(messages))
	require.NoError(t, err)
	for i := range messages {
		require.NoError(t, s.broker.Publish(ctx, "", name, &pocketmq.Message{Body: fmt.Appendf(nil, "full %d", i)}))
	}
	return func() string {
		d, ok, err := s.broker.Get(ctx, name, pocketmq.AutoAck())
		require.NoError(t, err)
		require.True(t, ok)
		synctest.Wait()
		return string(d.Body)
	}
}

func TestPeerThatVanishesWhileItsPublishWaits(t *testing.T) {
	for name, vanish := range map[string]func(*client){
		"closed": func(c *client) { require.NoError(c.t, c.nc.Close()) },
		"reset":  func(c *client) { require.NoError(c.t, c.nc.(interface{ Reset() error }).Reset()) },
		"within a frame": func(c *client) {
			c.write([]byte{wire.FrameBody, 0, 1, 0, 0})
			require.NoError(c.t, c.nc.Close())
		},
		"silent": func(*client) { time.Sleep(30 * time.Second) },
	} {
		for _, alarm := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, alarm %v", name, alarm), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *server) {
					s.full(t, "full", 1)
					c := s.connect(t)
					c.tune = func(ok *wire.ConnectionTuneOk) {
						if name == "silent" {
							ok.Heartbeat = 10
						}
					}
					c.handshake()
					c.openChannel(1)
					exclusive := c.declare()
					if alarm {
						s.RaiseAlarm("low on memory")
						defer s.ClearAlarm("low on memory")
					}
					c.publish(1, "", "full", "waits")
					c.publish(1, "", "full", "waits behind it")
					synctest.Wait()
					require.Len(t, s.Connections(), 1)
					vanish(c)
					synctest.Wait()
					require.Empty(t, s.Connections())
					_, there := s.broker.Stats().Queue(exclusive)
					require.False(t, there)
					q, _ := s.broker.Stats().Queue("full")
					require.Equal(t, 1, q.Ready)
				})
			})
		}
	}
}

// A peer that is not silent may wait as long as it likes.
func TestHeartbeatsWhileAPublishWaits(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		take := s.full(t, "full", 1)
		c := s.connect(t)
		c.tune = func(ok *wire.ConnectionTuneOk) { ok.Heartbeat = 10 }
		c.handshake()
		c.openChannel(1)
		c.publish(1, "", "full", "waits")
		for range 100 {
			time.Sleep(10 * time.Second)
			c.frame(wire.FrameHeartbeat, 0, "")
		}
		take()
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
		require.Equal(t, "waits", take())
	})
}

// What is sent while a publish waits is handled in order when it has its room.
func TestOrderAfterAWait(t *testing.T) {
	for _, alarm := range []bool{false, true} {
		t.Run(fmt.Sprintf("alarm %v", alarm), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				take := s.full(t, "full", 1)
				c := s.channel(t)
				c.openChannel(2)
				if alarm {
					s.RaiseAlarm("low on disk")
				}
				large := strings.Repeat("x", 100_000)
				frames := publishFrames(1, &wire.BasicPublish{RoutingKey: "full"}, &wire.Properties{}, "1")
				frames = append(frames, publishFrames(2, &wire.BasicPublish{RoutingKey: "full"}, &wire.Properties{}, "2")...)
				frames = append(frames, publishFrames(1, &wire.BasicPublish{RoutingKey: "full"}, &wire.Properties{}, "3")...)
				b, err := wire.AppendHeaderFrame(nil, 1, uint64(len(large)), &wire.Properties{})
				require.NoError(t, err)
				frames, err = wire.AppendMethodFrame(frames, 1, &wire.BasicPublish{RoutingKey: "full"})
				require.NoError(t, err)
				frames = wire.AppendFrame(append(frames, b...), wire.FrameBody, 1, []byte(large))
				half := len(frames) - len(large)/2
				c.write(frames[:half]) // reading is interrupted within a frame
				synctest.Wait()
				if alarm {
					s.ClearAlarm("low on disk")
					expect[*wire.ConnectionBlocked](c, 0)
					expect[*wire.ConnectionUnblocked](c, 0)
					synctest.Wait()
				}
				require.Equal(t, "full 0", take())
				require.Equal(t, "1", take())
				c.write(frames[half:])
				c.send(2, &wire.QueueDeclare{Queue: "after"})
				synctest.Wait()
				require.Equal(t, "2", take())
				require.Equal(t, "3", take())
				require.Equal(t, "after", expect[*wire.QueueDeclareOk](c, 2).Queue)
				require.Equal(t, large, take())
			})
		})
	}
}

// A connection that consumes from the queue it publishes to makes its own room.
func TestAcksAreNotKeptByAPublishThatWaits(t *testing.T) {
	for _, consumes := range []uint16{1, 2} {
		t.Run(fmt.Sprintf("consumer on channel %d", consumes), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				s.full(t, "full", 2)
				c := s.channel(t)
				if consumes != 1 {
					c.openChannel(consumes)
				}
				call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
				call[*wire.BasicQosOk](c, consumes, &wire.BasicQos{PrefetchCount: 1})
				call[*wire.BasicConsumeOk](c, consumes, &wire.BasicConsume{Queue: "full"})
				for i := range 5 {
					c.publish(1, "", "full", fmt.Sprint(i))
				}
				tags := map[uint64]string{}
				var confirmed uint64
				for len(tags) < 7 || confirmed < 5 {
					ch, m := c.next()
					switch m := m.(type) {
					case *wire.BasicAck:
						require.Equal(t, uint16(1), ch)
						confirmed = m.DeliveryTag
					case *wire.BasicDeliver:
						require.Equal(t, consumes, ch)
						_, tags[m.DeliveryTag] = c.content()
						c.send(ch, &wire.BasicAck{DeliveryTag: m.DeliveryTag})
					}
				}
				require.Equal(t, map[uint64]string{1: "full 0", 2: "full 1", 3: "0", 4: "1", 5: "2", 6: "3", 7: "4"}, tags)
			})
		})
	}
}

// Acks overtake messages, and nothing else.
func TestWhatAcksDoNotOvertake(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		take := s.full(t, "full", 1)
		c := s.channel(t)
		q := c.declare()
		for range 3 {
			c.publish(1, "", q, "")
		}
		for range 3 {
			c.send(1, &wire.BasicGet{Queue: q})
			c.got(1)
		}
		c.publish(1, "", "full", "waits")
		c.publish(1, "", "full", "waits, too")
		c.send(1, &wire.BasicAck{DeliveryTag: 1}, &wire.QueueDeclare{Queue: q, Passive: true}, &wire.BasicAck{DeliveryTag: 2})
		synctest.Wait()
		stats, _ := s.broker.Stats().Queue(q)
		require.Equal(t, 2, stats.Unacked)
		take()
		take()
		expect[*wire.QueueDeclareOk](c, 1)
		synctest.Wait()
		stats, _ = s.broker.Stats().Queue(q)
		require.Equal(t, 1, stats.Unacked)
		c.publish(1, "", "full", "waits")
		c.send(1, &wire.BasicAck{DeliveryTag: 99}) // is told of after the message has its room
		synctest.Wait()
		take()
		c.channelClosed(1, 406, "PRECONDITION_FAILED - unknown delivery tag 99", wire.IDBasicAck)
		require.Equal(t, "waits", take())
	})
}

func TestWhatIsReadAheadIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		take := s.full(t, "full", 1)
		c := s.channel(t)
		m := publishFrames(1, &wire.BasicPublish{RoutingKey: "full"}, &wire.Properties{}, strings.Repeat("x", 100))
		var written atomic.Int64
		go func() {
			for {
				n, err := c.nc.Write(m)
				if written.Add(int64(n)); err != nil {
					return
				}
			}
		}()
		for range 10 {
			synctest.Wait()
			before := written.Load()
			require.Less(t, before, int64(amqpserver.MaxAhead+100_000), "what is kept, and two buffers")
			for range 1000 {
				take()
			}
			synctest.Wait()
			require.Greater(t, written.Load(), before)
			written.Add(int64(-1000 * len(m)))
		}
		require.NoError(t, c.nc.Close())
		s.DropConnections() // for nobody reads any more
	})
}
