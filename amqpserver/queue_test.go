package amqpserver_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// --- arguments of queues -----------------------------------------------------

// with declares a queue with arguments, which goes away with the connection.
func (c *client) with(args wire.Table) string {
	c.t.Helper()
	return call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Exclusive: true, Arguments: args}).Queue
}

// mortal declares a queue whose dead messages go to another one.
func (c *client) mortal(args wire.Table) (queue, dead string) {
	c.t.Helper()
	dead = c.declare()
	all := wire.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
	for key, v := range args {
		all[key] = v
	}
	return c.with(all), dead
}

// get takes a message, which must come within a moment, for good.
func (c *client) get(queue string) (*wire.BasicGetOk, wire.Properties, string) {
	c.t.Helper()
	for range 100 {
		c.send(1, &wire.BasicGet{Queue: queue, NoAck: true})
		if _, m := c.next(); m.ID() == wire.IDBasicGetOk {
			p, body := c.content()
			return m.(*wire.BasicGetOk), p, body
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(c.t, "queue is empty", queue)
	return nil, wire.Properties{}, ""
}

// bodies takes everything out of a queue.
func (c *client) bodies(queue string) (all []string) {
	c.t.Helper()
	for {
		c.send(1, &wire.BasicGet{Queue: queue, NoAck: true})
		if _, m := c.next(); m.ID() != wire.IDBasicGetOk {
			return all
		}
		_, body := c.content()
		all = append(all, body)
	}
}

func (c *client) ready(queue string) uint32 {
	c.t.Helper()
	return call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: queue, Passive: true}).MessageCount
}

func (c *client) expiring(queue, body, ms string) {
	c.t.Helper()
	c.publishWith(1, &wire.BasicPublish{RoutingKey: queue}, &wire.Properties{Expiration: ms}, body)
}

// without takes the time out of the entries of x-death: it differs.
func without(t *testing.T, headers wire.Table) wire.Table {
	t.Helper()
	for _, e := range headers["x-death"].([]any) {
		death := e.(wire.Table)
		require.WithinDuration(t, time.Now(), death["time"].(time.Time), 10*time.Second)
		delete(death, "time")
	}
	return headers
}

func TestExpiry(t *testing.T) { // TTL-1, TTL-3, TTL-4, TTL-5, TTL-6, TTL-8
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.with(wire.Table{"x-message-ttl": int32(300)})
		c.publish(1, "", q, "a")
		c.expiring(q, "b", "100000")
		_, p, body := c.get(q)
		require.Equal(t, "a", body)
		require.Empty(t, p.Expiration)
		require.EqualValues(t, 1, c.ready(q))
		time.Sleep(400 * time.Millisecond)
		require.Zero(t, c.ready(q), "the queue's TTL is the lesser")

		q = c.declare()
		c.expiring(q, "behind", "100000")
		c.expiring(q, "expired", "1")
		c.expiring(q, "last", "100000")
		time.Sleep(50 * time.Millisecond)
		require.EqualValues(t, 3, c.ready(q))
		got, p, _ := c.get(q)
		require.EqualValues(t, 1, got.MessageCount)
		require.Equal(t, "100000", p.Expiration)
		require.Equal(t, []string{"last"}, c.bodies(q))

		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		c.expiring(q, "nobody", "0")
		c.consume(q, "t")
		c.expiring(q, "taken", "0")
		d, body := c.delivered(1)
		require.Equal(t, "taken", body)
		c.expiring(q, "no credit", "0")
		require.Zero(t, c.ready(q))
		time.Sleep(10 * time.Millisecond)
		c.send(1, &wire.BasicNack{DeliveryTag: d.DeliveryTag, Requeue: true}) // TTL-2
		c.silent(50 * time.Millisecond)
	})
}

func TestQueuesExpire(t *testing.T) { // TTL-9, TTL-10, GET-5
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.with(wire.Table{"x-expires": int32(400)})
		for range 3 {
			time.Sleep(250 * time.Millisecond)
			expectEmpty(c, q)
		}
		for range 2 {
			time.Sleep(250 * time.Millisecond)
			c.ready(q)
		}
		c.consume(q, "t")
		time.Sleep(600 * time.Millisecond)
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "t"})
		time.Sleep(250 * time.Millisecond)
		c.publish(1, "", q, "no use")
		time.Sleep(250 * time.Millisecond)
		c.send(1, &wire.QueueDeclare{Queue: q, Passive: true})
		c.channelClosed(1, 404, "NOT_FOUND - no queue '"+q+"' in vhost '/'", wire.IDQueueDeclare)
	})
}

