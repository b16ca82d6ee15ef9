package amqpserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

const events = "pocketmq-test-events"

// stream makes a stream with messages that have their offsets as bodies. Nobody
// else has it, and it is deleted at the end of the test.
func (s *server) stream(t *testing.T, messages int, args wire.Table) *client {
	t.Helper()
	c := s.channel(t)
	call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: events})
	t.Cleanup(func() { call[*wire.QueueDeleteOk](s.channel(t), 1, &wire.QueueDelete{Queue: events}) })
	declareStream(c, args)
	call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{})
	for i := range messages {
		c.publish(1, "", events, fmt.Sprint(i))
		expect[*wire.BasicAck](c, 1)
	}
	return c
}

func declareStream(c *client, args wire.Table) {
	c.t.Helper()
	all := wire.Table{"x-queue-type": "stream"}
	for key, v := range args {
		all[key] = v
	}
	call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: events, Durable: true, Arguments: all})
}

// readStream starts a consumer of the stream.
func (c *client) readStream(tag string, prefetch uint16, args wire.Table) {
	c.t.Helper()
	call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: prefetch})
	call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: events, ConsumerTag: tag, Arguments: args})
}

func at(offset any) wire.Table { return wire.Table{"x-stream-offset": offset} }

func TestStreamIsReadFromAnOffset(t *testing.T) { // STREAM-2, STREAM-8
	compare(t, func(t *testing.T, s *server) {
		for _, tc := range []struct {
			args wire.Table
			want int // offset of the first message
		}{
			{at("first"), 0}, {at("last"), 2}, {at("next"), 3}, {nil, 3}, {at(int32(1)), 1}, {at(int64(-7)), 0}, {at(uint8(2)), 2},
			{at(int32(4)), 4}, {at("1h"), 0}, {at("2M"), 0}, {at(time.Unix(1, 0)), 0}, {at(time.Now().Add(time.Hour)), 3},
			{at([]byte("first")), 0}, {wire.Table{"x-foo": "bar"}, 3},
		} {
			c := s.stream(t, 3, nil)
			c.readStream("t", 10, tc.args)
			for i := tc.want; i < 3; i++ {
				_, body := c.delivered(1)
				require.Equal(t, fmt.Sprint(i), body, "%v", tc.args)
			}
			c.silent(30 * time.Millisecond)
			for i := 3; i < 6; i++ {
				c.publish(1, "", events, fmt.Sprint(i))
				acked := false
				for n := 0; n < 2; n++ { // in whatever order they come
					if i < tc.want && n == 1 {
						break
					}
					switch _, m := c.next(); m.(type) {
					case *wire.BasicAck:
						acked = true
					case *wire.BasicDeliver:
						_, body := c.content()
						require.Equal(t, fmt.Sprint(i), body, "%v", tc.args)
					}
				}
				require.True(t, acked)
			}
		}
	})
}

func TestDeliveriesFromAStream(t *testing.T) { // STREAM-10
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 0, nil)
		for _, p := range []wire.Properties{
			{},
			{ContentType: "text/plain", Priority: 3, Expiration: "1", DeliveryMode: 2, MessageID: "m", Headers: wire.Table{"a": int32(1), "x-stream-offset": "b"}},
		} {
			c.publishWith(1, &wire.BasicPublish{Exchange: "amq.fanout", RoutingKey: "nowhere"}, &p, "")
			expect[*wire.BasicAck](c, 1)
			c.publishWith(1, &wire.BasicPublish{RoutingKey: events}, &p, "body")
			expect[*wire.BasicAck](c, 1)
		}
		time.Sleep(10 * time.Millisecond)
		c.readStream("t", 10, at("first"))
		for i, want := range []wire.Properties{
			{Headers: wire.Table{"x-stream-offset": int64(0)}},
			{ContentType: "text/plain", Priority: 3, Expiration: "1", DeliveryMode: 2, MessageID: "m", Headers: wire.Table{"a": int32(1), "x-stream-offset": int64(1)}},
		} {
			want.Flags = want.NonZero()
			d := expect[*wire.BasicDeliver](c, 1)
			p, body := c.content()
			require.Equal(t, &wire.BasicDeliver{ConsumerTag: "t", DeliveryTag: uint64(i + 1), RoutingKey: events}, d)
			require.Equal(t, want, p)
			require.Equal(t, "body", body)
		}
	})
}

