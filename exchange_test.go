package pocketmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func exchange(t testing.TB, b *pocketmq.Broker, name, kind string, opts ...pocketmq.ExchangeOption) {
	t.Helper()
	must(t, b.DeclareExchange(ctx, name, kind, opts...))
}

func bind(t testing.TB, b *pocketmq.Broker, queue, exchange, key string, opts ...pocketmq.BindOption) {
	t.Helper()
	must(t, b.Bind(ctx, queue, exchange, key, opts...))
}

// --- declaring ---------------------------------------------------------------

func TestBrokerStartsWithThePredeclaredExchanges(t *testing.T) { // EXCH-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		got := map[string]string{}
		for _, x := range b.Stats().Exchanges {
			require.True(t, x.Durable && !x.AutoDelete && x.Internal == (x.Name == "amq.rabbitmq.trace"), x.Name)
			got[x.Name] = x.Kind
		}
		require.Equal(t, map[string]string{
			"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic", "amq.headers": "headers",
			"amq.match": "headers", "amq.rabbitmq.trace": "topic",
		}, got)
	})
}

func TestExchangeMayBeDeclaredAgainWithTheSameProperties(t *testing.T) { // EXCH-2, EXCH-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for range 2 {
			exchange(t, b, "x", pocketmq.Topic, pocketmq.Durable(), pocketmq.AutoDelete(), pocketmq.AlternateExchange("a"))
			bind(t, b, "q", "x", "k")
		}
		exchange(t, b, "amq.topic", pocketmq.Topic, pocketmq.Durable())
		require.Equal(t, []string{"q"}, routed(t, b, "x", "k", nil), "its bindings stay")
	})
}

func TestExchangeDeclaredDifferentlyNamesTheProperty(t *testing.T) { // EXCH-3 to EXCH-8
	type opts = []pocketmq.ExchangeOption
	alternate := pocketmq.AlternateExchange
	for _, tc := range []struct {
		kind          string
		first, second opts
		want          string
	}{
		{"direct", nil, opts{pocketmq.Durable()}, "'durable' for exchange 'e1' in vhost '/': received 'true' but current is 'false'"},
		{"direct", opts{pocketmq.Durable()}, nil, "'durable' for exchange 'e1' in vhost '/': received 'false' but current is 'true'"},
		{"direct", nil, opts{pocketmq.AutoDelete()}, "'auto_delete' for exchange 'e1' in vhost '/': received 'true' but current is 'false'"},
		{"direct", opts{pocketmq.Internal()}, nil, "'internal' for exchange 'e1' in vhost '/': received 'false' but current is 'true'"},
		{
			"direct", nil, opts{alternate("amq.direct")},
			"'alternate-exchange' for exchange 'e1' in vhost '/': received the value 'amq.direct' of type 'longstr' but current is none",
		},
		{
			"direct", opts{alternate("amq.direct")}, nil,
			"'alternate-exchange' for exchange 'e1' in vhost '/': received none but current is the value 'amq.direct' of type 'longstr'",
		},
		{
			"direct", opts{alternate("amq.direct")}, opts{alternate("amq.topic")},
			"'alternate-exchange' for exchange 'e1' in vhost '/': received 'amq.topic' but current is 'amq.direct'",
		},
		// The first difference counts, in this order.
		{
			"fanout", nil, opts{pocketmq.Durable(), pocketmq.AutoDelete(), pocketmq.Internal(), alternate("a")},
			"'type' for exchange 'e1' in vhost '/': received 'fanout' but current is 'direct'",
		},
		{
			"direct", nil, opts{pocketmq.Durable(), pocketmq.AutoDelete(), pocketmq.Internal(), alternate("a")},
			"'durable' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
		},
		{
			"direct", nil, opts{pocketmq.AutoDelete(), pocketmq.Internal(), alternate("a")},
			"'auto_delete' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
		},
		{
			"direct", nil, opts{pocketmq.Internal(), alternate("a")},
			"'internal' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
		},
	} {
		t.Run(tc.want, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				exchange(t, b, "e1", pocketmq.Direct, tc.first...)
				err := b.DeclareExchange(ctx, "e1", tc.kind, tc.second...)
				require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed)
				require.EqualError(t, err, "PRECONDITION_FAILED - inequivalent arg "+tc.want)
			})
		})
	}
}

