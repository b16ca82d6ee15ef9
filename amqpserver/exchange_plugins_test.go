package amqpserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// exchange declares an exchange that goes with the test.
func (c *client) exchange(name, kind string, args wire.Table) {
	c.t.Helper()
	call[*wire.ExchangeDeleteOk](c, 1, &wire.ExchangeDelete{Exchange: name})
	call[*wire.ExchangeDeclareOk](c, 1, &wire.ExchangeDeclare{Exchange: name, Type: kind, Arguments: args})
	c.t.Cleanup(func() { call[*wire.ExchangeDeleteOk](c, 1, &wire.ExchangeDelete{Exchange: name}) })
}

func (c *client) bind(queue, exchange, key string) {
	c.t.Helper()
	call[*wire.QueueBindOk](c, 1, &wire.QueueBind{Queue: queue, Exchange: exchange, RoutingKey: key})
}

func (c *client) unbind(queue, exchange, key string) {
	c.t.Helper()
	call[*wire.QueueUnbindOk](c, 1, &wire.QueueUnbind{Queue: queue, Exchange: exchange, RoutingKey: key})
}

// soon returns what is in a queue, after a while in which it may come.
func (c *client) soon(queue string) []string {
	c.t.Helper()
	c.silent(50 * time.Millisecond)
	return c.bodies(queue)
}

func TestPluginExchangeErrors(t *testing.T) { // XPLUG-2, XPLUG-3, XPLUG-7
	declare := func(kind string, args wire.Table) func(c *client) {
		return func(c *client) { c.send(1, &wire.ExchangeDeclare{Exchange: "x.bad", Type: kind, Arguments: args}) }
	}
	bindTo := func(kind, key string) func(c *client) {
		return func(c *client) {
			q := c.declare()
			call[*wire.ExchangeDeclareOk](c, 1, &wire.ExchangeDeclare{Exchange: "x.bind", Type: kind})
			c.send(1, &wire.QueueBind{Queue: q, Exchange: "x.bind", RoutingKey: key})
		}
	}
	for name, tc := range map[string]struct {
		do   func(c *client)
		text string
		id   wire.ID
	}{
		"both":         {declare("x-consistent-hash", wire.Table{"hash-header": "h", "hash-property": "message_id"}), "hash-header and hash-property are mutually exclusive", wire.IDExchangeDeclare},
		"property":     {declare("x-consistent-hash", wire.Table{"hash-property": "foo"}), "Unsupported property: foo", wire.IDExchangeDeclare},
		"zero":         {declare("x-recent-history", wire.Table{"x-recent-history-length": int32(0)}), "Invalid argument 0, 'x-recent-history-length' must be a positive integer", wire.IDExchangeDeclare},
		"unsigned":     {declare("x-recent-history", wire.Table{"x-recent-history-length": uint16(5)}), "Invalid argument 5, 'x-recent-history-length' must be a positive integer", wire.IDExchangeDeclare},
		"string":       {declare("x-recent-history", wire.Table{"x-recent-history-length": "x"}), `Invalid argument <<"x">>, 'x-recent-history-length' must be a positive integer`, wire.IDExchangeDeclare},
		"void":         {declare("x-recent-history", wire.Table{"x-recent-history-length": nil}), "Invalid argument undefined, 'x-recent-history-length' must be a positive integer", wire.IDExchangeDeclare},
		"double":       {declare("x-recent-history", wire.Table{"x-recent-history-length": 2.5}), "Invalid argument 2.5, 'x-recent-history-length' must be a positive integer", wire.IDExchangeDeclare},
		"order":        {declare("x-recent-history", wire.Table{"x-recent-history-length": 2.5, "alternate-exchange": int32(5)}), "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x.bad' in vhost '/'", wire.IDExchangeDeclare},
		"no integer":   {bindTo("x-consistent-hash", "abc"), `The binding key must be an integer: <<"abc">>`, wire.IDQueueBind},
		"empty":        {bindTo("x-consistent-hash", ""), `The binding key must be an integer: <<>>`, wire.IDQueueBind},
		"unprintable":  {bindTo("x-consistent-hash", "a\x01é"), `The binding key must be an integer: <<97,1,195,169>>`, wire.IDQueueBind},
		"not positive": {bindTo("x-consistent-hash", "0"), `The binding key must be greater than 0`, wire.IDQueueBind},
		"negative":     {bindTo("x-consistent-hash", "-1"), `The binding key must be greater than 0`, wire.IDQueueBind},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				tc.do(c)
				c.channelClosed(1, 406, "PRECONDITION_FAILED - "+tc.text, tc.id)
				c.openChannel(1)
				call[*wire.ExchangeDeleteOk](c, 1, &wire.ExchangeDelete{Exchange: "x.bind"})
			})
		})
	}
}

