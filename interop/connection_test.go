package interop

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
)

// generated matches a queue's generated name in an error text.
var generated = regexp.MustCompile(`'amq\.gen-[^']*'`)

func TestServerProperties(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		assert.Equal(t, "RabbitMQ", conn.Properties["product"])
		assert.NotEmpty(t, conn.Properties["version"])
		for _, c := range []string{
			"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
			"consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
		} {
			assert.Equal(t, true, conn.Properties["capabilities"].(amqp.Table)[c], c)
		}
	})
}

func TestTuning(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		config := s.config()
		config.Heartbeat = 2 * time.Minute // more than the server proposes
		conn := s.connectWith(t, config)
		assert.EqualValues(t, 2047, conn.Config.ChannelMax)
		assert.Equal(t, 131072, conn.Config.FrameSize)
		assert.Equal(t, 60*time.Second, conn.Config.Heartbeat)
	})
}

// This client does not announce that it understands authentication failures, so
// all it sees is that after some seconds the connection is closed.
func TestWrongPassword(t *testing.T) {
	each(t, []target{rabbit, bubble}, func(t *testing.T, s *server) {
		config := s.config()
		config.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: "guest", Password: "wrong"}}
		_, err := amqp.DialConfig(s.url, config)
		var said *amqp.Error
		require.ErrorAs(t, err, &said)
		assert.Equal(t, 403, said.Code)
	})
}

func TestAMQPLAIN(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		config := s.config()
		config.SASL = []amqp.Authentication{&amqp.AMQPlainAuth{Username: "guest", Password: "guest"}}
		s.queue(t, channel(t, s.connectWith(t, config)))
	})
}

func TestUnknownVHost(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		config := s.config()
		config.Vhost = "interop.none"
		_, err := amqp.DialConfig(s.url, config)
		var said *amqp.Error
		require.ErrorAs(t, err, &said)
		assert.Equal(t, 530, said.Code)
		assert.Equal(t, "NOT_ALLOWED - vhost interop.none not found", said.Reason)
	})
}

func TestVHostsAreApart(t *testing.T) {
	other := pocketmq.New(pocketmq.VHost("other"))
	defer other.Close()
	srv := amqptest.NewServer(t, amqpserver.VHost("other", other), amqpserver.User("app", "s3cr/t@"))
	conn, err := amqp.DialConfig(srv.URLFor("app", "s3cr/t@", "other"), amqp.Config{Dial: srv.Dial})
	require.NoError(t, err)
	defer conn.Close()
	_, err = channel(t, conn).QueueDeclare("q", true, false, false, false, nil)
	require.NoError(t, err)
	_, ok := srv.Broker().Stats().Queue("q")
	assert.False(t, ok)
	_, ok = other.Stats().Queue("q")
	assert.True(t, ok)
	_, err = channel(t, conn).QueueDeclarePassive("none", true, false, false, false, nil)
	assert.ErrorContains(t, err, "no queue 'none' in vhost 'other'")
}

// An hour of heartbeats, every 10 seconds, keeps an idle connection alive.
func TestHeartbeatsForAnHour(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		config := s.config()
		config.Heartbeat = 10 * time.Second
		conn := s.connectWith(t, config)
		ch := channel(t, conn)
		ended := conn.NotifyClose(make(chan *amqp.Error, 1))
		time.Sleep(time.Hour)
		assert.Empty(t, ended)
		s.queue(t, ch)
	})
}

// A client that says nothing is dropped after two to three intervals.
func TestASilentClientIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		var stop func()
		config := s.config()
		config.Heartbeat = 10 * time.Second
		config.Dial = func(network, addr string) (net.Conn, error) {
			c, err := s.dial(network, addr)
			gag := &gagged{Conn: c}
			stop = func() { gag.silent.Store(true) }
			return gag, err
		}
		conn := s.connectWith(t, config)
		ended := conn.NotifyClose(make(chan *amqp.Error, 1))
		stop()
		start := time.Now()
		err := <-ended
		require.NotNil(t, err)
		assert.GreaterOrEqual(t, time.Since(start), 20*time.Second)
		assert.LessOrEqual(t, time.Since(start), 31*time.Second)
	})
}

// gagged is a connection whose writes come to nothing once it is silent.
type gagged struct {
	net.Conn
	silent atomic.Bool
}

func (g *gagged) Write(b []byte) (int, error) {
	if g.silent.Load() {
		return len(b), nil
	}
	return g.Conn.Write(b)
}

func TestBlockedAndUnblocked(t *testing.T) {
	each(t, ours, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch := channel(t, conn)
		require.NoError(t, ch.Confirm(false))
		q := s.queue(t, ch)
		blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 2))
		s.Server.Server().RaiseAlarm("low on memory")
		nothing(t, s, blocked) // not before it publishes
		c, err := ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{})
		require.NoError(t, err)
		assert.Equal(t, amqp.Blocking{Active: true, Reason: "low on memory"}, receive(t, blocked))
		s.queue(t, s.channel(t)) // a connection that does not publish is not blocked

		s.Server.Server().ClearAlarm("low on memory")
		assert.Equal(t, amqp.Blocking{}, receive(t, blocked))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		acked, err := c.WaitContext(ctx)
		require.NoError(t, err)
		assert.True(t, acked)
	})
}