func TestPassiveDeclarationOfAnExchangeOnlyAsks(t *testing.T) { // EXCH-14, EXCH-15
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, name := range []string{"nope", "amq.nope"} {
			require.ErrorIs(t, b.DeclareExchange(ctx, name, pocketmq.Direct, pocketmq.Passive()), pocketmq.ErrNotFound)
			require.False(t, exchangeExists(b, name))
		}
		exchange(t, b, "x", pocketmq.Direct)
		exchange(t, b, "x", "no such kind", pocketmq.Passive(), pocketmq.Durable(), pocketmq.AlternateExchange("a"))
		exchange(t, b, "amq.direct", pocketmq.Fanout, pocketmq.Passive())
	})
}

// --- direct, fanout ----------------------------------------------------------

func TestDefaultExchangeLeadsToTheQueueThatTheKeyNames(t *testing.T) { // ROUTE-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q1")
		declare(t, b, "q2")
		require.Equal(t, []string{"q2"}, routed(t, b, "", "q2", nil))
		require.Empty(t, routed(t, b, "", "Q2", nil))
		require.Empty(t, routed(t, b, "", "", nil))
	})
}

func TestDirectExchangeComparesKeysByteForByte(t *testing.T) { // ROUTE-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		bind(t, b, "q", "amq.direct", "a.*")
		bind(t, b, "q", "amq.direct", "")
		require.Equal(t, []string{"q"}, routed(t, b, "amq.direct", "a.*", nil))
		require.Equal(t, []string{"q"}, routed(t, b, "amq.direct", "", nil))
		require.Empty(t, routed(t, b, "amq.direct", "a.b", nil))
		require.Empty(t, routed(t, b, "amq.direct", "A.*", nil))
	})
}

func TestDirectExchangeLeadsToAllQueuesOfAKey(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, q := range []string{"q1", "q2", "q3"} {
			declare(t, b, q)
			bind(t, b, q, "amq.direct", "k")
		}
		must(t, b.Unbind(ctx, "q2", "amq.direct", "k"))
		require.Equal(t, []string{"q1", "q3"}, routed(t, b, "amq.direct", "k", nil))
	})
}

func TestFanoutIgnoresTheKey(t *testing.T) { // ROUTE-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.fanout", "q1", "q2")
		require.Equal(t, []string{"q1", "q2"}, routed(t, b, "amq.fanout", "neither", nil))
		must(t, b.Unbind(ctx, "q1", "amq.fanout", "q1"))
		require.Equal(t, []string{"q2"}, routed(t, b, "amq.fanout", "q1", nil))
	})
}

func TestBindingsOfFanoutQueuesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		bind(t, b, "q", "amq.fanout", "1")
		bind(t, b, "q", "amq.fanout", "2")
		must(t, b.Unbind(ctx, "q", "amq.fanout", "1"))
		require.Equal(t, []string{"q"}, routed(t, b, "amq.fanout", "", nil), "one binding is left")
	})
}

// --- topic -------------------------------------------------------------------

func TestTopicRules(t *testing.T) {
	for _, tc := range []struct {
		pattern  string
		match    []string
		mismatch []string
	}{
		// ROUTE-4
		{"a.b", []string{"a.b"}, []string{"a", "a.b.c", "A.b", "a.B", "a.x", ""}},
		{"a.*", []string{"a.b", "a."}, []string{"a", "a.b.c", "b.a"}},
		{"*.b", []string{"a.b", ".b"}, []string{"b", "a.a.b"}},
		{"*", []string{"a", "*", "#"}, []string{"", "a.b", "."}},
		{"a.#", []string{"a", "a.", "a.b", "a.b.c"}, []string{"ab", "b.a", ""}},
		// ROUTE-5
		{"#", []string{"", ".", "a", "a.b", "..."}, nil},
		{"", []string{""}, []string{"a", ".", "#"}},
		// ROUTE-6
		{"#.#", []string{"", "a", "a.b"}, nil},
		{"*.#", []string{"a", "a.b", ".", "a.b.c"}, []string{""}},
		// ROUTE-7
		{"*.*", []string{".", "a.b"}, []string{"", "a", "..", "a.b.c"}},
		{"*.*.*", []string{"..", "a.b.c"}, []string{".", "a.b"}},
		// ROUTE-8
		{"a.*.b", []string{"a..b", "a.x.b"}, []string{"a.b", "a.x.y.b"}},
		{"#.a", []string{"a", ".a", "b.c.a"}, []string{"", "a.b", "ba"}},
		{"a.", []string{"a."}, []string{"a", "a.b", ".a"}},
		{".a", []string{".a"}, []string{"a", "a."}},
		{"a..b", []string{"a..b"}, []string{"a.b", "a.x.b"}},
		// ROUTE-9
		{"a.#.b", []string{"a.b", "a..b", "a.x.y.b"}, []string{"a", "b", "ab", "a.b.c"}},
		{"*.#.*", []string{".", "a.b", "a.b.c"}, []string{"", "a"}},
		{"#.a.#", []string{"a", "x.a", "a.x", "x.a.y"}, []string{"", "x", "x.y"}},
		// ROUTE-10
		{"a*", []string{"a*"}, []string{"ab", "a"}},
		{"a#", []string{"a#"}, []string{"a", "ab", "a.b"}},
		{"a.b*", []string{"a.b*"}, []string{"a.bc", "a.b"}},
	} {
		t.Run(tc.pattern, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				bind(t, b, "q", "amq.topic", tc.pattern)
				for _, key := range tc.match {
					require.Equal(t, []string{"q"}, routed(t, b, "amq.topic", key, nil), "key %q", key)
				}
				for _, key := range tc.mismatch {
					require.Empty(t, routed(t, b, "amq.topic", key, nil), "key %q", key)
				}
			})
		})
	}
}

