package scenario

import (
	"fmt"
	"strings"
)

// line is the next line of the script.
func (g *generator) line() string {
	if len(g.repair) > 0 {
		l := g.repair[0]
		g.repair = g.repair[1:]
		return l
	}
	conn := g.pick("a", "a", "b")
	if g.IntN(250) == 0 {
		g.gone(conn)
		return conn + " drop"
	}
	channel := conn + "." + g.pick("1", "1", "2")
	return channel + " " + g.method(channel)
}

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
		return "queue.delete queue=" + g.queue() + g.maybe(40, "if-unused") + g.maybe(40, "if-empty")
	}},
	{2, func(g *generator, _ string) string { return "queue.purge queue=" + g.queue() }},
	{6, (*generator).bind},
	{2, func(g *generator, _ string) string {
		return fmt.Sprintf("queue.unbind queue=%s exchange=%s routing-key=%s", g.routed(), g.exchange(), g.key())
	}},
	{4, (*generator).declareExchange},
	{1, func(g *generator, _ string) string {
		return "exchange.delete exchange=" + g.exchange() + g.maybe(50, "if-unused")
	}},
	{3, func(g *generator, _ string) string {
		return fmt.Sprintf("exchange.bind destination=%s source=%s routing-key=%s", g.exchange(), g.exchange(), g.key())
	}},
	{1, func(g *generator, _ string) string {
		return fmt.Sprintf("exchange.unbind destination=%s source=%s routing-key=%s", g.exchange(), g.exchange(), g.key())
	}},
	{40, (*generator).publish},
	{14, func(g *generator, _ string) string { return "basic.get queue=" + g.queue() + g.maybe(30, "no-ack") }},
	{8, (*generator).consume},
	{2, (*generator).cancel},
	{25, (*generator).settlement},
	{2, func(g *generator, _ string) string {
		return g.pick("basic.recover", "basic.recover-async") + g.maybe(97, "requeue")
	}},
	// Not global: RabbitMQ then counts what was got, and calls it obscure itself.
	{3, func(g *generator, _ string) string { return fmt.Sprintf("basic.qos prefetch-count=%d", g.IntN(4)) }},
	{2, func(*generator, string) string { return "confirm.select" }},
	{4, (*generator).transaction},
	{1, func(g *generator, ch string) string {
		g.repair = append(g.repair, ch+" channel.open")
		return "channel.close"
	}},
}

// transaction ends one, or begins to have some.
func (g *generator) transaction(channel string) string {
	if g.transactional[channel] != (g.IntN(20) == 0) {
		return g.pick("tx.commit", "tx.rollback")
	}
	return "tx.select"
}

func (g *generator) bind(string) string {
	x := g.pick("x1", "x2", "x3", "amq.topic")
	return fmt.Sprintf("queue.bind queue=%s exchange=%s routing-key=%s%s", g.routed(), x, g.key(), g.headers(true))
}

func (g *generator) declareQueue(string) string {
	q := g.queue()
	if g.IntN(3) > 0 {
		return g.made[q]
	}
	l := "queue.declare queue=" + q + g.maybe(25, "passive") + g.maybe(10, "durable") + g.maybe(4, "exclusive") + g.maybe(12, "auto-delete")
	return l + g.maybe(30, g.arguments(q), g.arguments(q), g.pick("arguments={x-max-length:S:two}", "arguments={x-overflow:S:sometimes}",
		"arguments={x-max-priority:I:256}", "arguments={x-message-ttl:I:-1}", "arguments={x-dead-letter-exchange:I:1}",
		"arguments={x-dead-letter-routing-key:S:q1}", "arguments={x-single-active-consumer:S:true}"))
}

