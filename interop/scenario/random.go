package scenario

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// Random makes up a scenario of so many steps: legal and illegal operations on two
// channels of each of two connections. What pocketmq answers decides how it goes
// on, so that tags are mostly right and what was closed is opened again. Steps
// after which the order of answers is a matter of chance are left out.
func Random(t *testing.T, seed uint64, steps int, n names, version string) *Scenario {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), made: map[string]string{}, s: &Scenario{
		Area: "random", Name: fmt.Sprintf("seed-%d", seed), Rules: []string{"ORD-1"}, Pos: fmt.Sprintf("seed %d", seed),
	}}
	for _, line := range g.prelude() {
		g.s.Steps = append(g.s.Steps, Step{Pos: g.s.Pos, Lines: []string{line}})
	}
	compat, _ := compatOf(version)
	for len(g.s.Steps) < steps {
		g.chance, g.unsettled, g.repair, g.transactional = newChance(), map[string][]int{}, nil, map[string]bool{}
		synctest.Test(t, func(t *testing.T) {
			w, err := newPocketMQ(n, compat)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.close()
			play(g.s, w, n, nil, func(i int, a Answers) bool { return g.next(i, a, steps) })
		})
	}
	return g.s
}

// generator makes up a scenario while it is played.
type generator struct {
	*rand.Rand
	s         *Scenario
	chance    *chance
	made      map[string]string // how a queue or exchange is usually declared
	unsettled map[string][]int  // the delivery tags of each channel
	repair    []string          // what was closed or is missing, as lines that put it right
	named     int               // consumers

	transactional map[string]bool // channels
}

// prelude makes what the rest is about.
func (g *generator) prelude() []string {
	lines := []string{"conn a channels=2", "conn b channels=2"}
	for _, q := range []string{"q1", "q2", "q3"} {
		g.made[q] = "queue.declare queue=" + q + g.maybe(15, "durable") + g.maybe(15, "auto-delete") + g.maybe(25, "arguments={x-max-length:I:3}",
			"arguments={x-max-length:l:2, x-overflow:S:drop-head}", "arguments={x-max-length:B:2, x-overflow:S:reject-publish}")
		lines = append(lines, "a.1 "+g.made[q])
	}
	for _, x := range []string{"x1", "x2", "x3"} {
		g.made[x] = fmt.Sprintf("exchange.declare exchange=%s type=%s%s%s", x, g.pick("direct", "topic", "fanout", "headers"),
			g.maybe(15, "auto-delete"), g.maybe(30, "arguments={alternate-exchange:S:x1}", "arguments={alternate-exchange:S:x2}"))
		lines = append(lines, "a.1 "+g.made[x])
	}
	for range 5 {
		lines = append(lines, "a.1 "+g.bind(""))
	}
	return lines
}

// next sees what came in a step, and adds another after the last. It takes back
// the last, and ends the play, if what comes is a matter of chance.
func (g *generator) next(i int, a Answers, steps int) bool {
	if i >= len(g.s.Steps) {
		return true
	}
	switch g.chance.see(&g.s.Steps[i], a) {
	case anyOrder:
		g.s.Steps[i].Unordered = true
	case anyResult:
		g.s.Steps = g.s.Steps[:i]
		return false
	}
	g.learn(&g.s.Steps[i], a)
	if i == len(g.s.Steps)-1 && len(g.s.Steps) < steps {
		g.s.Steps = append(g.s.Steps, Step{Pos: g.s.Pos, Lines: []string{g.line()}})
	}
	return true
}

var (
	deliveredTag = regexp.MustCompile(`^(\S+) basic\.(?:deliver|get-ok) .*?delivery-tag=(\d+)`)
	missing      = regexp.MustCompile(`no (?:queue|exchange) '(\w+)' in vhost`)
	settling     = regexp.MustCompile(`^(\S+) basic\.(?:ack|nack|reject) delivery-tag=(\d+)( multiple)?`)
)

