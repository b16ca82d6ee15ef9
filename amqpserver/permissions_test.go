package amqpserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestPermissions(t *testing.T) { // PERM-4 … PERM-12
	user := amqpserver.User("u1", "p", amqpserver.Permissions("/", "^c-|^amq.gen", "^w-", "^r-"))
	bind := wire.Table(nil)
	for name, tc := range map[string]struct {
		m    wire.Method
		want string // which access is refused to what; "" = it is granted
	}{
		"declare queue":          {&wire.QueueDeclare{Queue: "x-q"}, "configure access to queue 'x-q'"},
		"declare queue c":        {&wire.QueueDeclare{Queue: "c-q"}, ""},
		"declare generated":      {&wire.QueueDeclare{}, ""},
		"declare passive":        {&wire.QueueDeclare{Queue: "q", Passive: true}, ""},
		"declare dead letters":   {&wire.QueueDeclare{Queue: "c-q", Arguments: wire.Table{"x-dead-letter-exchange": "w-x"}}, "read access to queue 'c-q'"},
		"declare dead letters r": {&wire.QueueDeclare{Queue: "c-r-", Arguments: wire.Table{"x-dead-letter-exchange": "x"}}, "read access to queue 'c-r-'"},
		"delete queue":           {&wire.QueueDelete{Queue: "nope"}, "configure access to queue 'nope'"},
		"declare exchange":       {&wire.ExchangeDeclare{Exchange: "x", Type: "direct"}, "configure access to exchange 'x'"},
		"delete exchange":        {&wire.ExchangeDelete{Exchange: "x"}, "configure access to exchange 'x'"},
		"bind queue":             {&wire.QueueBind{Queue: "q", Exchange: "r-x", Arguments: bind}, "write access to queue 'q'"},
		"bind queue w":           {&wire.QueueBind{Queue: "w-q", Exchange: "x"}, "read access to exchange 'x'"},
		"unbind queue":           {&wire.QueueUnbind{Queue: "q", Exchange: "r-x"}, "write access to queue 'q'"},
		"bind exchange":          {&wire.ExchangeBind{Destination: "x", Source: "r-x"}, "write access to exchange 'x'"},
		"bind exchange w":        {&wire.ExchangeBind{Destination: "w-x", Source: "x"}, "read access to exchange 'x'"},
		"get":                    {&wire.BasicGet{Queue: "nope"}, "read access to queue 'nope'"},
		"consume":                {&wire.BasicConsume{Queue: "nope"}, "read access to queue 'nope'"},
		"purge":                  {&wire.QueuePurge{Queue: "nope"}, "read access to queue 'nope'"},
		"publish":                {&wire.BasicPublish{Exchange: "nope"}, "write access to exchange 'nope'"},
		"publish to the default": {&wire.BasicPublish{}, "write access to exchange 'amq.default'"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				_, err := s.broker.DeclareQueue(ctx, "q")
				require.NoError(t, err)
				c := s.connect(t)
				c.start("u1", "p")
				call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: "/"})
				c.openChannel(1)
				c.send(1, tc.m)
				if tc.m.ID() == wire.IDBasicPublish {
					c.frame(wire.FrameHeader, 1, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
				}
				if tc.want == "" {
					expect[*wire.QueueDeclareOk](c, 1)
					return
				}
				c.channelClosed(1, 403, "ACCESS_REFUSED - "+tc.want+" in vhost '/' refused for user 'u1'", tc.m.ID())
			}, user)
		})
	}
}

// permitted returns a client that is logged in as u1, with channel 1 open.
func (s *server) permitted(t *testing.T) *client {
	t.Helper()
	c := s.connect(t)
	c.start("u1", "p")
	call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: "/"})
	c.openChannel(1)
	return c
}