func TestShutdownTellsTheClients(t *testing.T) {
	each(t, ours, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch := channel(t, conn)
		deliveries := consume(t, ch, s.queue(t, ch))
		ended := conn.NotifyClose(make(chan *amqp.Error, 1))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, s.Server.Server().Shutdown(ctx))
		err := receive(t, ended)
		require.NotNil(t, err)
		assert.Equal(t, 320, err.Code)
		assert.Equal(t, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", err.Reason)
		closed(t, deliveries)
		_, dialErr := amqp.DialConfig(s.url, s.config())
		assert.Error(t, dialErr)
	})
}

func TestOneConnectionIsClosed(t *testing.T) {
	each(t, ours, func(t *testing.T, s *server) {
		config := s.config()
		config.Properties.SetClientConnectionName("the-one")
		one, other := s.connectWith(t, config), s.connect(t)
		ended := one.NotifyClose(make(chan *amqp.Error, 1))
		server := s.Server.Server()
		for _, c := range server.Connections() {
			if c.ClientProperties["connection_name"] == "the-one" {
				require.NoError(t, server.CloseConnection(c.Name, "enough"))
			}
		}
		err := receive(t, ended)
		require.NotNil(t, err)
		assert.Equal(t, 320, err.Code)
		assert.Equal(t, "CONNECTION_FORCED - enough", err.Reason)
		s.queue(t, channel(t, other))
	})
}

func TestKilledConnections(t *testing.T) {
	each(t, ours, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ended := conn.NotifyClose(make(chan *amqp.Error, 1))
		s.connect(t)
		assert.Equal(t, 2, s.KillConnections())
		err := receive(t, ended)
		require.NotNil(t, err)
		assert.False(t, err.Server, "the server said nothing: %v", err)
		s.queue(t, s.channel(t)) // it goes on
	})
}

// The client's automatic recovery, with its pauses, in virtual time.
func TestAutomaticRecovery(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		config := s.config()
		config.Recovery = &amqp.Recovery{ReconnectionConfig: &amqp.ReconnectionConfig{MaxRetryCount: 5, RetryInterval: time.Minute}}
		conn := s.connectWith(t, config)
		ch := channel(t, conn)
		x, q := "x", "q"
		require.NoError(t, ch.ExchangeDeclare(x, "topic", false, true, false, false, nil))
		_, err := ch.QueueDeclare(q, false, false, true, false, nil)
		require.NoError(t, err)
		require.NoError(t, ch.QueueBind(q, "k.#", x, false, nil))
		deliveries := consume(t, ch, q)
		states := make(chan *amqp.StateChanged, 10)
		conn.NotifyStateChange(states)

		for range 3 {
			assert.Equal(t, 1, s.KillConnections())
			assert.Equal(t, amqp.StateReconnecting, receive(t, states).To)
			time.Sleep(5 * time.Minute)
			assert.Equal(t, amqp.StateOpen, receive(t, states).To)
			require.NoError(t, s.Broker().Publish(t.Context(), x, "k.1", &pocketmq.Message{Body: []byte("after")}))
			d := receive(t, deliveries)
			assert.Equal(t, "after", string(d.Body))
			require.NoError(t, d.Ack(false))
		}
	})
}

// The way applications reconnect without the client's help: dial until it works.
func TestReconnectByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		var up atomic.Bool
		config := s.config()
		config.Dial = func(network, addr string) (net.Conn, error) {
			if !up.Load() {
				return nil, errors.New("down")
			}
			return s.dial(network, addr)
		}
		time.AfterFunc(time.Hour, func() { up.Store(true) })
		start := time.Now()
		conn, err := amqp.DialConfig(s.url, config)
		for err != nil {
			time.Sleep(time.Minute)
			conn, err = amqp.DialConfig(s.url, config)
		}
		defer conn.Close()
		assert.InDelta(t, time.Hour, time.Since(start), float64(time.Minute))
	})
}

func TestUpdateSecret(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		require.NoError(t, s.connect(t).UpdateSecret("new", "it is time"))
	})
}

func TestManyChannels(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		for range 2047 {
			_, err := conn.Channel()
			require.NoError(t, err)
		}
		_, err := conn.Channel()
		assert.ErrorIs(t, err, amqp.ErrChannelMax)
	})
}

// A client that publishes and consumes on one connection, and is slow to read,
// must not lock up with the server.
func TestALoopOnOneConnection(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		const n = 300
		conn := s.connect(t)
		in, out := channel(t, conn), channel(t, conn)
		q := s.queue(t, in)
		deliveries, err := in.Consume(q, "", true, false, false, false, nil)
		require.NoError(t, err)
		body := []byte(strings.Repeat("x", 50_000))
		done := make(chan error, 1)
		go func() {
			for range n {
				if err := out.Publish("", q, false, false, amqp.Publishing{Body: body}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for range n {
			require.Len(t, receive(t, deliveries).Body, len(body))
		}
		require.NoError(t, receive(t, done))
	})
}
