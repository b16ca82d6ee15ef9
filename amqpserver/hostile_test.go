package amqpserver_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
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

// wellServed checks that a server still does its work.
func (s *server) wellServed(t *testing.T) {
	t.Helper()
	c := s.channel(t)
	q := c.declare()
	c.publish(1, "", q, "hello")
	c.consume(q, "t")
	_, body := c.delivered(1)
	require.Equal(t, "hello", body)
	call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
	require.NoError(t, c.nc.Close())
}

func TestGarbage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	bubble(t, func(t *testing.T, s *server) {
		r := rand.New(rand.NewPCG(seed, 0))
		for i := range 50 {
			c := s.connect(t)
			if i%2 == 0 {
				c = s.channel(t)
			}
			garbage := make([]byte, 2000)
			for j := range garbage {
				garbage[j] = byte(r.Uint32())
			}
			if i%4 == 0 { // frames of the right form with the wrong contents
				garbage = nil
				for range 20 {
					payload := make([]byte, r.IntN(50))
					for j := range payload {
						payload[j] = byte(r.Uint32() % 100)
					}
					garbage = wire.AppendFrame(garbage, uint8(1+r.IntN(3)), uint16(r.IntN(3)), payload)
				}
			}
			c.write(garbage)
			require.NoError(t, c.nc.(interface{ CloseWrite() error }).CloseWrite())
			for {
				if _, err := c.read(); err != nil {
					break
				}
			}
			c.nc.Close()
		}
		s.wellServed(t)
		synctest.Wait()
		require.Empty(t, s.broker.Stats().Queues)
	})
}

func TestAllChannels(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.open(t)
		const n = 65535
		go func() {
			for i := 1; i <= n; i++ {
				c.send(uint16(i), &wire.ChannelOpen{})
			}
		}()
		for i := 1; i <= n; i++ {
			expect[*wire.ChannelOpenOk](c, uint16(i))
		}
		s.wellServed(t)
		require.Equal(t, n, s.Connections()[0].Channels)
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
	}, amqpserver.ChannelMax(-1))
}

func TestConsumerThatNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		lazy, c := s.channel(t), s.channel(t)
		q := "q"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Durable: true})
		lazy.consume(q, "lazy")
		lazy.send(1, &wire.BasicQos{PrefetchCount: 100}, &wire.BasicConsume{Queue: q, ConsumerTag: "no-ack", NoAck: true})
		synctest.Wait()
		body := strings.Repeat("x", 10000)
		for range 2000 {
			c.publish(1, "", q, body)
		}
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true})
		s.wellServed(t)
		require.NoError(t, lazy.nc.Close())
		synctest.Wait()
		lost := 2000 - int(call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)
		require.LessOrEqual(t, lost, 30, "messages without ack that were on their way") // two buffers of 64 KiB, and some
	})
}

func TestClientThatNeverReadsItsAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		body := strings.Repeat("x", 4000)
		m := publishFrames(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, &wire.Properties{}, body)
		var written atomic.Int64
		go func() {
			for {
				n, err := c.nc.Write(m)
				if err != nil {
					return
				}
				written.Add(int64(n))
			}
		}()
		taken := func() int64 {
			synctest.Wait() // the server has stopped reading
			return written.Load()
		}
		const room, some = int64(amqpserver.AnswerRoom), int64(1 << 20)
		require.InDelta(t, room, taken(), float64(some))
		_, err := io.CopyN(io.Discard, c.nc, some)
		require.NoError(t, err)
		require.InDelta(t, room+some, taken(), float64(some), "what the server is about to send counts, too")
		s.wellServed(t)
		require.NoError(t, c.nc.Close())
	})
}

// pileUp makes the server send more than it can to a client that does not read: answers
// until it handles nothing more.
func (c *client) pileUp(s *server) {
	c.t.Helper()
	m := publishFrames(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, &wire.Properties{}, strings.Repeat("x", 4000))
	for handled := true; handled; {
		before, _ := s.broker.Stats().Exchange("")
		for range 5 {
			c.write(m)
		}
		synctest.Wait()
		after, _ := s.broker.Stats().Exchange("")
		handled = after.Published == before.Published+5
	}
}

