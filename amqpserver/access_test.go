package amqpserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// openAs returns a client with an open connection of a user to a virtual host.
func (s *server) openAs(t *testing.T, user, vhost string) *client {
	t.Helper()
	c := s.connect(t)
	c.start(user, "p")
	call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: vhost})
	return c
}

// refused expects that a user cannot open a virtual host.
func (s *server) refused(t *testing.T, user, vhost, text string) {
	t.Helper()
	c := s.connect(t)
	c.start(user, "p")
	c.send(0, &wire.ConnectionOpen{VirtualHost: vhost})
	c.closed(530, "NOT_ALLOWED - "+text, wire.IDConnectionOpen)
}

func TestUserLimits(t *testing.T) { // CONN-31, CONN-52
	for compat, text := range map[amqpserver.Compatibility]string{
		amqpserver.V3_10: "NOT_ALLOWED - number of channels opened for user 'u1' has reached the maximum allowed user limit of (2)",
		amqpserver.V4_3:  "NOT_ALLOWED - number of channels opened for user 'u1' has reached the maximum allowed user limit of 2",
	} {
		t.Run(compat.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c, d := s.openAs(t, "u1", "/"), s.openAs(t, "u1", "/")
				s.refused(t, "u1", "/", "connection refused for user 'u1': user connection limit (2) is reached")
				c.openChannel(1)
				d.openChannel(1)
				call[*wire.ChannelCloseOk](d, 1, &wire.ChannelClose{})
				d.openChannel(2)
				s.openAs(t, "u2", "/").openChannel(1)
				c.send(2, &wire.ChannelOpen{})
				c.closed(530, text, 0)
				s.openAs(t, "u1", "/")
			}, amqpserver.Compat(compat), amqpserver.User("u2", "p"),
				amqpserver.User("u1", "p", amqpserver.UserMaxConnections(2), amqpserver.UserMaxChannels(2)))
		})
	}
}

func TestMaxQueues(t *testing.T) { // QUEUE-31
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		for _, q := range []string{"q1", "q2", "q1"} {
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Durable: true})
		}
		c.send(1, &wire.QueueDeclare{Queue: "q3", Durable: true})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - cannot declare queue 'q3': queue limit in vhost '/' (2) is reached", wire.IDQueueDeclare)
	}, amqpserver.MaxQueues(2))
}

func TestUsersThatComeAndGo(t *testing.T) { // CONN-71
	bubble(t, func(t *testing.T, s *server) {
		require.ErrorIs(t, s.DeleteUser("u1"), amqpserver.ErrNoUser)
		require.NoError(t, s.SetUser("u1", "p"))
		require.NoError(t, s.SetUser("u2", "p", amqpserver.Permissions("/", "", "", "")))
		c, other := s.openAs(t, "u1", "/"), s.openAs(t, "u2", "/")
		half := s.connect(t)
		half.start("u1", "p")
		require.NoError(t, s.DeleteUser("u1"))
		c.closed(320, "CONNECTION_FORCED - user 'u1' is deleted", 0)
		half.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		half.closed(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u1'", wire.IDConnectionOpen)
		late := s.connect(t)
		late.startOk("PLAIN", "\x00u1\x00p")
		require.Equal(t, uint16(403), expect[*wire.ConnectionClose](late, 0).ReplyCode)
		other.openChannel(1)
		other.send(1, &wire.QueueDeclare{Queue: "q", Durable: true})
		require.Equal(t, uint16(403), expect[*wire.ChannelClose](other, 1).ReplyCode)
	})
}

func TestVHostsThatComeAndGo(t *testing.T) { // CONN-71
	bubble(t, func(t *testing.T, s *server) {
		b := pocketmq.New(pocketmq.VHost("vv"))
		defer b.Close()
		require.NoError(t, s.SetUser("u1", "p"))
		require.ErrorIs(t, s.DeleteVHost("vv"), amqpserver.ErrNoVHost)
		s.refused(t, "u1", "vv", "vhost vv not found")
		require.NoError(t, s.AddVHost("vv", b))
		c, other := s.openAs(t, "u1", "vv"), s.openAs(t, "u1", "/")
		c.openChannel(1)
		c.declare()
		require.NoError(t, s.DeleteVHost("vv"))
		c.closed(320, "CONNECTION_FORCED - vhost 'vv' is deleted", 0)
		require.Empty(t, b.Stats().Queues)
		s.refused(t, "u1", "vv", "vhost vv not found")
		other.openChannel(1)
	})
}
