package scenario

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/skip"
)

var (
	sequences = flag.Int("sequences", 8, "how many random scenarios are played")
	playFor   = flag.Duration("for", 0, "how long random scenarios are played, however many")
	ops       = flag.Int("ops", 200, "how many steps a random scenario has")
	budget    = flag.Int("budget", 1000, "how often one that differs is played to make it shorter")
	shrinkFor = flag.Duration("shrink", 2*time.Minute, "how long, at most")
	seed      = flag.Uint64("seed", 1, "seed of the first random scenario; 0 = any")
)

// Random scenarios go the same on RabbitMQ and on pocketmq. One that does not is
// shrunk to a script to be added to ../scenarios.
func TestRandom(t *testing.T) {
	r := &run{bench: newBench(t), first: *seed, begun: time.Now()}
	if r.rabbit == nil {
		skip.For(t, r.missing)
	}
	if r.first == 0 {
		r.first = rand.Uint64N(1 << 40)
	}
	r.free = r.prepare(t, slices.Repeat([]*Scenario{{}}, min(playersAtOnce, *sequences)))
	var players sync.WaitGroup
	for range playersAtOnce {
		players.Go(func() {
			for seed, ok := r.next(); ok; seed, ok = r.next() {
				same := t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { r.compare(t, seed) })
				r.played(t, seed, same)
			}
		})
	}
	players.Wait()
	t.Logf("seeds %d to %d, %d operations each: %d of %d differ %v, in %v",
		r.first, r.first+uint64(r.started)-1, *ops, len(r.differing), r.started, r.differing, time.Since(r.begun).Round(time.Second))
}

// playersAtOnce is how many scenarios are played at a time: RabbitMQ is waited for.
const playersAtOnce = 20

// run is a number of random scenarios, with consecutive seeds.
type run struct {
	*bench
	first uint64
	begun time.Time

	mu            sync.Mutex
	started, done int
	differing     []uint64 // seeds
}

// next is the seed of another scenario, if there is to be one.
func (r *run) next() (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *playFor > 0 && time.Since(r.begun) >= *playFor || *playFor == 0 && r.started >= *sequences {
		return 0, false
	}
	r.started++
	return r.first + uint64(r.started) - 1, true
}

// played notes, and says now and then, how far it is.
func (r *run) played(t *testing.T, seed uint64, same bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if !same {
		r.differing = append(r.differing, seed)
	}
	if r.done%25 == 0 || !same {
		t.Logf("%d scenarios of %d operations in %v, %d differ", r.done, *ops, time.Since(r.begun).Round(time.Second), len(r.differing))
	}
}

// compare plays the scenario of a seed on both servers.
func (r *run) compare(t *testing.T, seed uint64) {
	version := r.rabbit.Version
	s := Random(t, seed, *ops, r.names, version)
	ours := PlayOurs(t, s, r.names(s), version)
	theirs := r.theirs(t, s, ours, patient)
	for strings.Contains(strings.Join(at(theirs.Steps, len(theirs.Steps)-1), "\n"), " connection.blocked ") {
		time.Sleep(5 * time.Second) // somebody else's alarm
		theirs = r.theirs(t, s, ours, patient)
	}
	if !s.differ(version, theirs, ours) {
		return
	}
	s.Steps = s.Steps[:min(len(theirs.Steps), len(s.Steps))]
	t.Logf("seed %d differs after %d steps; it is made shorter", seed, len(s.Steps))
	until := time.Now().Add(*shrinkFor)
	var once sync.Mutex // bubbles are made one after the other
	short := Shrink(s, *budget, func(s *Scenario) bool {
		if time.Now().After(until) {
			return false
		}
		once.Lock()
		s, ours, ok := determine(s, func(s *Scenario) Transcript { return PlayOurs(t, s, r.names(s), version) })
		once.Unlock()
		return ok && ours.Err == nil && s.differ(version, r.theirs(t, s, ours, hasty), ours)
	})
	short, ours, _ = determine(short, func(s *Scenario) Transcript { return PlayOurs(t, s, r.names(s), version) })
	theirs = r.theirs(t, short, ours, patient)
	if !short.differ(version, theirs, ours) {
		t.Errorf("a scenario that differs, but not every time:\n\n%s\n", s)
		return
	}
	t.Errorf("a scenario that differs:\n\n%s\n%s", short, Report(short, Side{"RabbitMQ " + version, theirs}, Side{"pocketmq", ours}))
}