func TestClientThatTakesNothingIsDropped(t *testing.T) {
	for name, send := range map[string]func(c *client, s *server){
		"answers": (*client).pileUp,
		"deliveries": func(c *client, _ *server) {
			q := c.declare()
			for range 300 {
				c.publish(1, "", q, strings.Repeat("x", 1000))
			}
			call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
			c.send(1, &wire.BasicConsume{Queue: q})
		},
	} {
		for _, timeout := range []time.Duration{0, time.Minute, -1} {
			t.Run(fmt.Sprint(name, timeout), func(t *testing.T) {
				var log strings.Builder
				bubble(t, func(t *testing.T, s *server) {
					c := s.connect(t)
					c.tune = func(ok *wire.ConnectionTuneOk) { ok.Heartbeat = 20 }
					c.handshake()
					c.openChannel(1)
					send(c, s)
					began := time.Now()
					for time.Since(began) < 2*time.Minute && len(s.Connections()) > 0 {
						time.Sleep(10 * time.Second)
						_, _ = c.nc.Write(wire.AppendHeartbeat(nil))
						synctest.Wait()
					}
					switch took := time.Since(began); timeout {
					case 0:
						require.Equal(t, 30*time.Second, took)
					case -1:
						require.Equal(t, 2*time.Minute, took)
						require.NoError(t, c.nc.Close())
						return
					default:
						require.Equal(t, timeout, took)
					}
					require.Contains(t, log.String(), "the client did not take what was sent to it")
				}, amqpserver.SendTimeout(timeout), amqpserver.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			})
		}
	}
}

// A client that reads slowly is served for as long as it takes.
func TestClientThatReadsSlowly(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.pileUp(s)
		require.NoError(t, c.nc.SetReadDeadline(time.Time{}))
		for range 120 {
			time.Sleep(20 * time.Second)
			_, err := io.CopyN(io.Discard, c.nc, 64<<10)
			require.NoError(t, err)
		}
		require.NoError(t, c.nc.Close())
	})
}

// That a client is gone is noticed also while so much waits to be sent to it that nothing
// is read: it sends nothing any more.
func TestSilentClientThatTakesNothing(t *testing.T) { // CONN-74
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(ok *wire.ConnectionTuneOk) { ok.Heartbeat = 10 }
		c.handshake()
		c.openChannel(1)
		c.pileUp(s)
		time.Sleep(19 * time.Second)
		require.Len(t, s.Connections(), 1)
		time.Sleep(16 * time.Second) // five of them for what could still be sent
		require.Empty(t, s.Connections())
	}, amqpserver.SendTimeout(-1))
}

// Whatever a message has in it, a client gets all of its frames.
func TestHeadersNestedAsDeepAsPossible(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		call[*wire.QueueBindOk](c, 1, &wire.QueueBind{Queue: q, Exchange: "amq.rabbitmq.trace", RoutingKey: "publish.#"})
		s.broker.SetTracing(true)
		c.consume(q, "t")
		deep := pocketmq.Table{}
		for n := 1; ; n++ {
			if err := s.broker.Publish(ctx, "", q, &pocketmq.Message{Headers: deep, Body: []byte("m")}); err != nil {
				require.ErrorContains(t, err, "nested more than 64 deep")
				require.Equal(t, 65, n)
				return
			}
			for range 2 { // with its copy
				_, body := c.delivered(1)
				require.Equal(t, "m", body)
			}
			deep = pocketmq.Table{"t": deep}
		}
	})
}

func TestClientThatNeverAnswersClose(t *testing.T) { // CONN-65, CONN-66
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := "exclusive"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true})
		c.send(1, &wire.BasicQos{PrefetchSize: 1}) // an error
		expect[*wire.ConnectionClose](c, 0)
		_, ok := s.broker.Stats().Queue(q)
		require.False(t, ok, "what is exclusively its own is gone at once")
		c.send(1, &wire.BasicQos{})
		c.dropped(30*time.Second, 30*time.Second)
	})
}

func TestAnnouncedBodyThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		for ch := uint16(2); ch < 1000; ch++ {
			c.openChannel(ch)
			c.send(ch, &wire.BasicPublish{RoutingKey: "q"})
			c.frame(wire.FrameHeader, ch, "\x00\x3c\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00")
			c.frame(wire.FrameBody, ch, strings.Repeat("x", 4000))
		}
		s.wellServed(t)
	})
}

func TestMessageTooLarge(t *testing.T) { // PUB-15
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.publish(1, "", "q", strings.Repeat("x", 1000))
		c.publish(1, "", "q", strings.Repeat("x", 1001))
		c.channelClosed(1, 406, "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000", wire.IDBasicPublish)
	}, amqpserver.MaxMessageSize(1000))
}

