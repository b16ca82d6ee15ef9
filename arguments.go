package pocketmq

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// ArgumentsOption fits DeclareExchange, DeclareQueue, Consume, Handle and the methods
// that bind.
type ArgumentsOption struct{ table Table }

// Arguments gives a binding its arguments: for a headers exchange the headers
// to match, and under "x-match" how: "all" (the default) or "any", which ignore
// headers that begin with "x-", "all-with-x" or "any-with-x", which don't. Other
// exchanges ignore arguments, but bindings with different ones are different.
//
// A queue, an exchange or a consumer gets the optional arguments that RabbitMQ knows, such
// as "x-max-length", by their names there. An argument for something that
// pocketmq does not have is refused with ErrNotSupported; names that mean nothing
// to RabbitMQ either are stored and have no effect. If an option says the same, such
// as MaxLength, the later of the two counts.
//
// The table must not be changed afterwards.
func Arguments(t Table) ArgumentsOption { return ArgumentsOption{t} }

func (o ArgumentsOption) bind(c *bindConfig) { c.args = o.table }

func (o ArgumentsOption) exchange(c *exchangeConfig) {
	for key, v := range o.table {
		set(&c.args, key, v)
	}
}

func (o ArgumentsOption) queue(c *queueConfig) {
	for key, v := range o.table {
		set(&c.args, key, v)
	}
}

func (o ArgumentsOption) consume(c *consumeConfig) {
	for key, v := range o.table {
		set(&c.args, key, v)
	}
}

// queueTypes is a set of types of queues.
type queueTypes uint8

const (
	classic queueTypes = 1 << iota
	quorum
	streams
)

// The values of x-queue-type.
const (
	classicType = "classic"
	quorumType  = "quorum"
	streamType  = "stream"
)

// queueTypeOf returns the type that arguments ask for.
func queueTypeOf(args Table) queueTypes {
	switch args["x-queue-type"] {
	case quorumType:
		return quorum
	case streamType:
		return streams
	}
	return classic
}

// queueTypeName returns what arguments have as the type, valid or not.
func queueTypeName(args Table) string {
	if v, ok := args["x-queue-type"]; ok {
		return fmt.Sprint(v)
	}
	return classicType
}

// kind is the name of the queue's type.
func (q *queue) kind() string { return queueTypeName(q.args) }

// argument is an argument of queue.declare that RabbitMQ knows.
type argument struct {
	key string
	// types are the types of queues that have it (ARGS-22 to ARGS-24). A declaration of
	// theirs must repeat it (QUEUE-16), and others refuse it (ARGS-2).
	types queueTypes
	// later are those that have it from 4.0 on as well.
	later queueTypes
	// check reports what is wrong with a value, as RabbitMQ would (ARGS-3 to ARGS-21).
	check func(v any) (why string)
	// native is set for an argument that classic queues have here, too, if they are
	// not declared over a connection.
	native bool
	// since is the version from which on RabbitMQ knows it: before, it is stored and
	// ignored. It concerns connections only.
	since version
}