func TestCreditOfAStreamsConsumer(t *testing.T) { // STREAM-2, STREAM-11
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 9, nil)
		c.readStream("a", 2, at("first"))
		expectBodies(c, "a", "0", "1")
		c.silent(30 * time.Millisecond)
		c.send(1, &wire.BasicAck{DeliveryTag: 2})
		expectBodies(c, "a", "2")
		c.send(1, &wire.BasicAck{Multiple: true})
		expectBodies(c, "a", "3", "4")
		c.readStream("b", 3, at(int32(6)))
		expectBodies(c, "b", "6", "7", "8")
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "a"})
		c.send(1, &wire.BasicAck{Multiple: true})
		c.silent(30 * time.Millisecond)
		c.readStream("a", 9, at(int32(7)))
		expectBodies(c, "a", "7", "8")
	})
}

func expectBodies(c *client, tag string, want ...string) {
	c.t.Helper()
	for _, w := range want {
		d, body := c.delivered(1)
		require.Equal(c.t, []any{tag, w, false}, []any{d.ConsumerTag, body, d.Redelivered})
	}
}

// A global prefetch has no effect on it in 3.10.
func TestStreamWithGlobalPrefetch(t *testing.T) {
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 9, nil)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1, Global: true})
		c.readStream("t", 3, at("first"))
		expectBodies(c, "t", "0", "1", "2")
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 2, Global: true})
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		expectBodies(c, "t", "3")
	})
}

func TestStreamRemovesOldSegments(t *testing.T) { // STREAM-17
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 100, wire.Table{"x-max-length-bytes": int32(10000), "x-stream-max-segment-size-bytes": int32(2000)})
		c.readStream("t", 200, at("first"))
		_, first := c.delivered(1)
		n, body := 1, first
		for ; body != "99"; n++ {
			_, body = c.delivered(1)
		}
		require.NotEqual(t, "0", first)
		require.Less(t, n, 100)
		t.Logf("%d messages are left", n)
	})
}

func TestStreamKeepsTheSegmentThatIsWritten(t *testing.T) { // STREAM-17
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 30, wire.Table{"x-max-length-bytes": int32(1)})
		c.readStream("t", 200, at("first"))
		for i := range 30 {
			_, body := c.delivered(1)
			require.Equal(t, fmt.Sprint(i), body)
		}
	})
}

func TestStreamsTellNoNumbers(t *testing.T) { // STREAM-15, STREAM-18
	compare(t, func(t *testing.T, s *server) {
		c := s.stream(t, 3, nil)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		for _, tag := range []string{"a", "b"} {
			call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: events, ConsumerTag: tag, Exclusive: true})
		}
		ok := call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: events, Passive: true})
		require.Zero(t, ok.ConsumerCount)
		c.openChannel(2)
		c.send(2, &wire.QueueDelete{Queue: events, IfUnused: true, IfEmpty: true})
		cancelled := 0
		for range 3 {
			switch _, m := c.next(); m := m.(type) {
			case *wire.BasicCancel:
				require.True(t, m.NoWait)
				cancelled++
			case *wire.QueueDeleteOk:
				require.Zero(t, m.MessageCount)
			}
		}
		require.Equal(t, 2, cancelled)
	})
}

func TestStreamsRefuse(t *testing.T) { // STREAM-3 … STREAM-9, STREAM-14
	q := "'" + events + "' in vhost '/'"
	for _, tc := range []struct {
		name   string
		global uint16
		method wire.Method
		code   uint16
		text   string
	}{
		{"no prefetch", 0, &wire.BasicConsume{}, 406, "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue " + q + "'"},
		{"global prefetch only", 5, &wire.BasicConsume{}, 406, "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue " + q + "'"},
		{"no ack and no prefetch", 0, &wire.BasicConsume{NoAck: true}, 406, "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue " + q + "'"},
		{"get", 0, &wire.BasicGet{}, 540, "NOT_IMPLEMENTED - basic.get not supported by stream queues queue " + q},
		{"purge", 0, &wire.QueuePurge{}, 540, "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue " + q},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.stream(t, 3, nil)
				if tc.global > 0 {
					call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: tc.global, Global: true})
				}
				c.refused(tc.method, tc.code, tc.text)
			})
		})
	}
	const bad = "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue "
	for _, tc := range []struct {
		consume wire.BasicConsume
		code    uint16
		text    string
	}{
		{wire.BasicConsume{NoAck: true}, 540, "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues queue " + q},
		{wire.BasicConsume{Arguments: wire.Table{"x-priority": int32(1)}}, 406, "PRECONDITION_FAILED - invalid arg 'x-priority' for queue " + q + " of queue type rabbit_stream_queue"},
		{wire.BasicConsume{Arguments: at("foo")}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at("")}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at(true)}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at(nil)}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at(1.5)}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at(wire.Table{})}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at([]any{})}, 541, "INTERNAL_ERROR"},
		{wire.BasicConsume{Arguments: at("0s")}, 406, bad + q + `: {invalid_stream_offset_arg,{longstr,<<"0s">>}}`},
		{wire.BasicConsume{Arguments: at("10x")}, 406, bad + q + `: {invalid_stream_offset_arg,{longstr,<<"10x">>}}`},
		{wire.BasicConsume{Arguments: at("1h ")}, 406, bad + q + `: {invalid_stream_offset_arg,{longstr,<<"1h ">>}}`},
	} {
		t.Run(fmt.Sprint(tc.consume.NoAck, tc.consume.Arguments), func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.stream(t, 3, nil)
				call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
				c.refused(&tc.consume, tc.code, tc.text)
			})
		})
	}
}