func TestTopicBindingsAreIndependent(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for q, pattern := range map[string]string{"q1": "a.*", "q2": "a.#", "q3": "#", "q4": "b"} {
			declare(t, b, q)
			bind(t, b, q, "amq.topic", pattern)
		}
		require.Equal(t, []string{"q1", "q2", "q3"}, routed(t, b, "amq.topic", "a.b", nil))
		must(t, b.Unbind(ctx, "q2", "amq.topic", "a.#"))
		require.Equal(t, []string{"q1", "q3"}, routed(t, b, "amq.topic", "a.b", nil))
	})
}

// --- headers -----------------------------------------------------------------

func TestHeadersRules(t *testing.T) {
	type T = pocketmq.Table
	noon := time.Date(2020, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name    string
		args    T
		headers T
		want    bool
	}{
		{"all, and all are there", T{"a": "1", "b": "2"}, T{"a": "1", "b": "2", "c": "3"}, true}, // ROUTE-12
		{"all, and one is missing", T{"a": "1", "b": "2"}, T{"a": "1"}, false},
		{"all, and one differs", T{"x-match": "all", "a": "1", "b": "2"}, T{"a": "1", "b": "3"}, false},
		{"any, and one is there", T{"x-match": "any", "a": "1", "b": "2"}, T{"b": "2"}, true},
		{"any, and none is there", T{"x-match": "any", "a": "1", "b": "2"}, T{"a": "2", "c": "1"}, false},
		{"all ignores x-", T{"a": "1", "x-b": "2"}, T{"a": "1"}, true}, // ROUTE-15
		{"any ignores x-", T{"x-match": "any", "a": "1", "x-b": "2"}, T{"x-b": "2"}, false},
		{"all-with-x does not", T{"x-match": "all-with-x", "a": "1", "x-b": "2"}, T{"a": "1"}, false},
		{"all-with-x finds all", T{"x-match": "all-with-x", "a": "1", "x-b": "2"}, T{"a": "1", "x-b": "2"}, true},
		{"any-with-x finds one", T{"x-match": "any-with-x", "a": "1", "x-b": "2"}, T{"x-b": "2"}, true},
		{"x-match itself is never compared", T{"x-match": "all-with-x"}, T{}, true},
		{"all of nothing", nil, nil, true}, // ROUTE-16
		{"all of nothing usable", T{"x-a": "1"}, nil, true},
		{"any of nothing", T{"x-match": "any"}, T{"a": "1"}, false},
		{"any of nothing usable", T{"x-match": "any", "x-a": "1"}, T{"x-a": "1"}, false},
		{"void wants presence", T{"a": nil}, T{"a": "whatever"}, true}, // ROUTE-17
		{"void is content with void", T{"a": nil}, T{"a": nil}, true},
		{"void wants presence, but there is none", T{"a": nil}, T{"b": "1"}, false},
		{"void header for a value", T{"a": "1"}, T{"a": nil}, false},
		{"integers of any width", T{"a": int32(5)}, T{"a": int64(5)}, true}, // ROUTE-18
		{"integers of any sign", T{"a": uint8(5)}, T{"a": 5}, true},
		{"a timestamp is an integer", T{"a": int64(noon.Unix())}, T{"a": noon}, true},
		{"a timestamp in another zone", T{"a": noon}, T{"a": noon.In(time.FixedZone("X", 3600))}, true},
		{"string and bytes", T{"a": "x"}, T{"a": []byte("x")}, true},
		{"a string is no number", T{"a": "1"}, T{"a": 1}, false},
		{"true is not 1", T{"a": true}, T{"a": 1}, false},
		{"bools", T{"a": true}, T{"a": true}, true},
		{"decimals", T{"a": pocketmq.Decimal{Scale: 1, Value: 5}}, T{"a": pocketmq.Decimal{Scale: 1, Value: 5}}, true},
		{"case matters", T{"a": "1"}, T{"A": "1"}, false},
		{"floats of any width", T{"a": float32(1.5)}, T{"a": 1.5}, true},
		{"1 is not 1.0, as in RabbitMQ 4", T{"a": 1}, T{"a": 1.0}, false},                                // ROUTE-19
		{"arrays, element by element", T{"a": []any{int32(1), "x"}}, T{"a": []any{int32(1), "x"}}, true}, // ROUTE-20
		{"arrays of other types", T{"a": []any{int32(1)}}, T{"a": []any{int64(1)}}, false},
		{"int is a 64-bit integer", T{"a": []any{1}}, T{"a": []any{int64(1)}}, true},
		{"times in arrays", T{"a": []any{noon}}, T{"a": []any{noon.In(time.FixedZone("X", 3600))}}, true},
		{"arrays of other lengths", T{"a": []any{int32(1)}}, T{"a": []any{int32(1), int32(2)}}, false},
		{"tables", T{"a": T{"b": int32(1)}}, T{"a": T{"b": int32(1)}}, true},
		{"tables of other types", T{"a": T{"b": int32(1)}}, T{"a": T{"b": int64(1)}}, false},
		{"an empty array and an empty table", T{"a": []any{}}, T{"a": T{}}, true},
		{"an empty array and an empty string", T{"a": []any{}}, T{"a": ""}, false},
		{"a value for an array", T{"a": []any{"x"}}, T{"a": "x"}, false},
		{"an array for a value", T{"a": "x"}, T{"a": []any{"x"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				bind(t, b, "q", "amq.headers", "key", pocketmq.Arguments(tc.args))
				require.Equal(t, tc.want, len(routed(t, b, "amq.headers", "another key", tc.headers)) == 1)
			})
		})
	}
}