// arguments are those that RabbitMQ knows, in the order in which it checks them.
// What takes effect is read by settingsOf.
var arguments = []argument{
	{key: "x-expires", types: classic | quorum, check: checkPositiveTime},
	{key: "x-message-ttl", types: classic | quorum, check: checkTime},
	{key: "x-dead-letter-exchange", types: classic | quorum}, // checked by checkQueueArgument
	{key: "x-dead-letter-routing-key", types: classic | quorum, check: checkString},
	{key: "x-dead-letter-strategy", types: quorum, check: oneOf("invalid_dlx_strategy", atMostOnce, atLeastOnce), native: true},
	{key: "x-max-length", types: classic | quorum, check: checkNotNegative},
	{key: "x-max-length-bytes", types: classic | quorum | streams, check: checkNotNegative},
	{key: "x-max-in-memory-length", types: quorum, check: checkNotNegative},
	{key: "x-max-in-memory-bytes", types: quorum, check: checkNotNegative},
	{key: "x-max-priority", types: classic, check: checkMaxPriority},
	{key: "x-overflow", types: classic | quorum, check: oneOf("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx")},
	{key: "x-queue-mode", types: classic, check: checkQueueMode},
	{key: "x-queue-version", types: classic, check: checkQueueVersion},
	{key: "x-single-active-consumer", types: classic | quorum, check: checkBool},
	{key: "x-queue-type", types: classic | quorum | streams, check: checkQueueType},
	{key: "x-quorum-initial-group-size", types: quorum, check: checkPositive},
	{key: "x-max-age", types: streams, check: checkMaxAge},
	{key: "x-stream-max-segment-size-bytes", types: streams, check: checkNotNegative},
	{key: "x-stream-filter-size-bytes", types: streams, since: v4_3}, // checked by checkStream, since 4.0
	{key: "x-initial-cluster-size", types: streams, check: checkPositive},
	{key: "x-queue-leader-locator", types: quorum | streams, later: classic,
		check: oneOf("invalid_queue_locator_arg", "client-local", "balanced", "random", "least-leaders")},
	{key: "x-delivery-limit", types: quorum, native: true},
	{key: "x-consumer-timeout", types: quorum, check: checkPositiveTime, since: v4_3}, // for connections; see checkQuorum
	{key: "x-consumer-disconnected-timeout", types: quorum, check: checkPositiveTime, since: v4_3},
	{key: "x-delayed-retry-type", types: quorum, check: oneOf("invalid_delayed_retry_type", retryTypes...),
		since: v4_3, native: true},
	{key: "x-delayed-retry-min", types: quorum, check: checkTime, since: v4_3, native: true},
	{key: "x-delayed-retry-max", types: quorum, check: checkTime, since: v4_3, native: true},
	{key: "x-delayed-retry-growth", types: quorum, check: oneOf("invalid_delayed_retry_growth", retryGrowths...),
		since: onlyHere, native: true},
	{key: "x-queue-master-locator", types: classic},
}

// knows reports whether the argument means anything to who declares a queue.
func (c *queueConfig) knows(a *argument) bool { return !c.wire || c.version >= a.since }

// has reports whether the queue has the argument: not all are for all types.
func (c *queueConfig) has(a *argument) bool { return a.isOf(queueTypeOf(c.args), c.version, !c.wire) }

// checkQueueArguments reports what is wrong with the arguments of a new queue:
// first with its type, then with the values of what it has, then with the keys.
func (w where) checkQueueArguments(c queueConfig) error {
	if len(c.args) == 0 {
		return nil
	}
	if err := checkTable("arguments", c.args, 0); err != nil {
		return err
	}
	if v, ok := c.args["x-queue-type"]; ok {
		if why := checkQueueType(v); why != "" {
			return w.invalidArgument("x-queue-type", why)
		}
	}
	for i := range arguments {
		if a := &arguments[i]; c.knows(a) && c.has(a) {
			if err := w.checkQueueArgument(a, c); err != nil {
				return err
			}
		}
	}
	return w.checkKeys(c)
}

func (w where) checkQueueArgument(a *argument, c queueConfig) error {
	args := c.args
	v, ok := args[a.key]
	switch {
	case !ok || a.key == "x-overflow" && v == Block.String() && !c.wire: // Block is ours alone
		return nil
	case a.key == "x-max-age" && c.wire && c.version < v4_3 && isString(v) && noAge(v.(string)):
		return errInternal
	case a.key == "x-dead-letter-exchange":
		if _, ok := v.(string); !ok {
			return w.invalidType(a.key, v)
		}
	case a.check != nil:
		if why := a.check(v); why != "" {
			return w.invalidArgument(a.key, why)
		}
	}
	if _, ok := args["x-dead-letter-exchange"]; !ok && a.key == "x-dead-letter-routing-key" {
		return w.invalidArgument(a.key, "routing_key_but_no_dlx_defined")
	}
	return nil
}