// refused sends a method that is about the stream, and expects an error.
func (c *client) refused(m wire.Method, code uint16, text string) {
	c.t.Helper()
	switch m := m.(type) {
	case *wire.BasicConsume:
		m.Queue = events
	case *wire.BasicGet:
		m.Queue = events
	case *wire.QueuePurge:
		m.Queue = events
	}
	c.send(1, m)
	id := m.ID()
	switch {
	case code == 541:
		c.closed(code, text, 0)
	case wire.IsSoft(code):
		c.channelClosed(1, code, text, id)
	default:
		c.closed(code, text, id)
	}
}

func TestStreamsRefuseToTakeBack(t *testing.T) { // STREAM-7
	text := "NOT_IMPLEMENTED - basic.nack and basic.reject not supported by stream queues queue '" + events + "' in vhost '/'"
	for name, tc := range map[string]struct {
		method wire.Method
		code   uint16
		text   string
	}{
		"nack":           {&wire.BasicNack{DeliveryTag: 1, Requeue: true}, 540, text},
		"nack for good":  {&wire.BasicNack{DeliveryTag: 1}, 540, text},
		"nack all":       {&wire.BasicNack{Multiple: true}, 540, text},
		"reject":         {&wire.BasicReject{DeliveryTag: 1, Requeue: true}, 540, text},
		"reject in a tx": {&wire.TxSelect{}, 540, text},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				s.stream(t, 3, nil)
				c := s.channel(t) // without confirms
				c.readStream("t", 2, at("first"))
				expectBodies(c, "t", "0", "1")
				id := tc.method.ID()
				if id == wire.IDTxSelect {
					call[*wire.TxSelectOk](c, 1, &wire.TxSelect{})
					c.send(1, &wire.BasicReject{DeliveryTag: 1}, &wire.TxCommit{})
					id = wire.IDTxCommit
				} else {
					c.send(1, tc.method)
				}
				c.closed(tc.code, tc.text, id)
			})
		})
	}
}

