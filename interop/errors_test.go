package interop

import (
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
)

// A mistake is what a client can do wrong on a channel, and what it is told.
type mistake struct {
	name string
	make func(ch *amqp.Channel) error
	code int
	text string
}

// channelMistakes end the channel and leave its connection alone.
var channelMistakes = []mistake{
	{"publish to no exchange", func(ch *amqp.Channel) error {
		return ch.Publish("interop.none", "k", false, false, amqp.Publishing{})
	}, 404, "NOT_FOUND - no exchange 'interop.none' in vhost '/'"},
	{"get from no queue", func(ch *amqp.Channel) error {
		_, _, err := ch.Get("interop.none", false)
		return err
	}, 404, "NOT_FOUND - no queue 'interop.none' in vhost '/'"},
	{"consume from no queue", func(ch *amqp.Channel) error {
		_, err := ch.Consume("interop.none", "", false, false, false, false, nil)
		return err
	}, 404, "NOT_FOUND - no queue 'interop.none' in vhost '/'"},
	{"bind to no exchange", func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare("", false, false, true, false, nil); err != nil {
			return err
		}
		return ch.QueueBind("", "k", "interop.none", false, nil)
	}, 404, "NOT_FOUND - no exchange 'interop.none' in vhost '/'"},
	{"purge no queue", func(ch *amqp.Channel) error {
		_, err := ch.QueuePurge("interop.none", false)
		return err
	}, 404, "NOT_FOUND - no queue 'interop.none' in vhost '/'"},
	{"passive", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive("interop.none", "direct", false, false, false, false, nil)
	}, 404, "NOT_FOUND - no exchange 'interop.none' in vhost '/'"},
	{"declare with another type", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("amq.direct", "fanout", true, false, false, false, nil)
	}, 406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'"},
	{"declare with another durability", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("amq.direct", "direct", false, false, false, false, nil)
	}, 406, "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'amq.direct' in vhost '/': received 'false' but current is 'true'"},
	{"a reserved exchange name", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("amq.mine", "direct", true, false, false, false, nil)
	}, 403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"},
	{"a reserved queue name", func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("amq.mine", false, false, true, false, nil)
		return err
	}, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"},
	{"declare a queue whose name was generated", func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclare("", false, false, true, false, nil)
		if err != nil {
			return err
		}
		_, err = ch.QueueDeclare(q.Name, false, false, true, false, nil)
		return err
	}, 403, "ACCESS_REFUSED - queue name '*' contains reserved prefix 'amq.*'"},
	{"delete a predeclared exchange", func(ch *amqp.Channel) error {
		return ch.ExchangeDelete("amq.direct", false, false)
	}, 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"},
	{"bind to the default exchange", func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare("", false, false, true, false, nil); err != nil {
			return err
		}
		return ch.QueueBind("", "k", "", false, nil)
	}, 403, "ACCESS_REFUSED - operation not permitted on the default exchange"},
	{"ack twice", func(ch *amqp.Channel) error { return ch.Ack(7, false) },
		406, "PRECONDITION_FAILED - unknown delivery tag 7"},
	{"another user's id", func(ch *amqp.Channel) error {
		return ch.Publish("amq.fanout", "", false, false, amqp.Publishing{UserId: "root"})
	}, 406, "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'"},
	{"commit without a transaction", func(ch *amqp.Channel) error { return ch.TxCommit() },
		406, "PRECONDITION_FAILED - channel is not transactional"},
	{"confirms in a transaction", func(ch *amqp.Channel) error {
		if err := ch.Tx(); err != nil {
			return err
		}
		return ch.Confirm(false)
	}, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"},
	{"a transaction with confirms", func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		return ch.Tx()
	}, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"},
	{"a negative length", func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("", false, false, true, false, amqp.Table{"x-max-length": int32(-1)})
		return err
	}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue '*' in vhost '/': {value_negative,-1}"},
	{"a second exclusive consumer", func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclare("", false, false, true, false, nil)
		if err != nil {
			return err
		}
		if _, err = ch.Consume(q.Name, "a", false, true, false, false, nil); err != nil {
			return err
		}
		_, err = ch.Consume(q.Name, "b", false, false, false, false, nil)
		return err
	}, 403, "ACCESS_REFUSED - queue '*' in vhost '/' in exclusive use"},
}

// connectionMistakes end the connection.
var connectionMistakes = []mistake{
	{"the same consumer tag", func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclare("", false, false, true, false, nil)
		if err != nil {
			return err
		}
		if _, err = ch.Consume(q.Name, "a", false, false, false, false, nil); err != nil {
			return err
		}
		_, err = ch.Consume(q.Name, "a", false, false, false, false, nil)
		return err
	}, 530, "NOT_ALLOWED - attempt to reuse consumer tag 'a'"},
	{"immediate", func(ch *amqp.Channel) error {
		return ch.Publish("amq.fanout", "", false, true, amqp.Publishing{})
	}, 540, "NOT_IMPLEMENTED - immediate=true"},
	{"a prefetch in bytes", func(ch *amqp.Channel) error { return ch.Qos(0, 1000, false) },
		540, "NOT_IMPLEMENTED - prefetch_size!=0 (1000)"},
	{"channel.flow off", func(ch *amqp.Channel) error { return ch.Flow(false) },
		540, "NOT_IMPLEMENTED - active=false"},
}

