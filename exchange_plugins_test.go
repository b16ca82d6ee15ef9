package pocketmq_test

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// The kinds of exchanges that are plug-ins of RabbitMQ.

func TestArgumentsOfPluginExchanges(t *testing.T) { // XPLUG-3, XPLUG-7, XPLUG-9
	const mustBePositive = "PRECONDITION_FAILED - Invalid argument %s, 'x-recent-history-length' must be a positive integer"
	for _, tc := range []struct {
		kind string
		args pocketmq.Table
		text string // "" = no error
	}{
		{pocketmq.ConsistentHash, nil, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-header": "h"}, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-header": ""}, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-property": "correlation_id"}, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-property": "message_id"}, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-property": "timestamp"}, ""},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-property": "foo"}, "PRECONDITION_FAILED - Unsupported property: foo"},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-property": int32(5)}, "PRECONDITION_FAILED - Unsupported property: 5"},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-header": int32(5)}, "PRECONDITION_FAILED - Invalid hash-header field type signedint; expected longstr"},
		{pocketmq.ConsistentHash, pocketmq.Table{"hash-header": "h", "hash-property": "foo"}, "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive"},
		{pocketmq.Random, nil, ""},
		{pocketmq.LocalRandom, nil, ""},
		{pocketmq.ModulusHash, nil, ""},
		{pocketmq.RecentHistory, nil, ""},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": int8(3)}, ""},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": int64(1) << 40}, ""},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": 0}, fmt.Sprintf(mustBePositive, "0")},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": int16(-1)}, fmt.Sprintf(mustBePositive, "-1")},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": uint8(3)}, fmt.Sprintf(mustBePositive, "3")},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": "x"}, fmt.Sprintf(mustBePositive, `<<"x">>`)},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": nil}, fmt.Sprintf(mustBePositive, "undefined")},
		{pocketmq.RecentHistory, pocketmq.Table{"x-recent-history-length": 2.5}, fmt.Sprintf(mustBePositive, "2.5")},
		{pocketmq.DelayedMessage, nil, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"},
		{pocketmq.DelayedMessage, pocketmq.Table{"x-delayed-type": true}, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"},
		{pocketmq.DelayedMessage, pocketmq.Table{"x-delayed-type": "foo"}, "COMMAND_INVALID - unknown exchange type 'foo'"},
		{pocketmq.DelayedMessage, pocketmq.Table{"x-delayed-type": "x-delayed-message"}, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"},
		{pocketmq.DelayedMessage, pocketmq.Table{"x-delayed-type": "x-consistent-hash", "hash-property": "foo"}, "PRECONDITION_FAILED - Unsupported property: foo"},
		{pocketmq.DelayedMessage, pocketmq.Table{"x-delayed-type": "topic"}, ""},
	} {
		t.Run(fmt.Sprint(tc.kind, tc.args), func(t *testing.T) {
			b := newBroker(t)
			err := b.DeclareExchange(ctx, "x", tc.kind, pocketmq.Arguments(tc.args))
			if tc.text == "" {
				require.NoError(t, err)
				// Of the arguments only alternate-exchange counts (EXCH-6).
				must(t, b.DeclareExchange(ctx, "x", tc.kind, pocketmq.Arguments(pocketmq.Table{"hash-header": int32(1)})))
				return
			}
			require.EqualError(t, err, tc.text)
			require.False(t, exchangeExists(b, "x"))
		})
	}
}

func TestBindingsThatPluginExchangesRefuse(t *testing.T) { // XPLUG-2, XPLUG-5
	for _, tc := range []struct{ kind, key, text string }{
		{pocketmq.ConsistentHash, "1", ""},
		{pocketmq.ConsistentHash, "+5", ""},
		{pocketmq.ConsistentHash, "007", ""},
		{pocketmq.ConsistentHash, "99999999999999999999999", ""},
		{pocketmq.ConsistentHash, "abc", `PRECONDITION_FAILED - The binding key must be an integer: <<"abc">>`},
		{pocketmq.ConsistentHash, "", "PRECONDITION_FAILED - The binding key must be an integer: <<>>"},
		{pocketmq.ConsistentHash, "1.0", `PRECONDITION_FAILED - The binding key must be an integer: <<"1.0">>`},
		{pocketmq.ConsistentHash, "1e3", `PRECONDITION_FAILED - The binding key must be an integer: <<"1e3">>`},
		{pocketmq.ConsistentHash, "1_0", `PRECONDITION_FAILED - The binding key must be an integer: <<"1_0">>`},
		{pocketmq.ConsistentHash, "-+5", `PRECONDITION_FAILED - The binding key must be an integer: <<"-+5">>`},
		{pocketmq.ConsistentHash, " 5", `PRECONDITION_FAILED - The binding key must be an integer: <<" 5">>`},
		{pocketmq.ConsistentHash, "0", "PRECONDITION_FAILED - The binding key must be greater than 0"},
		{pocketmq.ConsistentHash, "-1", "PRECONDITION_FAILED - The binding key must be greater than 0"},
		{pocketmq.LocalRandom, "", ""},
		{pocketmq.LocalRandom, "k", "PRECONDITION_FAILED - Non empty binding 'k' key not permitted"},
	} {
		t.Run(tc.kind+" "+tc.key, func(t *testing.T) {
			b := newBroker(t)
			declare(t, b, "q")
			exchange(t, b, "x", tc.kind)
			exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(tc.kind))
			for _, x := range []string{"x", "late"} {
				err := b.Bind(ctx, "q", x, tc.key)
				if tc.text == "" {
					require.NoError(t, err)
					continue
				}
				require.EqualError(t, err, tc.text)
				must(t, b.Unbind(ctx, "q", x, tc.key))
			}
		})
	}
	b := newBroker(t)
	exchange(t, b, "x", pocketmq.LocalRandom)
	require.EqualError(t, b.BindExchange(ctx, "amq.fanout", "x", ""), "PRECONDITION_FAILED - Destination not found")
	declare(t, b, "quorum", pocketmq.Quorum())
	require.EqualError(t, b.Bind(ctx, "quorum", "x", ""), "PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type")
	declare(t, b, "events", pocketmq.Stream())
	require.EqualError(t, b.Bind(ctx, "events", "x", ""), "PRECONDITION_FAILED - Queue type rabbit_stream_queue not valid for this exchange type")
}

