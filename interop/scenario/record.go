package scenario

import (
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Record is how the scenarios went on a RabbitMQ that not every run has, kept in
// a file. What it says of a scenario whose script is another now counts no more.
type Record struct {
	Version string // RabbitMQ's
	lines   map[string]recorded
}

// recorded is how a scenario with such a script went.
type recorded struct {
	sum     uint32
	outcome Outcome
}

func newRecord(version string, outcomes map[*Scenario]Outcome) *Record {
	r := &Record{version, map[string]recorded{}}
	for s, o := range outcomes {
		r.lines[s.Full()] = recorded{s.sum, o}
	}
	return r
}

func (r *Record) outcome(s *Scenario) Outcome {
	if line := r.lines[s.Full()]; line.sum == s.sum {
		return line.outcome
	}
	return NotPlayed
}

// recordFile is where the record of a mode is, such as 4.0.
func recordFile(dir, mode string) string { return filepath.Join(dir, "rabbitmq-"+mode+".txt") }

func (r *Record) write(dir string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# How the scenarios went on this RabbitMQ, and the checksums of their scripts.\nRabbitMQ %s\n", r.Version)
	for _, name := range slices.Sorted(maps.Keys(r.lines)) {
		line := r.lines[name]
		fmt.Fprintf(&b, "%s %08x %s\n", name, line.sum, line.outcome)
	}
	return os.WriteFile(recordFile(dir, modeOf(r.Version)), []byte(b.String()), 0o644)
}

func readRecord(dir, mode string) (*Record, error) {
	file := recordFile(dir, mode)
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Record{lines: map[string]recorded{}}
	for line := range strings.Lines(string(b)) {
		var name, outcome string
		var sum uint32
		if strings.HasPrefix(line, "#") {
			continue
		}
		if n, _ := fmt.Sscanf(line, "RabbitMQ %s\n", &r.Version); n == 1 {
			continue
		}
		if _, err := fmt.Sscanf(line, "%s %x %s\n", &name, &sum, &outcome); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, line, err)
		}
		o := slices.Index(outcomeNames[:], outcome)
		if o < 0 {
			return nil, fmt.Errorf("%s: %s: there is no outcome %q", file, name, outcome)
		}
		r.lines[name] = recorded{sum, Outcome(o)}
	}
	return r, nil
}

// add takes a line of the script into its checksum.
func (s *Scenario) add(line string) {
	s.sum = crc32.Update(s.sum, crc32.IEEETable, []byte(line+"\n"))
}