// learn notes what has changed in a step.
func (g *generator) learn(step *Step, a Answers) {
	line := step.Lines[0]
	if m := settling.FindStringSubmatch(line); m != nil {
		g.settle(m[1], m[2], m[3] != "")
	}
	if channel, rest, _ := strings.Cut(line, " "); rest == "channel.close" {
		g.lose(channel)
	} else if strings.HasPrefix(rest, "basic.recover") {
		g.unsettled[channel] = nil
	}
	for _, key := range slices.Sorted(maps.Keys(a)) {
		for _, l := range a[key] {
			if m := deliveredTag.FindStringSubmatch(l); m != nil && !strings.HasSuffix(line, " no-ack") && !g.chance.noAck(l) {
				tag, _ := strconv.Atoi(m[2])
				g.unsettled[key] = append(g.unsettled[key], tag)
			}
			switch {
			case strings.HasPrefix(l, key+" channel.close "):
				g.repair = append(g.repair, key+" channel.open")
				g.lose(key)
				if m := missing.FindStringSubmatch(l); m != nil && g.made[m[1]] != "" && g.IntN(10) > 0 {
					g.repair = append(g.repair, key+" "+g.made[m[1]])
				}
			case l == key+" tx.select-ok":
				g.transactional[key] = true
			case l == key+" closed":
				g.gone(key)
			}
		}
	}
}

func (g *generator) settle(channel, word string, multiple bool) {
	tag, _ := strconv.Atoi(word)
	g.unsettled[channel] = slices.DeleteFunc(g.unsettled[channel], func(t int) bool {
		return t == tag || multiple && (t < tag || tag == 0)
	})
}

func (g *generator) gone(conn string) {
	g.repair = slices.DeleteFunc(g.repair, func(l string) bool { return strings.HasPrefix(l, conn+".") })
	g.repair = append(g.repair, "conn "+conn+" channels=2")
	g.lose(conn + ".1")
	g.lose(conn + ".2")
}

// lose forgets what a channel had.
func (g *generator) lose(channel string) {
	g.unsettled[channel] = nil
	g.transactional[channel] = false
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// maybe is one of the words in percent of all cases, and "" otherwise.
func (g *generator) maybe(percent int, words ...string) string {
	if g.IntN(100) < percent {
		return " " + g.pick(words...)
	}
	return ""
}

func (g *generator) queue() string    { return g.pick("q1", "q2", "q3") }
func (g *generator) exchange() string { return g.pick(`""`, "x1", "x2", "x3", "amq.topic") }
func (g *generator) key() string {
	return g.pick("q1", "q2", "q3", "a", "a.b", "a.*", "#", "*.b", `""`)
}

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
		return fmt.Sprintf("queue.unbind queue=%s exchange=%s routing-key=%s", g.queue(), g.exchange(), g.key())
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
	{2, func(g *generator, _ string) string {
		return fmt.Sprintf("basic.cancel consumer-tag=t%d", 1+g.IntN(g.named+1))
	}},
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
	return fmt.Sprintf("queue.bind queue=%s exchange=%s routing-key=%s%s", g.queue(), x, g.key(), g.headers(true))
}

func (g *generator) declareQueue(string) string {
	if g.IntN(2) == 0 {
		return g.made[g.queue()]
	}
	l := "queue.declare queue=" + g.queue() + g.maybe(25, "passive") + g.maybe(10, "durable") + g.maybe(4, "exclusive") + g.maybe(12, "auto-delete")
	return l + g.maybe(20, "arguments={x-max-length:I:1}", "arguments={x-max-length:l:2, x-overflow:S:drop-head}",
		"arguments={x-max-length:I:0}", "arguments={x-max-length:B:2, x-overflow:S:reject-publish}", "arguments={x-max-length:S:two}",
		"arguments={x-overflow:S:sometimes}")
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
	return fmt.Sprintf("basic.publish %s body=%d%s%s%s", to, g.IntN(1000), g.maybe(40, "mandatory"), g.maybe(10, "delivery-mode=2"), g.headers(false))
}