func TestDeadLetters(t *testing.T) { // DLX-4 to DLX-12
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q, dead := c.mortal(nil)
		properties := wire.Properties{
			Flags: wire.FlagAll &^ wire.FlagUserID, Expiration: "60000", DeliveryMode: 2, Priority: 7, MessageID: "m", Timestamp: time.Unix(1, 0).UTC(),
			ClusterID: "c", Headers: wire.Table{"a": int32(1), "CC": []any{"nowhere"}, "BCC": []any{"hidden"}},
		}
		sent := properties
		c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &sent, "body")
		got := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
		c.content()
		c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag})
		got, p, body := c.get(dead)
		require.Equal(t, "body", body)
		require.Equal(t, [3]any{"", dead, false}, [3]any{got.Exchange, got.RoutingKey, got.Redelivered})
		want := properties
		want.Flags &^= wire.FlagExpiration
		want.Expiration = ""
		want.Headers = wire.Table{
			"a": int32(1),
			"x-death": []any{wire.Table{
				"count": int64(1), "reason": "rejected", "queue": q, "exchange": "",
				"routing-keys": []any{q, "nowhere"}, "original-expiration": "60000",
			}},
			"x-first-death-reason": "rejected", "x-first-death-queue": q, "x-first-death-exchange": "",
		}
		p.Headers = without(t, p.Headers)
		require.Equal(t, want, p)
	})
}

func TestDeathsAreCounted(t *testing.T) { // DLX-7, DLX-9, DLX-10, DLX-13
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q, r := "death-q", "death-r"
		for _, pair := range [][2]string{{q, r}, {r, q}} {
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: pair[0], Exclusive: true, Arguments: wire.Table{
				"x-dead-letter-exchange": "", "x-dead-letter-routing-key": pair[1],
			}})
		}
		reject := func(queue string) {
			got := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: queue})
			c.content()
			c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag})
			for c.ready(r)+c.ready(q) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		known := wire.Table{"count": int64(7), "reason": "rejected", "queue": r, "x": "y"}
		for _, header := range []any{nil, "no list", []any{known}, []any{wire.Table{"queue": q}, wire.Table{}}} {
			headers := wire.Table{"a": "b"}
			if header != nil {
				headers["x-death"] = header
			}
			c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Headers: headers}, "")
			for _, queue := range []string{q, r, q, r, q} {
				reject(queue)
			}
			_, p, _ := c.get(r)
			for _, e := range p.Headers["x-death"].([]any) {
				delete(e.(wire.Table), "time")
			}
			death := func(queue string, count int64, key string) wire.Table {
				return wire.Table{"count": count, "reason": "rejected", "queue": queue, "exchange": "", "routing-keys": []any{key}}
			}
			want := wire.Table{"a": "b", "x-death": []any{death(q, 3, q), death(r, 2, r)}}
			if header == nil {
				want["x-first-death-reason"], want["x-first-death-queue"], want["x-first-death-exchange"] = "rejected", q, ""
			}
			if list, ok := header.([]any); ok && len(list) == 1 {
				want["x-death"] = []any{death(q, 3, q), wire.Table{"count": int64(9), "reason": "rejected", "queue": r, "x": "y"}}
			} else if ok {
				want["x-death"] = []any{death(q, 3, q), wire.Table{"count": int64(1)}, wire.Table{"count": int64(1), "queue": q}, death(r, 2, r)}
			}
			require.Equal(t, want, p.Headers, "x-death as published: %v", header)
		}
	})
}

// deathOrders returns the fields of the entries of x-death, each as they come, in the
// message that follows a method.
func (c *client) deathOrders() (orders []string) {
	c.t.Helper()
	f, err := c.read()
	require.NoError(c.t, err)
	h, err := wire.ParseHeader(f.Payload)
	require.NoError(c.t, err)
	_, list, ok := strings.Cut(string(h.Properties), "\x07x-deathA")
	require.True(c.t, ok)
	entry := func(b string) (fields, rest string) {
		n := 4 + binary.BigEndian.Uint32([]byte(b))
		return b[4:n], b[n:]
	}
	for list, _ := entry(list); list != ""; {
		var fields string
		fields, list = entry(list[1:])
		names := regexp.MustCompile("count|reason|queue|time|exchange|routing-keys|original-expiration")
		orders = append(orders, strings.Join(names.FindAllString(fields, -1), " "))
	}
	_, err = c.read()
	require.NoError(c.t, err)
	return orders
}