func TestStreamsAreDeclaredAs(t *testing.T) { // STREAM-1, ARGS-2, ARGS-19, ARGS-20, ARGS-24, QUEUE-16
	q := " for queue '" + events + "' in vhost '/'"
	key := func(key string) string {
		return "PRECONDITION_FAILED - invalid arg '" + key + "'" + q + " of queue type rabbit_stream_queue"
	}
	for _, tc := range []struct {
		name   string
		change func(*wire.QueueDeclare)
		args   wire.Table
		code   uint16 // 0 = it succeeds
		text   string
	}{
		{"", nil, nil, 0, ""},
		{"not durable", func(m *wire.QueueDeclare) { m.Durable = false }, nil, 406, "PRECONDITION_FAILED - invalid property 'non-durable'" + q},
		{"exclusive", func(m *wire.QueueDeclare) { m.Exclusive = true }, nil, 406, "PRECONDITION_FAILED - invalid property 'exclusive-owner'" + q},
		{"auto-delete", func(m *wire.QueueDeclare) { m.AutoDelete, m.Exclusive, m.Durable = true, true, false }, nil, 406, "PRECONDITION_FAILED - invalid property 'auto-delete'" + q},
		{"server-named", func(m *wire.QueueDeclare) { m.Queue = "" }, nil, 406, "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue"},
		{"key before property", func(m *wire.QueueDeclare) { m.Exclusive = true }, wire.Table{"x-max-length": int32(1)}, 406, key("x-max-length")},
		{"ttl", nil, wire.Table{"x-message-ttl": int32(1)}, 406, key("x-message-ttl")},
		{"expires", nil, wire.Table{"x-expires": int32(1)}, 406, key("x-expires")},
		{"dlx", nil, wire.Table{"x-dead-letter-exchange": "a"}, 406, key("x-dead-letter-exchange")},
		{"overflow", nil, wire.Table{"x-overflow": "drop-head"}, 406, key("x-overflow")},
		{"priorities", nil, wire.Table{"x-max-priority": int32(3)}, 406, key("x-max-priority")},
		{"single active consumer", nil, wire.Table{"x-single-active-consumer": true}, 406, key("x-single-active-consumer")},
		{"delivery limit", nil, wire.Table{"x-delivery-limit": int32(1)}, 406, key("x-delivery-limit")},
		{"value before key", nil, wire.Table{"x-max-length": int32(1), "x-max-age": "0h"}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-age'" + q + ": invalid_max_age"},
		{"age", nil, wire.Table{"x-max-age": "7D"}, 0, ""},
		{"huge age", nil, wire.Table{"x-max-age": "99999999999999999999Y"}, 0, ""},
		{"age without a number", nil, wire.Table{"x-max-age": "D"}, 541, "INTERNAL_ERROR"},
		{"negative age", nil, wire.Table{"x-max-age": "-1h"}, 541, "INTERNAL_ERROR"},
		{"age without a unit", nil, wire.Table{"x-max-age": "1"}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-age'" + q + ": invalid_max_age"},
		{"age of an hour and a half", nil, wire.Table{"x-max-age": "1.5h"}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-age'" + q + ": invalid_max_age"},
		{"age as a number", nil, wire.Table{"x-max-age": int32(5)}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-age'" + q + ": {unacceptable_type,signedint}"},
		{"large segments", nil, wire.Table{"x-stream-max-segment-size-bytes": int64(3000000000)}, 0, ""},
		{"too large segments", nil, wire.Table{"x-stream-max-segment-size-bytes": int64(3000000001)}, 406, "PRECONDITION_FAILED - Exceeded max value for x-stream-max-segment-size-bytes"},
		{"too large segments, not durable", func(m *wire.QueueDeclare) { m.Durable = false }, wire.Table{"x-stream-max-segment-size-bytes": int64(3000000001)}, 406, "PRECONDITION_FAILED - invalid property 'non-durable'" + q},
		{"negative segments", nil, wire.Table{"x-stream-max-segment-size-bytes": int32(-1)}, 406, "PRECONDITION_FAILED - invalid arg 'x-stream-max-segment-size-bytes'" + q + ": {value_negative,-1}"},
		{"filter size", nil, wire.Table{"x-stream-filter-size-bytes": "unknown to 3.10"}, 0, ""},
		{"locator", nil, wire.Table{"x-queue-leader-locator": "balanced", "x-initial-cluster-size": int32(1), "x-foo": "bar"}, 0, ""},
		{"bad locator", nil, wire.Table{"x-queue-leader-locator": "foo"}, 406, "PRECONDITION_FAILED - invalid arg 'x-queue-leader-locator'" + q + ": invalid_queue_locator_arg"},
		{"no cluster", nil, wire.Table{"x-initial-cluster-size": int32(0)}, 406, "PRECONDITION_FAILED - invalid arg 'x-initial-cluster-size'" + q + ": {value_zero,0}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.stream(t, 0, nil)
				call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: events})
				m := &wire.QueueDeclare{Queue: events, Durable: true, Arguments: wire.Table{"x-queue-type": "stream"}}
				for key, v := range tc.args {
					m.Arguments[key] = v
				}
				if tc.change != nil {
					tc.change(m)
				}
				if tc.code == 0 {
					call[*wire.QueueDeclareOk](c, 1, m)
					return
				}
				c.refused(m, tc.code, tc.text)
			})
		})
	}
}