// weighted declares an exchange with queues that are bound with these weights.
func weighted(t *testing.T, b *pocketmq.Broker, kind string, weights map[string]int, opts ...pocketmq.ExchangeOption) {
	t.Helper()
	exchange(t, b, "x", kind, opts...)
	for q, w := range weights {
		declare(t, b, q, pocketmq.Unbounded())
		bind(t, b, q, "x", strconv.Itoa(w))
	}
}

// spread publishes messages with the keys k0, k1, … and returns how many each
// queue got.
func spread(t *testing.T, b *pocketmq.Broker, n int) map[string]int {
	t.Helper()
	for i := range n {
		must(t, b.Publish(ctx, "x", fmt.Sprint("k", i), msg("a"), pocketmq.Mandatory))
	}
	got := map[string]int{}
	for _, q := range b.Stats().Queues {
		got[q.Name], _ = b.PurgeQueue(ctx, q.Name)
	}
	return got
}

// requireShares fails the test unless the counts are n times the shares, up to four
// standard deviations.
func requireShares(t *testing.T, n int, want map[string]float64, got map[string]int) {
	t.Helper()
	sum := 0
	for q, share := range want {
		assert.InDelta(t, float64(n)*share, got[q], 4*math.Sqrt(float64(n)*share*(1-share)), q)
		sum += got[q]
	}
	require.Equal(t, n, sum, "each message to one queue")
}

func TestConsistentHashSpreadsKeysByWeight(t *testing.T) { // XPLUG-1
	b := newBroker(t)
	weighted(t, b, pocketmq.ConsistentHash, map[string]int{"a": 1, "b": 2, "c": 7})
	requireShares(t, 10000, map[string]float64{"a": 0.1, "b": 0.2, "c": 0.7}, spread(t, b, 10000))
}

