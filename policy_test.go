package pocketmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func setPolicy(t testing.TB, b *pocketmq.Broker, name, pattern string, definition pocketmq.Table) {
	t.Helper()
	must(t, b.SetPolicy(pocketmq.Policy{Name: name, Pattern: pattern, Definition: definition}))
}

func TestPoliciesAreCheckedAsByRabbitMQ(t *testing.T) { // POL-4, POL-5, POL-10
	for _, tc := range []struct {
		definition     pocketmq.Table
		user, operator string // what is wrong; "" = nothing
	}{
		{nil, "no policy provided", "no policy provided"},
		{pocketmq.Table{"foo": 1}, `[{<<"foo">>,1}] are not recognised policy settings`, `[{<<"foo">>,1}] are not recognised policy settings`},
		{pocketmq.Table{"foo": 1, "bar": []any{1, "x"}, "max-length": 5},
			`[{<<"bar">>,[1,<<"x">>]},{<<"foo">>,1}] are not recognised policy settings`,
			`[{<<"bar">>,[1,<<"x">>]},{<<"foo">>,1}] are not recognised policy settings`},
		{pocketmq.Table{"foo": 1, "message-ttl": "a"}, `<<"a">> is not a valid message TTL`, `<<"a">> is not a valid message TTL`},
		{pocketmq.Table{"message-ttl": -1}, "-1 is not a valid message TTL", "-1 is not a valid message TTL"},
		{pocketmq.Table{"message-ttl": 1.5}, "1.5 is not a valid message TTL", "1.5 is not a valid message TTL"},
		{pocketmq.Table{"message-ttl": nil}, "null is not a valid message TTL", "null is not a valid message TTL"},
		{pocketmq.Table{"message-ttl": int64(315360000001)}, "", ""},
		{pocketmq.Table{"expires": 0}, "0 is not a valid queue expiry", "0 is not a valid queue expiry"},
		{pocketmq.Table{"expires": uint8(1)}, "", ""},
		{pocketmq.Table{"max-length": "5"}, `<<"5">> is not a valid maximum length`, `<<"5">> is not a valid maximum length`},
		{pocketmq.Table{"max-length-bytes": -5}, "-5 is not a valid maximum length in bytes", "-5 is not a valid maximum length in bytes"},
		{pocketmq.Table{"max-in-memory-length": true}, "true is not a valid maximum memory in bytes", "true is not a valid maximum memory in bytes"},
		{pocketmq.Table{"delivery-limit": -2}, "-2 is not a valid delivery limit", "-2 is not a valid delivery limit"},
		{pocketmq.Table{"overflow": "block"}, `<<"block">> is not a valid overflow value`, `<<"block">> is not a valid overflow value`},
		{pocketmq.Table{"overflow": "reject-publish-dlx"}, "", ""},
		{pocketmq.Table{"alternate-exchange": 5}, "5 is not a valid alternate exchange name", `[{<<"alternate-exchange">>,5}] are not recognised policy settings`},
		{pocketmq.Table{"dead-letter-exchange": pocketmq.Table{"a": 1}}, `#{<<"a">> => 1} is not a valid dead letter exchange name`,
			`[{<<"dead-letter-exchange">>,#{<<"a">> => 1}}] are not recognised policy settings`},
		{pocketmq.Table{"dead-letter-exchange": "x", "dead-letter-routing-key": ""}, "",
			`[{<<"dead-letter-exchange">>,<<"x">>},{<<"dead-letter-routing-key">>,<<>>}] are not recognised policy settings`},
		{pocketmq.Table{"dead-letter-strategy": "x"}, `<<"x">> is not a valid dead letter strategy`, `[{<<"dead-letter-strategy">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"queue-mode": "x"}, `<<"x">> is not a valid queue-mode value`, `[{<<"queue-mode">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"queue-version": 3}, "3 is not a valid queue-version value", `[{<<"queue-version">>,3}] are not recognised policy settings`},
		{pocketmq.Table{"max-age": "x"}, `<<"x">> is not a valid max age`, `[{<<"max-age">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"max-age": "7D"}, "", `[{<<"max-age">>,<<"7D">>}] are not recognised policy settings`},
		{pocketmq.Table{"queue-leader-locator": "x"}, `<<"x">> is not a valid queue leader locator value`, `[{<<"queue-leader-locator">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"initial-cluster-size": "x"}, `<<"x">> is not a valid cluster size`, `[{<<"initial-cluster-size">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"delayed-retry-type": "some"}, `<<"some">> is not a valid delayed retry type`, `[{<<"delayed-retry-type">>,<<"some">>}] are not recognised policy settings`},
		{pocketmq.Table{"delayed-retry-min": -1}, "-1 is not a valid delayed retry minimum", `[{<<"delayed-retry-min">>,-1}] are not recognised policy settings`},
		{pocketmq.Table{"delayed-retry-max": "x"}, `<<"x">> is not a valid delayed retry maximum`, `[{<<"delayed-retry-max">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"delayed-retry-growth": "x"}, `<<"x">> is not a valid delayed retry growth`, `[{<<"delayed-retry-growth">>,<<"x">>}] are not recognised policy settings`},
		{pocketmq.Table{"stream-max-segment-size-bytes": int64(3000000001)}, "3000000001 is not a valid segment size",
			`[{<<"stream-max-segment-size-bytes">>,3000000001}] are not recognised policy settings`},
	} {
		t.Run(fmt.Sprint(tc.definition), func(t *testing.T) {
			b := newBroker(t)
			p := pocketmq.Policy{Name: "p", Pattern: "^q", Definition: tc.definition}
			requirePolicyError(t, tc.user, b.SetPolicy(p))
			requirePolicyError(t, tc.operator, b.SetOperatorPolicy(p))
			require.Equal(t, tc.user == "", len(b.Policies()) == 1)
			require.Equal(t, tc.operator == "", len(b.OperatorPolicies()) == 1)
		})
	}
}

func requirePolicyError(t *testing.T, text string, err error) {
	t.Helper()
	if text == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, pocketmq.ErrInvalid)
	require.EqualError(t, err, "SYNTAX_ERROR - Validation failed\n\n"+text)
}

func TestPolicyErrorNamesAllThatIsWrong(t *testing.T) { // POL-10
	b := newBroker(t)
	err := b.SetPolicy(pocketmq.Policy{Name: "p", Pattern: "(", ApplyTo: "foo", Definition: pocketmq.Table{"max-length": "x"}})
	requirePolicyError(t, "<<\"x\">> is not a valid maximum length\n"+
		"apply-to 'foo' unrecognised; should be one of: 'queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges', or 'all'\n"+
		"pattern should be regular expression but is invalid: error parsing regexp: missing closing ): `(`", err)
	require.ErrorIs(t, b.SetPolicy(pocketmq.Policy{Definition: pocketmq.Table{"ha-mode": "all"}}), pocketmq.ErrNotSupported)
	require.ErrorIs(t, b.ClearPolicy("p"), pocketmq.ErrNotFound)
	require.EqualError(t, b.ClearOperatorPolicy("p"), "NOT_FOUND - no operator policy 'p' in vhost '/'")
	require.ErrorIs(t, new(pocketmq.Broker).SetPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{"max-length": 1}}), pocketmq.ErrInvalid)
	require.EqualError(t, b.SetPolicy(pocketmq.Policy{Definition: pocketmq.Table{"max-length": 1}}), "SYNTAX_ERROR - a policy needs a name")
	must(t, b.Close())
	require.ErrorIs(t, b.SetPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{"max-length": 1}}), pocketmq.ErrClosed)
}

func TestPolicyThatContainsItselfIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		d := pocketmq.Table{}
		d["max-length"] = d
		require.ErrorIs(t, b.SetPolicy(pocketmq.Policy{Name: "p", Definition: d}), pocketmq.ErrInvalid)
	})
}

func TestPoliciesAreListedByName(t *testing.T) {
	b := newBroker(t)
	want := []pocketmq.Policy{
		{Name: "a", Pattern: "^q", Definition: pocketmq.Table{"max-length": 5}, Priority: 3, ApplyTo: pocketmq.ApplyToQueues},
		{Name: "b", Pattern: "", Definition: pocketmq.Table{"expires": 5}, ApplyTo: pocketmq.ApplyToAll},
	}
	for i := range want {
		must(t, b.SetPolicy(want[1-i]))
		must(t, b.SetOperatorPolicy(want[i]))
	}
	require.Equal(t, want, b.Policies())
	require.Equal(t, want, b.OperatorPolicies())
	want[0].Pattern = "other"
	must(t, b.SetPolicy(want[0]))
	require.Equal(t, want, b.Policies())
	must(t, b.ClearPolicy("a"))
	require.Equal(t, want[1:], b.Policies())
	require.Len(t, b.OperatorPolicies(), 2)
}

func TestPolicyMergesWithArguments(t *testing.T) { // POL-3, POL-6, POL-7
	for name, tc := range map[string]struct{ args, user, operator, want pocketmq.Table }{
		"none":          {pocketmq.Table{"x-foo": 1}, nil, nil, pocketmq.Table{"x-foo": 1}},
		"argument less": {pocketmq.Table{"x-max-length": 2}, pocketmq.Table{"max-length": 5}, nil, pocketmq.Table{"x-max-length": int64(2)}},
		"policy less":   {pocketmq.Table{"x-max-length": int8(10)}, pocketmq.Table{"max-length": 5}, nil, pocketmq.Table{"x-max-length": int64(5)}},
		"operator less": {pocketmq.Table{"x-max-length": 10}, pocketmq.Table{"max-length": 5}, pocketmq.Table{"max-length": 4}, pocketmq.Table{"x-max-length": int64(4)}},
		"operator more": {nil, pocketmq.Table{"max-length": 5}, pocketmq.Table{"max-length": 6}, pocketmq.Table{"x-max-length": int64(5)}},
		"key by key": {pocketmq.Table{"x-expires": 1}, pocketmq.Table{"max-length": 5}, pocketmq.Table{"message-ttl": 6},
			pocketmq.Table{"x-expires": 1, "x-max-length": int64(5), "x-message-ttl": int64(6)}},
		"string":       {pocketmq.Table{"x-overflow": "block"}, pocketmq.Table{"overflow": "drop-head"}, nil, pocketmq.Table{"x-overflow": "block"}},
		"no argument":  {nil, pocketmq.Table{"overflow": "drop-head"}, nil, pocketmq.Table{"x-overflow": "drop-head"}},
		"operator's":   {nil, pocketmq.Table{"overflow": "drop-head"}, pocketmq.Table{"overflow": "reject-publish"}, pocketmq.Table{"x-overflow": "reject-publish"}},
		"very long":    {nil, pocketmq.Table{"message-ttl": int64(1) << 60}, nil, pocketmq.Table{"x-message-ttl": int64(315360000000)}},
		"routing key":  {pocketmq.Table{"x-dead-letter-exchange": "a"}, pocketmq.Table{"dead-letter-exchange": "b", "dead-letter-routing-key": "k"}, nil, pocketmq.Table{"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "k"}},
		"empty string": {pocketmq.Table{"x-dead-letter-exchange": ""}, pocketmq.Table{"dead-letter-exchange": "b"}, nil, pocketmq.Table{"x-dead-letter-exchange": ""}},
		"age":          {pocketmq.Table{"x-max-age": "90m"}, pocketmq.Table{"max-age": "1h"}, nil, pocketmq.Table{"x-max-age": "1h"}},
		"lesser age":   {pocketmq.Table{"x-max-age": "90s"}, pocketmq.Table{"max-age": "1h"}, nil, pocketmq.Table{"x-max-age": "90s"}},
		"no limit":     {pocketmq.Table{"x-delivery-limit": -1}, pocketmq.Table{"delivery-limit": 5}, nil, pocketmq.Table{"x-delivery-limit": int64(5)}},
		"retries": {pocketmq.Table{"x-delayed-retry-min": 9}, pocketmq.Table{"delayed-retry-type": "all", "delayed-retry-min": 5, "delayed-retry-max": 7}, nil,
			pocketmq.Table{"x-delayed-retry-type": "all", "x-delayed-retry-min": 9, "x-delayed-retry-max": 7}},
		"queue version": {nil, pocketmq.Table{"queue-version": 2}, nil, pocketmq.Table{"x-queue-version": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, pocketmq.WithPolicies(tc.args, tc.user, tc.operator))
		})
	}
}

// --- exchanges ---------------------------------------------------------------

func alternateOf(t testing.TB, b *pocketmq.Broker, exchange string) string {
	t.Helper()
	x, ok := b.Stats().Exchange(exchange)
	require.True(t, ok)
	return x.Alternate
}

func TestPolicyGivesExchangesAnAlternateAtOnce(t *testing.T) { // ROUTE-31, POL-7, POL-9
	b := newBroker(t)
	exchange(t, b, "before", pocketmq.Direct)
	exchange(t, b, "has one", pocketmq.Direct, pocketmq.AlternateExchange("amq.direct"))
	declare(t, b, "rest")
	bind(t, b, "rest", "amq.fanout", "")
	require.Empty(t, routed(t, b, "before", "k", nil))

	setPolicy(t, b, "p", ".", pocketmq.Table{"alternate-exchange": "amq.fanout"})
	exchange(t, b, "after", pocketmq.Direct)
	for _, x := range []string{"before", "after", "amq.topic"} {
		require.Equal(t, []string{"rest"}, routed(t, b, x, "k", nil), x)
		require.Equal(t, "amq.fanout", alternateOf(t, b, x))
	}
	require.Equal(t, "amq.direct", alternateOf(t, b, "has one"), "the argument wins")
	must(t, b.DeclareExchange(ctx, "before", pocketmq.Direct)) // policies make no difference when declaring again

	must(t, b.ClearPolicy("p"))
	require.Empty(t, routed(t, b, "before", "k", nil))
	require.Empty(t, alternateOf(t, b, "after"))
}

// As in RabbitMQ, which lists the policy with it.
func TestPolicyDoesNotGiveTheDefaultExchangeAnAlternate(t *testing.T) {
	b := newBroker(t)
	declare(t, b, "rest")
	bind(t, b, "rest", "amq.fanout", "")
	setPolicy(t, b, "p", "", pocketmq.Table{"alternate-exchange": "amq.fanout"})
	require.Empty(t, routed(t, b, "", "nowhere", nil))
	require.Empty(t, alternateOf(t, b, ""))
	x, _ := b.Stats().Exchange("")
	require.Equal(t, "p", x.Policy)
}

func TestOnePolicyApplies(t *testing.T) { // POL-1, POL-2
	b := newBroker(t)
	exchange(t, b, "x.one", pocketmq.Direct)
	policyOf := func(name string) string {
		x, _ := b.Stats().Exchange(name)
		return x.Policy
	}
	set := func(name, pattern string, priority int, to pocketmq.ApplyTo) {
		t.Helper()
		definition := pocketmq.Table{"alternate-exchange": name}
		must(t, b.SetPolicy(pocketmq.Policy{Name: name, Pattern: pattern, Definition: definition, Priority: priority, ApplyTo: to}))
	}
	set("c", "one", 0, pocketmq.ApplyToAll)
	require.Equal(t, "c", policyOf("x.one"))
	require.Empty(t, policyOf("amq.direct"))
	set("b", "^x[.]", 1, pocketmq.ApplyToExchanges)
	require.Equal(t, "b", policyOf("x.one"))
	set("a", "x.*", 1, "")
	require.Equal(t, "a", policyOf("x.one"), "of the same priority the first by name")
	set("for queues", "", 9, pocketmq.ApplyToQueues)
	set("elsewhere", "^one", 9, pocketmq.ApplyToExchanges)
	require.Equal(t, "a", policyOf("x.one"))
	require.Equal(t, "a", alternateOf(t, b, "x.one"))
	set("a", "x.*", -1, "")
	require.Equal(t, "b", policyOf("x.one"))
	must(t, b.ClearPolicy("b"))
	require.Equal(t, "c", policyOf("x.one"))
	exchange(t, b, "x.two", pocketmq.Direct)
	require.Equal(t, "a", policyOf("x.two"))
}

// --- queues ------------------------------------------------------------------

func numbered(t testing.TB, b *pocketmq.Broker, queue string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		send(t, b, queue, fmt.Sprint(i))
	}
}