func TestMistakesThatEndAChannel(t *testing.T) {
	for _, m := range channelMistakes {
		t.Run(m.name, func(t *testing.T) {
			each(t, []target{rabbit, tcp, bubble}, func(t *testing.T, s *server) {
				conn := s.connect(t)
				ch := channel(t, conn)
				ended := ch.NotifyClose(make(chan *amqp.Error, 1))
				m.check(t, m.make(ch), receive(t, ended))
				assert.True(t, ch.IsClosed())
				s.queue(t, channel(t, conn)) // the connection lives on
			})
		})
	}
}

func TestMistakesThatEndAConnection(t *testing.T) {
	for _, m := range connectionMistakes {
		t.Run(m.name, func(t *testing.T) {
			each(t, []target{rabbit, tcp, bubble}, func(t *testing.T, s *server) {
				conn := s.connect(t)
				ch := channel(t, conn)
				ended := conn.NotifyClose(make(chan *amqp.Error, 1))
				m.check(t, m.make(ch), receive(t, ended))
				assert.True(t, conn.IsClosed())
			})
		})
	}
}

// check compares what the server said when it closed. The method's own error is
// the same where it waits for an answer, else nil.
func (m mistake) check(t *testing.T, err error, said *amqp.Error) {
	t.Helper()
	require.NotNil(t, said, "closed without an error; the method said %v", err)
	assert.Equal(t, m.code, said.Code)
	assert.Equal(t, m.text, withoutName(said.Reason))
	assert.True(t, said.Server)
	if err != nil {
		assert.Equal(t, said, err)
	}
}

// withoutName hides a queue's generated name.
func withoutName(text string) string { return generated.ReplaceAllString(text, "'*'") }

func TestExclusiveQueueIsNotRedeclaredByOthers(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		q := s.namedQueue(t, s.channel(t))
		_, err := s.channel(t).QueueDeclare(q, false, false, true, false, nil)
		var said *amqp.Error
		require.ErrorAs(t, err, &said)
		assert.Equal(t, 405, said.Code)
		assert.Equal(t, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '"+q+"' in vhost '/'. "+
			"It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.",
			said.Reason)
	})
}

func TestQueueOfAnotherLength(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.namedQueue(t, ch)
		_, err := ch.QueueDeclare(q, false, false, true, false, amqp.Table{"x-max-length": int32(5)})
		assert.ErrorContains(t, err, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '"+q+
			"' in vhost '/': received the value '5' of type 'signedint' but current is none")
	})
}

func TestBindArgumentsAreCheckedBeforeTheLock(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		q := s.queue(t, s.channel(t))
		err := s.channel(t).QueueBind(q, "", "amq.headers", false, amqp.Table{"x-match": "some"})
		assert.ErrorContains(t, err, "PRECONDITION_FAILED - Invalid x-match field value <<\\\"some\\\">>; expected all, any, all-with-x, or any-with-x")
	})
}

// Up to 3.x a delivery mode there is none of is a mistake, since 4.0 it isn't.
func TestDeliveryModes(t *testing.T) {
	publish := func(t *testing.T, ch *amqp.Channel) string {
		ended := ch.NotifyClose(make(chan *amqp.Error, 1))
		require.NoError(t, ch.Publish("amq.fanout", "", false, false, amqp.Publishing{DeliveryMode: 3}))
		if err := ch.Qos(1, 0, false); err == nil { // an answer: it was fine
			return ""
		}
		return receive(t, ended).Reason
	}
	const refused = "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}"
	for _, c := range []struct {
		version amqpserver.Compatibility
		want    string
	}{{amqpserver.V3_10, refused}, {amqpserver.V4_0, ""}, {amqpserver.V4_3, ""}} {
		srv := amqptest.NewServer(t, amqpserver.Compat(c.version))
		s := &server{url: srv.URL(), dial: srv.Dial, Server: srv}
		assert.Equal(t, c.want, publish(t, s.channel(t)), "%v", c.version)
	}
	rabbit.run(t, func(t *testing.T, s *server) {
		conn := s.connect(t)
		want := ""
		if strings.HasPrefix(conn.Properties["version"].(string), "3.") {
			want = refused
		}
		assert.Equal(t, want, publish(t, channel(t, conn)))
	})
}

// After an error everything that was on its way on this channel is ignored.
func TestWhatFollowsAnErrorIsIgnored(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch, watcher := channel(t, conn), channel(t, conn)
		q := s.queue(t, watcher)
		ended := ch.NotifyClose(make(chan *amqp.Error, 1))
		require.NoError(t, ch.Publish("interop.none", "", false, false, amqp.Publishing{}))
		for ch.Publish("", q, false, false, amqp.Publishing{}) == nil && len(ended) == 0 {
			continue // until the client notices
		}
		receive(t, ended)
		assert.Zero(t, messages(t, watcher, q))
	})
}