func TestHeadersBindingWithAMeaninglessXMatchIsRefused(t *testing.T) { // ROUTE-13, ROUTE-14
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		err := b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"x-match": "foo"}))
		require.EqualError(t, err,
			`PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x`)
		err = b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"x-match": int32(5)}))
		require.EqualError(t, err, "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr")
		err = b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"x-match": nil}))
		require.EqualError(t, err, "PRECONDITION_FAILED - Invalid x-match field type void (value undefined); expected longstr")
		err = b.Bind(ctx, "q", "amq.headers", "", pocketmq.Arguments(pocketmq.Table{"x-match": ""}))
		require.EqualError(t, err, "PRECONDITION_FAILED - Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x")
		bind(t, b, "q", "amq.direct", "", pocketmq.Arguments(pocketmq.Table{"x-match": "foo"})) // ROUTE-21
	})
}

func TestHeadersBindingsOfOneQueueAreAlternatives(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		one, two := pocketmq.Arguments(pocketmq.Table{"a": "1"}), pocketmq.Arguments(pocketmq.Table{"a": "2"})
		bind(t, b, "q", "amq.match", "", one)
		bind(t, b, "q", "amq.match", "", two)
		require.Equal(t, []string{"q"}, routed(t, b, "amq.match", "", pocketmq.Table{"a": "2"}))
		must(t, b.Unbind(ctx, "q", "amq.match", "", two))
		require.Empty(t, routed(t, b, "amq.match", "", pocketmq.Table{"a": "2"}))
		require.Equal(t, []string{"q"}, routed(t, b, "amq.match", "", pocketmq.Table{"a": "1"}))
	})
}

// --- bindings ----------------------------------------------------------------

func TestMessageReachesAQueueOnce(t *testing.T) { // ROUTE-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "x", pocketmq.Fanout)
		bind(t, b, "q", "x", "")
		must(t, b.BindExchange(ctx, "x", "amq.topic", "#"))
		for _, pattern := range []string{"#", "*", "a", "a.#", "b"} {
			bind(t, b, "q", "amq.topic", pattern)
		}
		require.Equal(t, []string{"q"}, routed(t, b, "amq.topic", "a", pocketmq.Table{"CC": []any{"a", "b"}}))
	})
}