func TestStreamsAreDeclaredAgain(t *testing.T) { // QUEUE-16
	type table = wire.Table
	stream := table{"x-queue-type": "stream"}
	with := func(more table) table {
		all := table{"x-queue-type": "stream"}
		for key, v := range more {
			all[key] = v
		}
		return all
	}
	at := "PRECONDITION_FAILED - inequivalent arg '%s' for queue '" + events + "' in vhost '/': %s"
	for i, tc := range []struct {
		first, second table
		key, text     string // "" = it succeeds
	}{
		{stream, stream, "", ""},
		{stream, with(table{"x-max-length": int32(-4), "x-foo": "bar"}), "", ""},
		{stream, nil, "x-queue-type", "received none but current is the value 'stream' of type 'longstr'"},
		{nil, stream, "x-queue-type", "received the value 'stream' of type 'longstr' but current is none"},
		{nil, table{"x-queue-type": "classic"}, "", ""},
		{table{"x-queue-type": "classic"}, stream, "x-queue-type", "received 'stream' but current is 'classic'"},
		{stream, with(table{"x-max-age": "h"}), "x-max-age", "received the value 'h' of type 'longstr' but current is none"},
		{stream, with(table{"x-max-age": "1h", "x-max-length-bytes": int32(5)}), "x-max-length-bytes", "received the value '5' of type 'signedint' but current is none"},
		{stream, with(table{"x-max-age": "1h", "x-stream-max-segment-size-bytes": int32(5)}), "x-max-age", "received the value '1h' of type 'longstr' but current is none"},
		{with(table{"x-initial-cluster-size": int32(1)}), stream, "x-initial-cluster-size", "received none but current is the value '1' of type 'signedint'"},
		{with(table{"x-max-length-bytes": int32(5)}), nil, "x-max-length-bytes", "received none but current is the value '5' of type 'signedint'"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.stream(t, 0, nil)
				call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: events})
				call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: events, Durable: true, Arguments: tc.first})
				m := &wire.QueueDeclare{Queue: events, Durable: true, Arguments: tc.second}
				if tc.key == "" {
					call[*wire.QueueDeclareOk](c, 1, m)
					return
				}
				c.refused(m, 406, fmt.Sprintf(at, tc.key, tc.text))
			})
		})
	}
}

func TestStreamsInVersion4(t *testing.T) { // STREAM-3, STREAM-4, STREAM-7, STREAM-9, STREAM-16, ARGS-19, ARGS-21
	bubble(t, func(t *testing.T, s *server) {
		c := s.stream(t, 3, nil)
		c.readStream("t", 2, at("first"))
		expectBodies(c, "t", "0", "1")
		c.send(1, &wire.BasicNack{DeliveryTag: 1, Requeue: true})
		expectBodies(c, "t", "2")
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: "t"})
		p := &wire.Properties{Headers: wire.Table{"x-stream-filter-value": "a"}}
		c.publishWith(1, &wire.BasicPublish{RoutingKey: events}, p, "filtered")
		expect[*wire.BasicAck](c, 1)
		c.readStream("f", 9, wire.Table{"x-stream-offset": "first", "x-stream-filter": []any{"a", "b"}})
		expectBodies(c, "f", "filtered")
		c.silent(time.Second)

		q := "'" + events + "' in vhost '/'"
		for _, tc := range []struct {
			qos    wire.BasicQos
			method wire.Method
			code   uint16
			text   string
		}{
			{wire.BasicQos{}, &wire.BasicConsume{}, 406, "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue " + q},
			{wire.BasicQos{PrefetchCount: 1}, &wire.BasicConsume{NoAck: true}, 540, "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue " + q},
			{wire.BasicQos{PrefetchCount: 1}, &wire.BasicConsume{Arguments: at("foo")}, 541, "INTERNAL_ERROR"}, // as 4.0.5 answers, too
			{wire.BasicQos{}, &wire.QueueDeclare{Queue: "age", Durable: true, Arguments: wire.Table{"x-queue-type": "stream", "x-max-age": "D"}}, 541,
				"INTERNAL_ERROR"},
			{wire.BasicQos{}, &wire.QueueDeclare{Queue: "filter", Durable: true, Arguments: wire.Table{"x-queue-type": "stream", "x-stream-filter-size-bytes": int32(256)}}, 406,
				"PRECONDITION_FAILED - Invalid value for  x-stream-filter-size-bytes"},
		} {
			c := s.channel(t)
			call[*wire.BasicQosOk](c, 1, &tc.qos)
			c.refused(tc.method, tc.code, tc.text)
		}
		c = s.channel(t)
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1, Global: true})
		c.refused(&wire.BasicConsume{}, 540, "NOT_IMPLEMENTED - queue "+q+" does not support global qos")
	}, amqpserver.Compat(amqpserver.V4_0))
}