func TestConsistentHashMovesOnlyTheKeysOfWhoComesAndGoes(t *testing.T) { // XPLUG-1
	b := newBroker(t)
	weighted(t, b, pocketmq.ConsistentHash, map[string]int{"a": 1, "b": 2, "c": 3})
	where := func() (all []string) {
		for i := range 1000 {
			all = append(all, routed(t, b, "x", fmt.Sprint("k", i), nil)[0])
		}
		return all
	}
	before := where()
	require.Equal(t, before, where(), "the same key, the same queue")

	declare(t, b, "d")
	bind(t, b, "d", "x", "2")
	for i, q := range where() {
		if q != "d" {
			require.Equal(t, before[i], q, "k%d moved although d did not get it", i)
		}
	}
	must(t, b.Unbind(ctx, "d", "x", "2"))
	require.Equal(t, before, where())

	_, err := b.DeleteQueue(ctx, "b")
	must(t, err)
	for i, q := range where() {
		if before[i] != "b" {
			require.Equal(t, before[i], q, "k%d moved although it was not b's", i)
		}
	}

	// The same bindings, made in another order, in another broker.
	other := newBroker(t)
	exchange(t, other, "x", pocketmq.ConsistentHash)
	for _, q := range []string{"c", "b", "a"} {
		declare(t, other, q)
		bind(t, other, q, "x", map[string]string{"a": "1", "b": "2", "c": "3"}[q])
	}
	b = other
	require.Equal(t, before, where())
}

// As in RabbitMQ, where it is a matter of the destination, not of the binding.
func TestConsistentHashKnowsEachDestinationOnce(t *testing.T) { // XPLUG-1
	b := newBroker(t)
	weighted(t, b, pocketmq.ConsistentHash, map[string]int{"a": 1, "b": 1})
	bind(t, b, "a", "x", "3")
	requireShares(t, 2000, map[string]float64{"a": 0.5, "b": 0.5}, spread(t, b, 2000))
	must(t, b.Unbind(ctx, "a", "x", "3"))
	require.Equal(t, map[string]int{"a": 0, "b": 1000}, spread(t, b, 1000))
	must(t, b.Unbind(ctx, "a", "x", "1"))
	bind(t, b, "a", "x", "3")
	requireShares(t, 2000, map[string]float64{"a": 0.75, "b": 0.25}, spread(t, b, 2000))
}

func TestConsistentHashOfOtherThingsThanTheKey(t *testing.T) { // XPLUG-3
	for name, tc := range map[string]struct {
		args pocketmq.Table
		m    func(i int) *pocketmq.Message
	}{
		"hash-header": {
			pocketmq.Table{"hash-header": "h"},
			func(i int) *pocketmq.Message { return &pocketmq.Message{Headers: pocketmq.Table{"h": fmt.Sprint(i)}} },
		},
		"hash-header, integer": {
			pocketmq.Table{"hash-header": "h"},
			func(i int) *pocketmq.Message { return &pocketmq.Message{Headers: pocketmq.Table{"h": int32(i)}} },
		},
		"correlation_id": {
			pocketmq.Table{"hash-property": "correlation_id"},
			func(i int) *pocketmq.Message { return &pocketmq.Message{CorrelationID: fmt.Sprint(i)} },
		},
		"message_id": {
			pocketmq.Table{"hash-property": "message_id"},
			func(i int) *pocketmq.Message { return &pocketmq.Message{MessageID: fmt.Sprint(i)} },
		},
		"timestamp": {
			pocketmq.Table{"hash-property": "timestamp"},
			func(i int) *pocketmq.Message { return &pocketmq.Message{Timestamp: time.Unix(int64(i+1), 0)} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			weighted(t, b, pocketmq.ConsistentHash, map[string]int{"a": 1, "b": 1}, pocketmq.Arguments(tc.args))
			for i := range 1000 {
				must(t, b.Publish(ctx, "x", "same", tc.m(i)))
			}
			got := map[string]int{"a": stats(t, b, "a").Ready, "b": stats(t, b, "b").Ready}
			requireShares(t, 1000, map[string]float64{"a": 0.5, "b": 0.5}, got)
			spread(t, b, 0)

			for i := range 100 {
				must(t, b.Publish(ctx, "x", "another", tc.m(5)))
				must(t, b.Publish(ctx, "x", fmt.Sprint(i), tc.m(5)))
			}
			require.Contains(t, []int{0, 200}, stats(t, b, "a").Ready, "the key makes no difference")
			spread(t, b, 0)

			got = spread(t, b, 100) // messages that lack it
			require.Contains(t, []int{0, 100}, got["a"])
		})
	}
}

func TestPluginExchangesPickOneDestinationWhateverCCSays(t *testing.T) { // XPLUG-1, XPLUG-4, XPLUG-8, ROUTE-22
	for _, kind := range []string{pocketmq.ConsistentHash, pocketmq.ModulusHash, pocketmq.Random, pocketmq.LocalRandom} {
		t.Run(kind, func(t *testing.T) {
			b := newBroker(t)
			exchange(t, b, "x", kind)
			key := map[bool]string{true: "", false: "1"}[kind == pocketmq.LocalRandom]
			for _, q := range []string{"a", "b", "c"} {
				declare(t, b, q)
				bind(t, b, q, "x", key)
			}
			for i := range 100 {
				require.Len(t, routed(t, b, "x", "k", pocketmq.Table{"CC": []any{fmt.Sprint(i), "x"}}), 1)
			}
		})
	}
}