func TestMessageReachesEachOfManyQueuesOnce(t *testing.T) { // ROUTE-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Fanout)
		must(t, b.BindExchange(ctx, "x", "amq.fanout", ""))
		var all []string
		for i := range 50 {
			q := fmt.Sprintf("q%02d", i)
			all = append(all, q)
			declare(t, b, q)
			bind(t, b, q, "amq.fanout", "")
			bind(t, b, q, "x", "")
		}
		for range 2 { // the second time with what the first left behind
			require.Equal(t, all, routed(t, b, "amq.fanout", "", nil))
		}
	})
}

func TestBindingIsKnownByItsKeyAndArguments(t *testing.T) { // EXCH-25, EXCH-29
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		args := func(v any) pocketmq.BindOption { return pocketmq.Arguments(pocketmq.Table{"a": v}) }
		count := func() int { x, _ := b.Stats().Exchange("amq.direct"); return len(x.Bindings) }
		for range 2 {
			bind(t, b, "q", "amq.direct", "k")
			bind(t, b, "q", "amq.direct", "k", args(int32(1)))
			bind(t, b, "q", "amq.direct", "k", args(int64(1)))
			bind(t, b, "q", "amq.direct", "k", args("1"))
			bind(t, b, "q", "amq.direct", "k", args([]byte("1")))
			bind(t, b, "q", "amq.direct", "k", args([]any{"1"}))
			bind(t, b, "q", "amq.direct", "k", args(pocketmq.Table{"1": nil}))
			bind(t, b, "q", "amq.direct", "j")
		}
		require.Equal(t, 8, count())
		must(t, b.Unbind(ctx, "q", "amq.direct", "k", args(int32(2))))
		must(t, b.Unbind(ctx, "q", "amq.direct", "J"))
		require.Equal(t, 8, count())
		must(t, b.Unbind(ctx, "q", "amq.direct", "k", args(int32(1))))
		must(t, b.Unbind(ctx, "q", "amq.direct", "k"))
		require.Equal(t, 6, count())
		require.Equal(t, []string{"q"}, routed(t, b, "amq.direct", "k", nil), "others with this key are left")
	})
}

func TestBindingNeedsBothEndsAndNamesTheFirstMissing(t *testing.T) { // EXCH-26
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		require.EqualError(t, b.Bind(ctx, "nope", "nix", "k"), "NOT_FOUND - no exchange 'nix' in vhost '/'")
		require.EqualError(t, b.Bind(ctx, "nope", "amq.direct", "k"), "NOT_FOUND - no queue 'nope' in vhost '/'")
		require.EqualError(t, b.BindExchange(ctx, "nope", "nix", "k"), "NOT_FOUND - no exchange 'nix' in vhost '/'")
		require.EqualError(t, b.BindExchange(ctx, "nope", "amq.direct", "k"), "NOT_FOUND - no exchange 'nope' in vhost '/'")
	})
}

func TestUnbindingWhatIsNotBoundIsNoError(t *testing.T) { // EXCH-28
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		must(t, b.Unbind(ctx, "q", "amq.direct", "k"))
		must(t, b.Unbind(ctx, "nope", "amq.direct", "k"))
		must(t, b.Unbind(ctx, "q", "nope", "k"))
		must(t, b.UnbindExchange(ctx, "nope", "amq.direct", "k"))
		must(t, b.UnbindExchange(ctx, "amq.direct", "nope", "k"))
	})
}

func TestBindingsLeaveWithTheirQueue(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for _, x := range []string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
			bind(t, b, "q", x, "k")
		}
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		declare(t, b, "q")
		for _, x := range []string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
			require.Empty(t, routed(t, b, x, "k", nil))
		}
	})
}

// --- deleting, auto-delete, internal -----------------------------------------

func TestDeletedExchangeLosesItsBindings(t *testing.T) { // EXCH-17, EXCH-20, EXCH-22
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "x", pocketmq.Fanout)
		bind(t, b, "q", "x", "")
		must(t, b.BindExchange(ctx, "x", "amq.fanout", ""))
		must(t, b.DeleteExchange(ctx, "x"))
		must(t, b.DeleteExchange(ctx, "x"))
		require.ErrorIs(t, b.Publish(ctx, "x", "", msg("a")), pocketmq.ErrNotFound)
		exchange(t, b, "x", pocketmq.Fanout)
		require.Empty(t, routed(t, b, "x", "", nil))
		bind(t, b, "q", "x", "")
		require.Empty(t, routed(t, b, "amq.fanout", "", nil))
	})
}