func TestUpdateSecretRenewsPermissions(t *testing.T) { // CONN-83
	everything := amqpserver.Permissions("/", ".*", ".*", ".*")
	for _, v := range []amqpserver.Compatibility{amqpserver.V4_0, amqpserver.V4_3} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.permitted(t)
				for _, q := range []string{"a", "b"} {
					call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true})
					c.consume(q, "of "+q)
				}
				c.publish(1, "", "a", "m1")
				c.delivered(1)
				require.NoError(t, s.SetUser("u1", "p", amqpserver.Permissions("/", "", "^amq.default$", "^a$")))
				c.publish(1, "", "b", "m2")
				c.delivered(1)

				call[*wire.ConnectionUpdateSecretOk](c, 0, &wire.ConnectionUpdateSecret{})
				if v >= amqpserver.V4_3 {
					require.Equal(t, "of b", expect[*wire.BasicCancel](c, 1).ConsumerTag)
				}
				c.publish(1, "", "a", "m3")
				_, body := c.delivered(1)
				require.Equal(t, "m3", body)
				c.send(1, &wire.BasicAck{Multiple: true}) // also what a cancelled consumer got
				c.publish(1, "amq.direct", "a", "m4")
				c.channelClosed(1, 403, "ACCESS_REFUSED - write access to exchange 'amq.direct' in vhost '/' refused for user 'u1'", wire.IDBasicPublish)
			}, amqpserver.User("u1", "p", everything), amqpserver.Compat(v))
		})
	}
}

func TestUpdateSecretWithoutAccess(t *testing.T) { // CONN-83
	bubble(t, func(t *testing.T, s *server) {
		c := s.permitted(t)
		require.NoError(t, s.SetUser("u1", "p", amqpserver.Permissions("other", ".*", ".*", ".*")))
		c.send(0, &wire.ConnectionUpdateSecret{})
		c.closed(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u1'", wire.IDConnectionUpdateSecret)
	}, amqpserver.User("u1", "p"), amqpserver.Compat(amqpserver.V4_3))
}

func TestTopicPermissions(t *testing.T) { // PERM-13, PERM-14
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.start("u1", "p")
		call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: "/"})
		c.openChannel(1)
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q"})
		call[*wire.QueueBindOk](c, 1, &wire.QueueBind{Queue: "q", Exchange: "amq.topic", RoutingKey: "r.1"})
		c.publish(1, "amq.topic", "u1.x", "")
		c.publish(1, "amq.direct", "b.1", "")
		c.publish(1, "amq.topic", "b.1", "")
		c.channelClosed(1, 403, "ACCESS_REFUSED - access to topic 'b.1' in exchange 'amq.topic' in vhost '/' refused for user 'u1'", wire.IDBasicPublish)
		c.openChannel(1)
		c.send(1, &wire.QueueBind{Queue: "q", Exchange: "amq.topic", RoutingKey: "b.1"})
		c.channelClosed(1, 403, "ACCESS_REFUSED - access to topic 'b.1' in exchange 'amq.topic' in vhost '/' refused for user 'u1'", wire.IDQueueBind)
	}, amqpserver.Compat(amqpserver.V3_10), amqpserver.User("u1", "p", amqpserver.TopicPermissions("/", "amq.topic", "^{username}\\.", "^r")))
}

func TestTopicPermissionsForCC(t *testing.T) { // PERM-13
	user := amqpserver.User("u1", "p", amqpserver.TopicPermissions("/", "amq.topic", "^a", "^r"))
	for v, refused := range map[amqpserver.Compatibility]bool{amqpserver.V3_10: false, amqpserver.V4_0: true} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.connect(t)
				c.start("u1", "p")
				call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: "/"})
				c.openChannel(1)
				c.publishWith(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "a"}, &wire.Properties{Headers: wire.Table{"CC": []any{"b"}}}, "")
				if !refused {
					call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
					return
				}
				c.channelClosed(1, 403, "ACCESS_REFUSED - write access to topic 'b' in exchange 'amq.topic' in vhost '/' refused for user 'u1'", wire.IDBasicPublish)
			}, user, amqpserver.Compat(v))
		})
	}
}

func TestVirtualHosts(t *testing.T) {
	other := pocketmq.New(pocketmq.VHost("other"))
	defer other.Close()
	bubble(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.start("guest", "guest")
		call[*wire.ConnectionOpenOk](c, 0, &wire.ConnectionOpen{VirtualHost: "other"})
		c.openChannel(1)
		c.send(1, &wire.QueueDeclare{Queue: "nope", Passive: true})
		c.channelClosed(1, 404, "NOT_FOUND - no queue 'nope' in vhost 'other'", wire.IDQueueDeclare)
	}, amqpserver.VHost("other", other))
}

func TestImpersonator(t *testing.T) { // PUB-11
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{UserID: "bob"}, "")
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{})
	}, amqpserver.User("guest", "guest", amqpserver.Tags("impersonator")))
}
