package amqpserver_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestWrongOptions(t *testing.T) {
	b := pocketmq.New()
	defer b.Close()
	for want, o := range map[string]amqpserver.Option{
		"Compat: there is no such version: 7":                                          amqpserver.Compat(7),
		"FrameMax: 4095 is less than the 4096 bytes that a client may rely on":         amqpserver.FrameMax(4095),
		"FrameMax: 4294967296 is more than AMQP can tell (4294967295)":                 amqpserver.FrameMax(1 << 32),
		"ChannelMax: 65536 is more than AMQP can number (65535)":                       amqpserver.ChannelMax(65536),
		"Heartbeat: 1.5s is not in whole seconds":                                      amqpserver.Heartbeat(1500 * time.Millisecond),
		"Heartbeat: 24h0m0s is more than AMQP can tell (65535s)":                       amqpserver.Heartbeat(24 * time.Hour),
		"MaxMessageSize: 536870913 is more than RabbitMQ allows (536870912)":           amqpserver.MaxMessageSize(512<<20 + 1),
		`VHost: there is a virtual host "/" already`:                                   amqpserver.VHost("/", b),
		"VHost: a virtual host needs a name":                                           amqpserver.VHost("", b),
		`VHost: the broker of the virtual host "v" is nil`:                             amqpserver.VHost("v", nil),
		"User: a user needs a name":                                                    amqpserver.User("", "p"),
		"User: \"u\": Permissions: error parsing regexp: missing closing ): `(`":       amqpserver.User("u", "p", amqpserver.Permissions("/", "", "", "(")),
		"User: \"u\": TopicPermissions: error parsing regexp: missing closing ]: `[x`": amqpserver.User("u", "p", amqpserver.TopicPermissions("/", "x", "[x", "")),
	} {
		_, err := amqpserver.New(b, o)
		require.EqualError(t, err, "amqpserver: "+want)
	}
	_, err := amqpserver.New(nil)
	require.EqualError(t, err, "amqpserver: New: the broker is nil")
	_, err = amqpserver.New(b, amqpserver.User("u", "p"), amqpserver.User("u", "q"))
	require.EqualError(t, err, `amqpserver: User: there is a user "u" already`)

	s, err := amqpserver.New(b)
	require.NoError(t, err)
	require.ErrorContains(t, s.SetUser("u", "p", amqpserver.Permissions("/", "(", "", "")), "amqpserver: SetUser: \"u\": Permissions: ")
	require.ErrorIs(t, s.DeleteUser("u"), amqpserver.ErrNoUser)
	require.ErrorContains(t, s.AddVHost("/", b), "amqpserver: AddVHost: ")
	require.EqualError(t, s.Serve(nil), "amqpserver: Serve: the listener is nil")
	require.EqualError(t, s.ServeConn(nil), "amqpserver: ServeConn: the connection is nil")
}

// A Server that New has not made serves nobody, and says so.
func TestServerThatWasNotMade(t *testing.T) {
	var s amqpserver.Server
	b := pocketmq.New()
	defer b.Close()
	client, nc := memconn.Pipe()
	l := memconn.Listen()
	for name, err := range map[string]error{
		"Serve": s.Serve(l), "ServeConn": s.ServeConn(nc), "Shutdown": s.Shutdown(t.Context()),
		"SetUser": s.SetUser("u", "p"), "DeleteUser": s.DeleteUser("u"),
		"AddVHost": s.AddVHost("v", b), "DeleteVHost": s.DeleteVHost("v"), "CancelConsumers": s.CancelConsumers("/", "q"),
	} {
		require.EqualError(t, err, "amqpserver: the server was not made with New", name)
	}
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "it is closed")
	_, err = l.Dial("", "")
	require.Error(t, err, "it is closed")
	require.ErrorIs(t, s.CloseConnection("c", "because"), amqpserver.ErrNoConnection)
	require.Empty(t, s.Connections())
	s.DropConnections()
	require.NoError(t, s.Close())
}

func TestZeroIsTheDefaultAndLessIsNone(t *testing.T) {
	tune := func(want wire.ConnectionTune, opts ...amqpserver.Option) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.connect(t)
			c.startOk("PLAIN", "\x00guest\x00guest")
			require.Equal(t, want, *expect[*wire.ConnectionTune](c, 0))
		}, opts...)
	}
	tune(wire.ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60},
		amqpserver.ChannelMax(0), amqpserver.FrameMax(0), amqpserver.Heartbeat(0), amqpserver.HandshakeTimeout(0), amqpserver.MaxMessageSize(0))
	tune(wire.ConnectionTune{},
		amqpserver.ChannelMax(-1), amqpserver.FrameMax(-1), amqpserver.Heartbeat(-1), amqpserver.HandshakeTimeout(-1),
		amqpserver.MaxMessageSize(-1), amqpserver.MaxConnections(-1), amqpserver.MaxQueues(-1), amqpserver.MemoryLimit(-1))
}

func TestAnEmptyPasswordIsNone(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.startOk("PLAIN", "\x00u1\x00")
		require.Equal(t, uint16(403), expect[*wire.ConnectionClose](c, 0).ReplyCode)
	}, amqpserver.User("u1", ""))
}
