package pocketmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

var (
	long     = strings.Repeat("x", 256)
	longText = strings.Repeat("x", 20) + "...' has 256 bytes; AMQP allows 255"
)

func nothing(context.Context, *pocketmq.Delivery) error { return nil }

// cyclic is a table that holds itself, cyclicList a table with such an array.
func cyclic() pocketmq.Table {
	t := pocketmq.Table{}
	t["a"], t["b"] = t, t
	return t
}

func cyclicList() pocketmq.Table {
	l := make([]any, 2)
	l[0], l[1] = l, l
	return pocketmq.Table{"a": l}
}

// deep returns a table of n tables, one in the other.
func deep(n int) pocketmq.Table {
	t := pocketmq.Table{}
	for range n - 1 {
		t = pocketmq.Table{"t": t}
	}
	return t
}

// publishHeaders publishes a message with headers to a queue that is there.
func publishHeaders(t pocketmq.Table) func(*pocketmq.Broker) error {
	return func(b *pocketmq.Broker) error { return b.Publish(ctx, "", "q", &pocketmq.Message{Headers: t}) }
}

func publishMessage(m *pocketmq.Message) func(*pocketmq.Broker) error {
	return func(b *pocketmq.Broker) error { return b.Publish(ctx, "", "q", m) }
}

func consumeWith(opts ...pocketmq.ConsumeOption) func(*pocketmq.Broker) error {
	return func(b *pocketmq.Broker) error { _, err := b.Consume(ctx, "q", opts...); return err }
}

func declareWith(name string, opts ...pocketmq.QueueOption) func(*pocketmq.Broker) error {
	return func(b *pocketmq.Broker) error { _, err := b.DeclareQueue(ctx, name, opts...); return err }
}

func declareX(name, kind string, opts ...pocketmq.ExchangeOption) func(*pocketmq.Broker) error {
	return func(b *pocketmq.Broker) error { return b.DeclareExchange(ctx, name, kind, opts...) }
}

