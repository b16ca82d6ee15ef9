package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// line is the next line of the script.
func (g *generator) line() string {
	if g.forced != "" {
		return g.forced
	}
	for _, conn := range []string{"a", "b"} {
		switch g.conns[conn] {
		case closing:
			return conn + " drop"
		case gone:
			return "conn " + conn + " channels=2"
		}
	}
	for _, ch := range usual {
		if g.channels[ch] == nil && g.IntN(12) > 0 { // or it may be used without
			return ch + " channel.open"
		}
	}
	if len(g.wanted) > 0 && g.lent(parseSaid("x " + g.wanted[0]).fields["queue"]) {
		g.wanted = g.wanted[1:]
	}
	if open := slices.Sorted(maps.Keys(g.channels)); len(open) > 0 && len(g.wanted) > 0 && g.IntN(10) > 0 {
		return g.pick(open...) + " " + g.wanted[0]
	}
	switch g.IntN(400) {
	case 0, 1:
		return g.pick("a", "b") + " drop"
	case 2:
		return g.pick("a", "b") + ".0 connection.close reply-code=200"
	}
	ch := g.pick(usual...)
	return ch + " " + g.method(ch)
}

// usual are the channels that are used. The first has most of the work.
var usual = []string{"a.1", "a.1", "a.2", "a.3", "b.1", "b.2"}

// method is a random method for a channel.
func (g *generator) method(channel string) string {
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	n := g.IntN(total)
	for _, o := range operations {
		if n -= o.weight; n < 0 {
			return o.make(g, channel)
		}
	}
	panic("unreachable")
}

// operations by how often they occur.
var operations = []struct {
	weight int
	make   func(g *generator, channel string) string
}{
	{8, (*generator).declareQueue},
	{2, func(g *generator, _ string) string {
		return "queue.delete queue=" + g.queue() + g.maybe(40, "if-unused") + g.maybe(40, "if-empty") + g.noWait()
	}},
	{2, func(g *generator, _ string) string { return "queue.purge queue=" + g.queue() + g.noWait() }},
	{6, (*generator).bind},
	{2, func(g *generator, _ string) string {
		return fmt.Sprintf("queue.unbind queue=%s exchange=%s routing-key=%s", g.routed(), g.bound(), g.key())
	}},
	{4, (*generator).declareExchange},
	{1, func(g *generator, _ string) string {
		return "exchange.delete exchange=" + g.bound() + g.maybe(50, "if-unused") + g.noWait()
	}},
	{3, func(g *generator, _ string) string {
		return fmt.Sprintf("exchange.bind destination=%s source=%s routing-key=%s%s%s", g.bound(), g.bound(), g.key(), g.headers(true), g.noWait())
	}},
	{1, func(g *generator, _ string) string {
		return fmt.Sprintf("exchange.unbind destination=%s source=%s routing-key=%s", g.bound(), g.bound(), g.key())
	}},
	{40, (*generator).publish},
	{1, (*generator).expire},
	{14, func(g *generator, _ string) string { return "basic.get queue=" + g.queue() + g.maybe(30, "no-ack") }},
	{9, (*generator).consume},
	{3, (*generator).cancel},
	{25, (*generator).settlement},
	{2, func(g *generator, _ string) string {
		return g.pick("basic.recover", "basic.recover-async") + g.maybe(97, "requeue")
	}},
	{4, (*generator).qos},
	{2, func(g *generator, _ string) string { return "confirm.select" + g.noWait() }},
	{4, (*generator).transaction},
	{1, func(*generator, string) string { return "channel.close reply-code=200" }},
	{2, (*generator).illegal},
}

