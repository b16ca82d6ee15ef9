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
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), made: map[string]string{}, single: map[string]bool{}, s: &Scenario{
		Area: "random", Name: fmt.Sprintf("seed-%d", seed), Rules: []string{"ORD-1"}, Pos: fmt.Sprintf("seed %d", seed),
	}}
	for _, line := range g.prelude() {
		g.s.Steps = append(g.s.Steps, Step{Pos: g.s.Pos, Lines: []string{line}})
	}
	compat, _ := compatOf(version)
	for tries := 0; len(g.s.Steps) < steps && tries < steps; tries++ { // what only chance can follow ends here
		g.chance, g.unsettled, g.repair, g.transactional = newChance(), map[string][]int{}, nil, map[string]bool{}
		synctest.Test(t, func(t *testing.T) {
			w, err := newPocketMQ(n, compat)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.close()
			played := play(g.s, w, n, nil, func(i int, a Answers) bool { return g.next(i, a, steps) })
			if played.Err != nil {
				t.Fatal(played.Err)
			}
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
	bodies    int               // published

	single        map[string]bool // queues that may have been declared with a single active consumer
	transactional map[string]bool // channels
}

// prelude makes what the rest is about: queues q1 to q3, which exchanges lead to,
// and for the dead letters of each a queue of its own, since those of two queues
// would come in any order. f1 to f3 are exchanges on their way there. Quorum queues
// are left out: what they do with consumers depends on the moment.
func (g *generator) prelude() []string {
	lines := []string{"conn a channels=2", "conn b channels=2"}
	declare := func(name, method string) {
		g.made[name] = method
		lines = append(lines, "a.1 "+method)
	}
	for _, q := range allQueues {
		declare(q, "queue.declare queue="+q+g.maybe(15, "durable")+g.maybe(15, "auto-delete")+g.maybe(60, g.arguments(q)))
	}
	for _, x := range []string{"x1", "x2", "x3"} {
		declare(x, fmt.Sprintf("exchange.declare exchange=%s type=%s%s%s", x, g.pick("direct", "topic", "fanout", "headers"),
			g.maybe(15, "auto-delete"), g.maybe(30, "arguments={alternate-exchange:S:x1}", "arguments={alternate-exchange:S:x2}")))
	}
	for _, n := range []string{"1", "2", "3"} {
		declare("f"+n, "exchange.declare exchange=f"+n+" type=fanout")
		lines = append(lines, fmt.Sprintf("a.1 queue.bind queue=d%s exchange=f%s", n, n))
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
	singleQueue  = regexp.MustCompile(`queue\.declare queue=(\w+).* ?x-single-active`)
	settling     = regexp.MustCompile(`^(\S+) basic\.(?:ack|nack|reject) delivery-tag=(\d+)( multiple)?`)
)

// learn notes what has changed in a step.
func (g *generator) learn(step *Step, a Answers) {
	line := step.Lines[0]
	if m := singleQueue.FindStringSubmatch(line); m != nil {
		g.single[m[1]] = true
	}
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