// dieInTurn lets a message with an expiration be rejected in one of two queues after the
// other, and returns the orders of the fields of x-death after each death.
func (c *client) dieInTurn(deaths int) (orders [][]string) {
	c.t.Helper()
	queues := [2]string{"fields-q", "fields-r"}
	for i, q := range queues {
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true, Arguments: wire.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queues[1-i],
		}})
	}
	c.expiring(queues[0], "m", "60000")
	for i := range deaths + 1 {
		for c.ready(queues[i%2]) == 0 {
			time.Sleep(time.Millisecond)
		}
		d := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: queues[i%2]})
		if i == 0 {
			c.content()
		} else {
			orders = append(orders, c.deathOrders())
		}
		c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag})
	}
	return orders
}

func TestTheOrderOfTheFieldsOfADeath(t *testing.T) { // DLX-8
	compare(t, func(t *testing.T, s *server) {
		require.Equal(t, [][]string{
			{"count reason queue time exchange routing-keys original-expiration"},
			{"count exchange queue reason routing-keys time", "count reason queue time exchange routing-keys original-expiration"},
			{"count exchange original-expiration queue reason routing-keys time", "count exchange queue reason routing-keys time"},
		}, s.channel(t).dieInTurn(3))
	})
	bubble(t, func(t *testing.T, s *server) {
		first, second := "original-expiration count reason queue time exchange routing-keys", "count reason queue time exchange routing-keys"
		require.Equal(t, [][]string{{first}, {second, first}, {first, second}}, s.channel(t).dieInTurn(3))
	}, amqpserver.Compat(amqpserver.V4_0))
}

// RabbitMQ 3.10 turns the list round whenever it adds to it.
func TestTheOrderOfDeaths(t *testing.T) { // DLX-7
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		queue := func(i int) string { return fmt.Sprint("order-q", i) }
		for i := range 4 {
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: queue(i), Exclusive: true, Arguments: wire.Table{
				"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue((i + 1) % 4),
			}})
		}
		c.publish(1, "", queue(0), "x")
		for i, want := range []string{"", "0", "10", "201", "3102", "0213", "1320"} {
			q := queue(i % 4)
			for c.ready(q) == 0 {
				time.Sleep(time.Millisecond)
			}
			d := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
			p, _ := c.content()
			order := ""
			deaths, _ := p.Headers["x-death"].([]any)
			for _, e := range deaths {
				order += e.(wire.Table)["queue"].(string)[len("order-q"):]
			}
			require.Equal(t, want, order)
			c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag})
		}
	})
}

func TestDeadLettersGoBackToQueuesOfBCC(t *testing.T) { // DLX-4
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		bcc := c.declare()
		cc := c.declare()
		q := c.with(wire.Table{"x-dead-letter-exchange": "", "x-message-ttl": int32(20)})
		c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Headers: wire.Table{"CC": []any{cc}, "BCC": []any{bcc}}}, "x")
		for _, queue := range []string{cc, bcc} {
			for i := range 2 {
				got, p, _ := c.get(queue)
				require.Equal(t, q, got.RoutingKey)
				require.Equal(t, i > 0, p.Headers["x-death"] != nil, "once as published, once as a dead letter")
				require.Equal(t, []any{cc}, p.Headers["CC"])
				if i > 0 {
					require.Equal(t, []any{q, cc}, without(t, p.Headers)["x-death"].([]any)[0].(wire.Table)["routing-keys"])
				}
			}
		}
		expectEmpty(c, q) // DLX-14: it would be a circle
	})
}