// Whatever is wrong with a call gives an error that can be told by its sentinel
// and its AMQP code, and says in words what is wrong. The broker of the test has
// a queue "q" and an exchange "x".
func TestWrongCallsGiveClearErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(b *pocketmq.Broker) error
		is   error
		code int
		text string // a part of it
	}{
		// --- names
		{"no such exchange", func(b *pocketmq.Broker) error { return b.Publish(ctx, "nope", "", msg("")) },
			pocketmq.ErrNotFound, 404, "no exchange 'nope' in vhost '/'"}, // EXCH-22
		{"amq.default is no alias", func(b *pocketmq.Broker) error { return b.Publish(ctx, "amq.default", "q", msg("")) },
			pocketmq.ErrNotFound, 404, "no exchange 'amq.default' in vhost '/'"},
		{"purge of no queue", func(b *pocketmq.Broker) error { _, err := b.PurgeQueue(ctx, "nope"); return err },
			pocketmq.ErrNotFound, 404, "no queue 'nope' in vhost '/'"}, // QUEUE-30
		{"consume of no queue", func(b *pocketmq.Broker) error { _, err := b.Consume(ctx, "nope"); return err },
			pocketmq.ErrNotFound, 404, "no queue 'nope' in vhost '/'"},
		{"handle of no queue", func(b *pocketmq.Broker) error { _, err := b.Handle(ctx, "nope", nothing); return err },
			pocketmq.ErrNotFound, 404, "no queue 'nope' in vhost '/'"},
		{"get of no queue", func(b *pocketmq.Broker) error { _, _, err := b.Get(ctx, "nope"); return err },
			pocketmq.ErrNotFound, 404, "no queue 'nope' in vhost '/'"},
		{"purge of a queue without a name", func(b *pocketmq.Broker) error { _, err := b.PurgeQueue(ctx, ""); return err },
			pocketmq.ErrNotFound, 404, "no queue '' in vhost '/'"},
		{"bind of a queue without a name", func(b *pocketmq.Broker) error { return b.Bind(ctx, "", "x", "") },
			pocketmq.ErrNotFound, 404, "no queue '' in vhost '/'"},
		{"default exchange declared", declareX("", pocketmq.Direct), // EXCH-13
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange asked for", declareX("", pocketmq.Direct, pocketmq.Passive()),
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange deleted", func(b *pocketmq.Broker) error { return b.DeleteExchange(ctx, "") },
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange bound", func(b *pocketmq.Broker) error { return b.Bind(ctx, "q", "", "k") },
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange unbound", func(b *pocketmq.Broker) error { return b.Unbind(ctx, "q", "", "q") },
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange as a destination", func(b *pocketmq.Broker) error { return b.BindExchange(ctx, "", "x", "k") },
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"default exchange as a source", func(b *pocketmq.Broker) error { return b.BindExchange(ctx, "x", "", "k") },
			pocketmq.ErrAccessRefused, 403, "operation not permitted on the default exchange"},
		{"reserved exchange", declareX("amq.foo", pocketmq.Direct), // EXCH-12
			pocketmq.ErrAccessRefused, 403, "exchange name 'amq.foo' contains reserved prefix 'amq.*'"},
		{"system exchange deleted", func(b *pocketmq.Broker) error { return b.DeleteExchange(ctx, "amq.direct") }, // EXCH-18
			pocketmq.ErrAccessRefused, 403, "deletion of system exchange 'amq.direct' in vhost '/' not allowed"},
		{"missing system exchange deleted", func(b *pocketmq.Broker) error { return b.DeleteExchange(ctx, "amq.nope") },
			pocketmq.ErrAccessRefused, 403, "deletion of system exchange 'amq.nope' in vhost '/' not allowed"},
		{"reserved queue", declareWith("amq.foo"), // QUEUE-8
			pocketmq.ErrAccessRefused, 403, "queue name 'amq.foo' contains reserved prefix 'amq.*'"},
		{"unknown kind", declareX("y", "x-nonsense"), // EXCH-11
			pocketmq.ErrInvalid, 503, "unknown exchange type 'x-nonsense'"},
		{"no kind", declareX("y", ""), pocketmq.ErrInvalid, 503, "invalid exchange type ''"},
		{"kinds have a case", declareX("y", "Direct"), pocketmq.ErrInvalid, 503, "unknown exchange type 'Direct'"},

		// --- too long, or no text
		{"exchange declared", declareX(long, pocketmq.Direct), pocketmq.ErrInvalid, 502, "the exchange name '" + longText},
		{"exchange deleted", func(b *pocketmq.Broker) error { return b.DeleteExchange(ctx, long) },
			pocketmq.ErrInvalid, 502, "the exchange name '" + longText},
		{"queue declared", declareWith(long), pocketmq.ErrInvalid, 502, "the queue name '" + longText},
		{"queue asked for", declareWith(long, pocketmq.Passive()), pocketmq.ErrInvalid, 502, "the queue name '" + longText},
		{"queue deleted", func(b *pocketmq.Broker) error { _, err := b.DeleteQueue(ctx, long); return err },
			pocketmq.ErrInvalid, 502, "the queue name '" + longText},
		{"queue bound", func(b *pocketmq.Broker) error { return b.Bind(ctx, long, "x", "") },
			pocketmq.ErrInvalid, 502, "the queue name '" + longText},
		{"exchange bound", func(b *pocketmq.Broker) error { return b.Bind(ctx, "q", long, "") },
			pocketmq.ErrInvalid, 502, "the exchange name '" + longText},
		{"destination bound", func(b *pocketmq.Broker) error { return b.BindExchange(ctx, long, "x", "") },
			pocketmq.ErrInvalid, 502, "the destination exchange name '" + longText},
		{"binding key", func(b *pocketmq.Broker) error { return b.Bind(ctx, "q", "x", long) },
			pocketmq.ErrInvalid, 502, "the binding key has 256 bytes"},
		{"unbinding key", func(b *pocketmq.Broker) error { return b.Unbind(ctx, "q", "x", long) },
			pocketmq.ErrInvalid, 502, "the binding key has 256 bytes"},
		{"routing key", func(b *pocketmq.Broker) error { return b.Publish(ctx, "x", long, msg("")) },
			pocketmq.ErrInvalid, 502, "the routing key has 256 bytes"},
		{"alternate exchange", declareX("y", pocketmq.Direct, pocketmq.AlternateExchange(long)),
			pocketmq.ErrInvalid, 502, "the alternate exchange name '" + longText},
		{"consumer tag", consumeWith(pocketmq.ConsumerTag(long)), pocketmq.ErrInvalid, 502, "has 256 bytes"},
		{"exchange that is no UTF-8", declareX("\xff", pocketmq.Direct), pocketmq.ErrInvalid, 502, `"\xff" is not valid UTF-8`},
		{"queue that is no UTF-8", declareWith("\xff"), pocketmq.ErrInvalid, 502, `"\xff" is not valid UTF-8`},

		// --- options
		{"negative length", declareWith("new", pocketmq.MaxLength(-1)), pocketmq.ErrInvalid, 502, "MaxLength(-1): must not be negative"},
		{"unknown policy", declareWith("new", pocketmq.Overflow(99)), pocketmq.ErrInvalid, 502, "Overflow(99): no such policy"},
		{"a limit and none", declareWith("new", pocketmq.MaxLength(1), pocketmq.Unbounded()), pocketmq.ErrInvalid, 502, "contradict"},
		{"two types", declareWith("new", pocketmq.Quorum(), pocketmq.Stream()), pocketmq.ErrInvalid, 502, "cannot be of the types quorum and stream"},
		{"none and a limit", declareWith("new", pocketmq.Unbounded(), pocketmq.MaxLength(1)), pocketmq.ErrInvalid, 502, "contradict"},
		{"negative prefetch", consumeWith(pocketmq.Prefetch(-1)), pocketmq.ErrInvalid, 502, "Prefetch(-1): must not be negative"},
		{"priority too high", consumeWith(pocketmq.Priority(1 << 31)), pocketmq.ErrInvalid, 502, "must fit into 32 bits"},
		{"priority too low", consumeWith(pocketmq.Priority(-1<<31 - 1)), pocketmq.ErrInvalid, 502, "must fit into 32 bits"},
		{"no concurrency", func(b *pocketmq.Broker) error {
			_, err := b.Handle(ctx, "q", nothing, pocketmq.Concurrency(0))
			return err
		}, pocketmq.ErrInvalid, 502, "Concurrency(0): a handler needs at least one goroutine"},
		{"notify nobody", func(b *pocketmq.Broker) error {
			_, err := b.Consume(ctx, "q", pocketmq.Notify(nil))
			return err
		}, pocketmq.ErrInvalid, 502, "Notify: the function is nil"},
		{"negative concurrency", func(b *pocketmq.Broker) error {
			_, err := b.Handle(ctx, "q", nothing, pocketmq.Concurrency(-1))
			return err
		}, pocketmq.ErrInvalid, 502, "Concurrency(-1)"},
		{"concurrency of a consumer", consumeWith(pocketmq.Concurrency(2)), pocketmq.ErrInvalid, 502, "Concurrency is for Handle"},
		{"nil window", consumeWith(pocketmq.SharedPrefetch(nil)), pocketmq.ErrInvalid, 502, "the window is nil"},
		{"window of no size", consumeWith(pocketmq.SharedPrefetch(&pocketmq.Window{})), pocketmq.ErrInvalid, 502, "make one with NewWindow"},
		{"new window of no size", func(*pocketmq.Broker) error { _, err := pocketmq.NewWindow(0); return err },
			pocketmq.ErrInvalid, 502, "NewWindow(0)"},
		{"negative window", func(*pocketmq.Broker) error { _, err := pocketmq.NewWindow(-1); return err },
			pocketmq.ErrInvalid, 502, "NewWindow(-1)"},
		{"nil handler", func(b *pocketmq.Broker) error { _, err := b.Handle(ctx, "q", nil); return err },
			pocketmq.ErrInvalid, 502, "the handler is nil"},
		{"unknown flag", func(b *pocketmq.Broker) error { return b.Publish(ctx, "", "q", msg(""), pocketmq.PublishOption(128)) },
			pocketmq.ErrInvalid, 502, "PublishOption"},

		// --- messages
		{"nil message", publishMessage(nil), pocketmq.ErrInvalid, 502, "the message is nil"},
		{"delivery mode", publishMessage(&pocketmq.Message{DeliveryMode: 3}), // PUB-12
			pocketmq.ErrPreconditionFailed, 406, "invalid message: {delivery_mode_unknown,3}"},
		{"no expiration", publishMessage(&pocketmq.Message{Expiration: "abc"}), // PUB-10
			pocketmq.ErrPreconditionFailed, 406, "invalid expiration 'abc': no_integer"},
		{"expiration after a blank", publishMessage(&pocketmq.Message{Expiration: " 5"}),
			pocketmq.ErrPreconditionFailed, 406, "invalid expiration ' 5': no_integer"},
		{"negative expiration", publishMessage(&pocketmq.Message{Expiration: "-1"}),
			pocketmq.ErrPreconditionFailed, 406, "invalid expiration '-1': {value_negative,-1}"},
		{"expiration with a fraction", publishMessage(&pocketmq.Message{Expiration: "1.5"}),
			pocketmq.ErrPreconditionFailed, 406, `invalid expiration '1.5': {leftover_string,".5"}`},
		{"expiration with a unit", publishMessage(&pocketmq.Message{Expiration: "10ms"}),
			pocketmq.ErrPreconditionFailed, 406, `invalid expiration '10ms': {leftover_string,"ms"}`},
		{"expiration too far away", publishMessage(&pocketmq.Message{Expiration: "315360000001"}),
			pocketmq.ErrPreconditionFailed, 406, "invalid expiration '315360000001': {value_too_large,315360000001}"},
		{"long ContentType", publishMessage(&pocketmq.Message{ContentType: long}), pocketmq.ErrInvalid, 502, "ContentType has 256 bytes"},
		{"long ContentEncoding", publishMessage(&pocketmq.Message{ContentEncoding: long}), pocketmq.ErrInvalid, 502, "ContentEncoding has"},
		{"long CorrelationID", publishMessage(&pocketmq.Message{CorrelationID: long}), pocketmq.ErrInvalid, 502, "CorrelationID has"},
		{"long ReplyTo", publishMessage(&pocketmq.Message{ReplyTo: long}), pocketmq.ErrInvalid, 502, "ReplyTo has"},
		{"long MessageID", publishMessage(&pocketmq.Message{MessageID: long}), pocketmq.ErrInvalid, 502, "MessageID has"},
		{"long Type", publishMessage(&pocketmq.Message{Type: long}), pocketmq.ErrInvalid, 502, "Type has"},
		{"long UserID", publishMessage(&pocketmq.Message{UserID: long}), pocketmq.ErrInvalid, 502, "UserID has"},
		{"long AppID", publishMessage(&pocketmq.Message{AppID: long}), pocketmq.ErrInvalid, 502, "AppID has"},

		// --- tables
		{"uint64", publishHeaders(pocketmq.Table{"h": uint64(1)}), pocketmq.ErrInvalid, 502,
			"headers: the value of 'h' is a uint64, which AMQP cannot carry"},
		{"uint", publishHeaders(pocketmq.Table{"h": uint(1)}), pocketmq.ErrInvalid, 502, "is a uint,"},
		{"complex", publishHeaders(pocketmq.Table{"h": 1i}), pocketmq.ErrInvalid, 502, "is a complex128,"},
		{"struct", publishHeaders(pocketmq.Table{"h": struct{}{}}), pocketmq.ErrInvalid, 502, "is a struct {},"},
		{"duration", publishHeaders(pocketmq.Table{"h": time.Second}), pocketmq.ErrInvalid, 502, "is a time.Duration,"},
		{"slice of strings", publishHeaders(pocketmq.Table{"h": []string{"a"}}), pocketmq.ErrInvalid, 502, "is a []string,"},
		{"map of strings", publishHeaders(pocketmq.Table{"h": map[string]string{}}), pocketmq.ErrInvalid, 502, "is a map[string]string,"},
		{"error", publishHeaders(pocketmq.Table{"h": errBroken}), pocketmq.ErrInvalid, 502, "is a *errors.errorString,"},
		{"in a table", publishHeaders(pocketmq.Table{"a": pocketmq.Table{"h": uint64(1)}}), pocketmq.ErrInvalid, 502, "'h' is a uint64,"},
		{"in an array", publishHeaders(pocketmq.Table{"h": []any{1, uint64(1)}}), pocketmq.ErrInvalid, 502, "'h' is a uint64,"},
		{"long key", publishHeaders(pocketmq.Table{long: 1}), pocketmq.ErrInvalid, 502, "is longer than 255 bytes"},
		{"deep table", publishHeaders(deep(65)), pocketmq.ErrInvalid, 502, "headers: nested more than 64 deep"},
		{"deep array", publishHeaders(pocketmq.Table{"t": []any{deep(63)}}), pocketmq.ErrInvalid, 502, "headers: nested more than 64 deep"},
		{"cyclic table", publishHeaders(cyclic()), pocketmq.ErrInvalid, 502, "headers: nested more than 64 deep"},
		{"cyclic array", publishHeaders(cyclicList()), pocketmq.ErrInvalid, 502, "headers: nested more than 64 deep"},
		{"binding's argument", func(b *pocketmq.Broker) error {
			return b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"h": uint64(1)}))
		}, pocketmq.ErrInvalid, 502, "arguments: the value of 'h' is a uint64,"},
		{"binding's cyclic argument", func(b *pocketmq.Broker) error {
			return b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(cyclic()))
		}, pocketmq.ErrInvalid, 502, "arguments: nested more than 64 deep"},
		{"unbinding's cyclic argument", func(b *pocketmq.Broker) error {
			return b.Unbind(ctx, "q", "amq.headers", "", pocketmq.Arguments(cyclicList()))
		}, pocketmq.ErrInvalid, 502, "arguments: nested more than 64 deep"},

		// --- the rest
		{"unroutable", func(b *pocketmq.Broker) error { return b.Publish(ctx, "x", "k", msg(""), pocketmq.Mandatory) },
			pocketmq.ErrUnroutable, 312, "exchange 'x' in vhost '/' leads a message with routing key 'k' to no queue"},
		{"full", func(b *pocketmq.Broker) error {
			return errors.Join(declareWith("full", pocketmq.MaxLength(0), reject)(b), b.Publish(ctx, "", "full", msg("")))
		}, pocketmq.ErrQueueFull, 506, "queue 'full' in vhost '/' is full"},
		{"nil delivery", func(*pocketmq.Broker) error { return pocketmq.SettleAll(pocketmq.Acked, nil) },
			pocketmq.ErrInvalid, 502, "a delivery is nil"},
		{"unknown outcome", func(*pocketmq.Broker) error { return pocketmq.SettleAll(pocketmq.Outcome(9), &pocketmq.Delivery{}) },
			pocketmq.ErrInvalid, 502, "there is no such outcome as 9"},
		{"zero Delivery", func(*pocketmq.Broker) error { return new(pocketmq.Delivery).Ack() }, pocketmq.ErrSettled, 406, "needs no settling"},
		{"zero Delivery nacked", func(*pocketmq.Broker) error { return new(pocketmq.Delivery).Nack(true) },
			pocketmq.ErrSettled, 406, "needs no settling"},
		{"zero Delivery rejected", func(*pocketmq.Broker) error { return new(pocketmq.Delivery).Reject() },
			pocketmq.ErrSettled, 406, "needs no settling"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				exchange(t, b, "x", pocketmq.Direct)
				before := b.Stats()
				err := tc.call(b)
				require.ErrorIs(t, err, tc.is)
				var e *pocketmq.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, tc.code, e.Code)
				require.Contains(t, e.Text, tc.text)
				if tc.is == pocketmq.ErrInvalid {
					require.Equal(t, before, b.Stats(), "nothing was done")
				}
			})
		})
	}
}