// illegal is what is always an error, or nearly always.
func (g *generator) illegal(channel string) string {
	g.bodies++
	publish := func(rest string) string { return fmt.Sprintf("basic.publish %s body=%d", rest, g.bodies) }
	if c := g.channels[channel]; c != nil && len(c.consumers) > 0 && g.IntN(8) == 0 { // ends the connection
		return "basic.consume queue=" + g.queue() + " consumer-tag=" + g.pick(slices.Sorted(maps.Keys(c.consumers))...)
	}
	if g.IntN(4) == 0 { // ends the connection
		return g.pick("channel.open", "basic.cancel-ok consumer-tag=t1", "basic.qos prefetch-size=1", "basic.recover",
			"exchange.declare exchange=x4 type=x-unheard-of", "channel.flow", publish("routing-key=q1 immediate"),
			"connection.open-ok", "connection.blocked")
	}
	return g.pick(
		"basic.get queue=nowhere", "queue.purge queue=nowhere", "queue.delete queue=nowhere", "basic.consume queue=nowhere",
		"queue.declare queue=nowhere passive", "exchange.declare exchange=nowhere type=direct passive", "exchange.delete exchange=nowhere",
		"queue.bind queue=nowhere exchange=x1", "queue.bind queue=q1 exchange=nowhere", "queue.unbind queue=nowhere exchange=x1",
		"exchange.bind destination=nowhere source=x1", "exchange.unbind destination=x1 source=nowhere",
		"queue.declare queue=amq.q", "exchange.declare exchange=amq.x type=direct", "exchange.delete exchange=amq.direct",
		`exchange.declare exchange="" type=direct`, `exchange.delete exchange=""`, `queue.bind queue=q1 exchange="" routing-key=a`,
		"queue.bind queue=q1 exchange=amq.headers arguments={x-match:S:some}", "exchange.declare exchange=x4 type=direct arguments={alternate-exchange:I:1}",
		publish("exchange=nowhere routing-key=q1"), publish("exchange=amq.rabbitmq.trace"), publish("routing-key=q1 headers={CC:S:q2}"),
		publish("routing-key=q1 delivery-mode=3"), publish("routing-key=q1 user-id=somebody"), publish("routing-key=q1 expiration=-1"),
		publish("routing-key=q1 reply-to=amq.rabbitmq.reply-to"),
		"basic.consume queue=q1 arguments={x-stream-offset:S:first}", "channel.flow active", "tx.commit", "tx.rollback",
	)
}

// transaction ends one, or begins to have some.
func (g *generator) transaction(channel string) string {
	c := g.channels[channel]
	if c != nil && c.transactional != (g.IntN(20) == 0) {
		return g.pick("tx.commit", "tx.rollback")
	}
	return "tx.select"
}

func (g *generator) bind(string) string {
	return fmt.Sprintf("queue.bind queue=%s exchange=%s routing-key=%s%s%s", g.routed(), g.bound(), g.key(), g.headers(true), g.noWait())
}

func (g *generator) declareQueue(string) string {
	q := g.queue()
	if g.made[q] != "" && g.IntN(5) > 0 {
		return g.made[q]
	}
	if q == `""` {
		return `queue.declare queue="" exclusive` + g.maybe(30, g.arguments("q1"))
	}
	l := "queue.declare queue=" + q + g.maybe(25, "passive") + g.maybe(10, "durable") + g.maybe(4, "exclusive") + g.maybe(12, "auto-delete") + g.noWait()
	return l + g.maybe(30, g.arguments(q), g.arguments(q), "arguments={"+g.pick(wrongArguments...)+"}")
}

// wrongArguments are those that no queue can be declared with.
var wrongArguments = []string{
	"x-max-length:S:two", "x-max-length:I:-1", "x-max-length-bytes:d:1.5", "x-overflow:S:sometimes", "x-overflow:I:1",
	"x-max-priority:I:256", "x-max-priority:I:-1", "x-message-ttl:I:-1", "x-message-ttl:l:315360000001", "x-message-ttl:S:1000",
	"x-expires:I:0", "x-dead-letter-exchange:I:1", "x-dead-letter-routing-key:S:q1", "x-single-active-consumer:S:true",
	"x-queue-type:S:foo", "x-queue-type:S:quorum", "x-queue-mode:S:foo", "x-max-age:S:1h", "x-delivery-limit:I:1",
}

// arguments are what a queue is declared with.
func (g *generator) arguments(q string) string {
	return g.queueArguments(nil, []argument{
		{50, []string{"x-max-length:I:3", "x-max-length:B:2", "x-max-length:l:1", "x-max-length:I:0"}},
		{20, []string{"x-max-length-bytes:I:9", "x-max-length-bytes:l:5", "x-max-length-bytes:I:1"}},
		{50, []string{"x-overflow:S:drop-head", "x-overflow:S:reject-publish", "x-overflow:S:reject-publish-dlx"}},
		{15, []string{"x-message-ttl:I:0", "x-message-ttl:I:3600000"}}, // what takes time: expire
		{25, []string{"x-max-priority:I:3", "x-max-priority:B:1", "x-max-priority:I:0"}},
		{20, []string{"x-single-active-consumer:t:true"}},
		{5, []string{"x-queue-mode:S:default"}}, // a lazy one forgets expirations on purpose: DLX/expiration-of-a-lazy-queue
		{50, g.deadLetters(q)},
	})
}

// quorumArguments are what a quorum queue is declared with. It never rejects: how
// many messages RabbitMQ takes after the limit depends on the moment (QQ-12).
func (g *generator) quorumArguments(q string) string {
	return g.queueArguments([]string{"x-queue-type:S:quorum"}, []argument{
		{40, []string{"x-max-length:I:3", "x-max-length:I:1", "x-max-length:I:0"}},
		{20, []string{"x-max-length-bytes:I:9", "x-max-length-bytes:l:5"}},
		{10, []string{"x-message-ttl:I:3600000"}},
		{50, []string{"x-delivery-limit:I:0", "x-delivery-limit:I:1", "x-delivery-limit:I:2"}},
		{20, []string{"x-single-active-consumer:t:true"}},
		{50, g.deadLetters(q)},
	})
}