// isOf reports whether queues of this type have the argument.
func (a *argument) isOf(t queueTypes, v version, native bool) bool {
	return a.types&t != 0 || a.later&t != 0 && v >= v4_0 || a.native && t == classic && native
}

// checkKeys refuses arguments of other types of queues (ARGS-2).
func (w where) checkKeys(c queueConfig) error {
	for i := range arguments {
		a := &arguments[i]
		if _, ok := c.args[a.key]; ok && c.knows(a) && !c.has(a) {
			return w.otherType(a.key, queueTypeName(c.args))
		}
	}
	return nil
}

// withoutNoType leaves out a type that stands for none since 4.0 (ARGS-15).
func (c *queueConfig) withoutNoType() {
	v, ok := c.args["x-queue-type"]
	if ok && (v == "undefined" && c.version >= v4_0 || v == "" && c.version >= v4_3) {
		c.args = maps.Clone(c.args)
		delete(c.args, "x-queue-type")
	}
}

// checkQueueType reports what keeps a new queue from being of its type (QQ-1, QQ-2,
// STREAM-1).
func (w where) checkQueueType(c queueConfig, serverNamed bool) error {
	t, property := queueTypeOf(c.args), ""
	switch {
	case t == classic:
		return nil
	case serverNamed:
		return preconditionFailed("Cannot declare a server-named queue for type rabbit_%s_queue", queueTypeName(c.args))
	case c.autoDelete:
		property = "auto-delete"
	case c.exclusive:
		property = "exclusive-owner"
	case !c.durable:
		property = "non-durable"
	case t == quorum:
		return w.checkQuorum(c)
	default:
		return w.checkStream(c)
	}
	return preconditionFailed("invalid property '%s' for %v", property, w)
}

// compared are the arguments in the order in which RabbitMQ compares those of a
// queue of a type. The error names the first that differs.
func compared(t queueTypes) []argument {
	if t == quorum {
		return comparedOfQuorum
	}
	return arguments
}

var comparedOfQuorum = func() []argument {
	order := []string{
		"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-expires", "x-max-length", "x-max-length-bytes",
		"x-max-in-memory-length", "x-max-in-memory-bytes", "x-overflow", "x-single-active-consumer", "x-queue-type",
		"x-quorum-initial-group-size", "x-delivery-limit", "x-message-ttl", "x-queue-leader-locator",
	}
	place := func(a argument) int { return (slices.Index(order, a.key) + 1 + len(order)) % (len(order) + 1) } // others are last
	return slices.SortedStableFunc(slices.Values(arguments), func(a, b argument) int { return place(a) - place(b) })
}()

// otherType is the error of an argument that only queues of another type have, or
// their consumers (ARGS-2, STREAM-14).
func (w where) otherType(key, kind string) error {
	return preconditionFailed("invalid arg '%s' for %v of queue type rabbit_%s_queue", key, w, kind)
}

// streamReading are the arguments of basic.consume that only streams have, and the
// versions that have them.
var streamReading = []struct {
	key   string
	since version
}{{"x-stream-offset", 0}, {"x-stream-filter", v4_0}, {"x-stream-match-unfiltered", v4_0}}

// readArguments reads the arguments of a consumer, or reports why q has none like
// it (CONS-9, CONS-10, STREAM-14).
func (q *queue) readArguments(c *consumeConfig) error {
	if err := checkTable("arguments", c.args, 0); err != nil {
		return err
	}
	at := q.at()
	if v, ok := c.args["x-priority"]; ok {
		n, why := integerArgument(v)
		if why != "" {
			return at.invalidArgument("x-priority", why)
		}
		c.priority = int32(max(math.MinInt32, min(n, math.MaxInt32)))
	}
	if v, ok := c.args["x-consumer-timeout"]; ok && q.quorum && (!c.wire || c.version >= v4_3) {
		switch why := checkPositiveTime(v); {
		case why != "":
			return at.invalidArgument("x-consumer-timeout", why)
		case !c.wire:
			return notSupported("%v: x-consumer-timeout is for connections: nothing limits the time for settling in process", at)
		}
	}
	if q.log != nil {
		return q.checkReader(c)
	}
	for _, a := range streamReading {
		if _, ok := c.args[a.key]; ok && c.version >= a.since {
			return at.otherType(a.key, q.kind())
		}
	}
	return nil
}