func TestReasonsOfDeath(t *testing.T) { // DLX-1, DLX-18, LEN-2, LEN-4, LEN-7
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		reason := func(queue string) string {
			_, p, body := c.get(queue)
			return body + " " + p.Headers["x-death"].([]any)[0].(wire.Table)["reason"].(string)
		}
		q, dead := c.mortal(wire.Table{"x-max-length": int32(2)})
		for i := range 3 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		require.Equal(t, "0 maxlen", reason(dead))
		got := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
		c.content()
		c.publish(1, "", q, "3")
		c.send(1, &wire.BasicNack{DeliveryTag: got.DeliveryTag, Requeue: true})
		require.Equal(t, "1 maxlen", reason(dead))
		require.Equal(t, []string{"2", "3"}, c.bodies(q))

		q, dead = c.mortal(wire.Table{"x-max-length-bytes": int32(10)})
		c.publish(1, "", q, "12345")
		c.publish(1, "", q, "1234567")
		require.Equal(t, "12345 maxlen", reason(dead))
		c.publish(1, "", q, "more than ten bytes")
		require.Equal(t, "1234567 maxlen", reason(dead))
		require.Equal(t, "more than ten bytes maxlen", reason(dead))

		q, dead = c.mortal(wire.Table{"x-message-ttl": int32(5)})
		c.publish(1, "", q, "x")
		require.Equal(t, "x expired", reason(dead))

		q, dead = c.mortal(nil)
		for i := range 20 {
			c.publish(1, "", q, fmt.Sprint(i))
		}
		c.consume(q, "t")
		for range 20 {
			c.delivered(1)
		}
		c.send(1, &wire.BasicNack{Multiple: true})
		for i := range 20 {
			require.Equal(t, fmt.Sprint(i)+" rejected", reason(dead))
		}
	})
}

func TestRefusedMessagesAreNackedAndBuried(t *testing.T) { // DLX-20, LEN-5, LEN-8
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		dead := c.with(wire.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
		q := c.with(wire.Table{
			"x-max-length": int32(1), "x-overflow": "reject-publish-dlx",
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
		})
		call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
		for i := range 4 {
			c.publish(1, "", q, fmt.Sprint(i))
			if i == 0 {
				expect[*wire.BasicAck](c, 1)
			} else {
				expect[*wire.BasicNack](c, 1)
			}
		}
		require.Equal(t, []string{"0"}, c.bodies(q))
		_, p, body := c.get(dead)
		require.Equal(t, "1", body)
		require.Equal(t, "maxlen", p.Headers["x-first-death-reason"])
		expectEmpty(c, dead)
	})
}

func TestDeadLettersGoInCircles(t *testing.T) { // DLX-14, DLX-15
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := "circle-q"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: q, Exclusive: true, Arguments: wire.Table{
			"x-dead-letter-exchange": "", "x-message-ttl": int32(100),
		}})
		c.publish(1, "", q, "x")
		for range 3 {
			got := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
			c.content()
			c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag})
			for c.ready(q) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(150 * time.Millisecond)
		expectEmpty(c, q)

		const work, later = "circle-work", "circle-later"
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: work, Exclusive: true, Arguments: wire.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": later,
		}})
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: later, Exclusive: true, Arguments: wire.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work, "x-message-ttl": int32(10),
		}})
		c.publish(1, "", work, "x")
		c.consume(work, "t")
		for i := range 3 { // somebody rejects it each time
			d := expect[*wire.BasicDeliver](c, 1)
			p, _ := c.content()
			if i > 0 {
				require.Equal(t, int64(i), p.Headers["x-death"].([]any)[0].(wire.Table)["count"])
			}
			c.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag})
		}
	})
}

// What differs since 4.0: DLX-11, DLX-13.
func TestDeadLettersSince40(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q, dead := c.mortal(nil)
		c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Headers: wire.Table{
			"x-death": []any{wire.Table{"count": int64(7), "reason": "rejected", "queue": q}},
		}}, "")
		got := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
		c.content()
		c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag})
		_, p, _ := c.get(dead)
		require.Equal(t, wire.Table{
			"x-death":              []any{wire.Table{"count": int64(1), "reason": "rejected", "queue": q, "exchange": "", "routing-keys": []any{q}}},
			"x-first-death-reason": "rejected", "x-first-death-queue": q, "x-first-death-exchange": "",
			"x-last-death-reason": "rejected", "x-last-death-queue": q, "x-last-death-exchange": "",
		}, without(t, p.Headers))
	}, amqpserver.Compat(amqpserver.V4_0))
}