func TestErrorsReadAsInRabbitMQ(t *testing.T) {
	for code, name := range map[int]string{
		312: "NO_ROUTE", 320: "CONNECTION_FORCED", 403: "ACCESS_REFUSED", 404: "NOT_FOUND", 405: "RESOURCE_LOCKED",
		406: "PRECONDITION_FAILED", 502: "SYNTAX_ERROR", 503: "COMMAND_INVALID", 506: "RESOURCE_ERROR", 530: "NOT_ALLOWED",
		540: "NOT_IMPLEMENTED",
	} {
		require.EqualError(t, &pocketmq.Error{Code: code, Text: "text"}, name+" - text")
	}
	require.EqualError(t, &pocketmq.Error{Code: 999, Text: "text"}, "999 - text")
	require.NoError(t, new(pocketmq.Error).Unwrap())
}

// --- nil where a value should be ---------------------------------------------

func TestNilContextIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		var none context.Context
		for _, client := range []pocketmq.Client{b, b.Session()} {
			_, declareQueue := client.DeclareQueue(none, "q2")
			_, deleteQueue := client.DeleteQueue(none, "q")
			_, purge := client.PurgeQueue(none, "q")
			_, consume := client.Consume(none, "q")
			_, handle := client.Handle(none, "q", nothing)
			_, _, get := client.Get(none, "q")
			for _, err := range []error{
				declareQueue, deleteQueue, purge, consume, handle, get,
				client.DeclareExchange(none, "x", pocketmq.Direct), client.DeleteExchange(none, "x"),
				client.Bind(none, "q", "amq.direct", ""), client.Unbind(none, "q", "amq.direct", ""),
				client.BindExchange(none, "amq.direct", "amq.topic", ""), client.UnbindExchange(none, "amq.direct", "amq.topic", ""),
				client.Publish(none, "", "q", msg("a")),
			} {
				require.ErrorIs(t, err, pocketmq.ErrInvalid)
				require.ErrorContains(t, err, "the context is nil")
			}
		}
		_, err := c.Receive(none)
		require.ErrorIs(t, err, pocketmq.ErrInvalid)
		require.ErrorIs(t, b.Shutdown(none), pocketmq.ErrInvalid)
		send(t, b, "q", "the broker is still there")
	})
}

