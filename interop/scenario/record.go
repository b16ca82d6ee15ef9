package scenario

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Record is what a run of all scenarios has shown on one RabbitMQ. That of another
// version than the usual one is kept in a file, since it is not there for every run.
type Record struct {
	Version  string
	Outcomes map[string]Outcome // by the scenarios' full names
}

// worst is the worst of what scenarios have shown.
func (r Record) worst(scenarios []*Scenario) Outcome {
	worst := Same
	for _, s := range scenarios {
		if o := r.Outcomes[s.Full()]; o == NotPlayed || o > worst && worst != NotPlayed {
			worst = o
		}
	}
	return worst
}

func recordFile(dir, mode string) string { return filepath.Join(dir, "played-"+mode+".txt") }

// readRecord reads the record of a mode from the directory of the scripts.
func readRecord(dir, mode string) (Record, error) {
	b, err := os.ReadFile(recordFile(dir, mode))
	if err != nil {
		return Record{}, err
	}
	version, rest, _ := strings.Cut(string(b), "\n")
	r := Record{strings.TrimSpace(version), map[string]Outcome{}}
	for line := range strings.Lines(rest) {
		name, outcome, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for o := Same; o <= Different; o++ {
			if outcome == o.String() {
				r.Outcomes[name] = o
			}
		}
		if r.Outcomes[name] == NotPlayed {
			return Record{}, fmt.Errorf("%s: %q is not SCENARIO: OUTCOME", recordFile(dir, mode), line)
		}
	}
	return r, nil
}

// writeRecord writes what readRecord reads.
func writeRecord(dir, mode string, r Record) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Version)
	for _, name := range slices.Sorted(maps.Keys(r.Outcomes)) {
		fmt.Fprintf(&b, "%s: %s\n", name, r.Outcomes[name])
	}
	return os.WriteFile(recordFile(dir, mode), []byte(b.String()), 0o644)
}