func TestExchangeInUseIsNotDeletedIfUnused(t *testing.T) { // EXCH-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "a", pocketmq.Fanout)
		exchange(t, b, "b", pocketmq.Fanout, pocketmq.AlternateExchange("a"))
		bind(t, b, "q", "a", "")
		must(t, b.BindExchange(ctx, "a", "amq.fanout", ""))
		err := b.DeleteExchange(ctx, "a", pocketmq.IfUnused())
		require.EqualError(t, err, "PRECONDITION_FAILED - exchange 'a' in vhost '/' in use")
		must(t, b.Unbind(ctx, "q", "a", ""))
		must(t, b.DeleteExchange(ctx, "a", pocketmq.IfUnused())) // being a destination is not use
	})
}

func TestAutoDeleteExchangeGoesWithItsLastBindingAsASource(t *testing.T) { // EXCH-23
	for name, remove := range map[string]func(t *testing.T, b *pocketmq.Broker){
		"unbind": func(t *testing.T, b *pocketmq.Broker) { must(t, b.Unbind(ctx, "q", "x", "k")) },
		"queue deleted": func(t *testing.T, b *pocketmq.Broker) {
			_, err := b.DeleteQueue(ctx, "q")
			must(t, err)
		},
		"last of several": func(t *testing.T, b *pocketmq.Broker) {
			bind(t, b, "q", "x", "j")
			must(t, b.Unbind(ctx, "q", "x", "j"))
			require.True(t, exchangeExists(b, "x"))
			must(t, b.Unbind(ctx, "q", "x", "k"))
		},
		"auto-delete queue": func(t *testing.T, b *pocketmq.Broker) {
			declare(t, b, "auto", pocketmq.AutoDelete())
			bind(t, b, "auto", "x", "")
			must(t, b.Unbind(ctx, "q", "x", "k"))
			consume(t, b, "auto").Cancel()
		},
		"destination exchange deleted": func(t *testing.T, b *pocketmq.Broker) {
			exchange(t, b, "y", pocketmq.Fanout)
			must(t, b.BindExchange(ctx, "y", "x", ""))
			must(t, b.Unbind(ctx, "q", "x", "k"))
			must(t, b.DeleteExchange(ctx, "y"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				exchange(t, b, "x", pocketmq.Direct, pocketmq.AutoDelete())
				bind(t, b, "q", "x", "k")
				require.True(t, exchangeExists(b, "x"))
				remove(t, b)
				require.False(t, exchangeExists(b, "x"))
			})
		})
	}
}

func TestAutoDeleteExchangeStaysOtherwise(t *testing.T) { // EXCH-23
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AutoDelete())
		must(t, b.Unbind(ctx, "q", "x", "never bound"))
		must(t, b.BindExchange(ctx, "x", "amq.fanout", ""))
		must(t, b.UnbindExchange(ctx, "x", "amq.fanout", "")) // as a destination
		require.True(t, exchangeExists(b, "x"))
	})
}

func TestAutoDeleteCascades(t *testing.T) { // EXCH-24
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for _, x := range []string{"as1", "as2", "as3"} {
			exchange(t, b, x, pocketmq.Fanout, pocketmq.AutoDelete())
		}
		must(t, b.BindExchange(ctx, "as2", "as1", ""))
		must(t, b.BindExchange(ctx, "as3", "as2", ""))
		bind(t, b, "q", "as3", "")
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		require.Len(t, b.Stats().Exchanges, 7, "those that every broker has")
	})
}

func TestAutoDeleteCascadesThroughACycle(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for _, x := range []string{"a", "b"} {
			exchange(t, b, x, pocketmq.Fanout, pocketmq.AutoDelete())
			must(t, b.BindExchange(ctx, x, x, ""))
		}
		must(t, b.BindExchange(ctx, "b", "a", ""))
		must(t, b.BindExchange(ctx, "a", "b", ""))
		must(t, b.DeleteExchange(ctx, "a"))
		require.False(t, exchangeExists(b, "a"))
		require.True(t, exchangeExists(b, "b"), "it is still bound to itself")
		must(t, b.UnbindExchange(ctx, "b", "b", ""))
		require.False(t, exchangeExists(b, "b"))
	})
}

func TestInternalExchangeIsReachedOnlyThroughOthers(t *testing.T) { // EXCH-21
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "ei", pocketmq.Fanout, pocketmq.Internal())
		bind(t, b, "q", "ei", "")
		err := b.Publish(ctx, "ei", "", msg("a"))
		require.EqualError(t, err, "ACCESS_REFUSED - cannot publish to internal exchange 'ei' in vhost '/'")
		must(t, b.BindExchange(ctx, "ei", "amq.fanout", ""))
		require.Equal(t, []string{"q"}, routed(t, b, "amq.fanout", "", nil))
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AlternateExchange("ei"))
		require.Equal(t, []string{"q"}, routed(t, b, "x", "", nil))
	})
}