func TestZeroOptionsAreIgnored(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Direct, pocketmq.DeclareOption{}, pocketmq.ArgumentsOption{})
		declare(t, b, "q", pocketmq.DeclareOption{}, pocketmq.ExclusiveOption{}, pocketmq.ArgumentsOption{})
		consume(t, b, "q", pocketmq.ExclusiveOption{})
		must(t, b.Bind(ctx, "q", "x", "k", pocketmq.ArgumentsOption{}))
		must(t, b.Publish(ctx, "x", "k", msg("a"), 0))
	})
}

func TestZeroBrokerIsAnError(t *testing.T) {
	b := new(pocketmq.Broker)
	for name, err := range everyCall(b, "q", "x") {
		require.ErrorIs(t, err, pocketmq.ErrInvalid, name)
		require.ErrorContains(t, err, "pocketmq.New")
	}
	require.Empty(t, b.Stats())
	require.ErrorIs(t, b.Shutdown(ctx), pocketmq.ErrInvalid)
	require.NoError(t, b.Close())
	for _, s := range []*pocketmq.Session{b.Session(), new(pocketmq.Session), new(pocketmq.Session).Session()} {
		for name, err := range everyCall(s, "q", "x") {
			require.Error(t, err, name)
		}
		require.NoError(t, s.Close())
	}
}

// --- after the end -----------------------------------------------------------

func TestEverythingMayBeCalledAfterTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		w, shared := window(t, 4)
		c := consume(t, b, "q", shared, pocketmq.Prefetch(1))
		send(t, b, "q", "a", "b")
		d := receive(t, c)
		got := take(t, b.Session(), "q")
		must(t, b.Close())

		require.ErrorIs(t, d.Ack(), pocketmq.ErrSettled)
		require.ErrorIs(t, got.Nack(true), pocketmq.ErrSettled)
		c.Cancel()
		c.Close()
		_, err := c.Receive(ctx)
		require.ErrorIs(t, err, pocketmq.ErrClosed)
		_, _, err = c.TryReceive()
		require.ErrorIs(t, err, pocketmq.ErrClosed)
		for _, err := range c.Deliveries() {
			require.ErrorIs(t, err, pocketmq.ErrClosed)
		}
		_, open := <-c.Chan()
		require.False(t, open)
		<-c.Done()
		require.NotEmpty(t, c.Tag())
		require.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
		require.Zero(t, w.Used())
		require.Empty(t, stats(t, b, "q").Consumers)
	})
}
