package scenario

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// Random makes up a scenario of so many steps: legal and illegal operations on the
// channels of two connections. What pocketmq answers decides how it goes on, so
// that tags are mostly right and what was closed is opened again. Steps after which
// it is a matter of chance what RabbitMQ does are left out.
func Random(t *testing.T, seed uint64, steps int, name func(*Scenario) names, version string) *Scenario {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), steps: steps, made: map[string]string{}, s: &Scenario{
		Area: "random", Name: fmt.Sprintf("seed-%d", seed), Rules: []string{"ORD-1"}, Pos: fmt.Sprintf("seed %d", seed),
	}}
	g.prelude()
	g.begun = len(g.s.Steps)
	n := name(g.s)
	compat, _ := compatOf(version)
	for len(g.s.Steps) < steps {
		synctest.Test(t, func(t *testing.T) {
			w, err := newPocketMQ(n, compat)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			g.model, g.forced, g.wanted = newModel(), "", nil
			if played := play(g.s, w, n, nil, g.next); played.Err != nil {
				t.Fatalf("%s\n%v", g.s, played.Err)
			}
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	marked, _, ok := determine(g.s, func(s *Scenario) Transcript { return PlayOurs(t, s, n, version) })
	if !ok {
		t.Fatalf("%s\npocketmq does not do the same again", g.s)
	}
	return marked
}

// generator makes up a scenario while it is played.
type generator struct {
	*rand.Rand
	s       *Scenario
	steps   int               // wanted
	begun   int               // of them are the prelude
	longest int               // script so far
	failed  int               // steps since then, because of chance
	*model                    // what is known after the steps so far
	made    map[string]string // how a queue or exchange is usually declared
	forced  string            // the next line, if there is no choice
	wanted  []string          // methods that make what was missing
	named   int               // consumers
	bodies  int               // published
}

// prelude makes what the rest is about: queues q1 to q3, which exchanges lead to,
// and for the dead letters of each a queue of its own, since those of two queues
// would come in any order. f1 to f3 are exchanges on their way there.
func (g *generator) prelude() {
	say := func(line string) { g.s.Steps = append(g.s.Steps, Step{Pos: g.s.Pos, Lines: []string{line}}) }
	declare := func(name, method string) {
		g.made[name] = method
		say("a.1 " + method)
	}
	say("conn a channels=3")
	say("conn b channels=2")
	quorum := map[string]bool{}
	switch g.IntN(8) {
	case 0:
		g.s.Givens = g.policies()
	case 1, 2:
		q := g.pick("1", "2", "3")
		quorum["q"+q], quorum["d"+q] = true, g.IntN(2) == 0
	}
	for _, q := range allQueues {
		if quorum[q] {
			declare(q, "queue.declare queue="+q+" durable "+g.quorumArguments(q))
			continue
		}
		declare(q, "queue.declare queue="+q+g.maybe(15, "durable")+g.maybe(15, "auto-delete")+g.maybe(60, g.arguments(q)))
	}
	for _, x := range []string{"x1", "x2", "x3"} {
		declare(x, fmt.Sprintf("exchange.declare exchange=%s type=%s%s%s", x, g.exchangeType(),
			g.maybe(15, "auto-delete"), g.maybe(30, "arguments={alternate-exchange:S:x1}", "arguments={alternate-exchange:S:x2}")))
	}
	for _, n := range []string{"1", "2", "3"} {
		declare("f"+n, "exchange.declare exchange=f"+n+" type=fanout")
		say(fmt.Sprintf("a.1 queue.bind queue=d%s exchange=f%s", n, n))
	}
	for range 5 {
		say("a.1 " + g.bind(""))
	}
}

// next sees what came in a step, and adds another after the last. It takes back
// the last, and ends the play, if what comes is a matter of chance; and some more
// when nothing else seems to follow.
func (g *generator) next(i int, a Answers) bool {
	if i >= len(g.s.Steps) {
		return true
	}
	if g.see(&g.s.Steps[i], a) == anyResult {
		g.failed++
		g.s.Steps = g.s.Steps[:max(g.begun, i-g.failed/3)]
		return false
	}
	if len(g.s.Steps) > g.longest {
		g.longest, g.failed = len(g.s.Steps), 0
	}
	g.learn(g.s.Steps[i].Lines[0], a)
	if i == len(g.s.Steps)-1 && len(g.s.Steps) < g.steps {
		g.s.Steps = append(g.s.Steps, Step{Pos: g.s.Pos, Lines: []string{g.line()}})
	}
	return true
}

var missing = regexp.MustCompile(`no (?:queue|exchange) '(\w+)' in vhost`)

// learn decides what must follow a step.
func (g *generator) learn(line string, a Answers) {
	g.forced = ""
	if strings.Contains(line, soon) {
		g.forced = "wait 1s"
	}
	_, method, _ := strings.Cut(line, " ")
	g.wanted = slices.DeleteFunc(g.wanted, func(w string) bool { return w == method })
	for _, l := range a.lines() {
		if m := missing.FindStringSubmatch(l); m != nil && g.made[m[1]] != "" && !slices.Contains(g.wanted, g.made[m[1]]) {
			g.wanted = append(g.wanted, g.made[m[1]])
		}
	}
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// maybe is one of the words in percent of all cases, and "" otherwise.
func (g *generator) maybe(percent int, words ...string) string {
	if g.IntN(100) < percent {
		return " " + g.pick(words...)
	}
	return ""
}