func TestPolicyTrimsQueuesAtOnce(t *testing.T) { // POL-3, POL-6, POL-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		dropping := pocketmq.Overflow(pocketmq.DropHead)
		declare(t, b, "q1", dropping)
		declare(t, b, "q2", dropping, pocketmq.MaxLength(4))
		declare(t, b, "q3", dropping, pocketmq.Exclusive())
		declare(t, b, "other", dropping)
		for _, q := range []string{"q1", "q2", "q3", "other"} {
			numbered(t, b, q, 1, 10)
		}
		lengths := func() (all []int) {
			for _, q := range []string{"q1", "q2", "q3", "other"} {
				s := stats(t, b, q)
				require.LessOrEqual(t, s.Ready, s.MaxLength)
				all = append(all, s.Ready)
			}
			return all
		}
		setPolicy(t, b, "five", "^q", pocketmq.Table{"max-length": 5})
		require.Equal(t, []int{5, 4, 5, 10}, lengths())
		operator := pocketmq.Policy{Name: "op", Definition: pocketmq.Table{"max-length": 3}}
		must(t, b.SetOperatorPolicy(operator))
		require.Equal(t, []int{3, 3, 3, 3}, lengths())
		require.Equal(t, []string{"8", "9", "10"}, drain(t, b, "q1"), "the oldest are dropped")
		s := stats(t, b, "q1")
		require.Equal(t, []string{"five", "op"}, []string{s.Policy, s.OperatorPolicy})
		require.EqualValues(t, 7, s.Dropped)

		must(t, b.ClearOperatorPolicy("op"))
		must(t, b.ClearPolicy("five"))
		for _, q := range []string{"q1", "q2", "q3", "other"} {
			numbered(t, b, q, 1, 10)
		}
		require.Equal(t, []int{10, 4, 13, 13}, lengths())
		require.Equal(t, pocketmq.DefaultMaxLength, stats(t, b, "q1").MaxLength)
		must(t, b.SetOperatorPolicy(operator))
		info, err := b.DeclareQueue(ctx, "", dropping)
		must(t, err)
		numbered(t, b, info.Name, 1, 10)
		require.Equal(t, 3, stats(t, b, info.Name).Ready, "also new queues")
		must(t, result(t, background(func() error { _, err := b.DeclareQueue(ctx, "q2", dropping, pocketmq.MaxLength(4)); return err })))
	})
}

