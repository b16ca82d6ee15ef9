//go:build mutations

package scenario

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMutations checks that each deliberate fault makes a scenario go differently
// from a pocketmq without it. That one answers as RabbitMQ does: TestScenarios.
func TestMutations(t *testing.T) {
	areas, err := ReadDir(scripts)
	require.NoError(t, err)
	var all []*Scenario
	for _, area := range slices.Sorted(maps.Keys(areas)) {
		all = append(all, areas[area]...)
	}
	names := func(s *Scenario) names { return names{prefix: "vhost", password: "guest", givens: s.Givens} }
	sound := make([]Transcript, len(all))
	for i, s := range all {
		sound[i] = PlayOurs(t, s, names(s), baseVersion)
	}
	mutations := strings.Fields(os.Getenv("POCKETMQ_MUTATIONS"))
	require.NotEmpty(t, mutations, "go run ./scenario/mutate says which")
	for _, m := range mutations {
		t.Setenv("POCKETMQ_MUTATION", m)
		var caught []string
		for i, s := range all {
			if sound[i].Err == nil && firstDifference(sound[i], PlayOurs(t, s, names(s), baseVersion)) >= 0 {
				caught = append(caught, s.Full())
			}
		}
		if len(caught) == 0 {
			t.Errorf("no scenario notices %s", m)
			continue
		}
		t.Logf("%s: noticed by %d, such as %s", m, len(caught), caught[0])
	}
}

// TestRandomMutations checks that random scenarios notice faults as well: each of
// these by one of the first few.
func TestRandomMutations(t *testing.T) {
	names := func(s *Scenario) names { return names{prefix: "vhost", password: "guest", givens: s.Givens} }
	var all []*Scenario
	var sound []Transcript
	for seed := range uint64(16) {
		s := Random(t, seed, 200, names, baseVersion)
		all = append(all, s)
		sound = append(sound, PlayOurs(t, s, names(s), baseVersion))
	}
	for _, m := range []string{
		"round-robin-off", "wrong-requeue-place", "redelivered-not-set", "multiple-off-by-one", "transaction-acks-early",
		"max-length-off-by-one", "dead-letter-keeps-its-key", "alternate-exchange-ignored",
	} {
		require.Contains(t, strings.Fields(os.Getenv("POCKETMQ_MUTATIONS")), m)
		t.Setenv("POCKETMQ_MUTATION", m)
		noticed := 0
		for i, s := range all {
			if firstDifference(sound[i], PlayOurs(t, s, names(s), baseVersion)) >= 0 {
				noticed++
			}
		}
		if noticed == 0 {
			t.Errorf("no random scenario notices %s", m)
			continue
		}
		t.Logf("%s: noticed by %d random scenarios of %d", m, noticed, len(all))
	}
}