// --- exchange to exchange ----------------------------------------------------

func TestBoundExchangeRoutesOnByTheSameKeyAndHeaders(t *testing.T) { // ROUTE-32
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "t", pocketmq.Topic)
		exchange(t, b, "h", pocketmq.Headers)
		must(t, b.BindExchange(ctx, "t", "amq.fanout", ""))
		must(t, b.BindExchange(ctx, "h", "t", "a.#"))
		bind(t, b, "q", "h", "", pocketmq.Arguments(pocketmq.Table{"h": "1"}))
		h := pocketmq.Table{"h": "1"}
		require.Empty(t, routed(t, b, "amq.fanout", "a.b", nil))
		require.Empty(t, routed(t, b, "amq.fanout", "b", h))
		must(t, b.Publish(ctx, "amq.fanout", "a.b", &pocketmq.Message{Headers: h}))
		d := take(t, b, "q")
		require.Equal(t, []string{"amq.fanout", "a.b"}, []string{d.Exchange, d.RoutingKey})
		must(t, b.UnbindExchange(ctx, "h", "t", "a.#"))
		require.Empty(t, routed(t, b, "amq.fanout", "a.b", h))
	})
}

func TestExchangesMayBeBoundInACycle(t *testing.T) { // EXCH-27, ROUTE-32
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, x := range []string{"a", "b"} {
			exchange(t, b, x, pocketmq.Fanout)
			declare(t, b, x)
			bind(t, b, x, x, "")
			must(t, b.BindExchange(ctx, x, x, ""))
		}
		must(t, b.BindExchange(ctx, "b", "a", ""))
		must(t, b.BindExchange(ctx, "a", "b", ""))
		require.Equal(t, []string{"a", "b"}, routed(t, b, "a", "", nil))
	})
}

// --- CC and BCC --------------------------------------------------------------

func TestCCAndBCCAddKeys(t *testing.T) { // ROUTE-22, ROUTE-26
	for name, x := range map[string]string{"default": "", "direct": "amq.direct", "topic": "amq.topic", "fanout": "amq.fanout"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				for _, q := range []string{"q1", "q2", "q3", "q4"} {
					declare(t, b, q)
					if x != "" {
						bind(t, b, q, x, q)
					}
				}
				want := []string{"q1", "q2", "q3"}
				if name == "fanout" {
					want = append(want, "q4")
				}
				headers := pocketmq.Table{"CC": []any{"q2", "q1", "nowhere"}, "BCC": []any{"q3", "q2"}}
				require.Equal(t, want, routed(t, b, x, "q1", headers))
				require.Equal(t, want, routed(t, b, x, "nowhere", pocketmq.Table{"CC": []any{"q1", "q2"}, "BCC": []any{"q3"}}))
				must(t, b.Publish(ctx, x, "nowhere", &pocketmq.Message{Headers: headers}, pocketmq.Mandatory))
			})
		})
	}
}

func TestReceiversSeeCCAndNotBCC(t *testing.T) { // ROUTE-23
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		m := &pocketmq.Message{Headers: pocketmq.Table{"CC": []any{"x"}, "BCC": []any{"q"}, "h": "1"}}
		must(t, b.Publish(ctx, "", "to", m))
		d := take(t, b, "q")
		require.Equal(t, pocketmq.Table{"CC": []any{"x"}, "h": "1"}, d.Headers)
		require.Equal(t, "to", d.RoutingKey)
		require.Contains(t, m.Headers, "BCC", "the publisher's message is left alone")
	})
}

func TestCCThatIsNoArrayIsRefused(t *testing.T) { // ROUTE-24
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		for _, name := range []string{"CC", "BCC"} {
			err := b.Publish(ctx, "", "q", &pocketmq.Message{Headers: pocketmq.Table{name: "q"}})
			require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed)
			require.EqualError(t, err,
				`PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"`+name+`",longstr}`)
		}
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestOtherElementsOfCCAreSkipped(t *testing.T) { // ROUTE-25
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		require.Equal(t, []string{"q"}, routed(t, b, "", "", pocketmq.Table{"CC": []any{int32(5), nil, "q"}}))
		require.Empty(t, routed(t, b, "", "", pocketmq.Table{"cc": []any{"q"}, "Bcc": []any{"q"}}))
	})
}

// --- alternate exchange ------------------------------------------------------