// theirs plays a scenario on RabbitMQ, where the answers should be ours.
func (r *run) theirs(t *testing.T, s *Scenario, ours Transcript, p pace) Transcript {
	t.Helper()
	var borrowed []names
	theirs, err := r.rabbit.play(s, func() (names, error) {
		n, err := r.borrow(s)
		borrowed = append(borrowed, n)
		return n, err
	}, func(step int) []string { return s.expectedOfRabbitMQ(r.rabbit.Version, step, ours) }, p)
	for _, n := range borrowed {
		r.giveBack(s, n)
	}
	require.NoError(t, err)
	return theirs
}

// Random scenarios are as long as they should be, and have something of everything.
func TestRandomScenariosAreManifold(t *testing.T) {
	n := func(s *Scenario) names { return names{prefix: "vhost", password: "guest", givens: s.Givens} }
	seen := map[string]int{}
	for seed := range uint64(60) {
		s := Random(t, seed, 200, n, baseVersion)
		require.Len(t, s.Steps, 200)
		played := PlayOurs(t, s, n(s), baseVersion)
		require.NoError(t, played.Err)
		for i, step := range s.Steps {
			seen[parseSaid(step.Lines[0]).method]++
			for _, l := range played.Steps[i].lines() {
				a := parseSaid(l)
				seen[strings.TrimSpace(a.method+" "+a.fields["reply-code"])]++
			}
		}
	}
	for _, what := range []string{
		"queue.declare-ok", "queue.delete-ok", "queue.purge-ok", "queue.bind-ok", "queue.unbind-ok", "exchange.declare-ok", "exchange.delete-ok",
		"exchange.bind-ok", "exchange.unbind-ok", "basic.deliver", "basic.get-ok", "basic.get-empty", "basic.return 312", "basic.ack", "basic.nack",
		"basic.reject", "basic.recover-ok", "basic.consume-ok", "basic.cancel-ok", "basic.cancel", "basic.qos-ok", "confirm.select-ok",
		"tx.commit-ok", "tx.rollback-ok", "channel.close 403", "channel.close 404", "channel.close 405", "channel.close 406",
		"connection.close 503", "connection.close 504", "connection.close 540", "drop", "1s",
	} {
		require.Positive(t, seen[what], what)
	}
	errors := seen["channel.close 403"] + seen["channel.close 404"] + seen["channel.close 406"]
	require.Less(t, errors, 60*200/10, "channels that end all the time have no past")
}

// What is not needed for a failure is left out: steps, words, arguments.
func TestShrink(t *testing.T) {
	n := func(s *Scenario) names { return names{prefix: "vhost", password: "guest", givens: s.Givens} }
	long := Random(t, 3, 200, n, baseVersion)
	lines := []string{
		"a.1 queue.declare queue=q9 durable arguments={x-max-length:I:1, x-overflow:S:drop-head}",
		"a.2 basic.publish routing-key=q9 body=m mandatory priority=2 headers={k1:I:1, k2:V}",
	}
	for i, line := range lines {
		long.Steps = slices.Insert(long.Steps, 60*(i+1), Step{Lines: []string{line}})
	}
	tried := atomic.Int32{}
	short := Shrink(long, 1000, func(s *Scenario) bool {
		tried.Add(1)
		all := s.String()
		declared, published := strings.Index(all, "queue=q9"), strings.Index(all, "routing-key=q9")
		return 0 <= declared && declared < published && strings.Contains(all, "x-max-length:I:1") && strings.Contains(all, "mandatory")
	})
	require.Equal(t, []string{
		"scenario seed-3 rules ORD-1",
		"a.1 queue.declare queue=q9 arguments={x-max-length:I:1}",
		"a.2 basic.publish routing-key=q9 body=m mandatory", "",
	}, strings.Split(short.String(), "\n"))
	require.Less(t, int(tried.Load()), 200)
}

// A shrinker that may not try any more returns what it has.
func TestShrinkKeepsToItsBudget(t *testing.T) {
	s := &Scenario{Name: "long"}
	for i := range 100 {
		s.Steps = append(s.Steps, Step{Lines: []string{fmt.Sprintf("a.1 basic.publish body=%d", i)}})
	}
	tried := atomic.Int32{}
	short := Shrink(s, 10, func(s *Scenario) bool {
		tried.Add(1)
		return strings.Contains(s.String(), "body=99\n")
	})
	require.LessOrEqual(t, int(tried.Load()), 10)
	require.Less(t, len(short.Steps), 100)
}