// arguments are what a queue is declared with.
func (g *generator) arguments(q string) string {
	var words []string
	some := func(percent int, from ...string) {
		if g.IntN(100) < percent {
			words = append(words, g.pick(from...))
		}
	}
	some(50, "x-max-length:I:3", "x-max-length:B:2", "x-max-length:l:1", "x-max-length:I:0")
	some(20, "x-max-length-bytes:I:9", "x-max-length-bytes:l:5", "x-max-length-bytes:I:1")
	some(50, "x-overflow:S:drop-head", "x-overflow:S:reject-publish", "x-overflow:S:reject-publish-dlx")
	some(15, "x-message-ttl:I:0", "x-message-ttl:I:3600000") // what takes time is not for here
	some(25, "x-max-priority:I:3", "x-max-priority:B:1", "x-max-priority:I:0")
	some(20, "x-single-active-consumer:t:true")
	some(50, g.deadLetters(q))
	return "arguments={" + strings.Join(words, ", ") + "}"
}

// deadLetters are arguments for the dead letters of a queue: they go to the other
// one of its pair, directly or through an exchange, back into the queue, or nowhere.
func (g *generator) deadLetters(q string) string {
	const by = "x-dead-letter-exchange:S:"
	n := q[1:]
	to := map[byte]string{'q': "d", 'd': "q"}[q[0]] + n
	return g.pick(by+`"", x-dead-letter-routing-key:S:`+to, by+`"", x-dead-letter-routing-key:S:`+q, by+"f"+n, by+"nowhere")
}

func (g *generator) declareExchange(string) string {
	if g.IntN(2) == 0 {
		return g.made[g.pick("x1", "x2", "x3")]
	}
	l := fmt.Sprintf("exchange.declare exchange=%s type=%s", g.pick("x1", "x2", "x3"), g.pick("direct", "topic", "fanout", "headers"))
	return l + g.maybe(20, "passive") + g.maybe(10, "durable") + g.maybe(20, "auto-delete") + g.maybe(8, "internal") +
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
	to := fmt.Sprintf("exchange=%s routing-key=%s", g.exchange(), g.key())
	if g.IntN(2) == 0 {
		to = "routing-key=" + g.queue()
	}
	// Nothing expires soon: a queue with priorities does not do it in time (TTL/expired-after-overtaking).
	g.bodies++
	return fmt.Sprintf("basic.publish %s body=%d", to, g.bodies) + g.maybe(40, "mandatory") + g.maybe(10, "delivery-mode=2") +
		g.maybe(25, "priority=0", "priority=1", "priority=2", "priority=3", "priority=200") +
		g.maybe(8, "expiration=3600000", "expiration=315360000000", "expiration=soon") + g.headers(false)
}

// consume never uses a tag that is taken: that would end the connection each time.
func (g *generator) consume(string) string {
	g.named++
	return fmt.Sprintf("basic.consume queue=%s consumer-tag=t%d", g.queue(), g.named) + g.maybe(20, "no-ack") + g.maybe(8, "exclusive") +
		g.maybe(20, "arguments={x-priority:I:5}", "arguments={x-priority:l:-1}", "arguments={x-priority:S:high}")
}

// cancel is for any consumer but those that may be single active ones: RabbitMQ
// 3.10 crashes the queue if one has a prefetch limit (CONS-20).
func (g *generator) cancel(channel string) string {
	tag := fmt.Sprintf("t%d", 1+g.IntN(g.named+1))
	if g.single[g.chance.queues[tag]] {
		return g.publish(channel)
	}
	return "basic.cancel consumer-tag=" + tag
}

// settlement settles one of the channel's deliveries, rarely one that it does not
// have; without any, something is published.
func (g *generator) settlement(channel string) string {
	tags := g.unsettled[channel]
	tag := g.IntN(40)
	switch {
	case len(tags) > 0 && g.IntN(30) > 0:
		tag = tags[g.IntN(len(tags))]
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

var allQueues = []string{"q1", "q2", "q3", "d1", "d2", "d3"}

// queue is any queue, routed one that exchanges lead to.
func (g *generator) queue() string    { return g.pick("q1", "q2", "q3", g.pick(allQueues...)) }
func (g *generator) routed() string   { return g.pick("q1", "q2", "q3") }
func (g *generator) exchange() string { return g.pick(`""`, "x1", "x2", "x3", "amq.topic") }
func (g *generator) key() string {
	return g.pick("q1", "q2", "q3", "a", "a.b", "a.*", "#", "*.b", `""`)
}
