package pocketmq

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// policyKey is a key of a definition.
type policyKey struct {
	check    func(v any) bool
	what     string             // that a value must be, in RabbitMQ's words (POL-10)
	lesser   func(a, b any) any // of two values the one that counts; nil = the first (POL-6, POL-7)
	operator bool               // operator policies may have it (POL-5)
}

// number is the key of a number, of which the least counts, and one above ceiling
// as ceiling.
func number(what string, least, ceiling int64) policyKey {
	return policyKey{what: what, lesser: lesserNumber(ceiling), check: func(v any) bool {
		n, ok := integer(v)
		return ok && n >= least
	}}
}

// lesserNumber returns the lesser number of two, of which the first may be nil, and
// at most ceiling.
func lesserNumber(ceiling int64) func(a, b any) any {
	return func(a, b any) any {
		least, _ := integer(b)
		if n, ok := integer(a); ok && n >= 0 { // a negative delivery limit is none
			least = min(least, n)
		}
		return min(least, ceiling)
	}
}

func text(what string, values ...string) policyKey {
	return policyKey{what: what, check: func(v any) bool {
		s, ok := v.(string)
		return ok && (len(values) == 0 || slices.Contains(values, s))
	}}
}

func (k policyKey) byOperators() policyKey {
	k.operator = true
	return k
}

// policyKeys are those that RabbitMQ knows (POL-4).
var policyKeys = map[string]policyKey{
	"alternate-exchange":            text("alternate exchange name"),
	"dead-letter-exchange":          text("dead letter exchange name"),
	"dead-letter-routing-key":       text("dead letter routing key"),
	"dead-letter-strategy":          text("dead letter strategy", atMostOnce, atLeastOnce),
	"message-ttl":                   number("message TTL", 0, maxTime).byOperators(),
	"expires":                       number("queue expiry", 1, maxTime).byOperators(),
	"max-length":                    number("maximum length", 0, math.MaxInt64).byOperators(),
	"max-length-bytes":              number("maximum length in bytes", 0, math.MaxInt64).byOperators(),
	"max-in-memory-length":          number("maximum memory in bytes", 0, math.MaxInt64).byOperators(),
	"max-in-memory-bytes":           number("maximum memory in bytes", 0, math.MaxInt64).byOperators(),
	"delivery-limit":                number("delivery limit", 0, math.MaxInt64).byOperators(),
	"initial-cluster-size":          number("cluster size", 0, math.MaxInt64),
	"stream-max-segment-size-bytes": {what: "segment size", lesser: lesserNumber(maxSegmentBytes), check: isSegment},
	"overflow":                      text("overflow value", "drop-head", "reject-publish", "reject-publish-dlx").byOperators(),
	"queue-mode":                    text("queue-mode value", "default", "lazy"),
	"queue-version":                 {what: "queue-version value", check: func(v any) bool { return checkQueueVersion(v) == "" }},
	"queue-leader-locator":          text("queue leader locator value", "client-local", "balanced", "random", "least-leaders"),
	"max-age":                       {what: "max age", lesser: lesserAge, check: func(v any) bool { return checkMaxAge(v) == "" }},

	// Since 4.0, for connections; 0 is none.
	"consumer-timeout": number("consumer timeout", 0, maxTime),

	// Of 4.3. A shorter delay is no stricter one: an argument goes before the policy, and no operator has a say.
	"delayed-retry-type":   text("delayed retry type", retryTypes...),
	"delayed-retry-min":    {what: "delayed retry minimum", check: isTime},
	"delayed-retry-max":    {what: "delayed retry maximum", check: isTime},
	"delayed-retry-growth": text("delayed retry growth", retryGrowths...), // here only
}

// retryKeys are those of a RetryPolicy, without its limit.
var retryKeys = []string{"delayed-retry-type", "delayed-retry-min", "delayed-retry-max", "delayed-retry-growth"}

// notFor are the keys that a type of queue does not have: a policy with one of them
// does not apply to such a queue.
var notFor = map[ApplyTo][]string{
	ApplyToClassicQueues: append([]string{
		"delivery-limit", "dead-letter-strategy", "max-age", "stream-max-segment-size-bytes", "queue-leader-locator", "initial-cluster-size",
	}, retryKeys...),
	ApplyToQuorumQueues: {"queue-mode", "max-age", "stream-max-segment-size-bytes", "initial-cluster-size"},
	ApplyToStreams: append([]string{
		"expires", "message-ttl", "dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy", "max-length",
		"max-in-memory-length", "max-in-memory-bytes", "overflow", "queue-mode", "delivery-limit",
	}, retryKeys...),
}

// lacks returns the keys of definitions that are not for q.
func (q *queue) lacks() []string {
	t := queueTypeOf(q.args)
	keys := notFor[queueGroups[t]]
	switch {
	case !q.wire && t == classic: // it has these here
		return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
			return key == "delivery-limit" || key == "dead-letter-strategy" || slices.Contains(retryKeys, key)
		})
	case t == quorum && !q.defaults.retries: // it is of a version that does not have them
		return slices.Concat(keys, retryKeys)
	}
	return keys
}

// unsupportedKeys are those of plug-ins and of clusters, of which there is nothing
// here.
var unsupportedKeys = []string{
	"federation-upstream", "federation-upstream-set", "federation-upstream-pattern", "ha-mode", "ha-params", "ha-sync-mode",
	"ha-sync-batch-size", "ha-promote-on-shutdown", "ha-promote-on-failure", "queue-master-locator", "shards-per-node", "routing-key",
}

func isTime(v any) bool { return checkTime(v) == "" }

func isSegment(v any) bool {
	n, ok := integer(v)
	return ok && n >= 0 && n <= maxSegmentBytes
}

// lesserAge is lesserNumber for ages such as "7D".
func lesserAge(a, b any) any {
	first, _ := a.(string)
	one, ok := parseAge(first)
	if other, _ := parseAge(b.(string)); ok && one <= other {
		return a
	}
	return b
}

// checkDefinition says what is wrong with a definition: with the first key whose
// value is, else which keys mean nothing.
func checkDefinition(d Table, operator bool) string {
	if len(d) == 0 {
		return "no policy provided"
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(d)) {
		key, ok := policyKeys[name]
		switch {
		case !ok || operator && !key.operator:
			unknown = append(unknown, fmt.Sprintf("{%s,%s}", erlang.Binary(name), definitionText(d[name])))
		case !key.check(d[name]):
			return fmt.Sprintf("%s is not a valid %s", definitionText(d[name]), key.what)
		}
	}
	if unknown != nil {
		return "[" + strings.Join(unknown, ",") + "] are not recognised policy settings"
	}
	return ""
}

// definitionText is a value as RabbitMQ shows it, which has definitions in JSON.
func definitionText(v any) string {
	if v == nil {
		return "null"
	}
	return erlang.Text(v)
}

// mergeValue returns what counts of a value that may be nil and one that comes
// after it.
func mergeValue(key string, before, after any) any {
	switch lesser := policyKeys[key].lesser; {
	case lesser != nil:
		return lesser(before, after)
	case before != nil:
		return before
	}
	return after
}