// shares publishes 1000 messages with different keys and returns how many the first
// queue gets, of two that get all of them.
func (c *client) shares(q1, q2 string) int {
	c.t.Helper()
	call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
	for i := range 1000 {
		c.publish(1, "x.share", fmt.Sprint("k", i), "")
		expect[*wire.BasicAck](c, 1)
	}
	n := call[*wire.QueuePurgeOk](c, 1, &wire.QueuePurge{Queue: q1}).MessageCount
	require.EqualValues(c.t, 1000, n+call[*wire.QueuePurgeOk](c, 1, &wire.QueuePurge{Queue: q2}).MessageCount)
	return int(n)
}

func TestSharesOfPluginExchanges(t *testing.T) { // XPLUG-1, XPLUG-4, XPLUG-8
	const slack = 60 // more than four standard deviations
	for kind, twice := range map[string]int{"x-consistent-hash": 250, "x-random": 667, "x-modulus-hash": 667} {
		t.Run(kind, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.exchange("x.share", kind, nil)
				q1, q2 := c.declare(), c.declare()
				c.bind(q1, "x.share", "1")
				c.bind(q2, "x.share", "1")
				require.InDelta(t, 500, c.shares(q1, q2), slack)
				c.bind(q1, "x.share", "3")
				c.unbind(q2, "x.share", "1")
				c.bind(q2, "x.share", "3")
				require.InDelta(t, twice, c.shares(q1, q2), slack)
			})
		})
	}
}

func TestConsistentHashKnowsEachDestinationOnce(t *testing.T) { // XPLUG-1
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.exchange("x.share", "x-consistent-hash", nil)
		q1, q2 := c.declare(), c.declare()
		c.bind(q1, "x.share", "1")
		c.bind(q2, "x.share", "1")
		c.bind(q1, "x.share", "9")
		require.InDelta(t, 500, c.shares(q1, q2), 60)
		c.unbind(q1, "x.share", "9")
		require.Zero(t, c.shares(q1, q2), "it has gone although a binding is left")
	})
}

func TestRecentHistory(t *testing.T) { // XPLUG-6
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.exchange("x.rh", "x-recent-history", wire.Table{"x-recent-history-length": int32(3)})
		q := c.declare()
		for i := range 5 {
			c.publish(1, "x.rh", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		c.publishWith(1, &wire.BasicPublish{Exchange: "x.rh"}, &wire.Properties{Headers: wire.Table{"x-recent-history-no-store": true}}, "not kept")
		c.publishWith(1, &wire.BasicPublish{Exchange: "x.rh"}, &wire.Properties{Headers: wire.Table{"x-recent-history-no-store": "true"}}, "kept")
		c.bind(q, "x.rh", "")
		c.bind(q, "x.rh", "")
		require.Equal(t, []string{"3", "4", "kept"}, c.soon(q))
		c.bind(q, "x.rh", "other")
		require.Equal(t, []string{"3", "4", "kept"}, c.soon(q))

		c.exchange("x.rh2", "fanout", nil)
		q2 := c.declare()
		c.bind(q2, "x.rh2", "")
		call[*wire.ExchangeBindOk](c, 1, &wire.ExchangeBind{Destination: "x.rh2", Source: "x.rh"})
		require.Equal(t, []string{"kept", "4", "3"}, c.soon(q2), "the newest first")
		c.publish(1, "x.rh", "", "5")
		require.Equal(t, []string{"5"}, c.soon(q))
		require.Equal(t, []string{"5"}, c.soon(q2))
	})
}