// argument is one of some values in percent of all cases.
type argument struct {
	percent int
	values  []string
}

func (g *generator) queueArguments(words []string, some []argument) string {
	for _, a := range some {
		if g.IntN(100) < a.percent {
			words = append(words, g.pick(a.values...))
		}
	}
	return "arguments={" + strings.Join(words, ", ") + "}"
}

// deadLetters are arguments for the dead letters of a queue: they go to the other
// one of its pair, directly or through an exchange, back into the queue, or nowhere.
func (g *generator) deadLetters(q string) []string {
	const by = "x-dead-letter-exchange:S:"
	n := q[1:]
	to := map[byte]string{'q': "d", 'd': "q"}[q[0]] + n
	return []string{by + `"", x-dead-letter-routing-key:S:` + to, by + `"", x-dead-letter-routing-key:S:` + q, by + "f" + n, by + "nowhere"}
}

// policies are what queues and exchanges are given.
func (g *generator) policies() []Given {
	given := func(kind, name string, o options) Given {
		return Given{Pos: g.s.Pos, Kind: kind, Name: name, Options: o}
	}
	all := []Given{given("policy", "p1", options{"pattern": g.pick("^q", "^d", "^q1"), "apply-to": "queues", "definition": g.pick(
		`{"max-length":2}`, `{"max-length-bytes":4}`, `{"max-length":1,"overflow":"drop-head"}`, `{"message-ttl":3600000}`, `{"message-ttl":0}`,
	)})}
	if g.IntN(2) == 0 {
		all = append(all, given("policy", "p2", options{
			"pattern": "^q2", "apply-to": "queues", "priority": "1", "definition": `{"dead-letter-exchange":"f2","max-length":3}`,
		}))
	}
	if g.IntN(2) == 0 {
		all = append(all, given("policy", "p3", options{"pattern": "^x", "apply-to": "exchanges", "definition": `{"alternate-exchange":"x3"}`}))
	}
	if g.IntN(2) == 0 {
		all = append(all, given("operator-policy", "p4", options{"pattern": "^[qd]", "apply-to": "queues", "definition": `{"max-length":2}`}))
	}
	return all
}

func (g *generator) exchangeType() string {
	return g.pick("direct", "topic", "fanout", "headers")
}

func (g *generator) declareExchange(string) string {
	x := g.pick("x1", "x2", "x3")
	if g.IntN(4) > 0 {
		return g.made[x]
	}
	return fmt.Sprintf("exchange.declare exchange=%s type=%s", x, g.exchangeType()) +
		g.maybe(20, "passive") + g.maybe(10, "durable") + g.maybe(20, "auto-delete") + g.maybe(8, "internal") + g.noWait() +
		g.maybe(30, "arguments={alternate-exchange:S:x1}", "arguments={alternate-exchange:S:x2}", "arguments={alternate-exchange:S:x3}")
}

// headers are for a headers exchange, as binding arguments if asked.
func (g *generator) headers(binding bool) string {
	var words []string
	if binding {
		words = append(words, "x-match:S:"+g.pick("all", "any", "all-with-x", "any-with-x"))
	}
	for _, k := range []string{"k1", "k2", "x-k"} {
		words = append(words, k+":"+g.pick("I:1", "l:1", "S:1", "V", "t:true"))
	}
	name := map[bool]string{true: "arguments", false: "headers"}[binding]
	if !binding && g.IntN(4) == 0 {
		words = append(words, g.pick("CC", "BCC")+":A:[S:"+g.pick("q1", "q2", "a.b")+"]")
	}
	return g.maybe(25, name+"={"+strings.Join(words[g.IntN(len(words)):], ", ")+"}")
}

func (g *generator) publish(string) string {
	to := fmt.Sprintf("exchange=%s routing-key=%s%s", g.exchange(), g.key(), g.headers(false))
	sorted := len(g.sorted) > 0
	if g.IntN(2) == 0 { // without headers: by CC, and as a dead letter of another queue, it would come at the same time
		q := g.pick(allQueues...)
		to, sorted = "routing-key="+q, g.sorted[q]
	}
	at := "expiration=0"
	if sorted {
		at = "expiration=60000" // see expire
	}
	g.bodies++
	return fmt.Sprintf("basic.publish %s body=%d", to, g.bodies) + g.maybe(40, "mandatory") + g.maybe(10, "delivery-mode=2") +
		g.maybe(25, "priority=0", "priority=1", "priority=2", "priority=3", "priority=200") +
		g.maybe(8, "expiration=3600000", at, "expiration=315360000000", "expiration=soon")
}

