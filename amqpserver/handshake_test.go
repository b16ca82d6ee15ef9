package amqpserver_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestProtocolHeaders(t *testing.T) { // CONN-2, CONN-4, CONN-5
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.write([]byte("AMQP\x01\x01\x00\x09"))
		m := expect[*wire.ConnectionStart](c, 0)
		require.Equal(t, []uint8{0, 9}, []uint8{m.VersionMajor, m.VersionMinor})
		for _, header := range []string{"AMQP\x01\x01\x08\x00", "AMQP\x01\x01\x09\x01"} { // CONN-3
			c := s.connect(t)
			c.write([]byte(header))
			m := expect[*wire.ConnectionStart](c, 0)
			require.Equal(t, []uint8{8, 0}, []uint8{m.VersionMajor, m.VersionMinor})
		}
		for _, header := range []string{"AMQP\x00\x00\x09\x02", "AMQP\x00\x00\x0a\x00", "GET / HT", "AMQP\x03\x01\x00\x00"} {
			c := s.connect(t)
			c.write([]byte(header))
			require.Equal(t, wire.ProtocolHeader, c.readAll())
		}
	})
}

func TestProtocolHeadersSince40(t *testing.T) { // CONN-4
	bubble(t, func(t *testing.T, s *server) {
		for header, answer := range map[string]string{
			"AMQP\x00\x00\x0a\x00": wire.ProtocolHeader,
			"GET / HT":             "AMQP\x03\x01\x00\x00",
			"AMQP\x01\x01\x08\x00": "AMQP\x03\x01\x00\x00",
		} {
			c := s.connect(t)
			c.write([]byte(header))
			require.Equal(t, answer, c.readAll())
		}
	})
}

func TestStartAndTune(t *testing.T) { // CONN-8 … CONN-10, CONN-22, CONN-33
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.write([]byte(wire.ProtocolHeader))
		m := expect[*wire.ConnectionStart](c, 0)
		require.Equal(t, "PLAIN AMQPLAIN", m.Mechanisms)
		require.Equal(t, "en_US", m.Locales)
		require.Equal(t, "RabbitMQ", m.ServerProperties["product"])
		require.Equal(t, "3.10.8", m.ServerProperties["version"])
		require.Equal(t, wire.Table{
			"publisher_confirms": true, "exchange_exchange_bindings": true, "basic.nack": true, "consumer_cancel_notify": true,
			"connection.blocked": true, "consumer_priorities": true, "authentication_failure_close": true,
			"per_consumer_qos": true, "direct_reply_to": true,
		}, m.ServerProperties["capabilities"])
		c.send(0, &wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00guest", Locale: "xx_YY"})
		tune := expect[*wire.ConnectionTune](c, 0)
		require.Equal(t, &wire.ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60}, tune)
		c.send(0, &wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 0}, &wire.ConnectionOpen{VirtualHost: "/"})
		expect[*wire.ConnectionOpenOk](c, 0)
	})
}

func TestHandshakeTimeout(t *testing.T) { // CONN-6, CONN-7
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.write([]byte("AMQP"))
		c.dropped(9*time.Second, 11*time.Second)
	})
}

func TestLogin(t *testing.T) { // CONN-13 … CONN-15, CONN-18 … CONN-20
	compare(t, func(t *testing.T, s *server) {
		table, err := wire.AppendTable(nil, wire.Table{"LOGIN": "guest", "PASSWORD": "guest"})
		require.NoError(t, err)
		c := s.connect(t)
		c.startOk("AMQPLAIN", string(table[4:]))
		expect[*wire.ConnectionTune](c, 0)

		for _, tc := range []struct{ mechanism, response string }{
			{"FOO", "\x00guest\x00guest"},
			{"EXTERNAL", ""},
			{"PLAIN", "guest\x00guest"},
			{"PLAIN", "x\x00guest\x00guest"},
			{"PLAIN", "\x00guest\x00guest\x00"},
			{"AMQPLAIN", string(table)},
			{"AMQPLAIN", "garbage"},
		} {
			c := s.connect(t)
			c.startOk(tc.mechanism, tc.response)
			c.dropped(2500*time.Millisecond, 4*time.Second)
		}
		for _, user := range []string{"guest", "nobody", ""} {
			const text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
			c := s.connect(t)
			c.startOk("PLAIN", "\x00"+user+"\x00wrong")
			m := expect[*wire.ConnectionClose](c, 0)
			require.Equal(t, &wire.ConnectionClose{ReplyCode: 403, ReplyText: text}, m)

			c = s.connect(t)
			c.capabilities = nil
			c.startOk("PLAIN", "\x00"+user+"\x00wrong")
			c.dropped(2500*time.Millisecond, 4*time.Second)
		}
	})
}

// What the client is not told stands in the log, where its error sends it to look.
func TestRefusedLoginsAreLogged(t *testing.T) {
	var log strings.Builder
	bubble(t, func(t *testing.T, s *server) {
		for user, why := range map[string]string{
			"guest":  `reason="wrong password of user \"guest\""`,
			"nobody": `reason="there is no user \"nobody\""`,
			"empty":  `reason="wrong password of user \"empty\""`,
		} {
			for _, told := range []bool{true, false} {
				log.Reset()
				c := s.connect(t)
				if !told {
					c.capabilities = nil
				}
				c.startOk("PLAIN", "\x00"+user+"\x00secret")
				if told {
					expect[*wire.ConnectionClose](c, 0)
				}
				synctest.Wait()
				require.Contains(t, log.String(), `msg="login refused"`)
				require.Contains(t, log.String(), why)
				require.NotContains(t, log.String(), "secret")
				c.readAll()
				synctest.Wait() // it logs its end, too
			}
		}
	}, amqpserver.Logger(slog.New(slog.NewTextHandler(&log, nil))), amqpserver.User("guest", "guest"), amqpserver.User("empty", ""))
}