func TestPolicyForABlockingQueueMakesPublishersWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		numbered(t, b, "q", 1, 3)
		setPolicy(t, b, "p", "", pocketmq.Table{"max-length": 2})
		require.Equal(t, 3, stats(t, b, "q").Ready, "nothing is lost")
		published := background(func() error { return b.Publish(ctx, "", "q", msg("4")) })
		waits(t, published)
		setPolicy(t, b, "p", "", pocketmq.Table{"max-length": 4})
		must(t, result(t, published))
		require.Equal(t, []string{"1", "2", "3", "4"}, drain(t, b, "q"))
	})
}

func TestPolicyReleasesWaitingPublishers(t *testing.T) {
	for overflow, want := range map[string]struct {
		left []string
		err  error
	}{
		"drop-head":      {[]string{"2", "3"}, nil},
		"reject-publish": {[]string{"1", "2"}, pocketmq.ErrQueueFull},
	} {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			declare(t, b, "q", pocketmq.MaxLength(2))
			numbered(t, b, "q", 1, 2)
			published := background(func() error { return b.Publish(ctx, "", "q", msg("3")) })
			waits(t, published)
			setPolicy(t, b, "p", "", pocketmq.Table{"overflow": overflow})
			require.ErrorIs(t, result(t, published), want.err)
			require.Equal(t, want.left, drain(t, b, "q"))
			require.Zero(t, stats(t, b, "q").WaitingPublishers)
		})
	}
}

