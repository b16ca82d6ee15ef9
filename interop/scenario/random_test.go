package scenario

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/skip"
)

var (
	sequences = flag.Int("sequences", 8, "how many random scenarios are played")
	ops       = flag.Int("ops", 150, "how many steps a random scenario has")
	budget    = flag.Int("budget", 100, "how often one that differs is played to make it shorter")
	seed      = flag.Uint64("seed", 1, "seed of the first random scenario; 0 = any")
)

// Random scenarios go the same on RabbitMQ and on pocketmq. One that does not is
// shrunk to a script to be added to ../scenarios.
func TestRandom(t *testing.T) {
	b := newBench(t)
	if b.rabbit == nil {
		skip.For(t, b.missing)
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1 << 40)
	}
	stock := &stock{bench: b}
	for i := range uint64(*sequences) {
		t.Run(fmt.Sprint("seed=", first+i), func(t *testing.T) {
			t.Parallel()
			version := b.rabbit.Version
			s := Random(t, first+i, *ops, b.names(&Scenario{}), version)
			ours := PlayOurs(t, s, b.names(s), version)
			theirs := stock.play(t, s, ours, patient)
			if !s.differ(version, theirs, ours) {
				return
			}
			s.Steps = s.Steps[:min(len(theirs.Steps), len(s.Steps))]
			short := Shrink(s, *budget, func(s *Scenario) bool {
				ours := PlayOurs(t, s, b.names(s), version)
				return ours.Err == nil && !byChance(s, ours) && s.differ(version, stock.play(t, s, ours, hasty), ours)
			})
			ours = PlayOurs(t, short, b.names(short), version)
			theirs = stock.play(t, short, ours, patient)
			t.Errorf("a scenario that differs:\n\n%s\n%s", short, Report(short, Side{"RabbitMQ " + version, theirs}, Side{"pocketmq", ours}))
		})
	}
}

// stock keeps virtual hosts in stock: making one takes as long as making twenty.
type stock struct {
	*bench
	mu    sync.Mutex
	ready []names
}

func (k *stock) names(t *testing.T) names {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ready) == 0 {
		k.ready = k.prepare(t, slices.Repeat([]*Scenario{{}}, 20))
	}
	n := k.ready[0]
	k.ready = k.ready[1:]
	return n
}

// play plays a scenario on RabbitMQ, where the answers should be ours.
func (k *stock) play(t *testing.T, s *Scenario, ours Transcript, p pace) Transcript {
	t.Helper()
	theirs, err := k.rabbit.play(s, func() (names, error) { return k.names(t), nil },
		func(step int) []string { return s.expectedOfRabbitMQ(k.rabbit.Version, step, ours) }, p)
	require.NoError(t, err)
	return theirs
}