func TestDelayedMessage(t *testing.T) { // XPLUG-9 … XPLUG-11
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.exchange("x.late", "x-delayed-message", wire.Table{"x-delayed-type": "direct"})
		q := c.declare()
		c.bind(q, "x.late", "k")
		c.consume(q, "t")
		p := &wire.Properties{Headers: wire.Table{"x-delay": int32(5000), "a": "b"}, MessageID: "id"}
		start := time.Now()
		c.publishWith(1, &wire.BasicPublish{Exchange: "x.late", RoutingKey: "k", Mandatory: true}, p, "later")
		require.Equal(t, "NO_ROUTE", expect[*wire.BasicReturn](c, 1).ReplyText, "as with the plug-in: it has reached no queue")
		c.content()
		c.publish(1, "x.late", "k", "now")
		d, body := c.delivered(1)
		require.Equal(t, []any{"now", "x.late"}, []any{body, d.Exchange})
		expect[*wire.BasicDeliver](c, 1)
		got, body := c.content()
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, []any{"later", "id"}, []any{body, got.MessageID})
		require.Equal(t, wire.Table{"x-delay": int32(-5000), "a": "b"}, got.Headers)
	}, amqpserver.Compat(amqpserver.V3_10))
}

func TestTransactionDelaysWhenItCommits(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.exchange("x.late", "x-delayed-message", wire.Table{"x-delayed-type": "fanout"})
		q := c.declare()
		c.bind(q, "x.late", "")
		call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
		p := &wire.Properties{Headers: wire.Table{"x-delay": int32(1000)}}
		c.publishWith(1, &wire.BasicPublish{Exchange: "x.late"}, p, "rolled back")
		call[*wire.TxRollbackOk](c, 1, &wire.TxRollback{})
		c.publishWith(1, &wire.BasicPublish{Exchange: "x.late"}, p, "committed")
		time.Sleep(time.Minute)
		require.Empty(t, c.soon(q))
		call[*wire.TxCommitOk](c, 1, &wire.TxCommit{})
		time.Sleep(900 * time.Millisecond)
		require.Empty(t, c.soon(q))
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, []string{"committed"}, c.soon(q))
	})
}

func TestModulusHashPicksTheSameAsRabbitMQ(t *testing.T) { // XPLUG-8
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.exchange("x.mod", "x-modulus-hash", nil)
		c.exchange("x.mod.to", "fanout", nil)
		for _, q := range []string{"x.mod.c", "x.mod.a", "x.mod.b", "x.mod.d"} {
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true})
		}
		c.bind("x.mod.c", "x.mod", "k1")
		c.bind("x.mod.a", "x.mod", "k2")
		c.bind("x.mod.b", "x.mod", "k1")
		c.bind("x.mod.d", "x.mod.to", "")
		call[*wire.ExchangeBindOk](c, 1, &wire.ExchangeBind{Destination: "x.mod.to", Source: "x.mod", RoutingKey: "k1"})
		c.bind("x.mod.a", "x.mod", "k2")
		for i := range 20 {
			p := &wire.Properties{}
			if i%4 == 0 {
				p.Headers = wire.Table{"CC": []any{"more", "keys"}}
			}
			c.publishWith(1, &wire.BasicPublish{Exchange: "x.mod", RoutingKey: fmt.Sprint("key-", i)}, p, fmt.Sprint(i))
		}
		got := map[string][]string{}
		for _, q := range []string{"a", "b", "c", "d"} {
			got[q] = c.soon("x.mod." + q)
		}
		require.Equal(t, map[string][]string{
			"a": {"2", "4", "7", "19"}, "b": {"11", "14", "16", "17", "18"}, "c": {"0", "1", "3", "10", "13", "15"}, "d": {"5", "6", "8", "9", "12"},
		}, got)
	})
}