func TestRandomExchangesPickEachBindingAsOften(t *testing.T) { // XPLUG-4
	b := newBroker(t)
	weighted(t, b, pocketmq.Random, map[string]int{"a": 1, "b": 1})
	requireShares(t, 2000, map[string]float64{"a": 0.5, "b": 0.5}, spread(t, b, 2000))
	bind(t, b, "a", "x", "another")
	bind(t, b, "a", "x", "another", pocketmq.Arguments(pocketmq.Table{"a": "b"}))
	requireShares(t, 2000, map[string]float64{"a": 0.75, "b": 0.25}, spread(t, b, 2000))
	must(t, b.Unbind(ctx, "a", "x", "1"))
	must(t, b.Unbind(ctx, "a", "x", "another"))
	requireShares(t, 2000, map[string]float64{"a": 0.5, "b": 0.5}, spread(t, b, 2000))
}

func TestModulusHashDependsOnKeyAndBindingsOnly(t *testing.T) { // XPLUG-8
	var first []string
	for _, order := range [][]string{{"a", "b", "c"}, {"c", "a", "b"}} {
		b := newBroker(t)
		exchange(t, b, "x", pocketmq.ModulusHash)
		for _, q := range order {
			declare(t, b, q)
			bind(t, b, q, "x", "any")
		}
		got := map[string]int{}
		var where []string
		for i := range 3000 {
			where = append(where, routed(t, b, "x", fmt.Sprint(i), nil)...)
			got[where[i]]++
		}
		requireShares(t, 3000, map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}, got)
		if first == nil {
			first = where
		}
		require.Equal(t, first, where)
	}
}

func TestPluginExchangesWithoutBindingsLeadToTheAlternate(t *testing.T) { // ROUTE-27
	for _, kind := range []string{pocketmq.ConsistentHash, pocketmq.ModulusHash, pocketmq.Random, pocketmq.LocalRandom, pocketmq.RecentHistory} {
		t.Run(kind, func(t *testing.T) {
			b := newBroker(t)
			bound(t, b, "amq.fanout", "rest")
			exchange(t, b, "x", kind, pocketmq.AlternateExchange("amq.fanout"))
			require.Equal(t, []string{"rest"}, routed(t, b, "x", "k", nil))
		})
	}
}

func TestPluginExchangesLeadToExchanges(t *testing.T) { // ROUTE-32
	for _, kind := range []string{pocketmq.ConsistentHash, pocketmq.ModulusHash, pocketmq.Random, pocketmq.RecentHistory} {
		t.Run(kind, func(t *testing.T) {
			b := newBroker(t)
			exchange(t, b, "x", kind)
			bound(t, b, "amq.fanout", "q")
			must(t, b.BindExchange(ctx, "amq.fanout", "x", "1"))
			require.Equal(t, []string{"q"}, routed(t, b, "x", "k", nil))
			must(t, b.UnbindExchange(ctx, "amq.fanout", "x", "1"))
			require.Empty(t, routed(t, b, "x", "k", nil))
		})
	}
}

// --- x-recent-history --------------------------------------------------------

func TestRecentHistoryIsForEachNewBinding(t *testing.T) { // XPLUG-6
	b := newBroker(t)
	exchange(t, b, "x", pocketmq.RecentHistory, pocketmq.Arguments(pocketmq.Table{"x-recent-history-length": 3}))
	declare(t, b, "q")
	bind(t, b, "q", "x", "")
	require.Empty(t, drain(t, b, "q"), "nothing was published yet")
	for i := range 5 {
		must(t, b.Publish(ctx, "x", fmt.Sprint("k", i), msg(fmt.Sprint(i))))
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, drain(t, b, "q"))

	bind(t, b, "q", "x", "")
	require.Empty(t, drain(t, b, "q"), "it was bound already")
	bind(t, b, "q", "x", "another key")
	require.Equal(t, []string{"2", "3", "4"}, drain(t, b, "q"))
	bind(t, b, "q", "x", "", pocketmq.Arguments(pocketmq.Table{"a": 1}))
	d := take(t, b, "q")
	require.Equal(t, []string{"2", "x", "k2"}, []string{string(d.Body), d.Exchange, d.RoutingKey})
	require.False(t, d.Redelivered)
	drain(t, b, "q")

	must(t, b.Publish(ctx, "x", "", msg("5")))
	require.Equal(t, []string{"5"}, drain(t, b, "q"), "once, for three bindings")
	must(t, b.Unbind(ctx, "q", "x", ""))
	must(t, b.Unbind(ctx, "q", "x", "another key"))
	must(t, b.Publish(ctx, "x", "", msg("6")))
	require.Equal(t, []string{"6"}, drain(t, b, "q"), "one binding is left")
}