// As seen with RabbitMQ: the limit is put into force before the overflow.
func TestPolicyTrimsBeforeItRefuses(t *testing.T) { // POL-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Unbounded())
		setPolicy(t, b, "p", "", pocketmq.Table{"overflow": "drop-head"})
		numbered(t, b, "q", 1, 5)
		setPolicy(t, b, "p", "", pocketmq.Table{"max-length": 3, "overflow": "reject-publish"})
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("6")), pocketmq.ErrQueueFull)
		setPolicy(t, b, "p", "", pocketmq.Table{"max-length": 1, "overflow": "reject-publish"})
		require.Equal(t, []string{"3", "4", "5"}, drain(t, b, "q"))
	})
}

func TestPolicyOfTTLIsForMessagesToCome(t *testing.T) { // POL-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MessageTTL(time.Hour))
		declare(t, b, "old")
		send(t, b, "old", "before")
		setPolicy(t, b, "p", "", pocketmq.Table{"message-ttl": 1000})
		send(t, b, "old", "after")
		send(t, b, "q", "a")
		must(t, b.ClearPolicy("p"))
		sleep(time.Second - 1)
		require.Equal(t, 1, stats(t, b, "q").Ready)
		sleep(1)
		require.Zero(t, stats(t, b, "q").Ready, "clearing the policy did not save it")
		require.Equal(t, []string{"before"}, drain(t, b, "old"))
	})
}