func TestMemoryLimit(t *testing.T) { // CONN-77 … CONN-82
	bubble(t, func(t *testing.T, s *server) {
		var heap atomic.Uint64
		s.SetHeap(heap.Load)
		c, consumer := s.channel(t), s.channel(t)
		quiet := s.connect(t) // knows nothing of connection.blocked
		quiet.capabilities = nil
		quiet.handshake()
		quiet.openChannel(1)
		q := "q"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Durable: true})
		consumer.consume(q, "t")
		c.publish(1, "", q, "first")
		consumer.delivered(1)
		heap.Store(1001)
		time.Sleep(time.Second)
		flood := bytes.Repeat(publishFrames(1, &wire.BasicPublish{RoutingKey: "nowhere"}, &wire.Properties{}, ""), 3000)
		c.write(flood)
		require.Equal(t, "low on memory", expect[*wire.ConnectionBlocked](c, 0).Reason)
		require.Equal(t, "blocked", s.state(c))
		c.publish(1, "", q, "held up")
		c.send(1, &wire.BasicQos{})
		c.silent(10 * time.Second)
		quiet.publish(1, "", q, "too")
		quiet.send(1, &wire.BasicQos{})
		quiet.silent(time.Second)
		call[*wire.BasicQosOk](consumer, 1, &wire.BasicQos{}) // never published
		heap.Store(999)
		expect[*wire.ConnectionUnblocked](c, 0)
		expect[*wire.BasicQosOk](c, 1)
		expect[*wire.BasicQosOk](quiet, 1)
		for range 2 {
			consumer.delivered(1)
		}
	}, amqpserver.MemoryLimit(1000))
}

// What counts is what came, not what was published: bodies need not be complete.
func TestMemoryLimitOfIncompleteBodies(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var heap atomic.Uint64
		s.SetHeap(heap.Load)
		c := s.channel(t)
		heap.Store(1001)
		time.Sleep(time.Second)
		body := strings.Repeat("x", 100_000)
		c.send(1, &wire.BasicPublish{RoutingKey: "nowhere"})
		c.frame(wire.FrameHeader, 1, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00")
		for range 10 {
			c.frame(wire.FrameBody, 1, body)
		}
		synctest.Wait()
		require.Equal(t, "running", s.state(c))
		c.frame(wire.FrameBody, 1, body)
		require.Equal(t, "low on memory", expect[*wire.ConnectionBlocked](c, 0).Reason)
		heap.Store(999)
		expect[*wire.ConnectionUnblocked](c, 0)
	}, amqpserver.MemoryLimit(1000))
}

func (s *server) state(c *client) string {
	for _, info := range s.Connections() {
		if info.Peer == c.nc.LocalAddr().String() {
			return info.State
		}
	}
	return ""
}

func TestAlarms(t *testing.T) { // CONN-77, CONN-80, CONN-81
	bubble(t, func(t *testing.T, s *server) {
		s.RaiseAlarm("low on memory")
		s.RaiseAlarm("low on disk")
		c := s.channel(t)
		c.publish(1, "", "nowhere", "")
		require.Equal(t, "low on disk & memory", expect[*wire.ConnectionBlocked](c, 0).Reason)
		s.ClearAlarm("low on disk")
		c.silent(time.Second)
		s.ClearAlarm("low on memory")
		expect[*wire.ConnectionUnblocked](c, 0)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
	})
}

// A message blocks its connection when its header has come: if that is all of it,
// the message has passed.
func TestAlarmComesAfterTheHeader(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		empty, long := s.channel(t), s.channel(t)
		empty.openChannel(2)
		call[*wire.QueueDeclareOk](empty, 1, &wire.QueueDeclare{Queue: "q", Durable: true})
		call[*wire.ConfirmSelectOk](empty, 1, &wire.ConfirmSelect{})
		s.RaiseAlarm("low on memory")
		for _, c := range []*client{empty, long} {
			c.publish(1, "", "q", map[*client]string{long: "body"}[c])
			expect[*wire.ConnectionBlocked](c, 0)
		}
		expect[*wire.BasicAck](empty, 1)
		q, _ := s.broker.Stats().Queue("q")
		require.Equal(t, 1, q.Ready)
		s.ClearAlarm("low on memory")
		synctest.Wait()
		q, _ = s.broker.Stats().Queue("q")
		require.Equal(t, 2, q.Ready)
	})
}

func TestShutdown(t *testing.T) { // CONN-70
	bubble(t, func(t *testing.T, s *server) {
		idle, blocked, half := s.channel(t), s.channel(t), s.connect(t)
		half.write([]byte("AMQP"))
		s.RaiseAlarm("low on disk")
		blocked.publish(1, "", "", "")
		expect[*wire.ConnectionBlocked](blocked, 0)
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(ctx) }()
		const text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
		idle.closed(320, text, 0)
		blocked.closed(320, text, 0)
		half.nc.Close()
		require.NoError(t, <-done)
		require.ErrorIs(t, s.ServeConn(s.pipe()), amqpserver.ErrServerClosed)
	})
}