func TestRecentHistoryKeepsTwentyMessagesByDefault(t *testing.T) { // XPLUG-6
	b := newBroker(t)
	exchange(t, b, "x", pocketmq.RecentHistory)
	for i := range 100 {
		must(t, b.Publish(ctx, "x", "", msg(fmt.Sprint(i))))
	}
	declare(t, b, "q")
	bind(t, b, "q", "x", "")
	all := drain(t, b, "q")
	require.Len(t, all, 20)
	require.Equal(t, []string{"80", "99"}, []string{all[0], all[19]})
}

func TestRecentHistoryLeavesOutWhatAsksForIt(t *testing.T) { // XPLUG-6
	b := newBroker(t)
	exchange(t, b, "x", pocketmq.RecentHistory)
	bound(t, b, "x", "live")
	for body, noStore := range map[string]any{"skipped": true, "kept": "true"} {
		must(t, b.Publish(ctx, "x", "", &pocketmq.Message{Body: []byte(body), Headers: pocketmq.Table{"x-recent-history-no-store": noStore}}))
	}
	require.Len(t, drain(t, b, "live"), 2)
	bound(t, b, "x", "late")
	require.Equal(t, []string{"kept"}, drain(t, b, "late"))
}

func TestRecentHistoryPassesThroughANewlyBoundExchange(t *testing.T) { // XPLUG-6
	b := newBroker(t)
	exchange(t, b, "x", pocketmq.RecentHistory)
	for _, key := range []string{"a", "b", "nowhere", "a"} {
		must(t, b.Publish(ctx, "x", key, &pocketmq.Message{Body: []byte(key), Headers: pocketmq.Table{"BCC": []any{"bcc"}}}))
	}
	bound(t, b, "amq.direct", "a", "b", "bcc")
	must(t, b.BindExchange(ctx, "amq.direct", "x", ""))
	require.Equal(t, []string{"a", "a"}, drain(t, b, "a"))
	require.Equal(t, []string{"b"}, drain(t, b, "b"))
	d := take(t, b, "bcc")
	require.Equal(t, "a", string(d.Body), "RabbitMQ sends the newest first")
	require.NotContains(t, d.Headers, "BCC")
	require.Equal(t, []string{"nowhere", "b", "a"}, drain(t, b, "bcc"))
}

func TestRecentHistoryOverTheLimitOfItsQueue(t *testing.T) {
	for p, want := range map[pocketmq.OverflowPolicy][]string{
		pocketmq.Block: {"0", "1", "2", "3"}, pocketmq.DropHead: {"2", "3"}, pocketmq.RejectPublish: {"0", "1"},
	} {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			exchange(t, b, "x", pocketmq.RecentHistory)
			for i := range 4 {
				must(t, b.Publish(ctx, "x", "", msg(fmt.Sprint(i))))
			}
			declare(t, b, "q", pocketmq.MaxLength(2), pocketmq.Overflow(p))
			bind(t, b, "q", "x", "")
			require.Equal(t, want, drain(t, b, "q"), p.String())
		})
	}
}

func TestNewBindingGetsEachMessageOnceWhileOthersPublish(t *testing.T) { // XPLUG-6
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.RecentHistory, pocketmq.Arguments(pocketmq.Table{"x-recent-history-length": 1000}))
		published := background(func() error {
			for i := range 1000 {
				if err := b.Publish(ctx, "x", "", msg(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		})
		declare(t, b, "q")
		bind(t, b, "q", "x", "")
		synctest.Wait()
		must(t, result(t, published))
		got := map[string]bool{}
		all := drain(t, b, "q")
		for _, body := range all {
			got[body] = true
		}
		require.Len(t, all, 1000)
		require.Len(t, got, 1000)
	})
}