func TestAlternateExchangeGetsWhatLeadsNowhere(t *testing.T) { // EXCH-10, ROUTE-27, ROUTE-28
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AlternateExchange("ae"))
		declare(t, b, "q")
		bind(t, b, "q", "x", "k")
		require.Empty(t, routed(t, b, "x", "other", nil), "there is no exchange ae yet")
		require.ErrorIs(t, b.Publish(ctx, "x", "other", msg("a"), pocketmq.Mandatory), pocketmq.ErrUnroutable) // ROUTE-30

		exchange(t, b, "ae", pocketmq.Fanout)
		declare(t, b, "rest")
		bind(t, b, "rest", "ae", "")
		require.Equal(t, []string{"q"}, routed(t, b, "x", "k", nil))
		must(t, b.Publish(ctx, "x", "other", msg("a"), pocketmq.Mandatory))
		d := take(t, b, "rest")
		require.Equal(t, []string{"x", "other"}, []string{d.Exchange, d.RoutingKey})
		require.Equal(t, []string{"q"}, routed(t, b, "x", "other", pocketmq.Table{"CC": []any{"k"}}))
	})
}

func TestAlternateExchangeIsNotUsedBesideADeadEnd(t *testing.T) { // ROUTE-27
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Fanout, pocketmq.AlternateExchange("amq.fanout"))
		exchange(t, b, "dead end", pocketmq.Fanout)
		bound(t, b, "amq.fanout", "q")
		must(t, b.BindExchange(ctx, "dead end", "x", ""))
		require.Empty(t, routed(t, b, "x", "", nil))
	})
}

func TestAlternateExchangesFormAChainAndMayFormACycle(t *testing.T) { // ROUTE-29
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "a", pocketmq.Direct, pocketmq.AlternateExchange("b"))
		exchange(t, b, "b", pocketmq.Direct, pocketmq.AlternateExchange("c"))
		exchange(t, b, "c", pocketmq.Direct, pocketmq.AlternateExchange("a"))
		exchange(t, b, "self", pocketmq.Direct, pocketmq.AlternateExchange("self"))
		declare(t, b, "q")
		bind(t, b, "q", "c", "k")
		require.Equal(t, []string{"q"}, routed(t, b, "a", "k", nil))
		for _, x := range []string{"a", "self"} {
			require.ErrorIs(t, b.Publish(ctx, x, "nowhere", msg("a"), pocketmq.Mandatory), pocketmq.ErrUnroutable)
		}
	})
}

// Nor does it in RabbitMQ, where the default exchange has no bindings of its own.
func TestDefaultExchangeAsAlternateLeadsNowhere(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Direct, pocketmq.AlternateExchange(""))
		declare(t, b, "q")
		require.Empty(t, routed(t, b, "x", "q", nil))
	})
}

func TestDestinationExchangeHasAnAlternateOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "y", pocketmq.Direct, pocketmq.AlternateExchange("amq.fanout"))
		must(t, b.BindExchange(ctx, "y", "amq.direct", "k"))
		bound(t, b, "amq.fanout", "q")
		require.Equal(t, []string{"q"}, routed(t, b, "amq.direct", "k", nil))
	})
}

// --- while messages flow -----------------------------------------------------

func TestBindingTakesEffectForTheNextMessage(t *testing.T) {
	for _, x := range []string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
		t.Run(x, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				for range 3 {
					require.Empty(t, routed(t, b, x, "k", nil))
					bind(t, b, "q", x, "k")
					require.Equal(t, []string{"q"}, routed(t, b, x, "k", nil))
					must(t, b.Unbind(ctx, "q", x, "k"))
				}
			})
		})
	}
}

func TestBoundQueueNeverMissesAMessageWhileOthersComeAndGo(t *testing.T) {
	for _, x := range []string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
		t.Run(x, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q", pocketmq.Unbounded())
				declare(t, b, "other")
				bind(t, b, "q", x, "k")
				done, stop := context.WithCancel(ctx)
				churned := background(func() (err error) {
					for done.Err() == nil && err == nil {
						err = errors.Join(
							b.Bind(ctx, "other", x, "k"), b.Bind(ctx, "q", x, "k2"),
							b.Unbind(ctx, "other", x, "k"), b.Unbind(ctx, "q", x, "k2"))
					}
					return err
				})
				for range 500 {
					must(t, b.Publish(ctx, x, "k", msg("a"), pocketmq.Mandatory))
					_, err := b.PurgeQueue(ctx, "other")
					must(t, err)
				}
				stop()
				must(t, result(t, churned))
				require.Equal(t, 500, stats(t, b, "q").Ready)
			})
		})
	}
}