func TestTuneOk(t *testing.T) { // CONN-23 … CONN-25
	compare(t, func(t *testing.T, s *server) {
		for _, ok := range []wire.ConnectionTuneOk{
			{ChannelMax: 2047, FrameMax: 131073}, {ChannelMax: 2047, FrameMax: 0}, {ChannelMax: 2047, FrameMax: 4095},
			{ChannelMax: 2048, FrameMax: 4096}, {ChannelMax: 0, FrameMax: 4096},
		} {
			c := s.connect(t)
			c.tune = func(m *wire.ConnectionTuneOk) { *m = ok }
			c.start("guest", "guest")
			c.dropped(2500*time.Millisecond, 4*time.Second)
		}
		c := s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.FrameMax = 4096 }
		c.handshake()
	})
}

func TestOutOfOrderHandshake(t *testing.T) { // CONN-34
	compare(t, func(t *testing.T, s *server) {
		for channel, m := range map[uint16]wire.Method{1: &wire.ChannelOpen{}, 0: &wire.ConnectionClose{}} {
			c := s.connect(t)
			c.write([]byte(wire.ProtocolHeader))
			expect[*wire.ConnectionStart](c, 0)
			c.send(channel, m)
			c.dropped(2500*time.Millisecond, 4*time.Second)
		}
	})
}

// Who has logged in is told what is wrong, but for arguments that are malformed.
func TestOutOfOrderOpen(t *testing.T) { // CONN-34
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.start("guest", "guest")
		c.send(1, &wire.ChannelOpen{})
		c.closed(505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>", 0)

		c = s.connect(t)
		c.start("guest", "guest")
		c.send(0, &wire.ConnectionClose{})
		c.closed(504, "CHANNEL_ERROR - unexpected method in connection state opening", wire.IDConnectionClose)

		c = s.connect(t)
		c.start("guest", "guest")
		c.frame(9, 0, "")
		c.closed(501, "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame", 0)

		c = s.connect(t)
		c.start("guest", "guest")
		c.frame(1, 0, "\x00\x0a\x00\x28\x01")
		c.dropped(2500*time.Millisecond, 4*time.Second)
	})
}

// To those who speak 0-8 no capabilities are mentioned.
func TestVersion08(t *testing.T) { // CONN-3
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.write([]byte("AMQP\x01\x01\x08\x00"))
		start := expect[*wire.ConnectionStart](c, 0)
		require.Equal(t, uint8(8), start.VersionMajor)
		require.Empty(t, start.ServerProperties["capabilities"])
	})
}

func TestOpenUnknownVHost(t *testing.T) { // CONN-28
	compare(t, func(t *testing.T, s *server) {
		for _, name := range []string{"nope", ""} {
			c := s.connect(t)
			c.start("guest", "guest")
			c.send(0, &wire.ConnectionOpen{VirtualHost: name})
			c.closed(530, "NOT_ALLOWED - vhost "+name+" not found", wire.IDConnectionOpen)
		}
	})
}

func TestOpenWithoutAccess(t *testing.T) { // CONN-29, CONN-30
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.start("u1", "p")
		c.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		c.closed(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u1'", wire.IDConnectionOpen)
		c = s.connect(t)
		c.handshake()
		c = s.connect(t)
		c.start("guest", "guest")
		c.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		c.closed(530, "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached", wire.IDConnectionOpen)
	}, amqpserver.User("u1", "p", amqpserver.Permissions("other", ".*", ".*", ".*")),
		amqpserver.User("guest", "guest"), amqpserver.MaxConnections(1))
}

// A connection that was closed and whose client has not hung up yet does not count.
func TestClosedConnectionsAreNotCounted(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		closed, failed := s.open(t), s.channel(t)
		call[*wire.ConnectionCloseOk](closed, 0, &wire.ConnectionClose{})
		failed.send(1, &wire.BasicQos{PrefetchSize: 1})
		expect[*wire.ConnectionClose](failed, 0)
		s.open(t)
		s.open(t)
		require.Len(t, s.Connections(), 4)
	}, amqpserver.MaxConnections(2))
}

func TestHeartbeats(t *testing.T) { // CONN-73 … CONN-75
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 2 }
		c.handshake()
		start := time.Now()
		for i := range 3 { // its own heartbeats are no reason to send none
			_ = c.nc.SetReadDeadline(time.Now().Add(patience))
			f, err := c.r.ReadFrame()
			require.NoError(t, err)
			require.Equal(t, wire.Frame{Type: wire.FrameHeartbeat, Payload: []byte{}}, f)
			require.InDelta(t, time.Duration(i+1)*time.Second, time.Since(start), float64(300*time.Millisecond))
		}
		c.dropped(500*time.Millisecond, 5*time.Second)
		require.GreaterOrEqual(t, time.Since(start), 3900*time.Millisecond)
	})
}

func TestCloseHandshake(t *testing.T) { // CONN-66 … CONN-68
	compare(t, func(t *testing.T, s *server) {
		c := s.open(t)
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
		c.silent(2 * time.Second)

		c = s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 4 }
		c.handshake()
		c.frame(3, 0, "abc")
		expect[*wire.ConnectionClose](c, 0)
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
		c.dropped(3*time.Second, 5*time.Second)

		c = s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.Heartbeat = 4 }
		c.handshake()
		call[*wire.ConnectionCloseOk](c, 0, &wire.ConnectionClose{})
		c.dropped(3*time.Second, 5*time.Second)
	})
}