func TestPriorities(t *testing.T) { // PRIO-1 to PRIO-5, TTL-12
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		send := func(q string, priorities ...uint8) {
			for i, p := range priorities {
				c.publishWith(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{Priority: p}, fmt.Sprintf("%d.%d", p, i))
			}
		}
		q := c.with(wire.Table{"x-max-priority": int32(5)})
		send(q, 0, 1, 9, 1, 5, 0)
		first := call[*wire.BasicGetOk](c, 1, &wire.BasicGet{Queue: q})
		c.content()
		c.send(1, &wire.BasicNack{DeliveryTag: first.DeliveryTag, Requeue: true})
		for c.ready(q) < 6 {
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, []string{"9.2", "5.4", "1.1", "1.3", "0.0", "0.5"}, c.bodies(q))

		q = c.with(wire.Table{"x-max-priority": int32(5), "x-max-length": int32(2)})
		send(q, 1, 5, 0)
		require.Equal(t, []string{"1.0", "0.2"}, c.bodies(q))

		q = c.with(wire.Table{"x-max-priority": int32(5)})
		send(q, 5)
		c.expiring(q, "low", "10")
		time.Sleep(50 * time.Millisecond)
		require.EqualValues(t, 2, c.ready(q))

		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		q = c.with(wire.Table{"x-max-priority": int32(5)})
		c.consume(q, "t")
		send(q, 1, 2, 5, 2)
		for _, want := range []string{"1.0", "5.2", "2.1", "2.3"} {
			d, body := c.delivered(1)
			require.Equal(t, want, body)
			c.ready(q)
			c.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		}
	})
}

func TestSingleActiveConsumer(t *testing.T) { // CONS-6, CONS-18, CONS-19, CONS-21
	compare(t, func(t *testing.T, s *server) {
		owner := s.channel(t)
		const q = "single-active"
		call[*wire.QueueDeclareOk](owner, 1, &wire.QueueDeclare{Queue: q, AutoDelete: true, Arguments: wire.Table{"x-single-active-consumer": true}})
		first, second, third := s.channel(t), s.channel(t), s.channel(t)
		first.consume(q, "1")
		second.consume(q, "2")
		call[*wire.BasicConsumeOk](third, 1, &wire.BasicConsume{Queue: q, ConsumerTag: "3", Arguments: wire.Table{"x-priority": int32(9)}})
		owner.send(1, &wire.BasicConsume{Queue: q, Exclusive: true})
		owner.channelClosed(1, 403, "ACCESS_REFUSED - queue '"+q+"' in vhost '/' in exclusive use", wire.IDBasicConsume)
		owner.openChannel(1)
		for i := range 3 {
			owner.publish(1, "", q, fmt.Sprint(i))
		}
		for i := range 3 {
			d, body := first.delivered(1)
			require.Equal(t, fmt.Sprint(i), body)
			require.False(t, d.Redelivered)
		}
		second.silent(20 * time.Millisecond)
		first.send(1, &wire.BasicAck{DeliveryTag: 1})
		call[*wire.ChannelCloseOk](first, 1, &wire.ChannelClose{})
		for i := 1; i < 3; i++ {
			d, body := third.delivered(1) // it has the highest priority, and did not pre-empt
			require.Equal(t, fmt.Sprint(i), body)
			require.True(t, d.Redelivered)
		}
		first.openChannel(1)
		first.consume(q, "1")
		owner.publish(1, "", q, "3")
		_, body := third.delivered(1)
		require.Equal(t, "3", body)
		call[*wire.ChannelCloseOk](third, 1, &wire.ChannelClose{})
		for i := 1; i < 4; i++ {
			_, body := second.delivered(1) // the first waits at the end
			require.Equal(t, fmt.Sprint(i), body)
		}
		first.silent(20 * time.Millisecond)
	})
}

func TestDeadLettersThatGoRoundForEverKeepNobodyWaiting(t *testing.T) { // DLX-14
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		for name, to := range map[string]string{"a": "b", "b": "c", "c": "b"} {
			args := wire.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": to}
			if name != "a" {
				args["x-message-ttl"] = int32(0)
			}
			call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: name, Arguments: args})
		}
		c.publish(1, "", "a", "m")
		c.send(1, &wire.BasicGet{Queue: "a"})
		got, _ := c.got(1)
		c.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag}) // from now on 3.10 sees no circle
		call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: "b"})
	}, amqpserver.Compat(amqpserver.V3_10))
}