// consume never uses a tag that is taken: that would end the connection each time.
func (g *generator) consume(string) string {
	g.named++
	return fmt.Sprintf("basic.consume queue=%s consumer-tag=t%d", g.queue(), g.named) + g.maybe(20, "no-ack") + g.maybe(8, "exclusive") +
		g.maybe(15, "arguments={x-priority:I:5}")
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
		return l + g.maybe(40, "multiple") + g.maybe(75, "requeue")
	}
	return l + g.maybe(75, "requeue")
}

// The kinds of chance.
const (
	noChance  = iota
	anyOrder  // of what comes in this step on a channel
	anyResult // also what follows depends on it
)

// chance knows where RabbitMQ may go one way or another.
type chance struct {
	queues map[string]string // of consumers
	noAcks map[string]bool   // the consumers that are
}

func newChance() *chance { return &chance{map[string]string{}, map[string]bool{}} }

// noAck tells whether a delivery is one that cannot be settled.
func (c *chance) noAck(line string) bool {
	m := deliverLine.FindStringSubmatch(line)
	return m != nil && c.noAcks[m[2]]
}

var consumeLine = regexp.MustCompile(`basic\.consume queue=(\S+) consumer-tag=(\S+)( no-ack)?`)

var deliverLine = regexp.MustCompile(`^(\S+) basic\.deliver consumer-tag=(\S+)`)

// see tells whether the answers in a step are a matter of chance.
func (c *chance) see(step *Step, a Answers) int {
	dropped := false
	for _, l := range step.Lines {
		if m := consumeLine.FindStringSubmatch(l); m != nil {
			c.queues[m[2]], c.noAcks[m[2]] = m[1], m[3] != ""
		}
		dropped = dropped || strings.HasSuffix(l, " drop")
	}
	for key, lines := range a {
		dropped = dropped || slices.Contains(lines, key+" closed")
	}
	worst := noChance
	for _, lines := range a {
		worst = max(worst, c.channel(lines, dropped))
	}
	return worst
}

// channel looks at the answers on one channel: deliveries from two queues come in
// any order, and so do those that two lost channels of a connection return to one
// queue. Confirms, and the ends of consumers, are collected by RabbitMQ.
func (c *chance) channel(lines []string, dropped bool) int {
	queues := map[string]int{}
	deliveries, confirms, cancels := 0, 0, 0
	for _, l := range lines {
		if m := deliverLine.FindStringSubmatch(l); m != nil {
			queues[c.queues[m[2]]]++
			deliveries++
		}
		if strings.Contains(l, " basic.ack ") || strings.Contains(l, " basic.nack ") {
			confirms++
		}
		if strings.Contains(l, " basic.cancel ") {
			cancels++
		}
	}
	switch {
	case len(queues) > 1, dropped && deliveries > 1:
		return anyResult
	case confirms > 0 && deliveries > 0, cancels > 1:
		return anyOrder
	}
	return noChance
}

// byChance tells whether a transcript has something that is a matter of chance.
func byChance(s *Scenario, t Transcript) bool {
	c := newChance()
	for i := range s.Steps {
		if i < len(t.Steps) && c.see(&s.Steps[i], t.Steps[i]) == anyResult {
			return true
		}
	}
	return false
}

// Shrink leaves out steps, as long as fails says that what remains still fails,
// but tries it no more often than budget says.
func Shrink(s *Scenario, budget int, fails func(*Scenario) bool) *Scenario {
	for size := len(s.Steps) / 2; size > 0; {
		shorter := false
		for from := 0; from+size <= len(s.Steps) && budget > 0; {
			budget--
			candidate := *s
			candidate.Steps = slices.Delete(slices.Clone(s.Steps), from, from+size)
			if len(candidate.Steps) > 0 && fails(&candidate) {
				s, shorter = &candidate, true
			} else {
				from += size
			}
		}
		if !shorter || size > 1 {
			size /= 2
		}
		if budget <= 0 {
			break
		}
	}
	return s
}