func (w where) invalidArgument(key, why string) error {
	return preconditionFailed("invalid arg '%s' for %v: %s", key, w, why)
}

// invalidType is the error of an argument that names an exchange (ARGS-9, EXCH-9).
func (w where) invalidType(key string, v any) error {
	return preconditionFailed("invalid type '%s' for arg '%s' in %v", typeName(v), key, w)
}

// checkExchangeArguments reports what is wrong with the arguments of a new
// exchange.
func (w where) checkExchangeArguments(args Table) error {
	if err := checkTable("arguments", args, 0); err != nil {
		return err
	}
	v, ok := args["alternate-exchange"]
	if !ok {
		return nil
	}
	name, ok := v.(string)
	if !ok {
		return w.invalidType("alternate-exchange", v)
	}
	return checkName("alternate exchange", name)
}

// integer reads an integer from a table that came from a client, where it may have
// any width (ARGS-3).
func integer(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	return 0, false
}

// integerArgument is integer, and says in RabbitMQ's words why v is none.
func integerArgument(v any) (n int64, why string) {
	n, ok := integer(v)
	if !ok {
		why = fmt.Sprintf(`"expected integer, got %s"`, typeName(v))
	}
	return n, why
}

// maxTime is the longest time that RabbitMQ accepts, in milliseconds: ten years.
const maxTime = 315360000000

func checkTime(v any) string {
	n, why := integerArgument(v)
	switch {
	case why != "":
		return why
	case n < 0:
		return fmt.Sprintf("{value_negative,%d}", n)
	case n > maxTime:
		return fmt.Sprintf("{value_too_large,%d}", n)
	}
	return ""
}

func checkPositiveTime(v any) string {
	if n, ok := integer(v); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkTime(v)
}

func checkNotNegative(v any) string {
	n, why := integerArgument(v)
	if why == "" && n < 0 {
		return fmt.Sprintf("{value_negative,%d}", n)
	}
	return why
}

func checkPositive(v any) string {
	if n, ok := integer(v); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkNotNegative(v)
}

func checkMaxPriority(v any) string {
	if n, ok := integer(v); ok && n > 255 {
		return fmt.Sprintf("{max_value_exceeded,%d}", n)
	}
	return checkNotNegative(v)
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}

func checkString(v any) string {
	if !isString(v) {
		return unacceptable(v)
	}
	return ""
}

func checkMaxAge(v any) string {
	if s, ok := v.(string); ok {
		if _, ok := parseAge(s); !ok {
			return "invalid_max_age"
		}
	}
	return checkString(v)
}

func checkBool(v any) string {
	if _, ok := v.(bool); !ok {
		return unacceptable(v)
	}
	return ""
}

func unacceptable(v any) string { return fmt.Sprintf("{unacceptable_type,%s}", typeName(v)) }

func oneOf(otherwise string, values ...string) func(any) string {
	return func(v any) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return unacceptable(v)
		case !slices.Contains(values, s):
			return otherwise
		}
		return ""
	}
}

func checkQueueMode(v any) string {
	switch v {
	case "default", "lazy":
		return ""
	}
	if s, ok := v.(string); ok {
		return fmt.Sprintf(`"unsupported queue mode '%s'"`, s)
	}
	return unacceptable(v)
}

func checkQueueVersion(v any) string {
	n, why := integerArgument(v)
	if why != "" || n == 1 || n == 2 {
		return why
	}
	return fmt.Sprintf(`"unsupported queue version '%d'"`, n)
}

func checkQueueType(v any) string {
	switch v {
	case classicType, quorumType, streamType:
		return ""
	}
	if s, ok := v.(string); ok {
		return fmt.Sprintf(`"unsupported queue type '%s'"`, s)
	}
	return unacceptable(v)
}