func TestPolicyOfDeadLetters(t *testing.T) { // POL-7, POL-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.direct", "dead", "k")
		bound(t, b, "amq.topic", "other")
		declare(t, b, "q")
		declare(t, b, "has one", pocketmq.DeadLetter("amq.topic"))
		reject := func(queue string) {
			send(t, b, queue, "a")
			must(t, take(t, b, queue).Reject())
		}
		setPolicy(t, b, "p", "", pocketmq.Table{"dead-letter-exchange": "amq.direct", "dead-letter-routing-key": "k", "max-length": 100})
		reject("q")
		require.Equal(t, []string{"a"}, drain(t, b, "k"))
		must(t, b.Bind(ctx, "dead", "amq.topic", "k"))
		reject("has one")
		require.Equal(t, []string{"a"}, drain(t, b, "dead"), "its own exchange, and the policy's key")
		must(t, b.ClearPolicy("p"))
		reject("q")
		require.Empty(t, drain(t, b, "k"))
	})
}

func TestPolicyOfExpiryDeletesQueues(t *testing.T) { // POL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Expires(time.Hour))
		declare(t, b, "used")
		consume(t, b, "used")
		must(t, b.SetOperatorPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{"expires": 5000}}))
		sleep(5*time.Second - 1)
		require.Len(t, b.Stats().Queues, 2)
		sleep(1)
		require.Len(t, b.Stats().Queues, 1)
		stats(t, b, "used")
	})
}

