package scenario

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/skip"
)

const scripts = "../scenarios"

// Scenarios wait for RabbitMQ most of the time, so many are played at once.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "24")
	}
	os.Exit(m.Run())
}

// Every scenario goes the same on RabbitMQ and on pocketmq.
// go test -run TestScenarios/EXCH/some-name plays one.
func TestScenarios(t *testing.T) {
	areas, err := ReadDir(scripts)
	require.NoError(t, err)
	b := newBench(t)
	t.Cleanup(func() { b.publish(t, areas) })
	for _, area := range slices.Sorted(maps.Keys(areas)) {
		t.Run(area, func(t *testing.T) {
			t.Parallel()
			for _, s := range areas[area] {
				t.Run(s.Name, func(t *testing.T) {
					t.Parallel()
					b.play(t, s)
				})
			}
		})
	}
}

// baseVersion is the version that scripts are written for: what is written down for another is what differs.
const baseVersion = "3.10.8"

// laterMode is that of another RabbitMQ, of which the scoreboard has what make scenarios40 has shown.
const laterMode = "4.0"

// bench plays scenarios on both servers.
type bench struct {
	rabbit  *RabbitMQ // nil = none
	missing string    // why there is none
	prefix  string    // of all names of this run
	count   atomic.Int32

	mu       sync.Mutex
	outcomes map[*Scenario]Outcome // guarded by mu
	free     []names               // virtual hosts on RabbitMQ that nobody uses, and nothing is in; guarded by mu
}

// newBench finds RabbitMQ. Without CI it may be missing: then pocketmq plays alone.
func newBench(t *testing.T) *bench {
	t.Helper()
	var id [2]byte
	rand.Read(id[:])
	b := &bench{prefix: "s" + hex.EncodeToString(id[:]), outcomes: map[*Scenario]Outcome{}}
	rabbit, err := FindRabbitMQ()
	if err != nil {
		b.missing = err.Error()
		return b
	}
	b.rabbit = rabbit
	t.Cleanup(func() {
		if err := rabbit.Clean(b.prefix + "."); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) names(s *Scenario) names {
	n := names{prefix: fmt.Sprintf("%s.%03d", b.prefix, b.count.Add(1)), password: "guest", givens: s.Givens}
	if b.rabbit != nil {
		n.password = b.rabbit.password
	}
	return n
}

// prepare makes what scenarios are given on RabbitMQ.
func (b *bench) prepare(t *testing.T, scenarios []*Scenario) []names {
	t.Helper()
	all := make([]names, len(scenarios))
	for i, s := range scenarios {
		all[i] = b.names(s)
	}
	if b.rabbit != nil && len(all) > 0 {
		require.NoError(t, b.rabbit.Prepare(all))
	}
	return all
}

// borrow returns names for a scenario, with what it is given prepared on RabbitMQ.
// Virtual hosts cost RabbitMQ half a second each, so those who are given nothing
// use them one after the other.
func (b *bench) borrow(s *Scenario) (names, error) {
	b.mu.Lock()
	if n := len(b.free); n > 0 && len(s.Givens) == 0 {
		defer b.mu.Unlock()
		last := b.free[n-1]
		b.free = b.free[:n-1]
		return last, nil
	}
	b.mu.Unlock()
	n := b.names(s)
	return n, b.rabbit.Prepare([]names{n})
}

// giveBack ends the use of what borrow returned.
func (b *bench) giveBack(s *Scenario, n names) {
	if len(s.Givens) > 0 || b.rabbit.Empty(n.prefix) != nil {
		return // what cannot be emptied is not used again
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, n)
}

// play plays a scenario on both servers, and on pocketmq in those versions whose
// answers are written down, and reports the first difference.
func (b *bench) play(t *testing.T, s *Scenario) {
	t.Helper()
	n := b.names(s)
	base := PlayOurs(t, s, n, baseVersion)
	require.NoError(t, base.Err, "pocketmq")
	require.NoError(t, s.checkOurs(base))
	for _, v := range s.Versions() {
		other := PlayOurs(t, s, n, v)
		expected := Transcript{Steps: s.in(v, base.Steps)}
		if other.Err != nil || firstDifference(expected, other) >= 0 {
			t.Error(Report(s, Side{"what is written down for " + v, expected}, Side{"pocketmq in version " + v, other}))
		}
	}
	if b.rabbit == nil {
		skip.For(t, b.missing)
	}
	ours := PlayOurs(t, s, n, b.rabbit.Version)
	var borrowed []names
	theirs, err := b.rabbit.Play(s, func() (names, error) {
		n, err := b.borrow(s)
		borrowed = append(borrowed, n)
		return n, err
	}, func(step int) []string { return s.expectedOfRabbitMQ(b.rabbit.Version, step, ours) })
	for _, n := range borrowed {
		b.giveBack(s, n)
	}
	require.NoError(t, err)
	if os.Getenv("TRANSCRIPT") != "" {
		t.Log(Report(s, Side{"RabbitMQ " + b.rabbit.Version, theirs}, Side{"pocketmq", ours}))
	}
	outcome := Same
	switch {
	case s.differ(b.rabbit.Version, theirs, ours):
		outcome = Different
	case s.Differs(b.rabbit.Version) != "":
		outcome = Deliberate
	}
	b.mu.Lock()
	b.outcomes[s] = outcome
	b.mu.Unlock()
	if outcome == Different {
		t.Error(Report(s, Side{"RabbitMQ " + b.rabbit.Version, theirs}, Side{"pocketmq", s.withTheirs(b.rabbit.Version, ours)}))
	}
}

// publish checks that the documents say what a run of all scenarios has shown, or
// makes them say it. Of another RabbitMQ than the usual one that is kept for later.
func (b *bench) publish(t *testing.T, areas map[string][]*Scenario) {
	all := 0
	for _, scenarios := range areas {
		all += len(scenarios)
	}
	if len(b.outcomes) < all || b.rabbit == nil {
		return // only some were played
	}
	if modeOf(b.rabbit.Version) != modeOf(baseVersion) {
		if *update {
			require.NoError(t, newRecord(b.rabbit.Version, b.outcomes).write(scripts))
		}
		return
	}
	rules, err := ReadRules(scripts)
	require.NoError(t, err)
	later, err := readRecord(scripts, laterMode)
	require.NoError(t, err)
	board := &Scoreboard{rules, areas, b.outcomes, b.rabbit.Version, later}
	quoteIn(t, "../../docs/COMPAT.md", board.Markdown())
	quoteIn(t, "../../README.md", board.Totals()+"\n")
}

// quoteIn checks that a document has a text between the marks, or puts it there.
func quoteIn(t *testing.T, file, text string) {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	before, inside, after, err := marked(string(b))
	require.NoError(t, err, file)
	switch {
	case inside == text:
	case *update:
		require.NoError(t, os.WriteFile(file, []byte(before+text+after), 0o644))
	default:
		t.Errorf("%s does not say what the scenarios show: go test ./scenario -update writes it", file)
	}
}