// soon is when a message expires for which the scenario waits.
const soon = "expiration=500"

// expire publishes what is not there any more in the next step but one, if nobody
// takes it. In a queue with priorities RabbitMQ forgets some of them, and we do not, on
// purpose (TTL/expired-after-overtaking).
func (g *generator) expire(channel string) string {
	q := g.pick(allQueues...)
	if g.sorted[q] {
		return g.publish(channel)
	}
	g.bodies++
	return fmt.Sprintf("basic.publish routing-key=%s body=%d %s", q, g.bodies, soon)
}

// consume seldom uses a tag that is taken: that ends the connection. A channel with
// a global prefetch count consumes from one queue only: RabbitMQ takes any that waits
// for it when messages are settled. No consumer has a limit in a queue whose messages
// die of coming back: RabbitMQ gives it more, and we do not, on purpose
// (QQ/credit-of-what-died).
func (g *generator) consume(channel string) string {
	q := g.queue()
	if c := g.channels[channel]; c != nil && c.prefetch && g.mortal[c.queue(q)] {
		return g.publish(channel)
	}
	if c := g.channels[channel]; c != nil && c.limited {
		for _, from := range c.consumers {
			if from.queue != c.queue(q) {
				return g.publish(channel)
			}
		}
	}
	g.named++
	return fmt.Sprintf("basic.consume queue=%s consumer-tag=t%d", q, g.named) + g.maybe(20, "no-ack") + g.maybe(8, "exclusive") + g.noWait() +
		g.maybe(20, "arguments={x-priority:I:5}", "arguments={x-priority:l:-1}", "arguments={x-priority:S:high}")
}

// qos sets a global limit only on channels that have nothing that was got, which
// RabbitMQ would count, and calls that obscure itself, and that consume from one
// queue at most.
func (g *generator) qos(channel string) string {
	l := "basic.qos prefetch-count=" + strconv.Itoa(g.IntN(4))
	c := g.channels[channel]
	if c == nil || g.IntN(4) > 0 {
		return l
	}
	queues := map[string]bool{}
	for _, from := range c.consumers {
		queues[from.queue] = true
	}
	for _, u := range slices.Concat(c.unsettled, c.taken) {
		if u.consumer == "" {
			return l
		}
	}
	if len(queues) > 1 {
		return l
	}
	return l + " global"
}

// cancel is for any consumer but those that may be single active ones: RabbitMQ
// 3.10 crashes the queue if one has a prefetch limit (CONS-20).
func (g *generator) cancel(channel string) string {
	tag := fmt.Sprintf("t%d", 1+g.IntN(g.named+1))
	if c := g.channels[channel]; c != nil {
		if tags := slices.Sorted(maps.Keys(c.consumers)); len(tags) > 0 && g.IntN(6) > 0 {
			tag = g.pick(tags...)
		}
		if q := c.consumers[tag].queue; g.single[q] {
			return g.publish(channel)
		}
	}
	return "basic.cancel consumer-tag=" + tag + g.noWait()
}

// settlement settles one of the channel's deliveries, rarely one that it does not
// have; without any, something is published.
func (g *generator) settlement(channel string) string {
	tag := g.IntN(40)
	c := g.channels[channel]
	switch {
	case c != nil && len(c.unsettled) > 0 && g.IntN(30) > 0:
		tag = c.unsettled[g.IntN(len(c.unsettled))].tag
	case g.IntN(10) > 0:
		return g.publish(channel)
	}
	l := fmt.Sprintf("%s delivery-tag=%d", g.pick("basic.ack", "basic.ack", "basic.nack", "basic.reject"), tag)
	switch {
	case strings.HasPrefix(l, "basic.ack"):
		return l + g.maybe(30, "multiple")
	case strings.HasPrefix(l, "basic.nack"):
		return l + g.maybe(40, "multiple") + g.maybe(60, "requeue")
	}
	return l + g.maybe(60, "requeue")
}

func (g *generator) noWait() string { return g.maybe(6, "no-wait") }

var allQueues = []string{"q1", "q2", "q3", "d1", "d2", "d3"}

// queue is any queue, seldom the channel's last; routed one that exchanges lead to.
func (g *generator) queue() string {
	if g.IntN(40) == 0 {
		return `""`
	}
	return g.pick("q1", "q2", "q3", g.pick(allQueues...))
}
func (g *generator) routed() string   { return g.pick("q1", "q2", "q3") }
func (g *generator) exchange() string { return g.pick(`""`, "x1", "x2", "x3", "amq.topic") }
func (g *generator) bound() string    { return g.pick("x1", "x2", "x3", "amq.topic") }
func (g *generator) key() string {
	return g.pick("q1", "q2", "q3", "a", "a.b", "a.*", "#", "*.b", `""`)
}