func TestShutdownThatTakesTooLong(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		limited, cancel := withTimeout(time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, s.Shutdown(limited), limited.Err())
		require.Equal(t, time.Second, time.Since(start))
		expect[*wire.ConnectionClose](c, 0)
		c.dropped(0, 0)
	})
}

func TestCloseConnection(t *testing.T) { // CONN-72
	bubble(t, func(t *testing.T, s *server) {
		c := s.open(t)
		info := s.Connections()
		require.Len(t, info, 1)
		require.Equal(t, "guest / running", fmt.Sprint(info[0].User, " ", info[0].VHost, " ", info[0].State))
		require.NoError(t, s.CloseConnection(info[0].Name, "Closed via management plugin"))
		require.ErrorIs(t, s.CloseConnection("nobody", ""), amqpserver.ErrNoConnection)
		c.closed(320, "CONNECTION_FORCED - Closed via management plugin", 0)
	})
}

func TestBrokerClosedUnderConnections(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, idle := s.channel(t), s.channel(t)
		c.consume(c.declare(), "t")
		require.NoError(t, s.broker.Close())
		c.closed(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", 0)
		idle.send(1, &wire.QueueDeclare{})
		require.Equal(t, uint16(320), expect[*wire.ConnectionClose](idle, 0).ReplyCode)
	})
}

// A client that stopped in the handshake does not keep Shutdown waiting.
func TestShutdownDoesNotWaitForUnfinishedHandshakes(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.write([]byte(wire.ProtocolHeader))
		expect[*wire.ConnectionStart](c, 0)
		short, cancel := withTimeout(time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(short))
	})
}

// Who does not know guest's password does not get in without one either.
func TestAnonymousIsGuestWithGuestsPassword(t *testing.T) {
	for password, admitted := range map[string]bool{"guest": true, "secret": false} {
		t.Run(password, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.connect(t)
				c.startOk("ANONYMOUS", "")
				_, answer := c.next()
				_, tuned := answer.(*wire.ConnectionTune)
				require.Equal(t, admitted, tuned)
			}, amqpserver.User("guest", password))
		})
	}
}

// Announcing a body costs the server next to nothing.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.open(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for ch := uint16(1); ch <= 1000; ch++ {
			c.openChannel(ch)
			b, err := wire.AppendMethodFrame(nil, ch, &wire.BasicPublish{RoutingKey: "q"})
			require.NoError(t, err)
			b, err = wire.AppendHeaderFrame(b, ch, 16<<20, &wire.Properties{})
			require.NoError(t, err)
			c.write(b)
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))
	})
}

func TestLongAlarmReasonIsCut(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		s.RaiseAlarm(strings.Repeat("x", 300))
		c.publish(1, "", "nowhere", "")
		require.Len(t, expect[*wire.ConnectionBlocked](c, 0).Reason, 255)
		s.ClearAlarm(strings.Repeat("x", 300))
		expect[*wire.ConnectionUnblocked](c, 0)
	})
}

// What ends a connection must not have to wait for room in a queue.
func TestDroppedConnectionStopsWaitingForRoom(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		_, err := s.broker.DeclareQueue(ctx, "full", pocketmq.MaxLength(0))
		require.NoError(t, err)
		c := s.channel(t)
		exclusive := c.declare()
		c.publish(1, "", "full", "waits")
		synctest.Wait()
		s.DropConnections()
		synctest.Wait()
		require.Empty(t, s.Connections())
		_, there := s.broker.Stats().Queue(exclusive)
		require.False(t, there)
	})
}

// Clients may write what looks like a death, of any types.
func TestMadeUpDeaths(t *testing.T) {
	for _, v := range []amqpserver.Compatibility{amqpserver.V3_10, amqpserver.V4_0, amqpserver.V4_3} {
		for _, value := range []any{[]any{"a"}, wire.Table{"a": "b"}, []byte("a"), nil, int32(1), "a"} {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.quorum("q", nil)
				headers := wire.Table{"x-first-death-queue": value, "x-first-death-reason": value, "x-death": []any{
					value, wire.Table{"count": int64(1), "queue": value, "reason": value},
				}}
				c.publishWith(1, &wire.BasicPublish{RoutingKey: "q"}, &wire.Properties{Headers: headers}, "m")
				for range 2 { // the second time it has another header besides
					c.send(1, &wire.BasicGet{Queue: "q"})
					d := expect[*wire.BasicGetOk](c, 1)
					p, _ := c.content()
					for key := range headers {
						require.Equal(t, headers[key], p.Headers[key])
					}
					c.send(1, &wire.BasicNack{DeliveryTag: d.DeliveryTag, Requeue: true})
				}
			}, amqpserver.Compat(v))
		}
	}
}