func TestPolicyWithAKeyOfOtherQueuesDoesNotApply(t *testing.T) { // POL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		exchange(t, b, "q", pocketmq.Fanout)
		must(t, b.SetPolicy(pocketmq.Policy{Name: "streams", Priority: 9, Definition: pocketmq.Table{"max-age": "7D", "max-length": 1}}))
		must(t, b.SetPolicy(pocketmq.Policy{Name: "quorum", Priority: 8, Definition: pocketmq.Table{"max-length": 1}, ApplyTo: pocketmq.ApplyToQuorumQueues}))
		setPolicy(t, b, "all", "", pocketmq.Table{"max-length": 7})
		require.Equal(t, "all", stats(t, b, "q").Policy)
		require.Equal(t, 7, stats(t, b, "q").MaxLength)
		x, _ := b.Stats().Exchange("q")
		require.Equal(t, "streams", x.Policy)
		must(t, b.SetPolicy(pocketmq.Policy{Name: "classic", Priority: 7, Definition: pocketmq.Table{"max-length": 5}, ApplyTo: pocketmq.ApplyToClassicQueues}))
		require.Equal(t, "classic", stats(t, b, "q").Policy)
	})
}

func TestPolicyOfStreams(t *testing.T) { // POL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "events", pocketmq.Stream(), pocketmq.MaxAge(2*time.Hour))
		must(t, b.SetPolicy(pocketmq.Policy{Name: "classic", Priority: 9, Definition: pocketmq.Table{"max-length": 1}}))
		must(t, b.SetPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{"max-age": "1h", "max-length-bytes": 1000}, ApplyTo: pocketmq.ApplyToStreams}))
		s := stats(t, b, "events")
		require.Equal(t, []any{"p", time.Hour, int64(1000)}, []any{s.Policy, s.MaxAge, s.MaxBytes})
		must(t, b.ClearPolicy("p"))
		require.Equal(t, 2*time.Hour, stats(t, b, "events").MaxAge)
	})
}

func TestPolicyOfQuorumQueues(t *testing.T) { // POL-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Quorum())
		must(t, b.SetPolicy(pocketmq.Policy{Name: "modes", Priority: 9, Definition: pocketmq.Table{"queue-mode": "lazy", "max-length": 1}}))
		must(t, b.SetPolicy(pocketmq.Policy{Name: "p", Definition: pocketmq.Table{"delivery-limit": 0}, ApplyTo: pocketmq.ApplyToQuorumQueues}))
		require.Equal(t, "p", stats(t, b, "q").Policy)
		send(t, b, "q", "a")
		must(t, take(t, b, "q").Nack(true))
		require.Zero(t, stats(t, b, "q").Ready)
	})
}

func TestPolicyOfTheDeliveryLimit(t *testing.T) { // POL-4, POL-6
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.DeliveryLimit(5))
		setPolicy(t, b, "p", "", pocketmq.Table{"delivery-limit": 1})
		send(t, b, "q", "a")
		for range 2 {
			must(t, take(t, b, "q").Nack(true))
		}
		require.Zero(t, stats(t, b, "q").Ready)
		require.EqualValues(t, 1, stats(t, b, "q").Exhausted)
	})
}

func TestPoliciesChangeWhileQueuesAreDeclaredAndUsed(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		done, stop := context.WithCancel(ctx)
		var all []<-chan error
		for i := range 3 {
			all = append(all, background(func() error {
				q := fmt.Sprint("q", i)
				for done.Err() == nil {
					if _, err := b.DeclareQueue(ctx, q, pocketmq.Overflow(pocketmq.DropHead)); err != nil {
						return err
					}
					for range 10 {
						if err := b.Publish(ctx, "", q, msg("a")); err != nil {
							return err
						}
					}
					if _, err := b.DeleteQueue(ctx, q); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		for i := range 200 {
			setPolicy(t, b, "p", "^q", pocketmq.Table{"max-length": i % 5})
		}
		stop()
		for _, done := range all {
			must(t, result(t, done))
		}
		for i := range 3 {
			q := fmt.Sprint("q", i)
			declare(t, b, q, pocketmq.Overflow(pocketmq.DropHead))
			require.Equal(t, 4, stats(t, b, q).MaxLength)
		}
	})
}
