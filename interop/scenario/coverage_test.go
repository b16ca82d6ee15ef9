package scenario

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what tests find into missing.txt and docs/COMPAT.md")

// Every rule that a client can observe has a scenario, but for those in missing.txt.
func TestEveryRuleHasAScenario(t *testing.T) {
	areas, err := ReadDir(scripts)
	require.NoError(t, err)
	rules, err := ReadRules(scripts)
	require.NoError(t, err)
	allowed, err := readMissing(scripts)
	require.NoError(t, err)
	shown := byRule(areas)

	var missing []string
	for _, r := range rules {
		if r.Not == "" && len(shown[r.Name]) == 0 {
			missing = append(missing, r.Name)
			if !slices.Contains(allowed, r.Name) {
				t.Errorf("no scenario for %s: %s", r.Name, r.Title)
			}
		}
	}
	for name, scenarios := range shown {
		area, _, _ := strings.Cut(name, "-")
		listed := slices.ContainsFunc(rules, func(r Rule) bool { return strings.HasPrefix(r.Name, area+"-") })
		if listed && !slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == name }) {
			t.Errorf("%s shows %s, which is not in rules.txt", scenarios[0].Full(), name)
		}
	}
	t.Logf("%d rules without a scenario: %s", len(missing), strings.Join(missing, " "))
	if *update {
		require.NoError(t, writeMissing(scripts, missing))
	}
}
