package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// An Outcome is how a scenario went.
type Outcome int

// The outcomes, each worse than those before it.
const (
	Same       Outcome = iota
	Deliberate         // it differs, as the script says
	Different
	NotPlayed
)

var outcomeNames = [...]string{"same", "on-purpose", "different", "not-played"}

func (o Outcome) String() string { return outcomeNames[o] }

// result is what the table says.
func (o Outcome) result() string {
	return [...]string{"same", "differs on purpose", "**different**", "**not played**"}[o]
}

// A Scoreboard is what a run of all scenarios has shown, and one on a later RabbitMQ
// before it.
type Scoreboard struct {
	Rules    []Rule
	Areas    map[string][]*Scenario
	Outcomes map[*Scenario]Outcome
	Version  string // RabbitMQ's
	Later    *Record
}

// outcome is how a scenario went on Version.
func (b *Scoreboard) outcome(s *Scenario) Outcome {
	if o, ok := b.Outcomes[s]; ok {
		return o
	}
	return NotPlayed
}

// scenarios are those of all areas.
func (b *Scoreboard) scenarios() (all []*Scenario) {
	for _, scenarios := range b.Areas {
		all = append(all, scenarios...)
	}
	return all
}

// Totals are sentences with the numbers.
func (b *Scoreboard) Totals() string {
	shown, covered, not := byRule(b.Areas), 0, 0
	for _, r := range b.Rules {
		switch {
		case r.Not != "" && len(shown[r.Name]) == 0:
			not++
		case len(shown[r.Name]) > 0:
			covered++
		}
	}
	return fmt.Sprintf("%s. They show %d of the %d rules that a client can observe. %s.", b.counts(b.Version, b.outcome),
		covered, len(b.Rules)-not, b.counts(b.Later.Version, b.Later.outcome))
}

// counts tells how the scenarios went on a version.
func (b *Scoreboard) counts(version string, outcome func(*Scenario) Outcome) string {
	count, all := map[Outcome]int{}, b.scenarios()
	for _, s := range all {
		count[outcome(s)]++
	}
	text := fmt.Sprintf("%d scenarios played on RabbitMQ %s and on pocketmq in mode %s: %d go the same",
		len(all)-count[NotPlayed], version, modeOf(version), count[Same])
	for _, c := range []struct {
		outcome Outcome
		what    string
	}{{Deliberate, "differ on purpose"}, {Different, "fail"}, {NotPlayed, "others were not played"}} {
		if n := count[c.outcome]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, c.what)
		}
	}
	return text
}

// Markdown is the scoreboard as docs/COMPAT.md has it.
func (b *Scoreboard) Markdown() string {
	var t strings.Builder
	fmt.Fprintf(&t, "**%s**\n", b.Totals())
	fmt.Fprintf(&t, "\n| rule | | scenarios | RabbitMQ %s | pocketmq in mode 3.10 | RabbitMQ %s | in mode 4.0 | in mode 4.3 |\n|---|---|---|---|---|---|---|---|\n",
		b.Version, b.Later.Version)
	shown := byRule(b.Areas)
	for _, r := range b.Rules {
		b.row(&t, r, shown[r.Name])
	}
	b.differences(&t)
	return t.String()
}

func (b *Scoreboard) row(t *strings.Builder, r Rule, scenarios []*Scenario) {
	if len(scenarios) == 0 {
		why := "no scenario yet"
		if r.Not != "" {
			why = r.Not
		}
		fmt.Fprintf(t, "| %s | %s | — | %s | | | | |\n", r.Name, r.Title, why)
		return
	}
	var base, later Outcome
	var names []string
	otherwise := map[string]bool{}
	for _, s := range scenarios {
		names = append(names, s.Full())
		base, later = max(base, b.outcome(s)), max(later, b.Later.outcome(s))
		for _, v := range s.Versions() {
			otherwise[v] = true
		}
	}
	in40, in43 := later.result(), ""
	if otherwise["4.0"] {
		in40 += ", not as in 3.10"
	}
	if otherwise["4.3"] {
		in43 = "not as in 3.10, as written down"
	}
	fmt.Fprintf(t, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", r.Name, r.Title, strings.Join(names, ", "),
		base.played(), base.result(), later.played(), in40, in43)
}

func (o Outcome) played() string {
	if o == NotPlayed {
		return ""
	}
	return "played"
}

// differences lists the deliberate ones with their reasons.
func (b *Scoreboard) differences(t *strings.Builder) {
	var lines []string
	for _, s := range b.scenarios() {
		why, later := s.Differs(b.Version), s.Differs(b.Later.Version)
		if why != "" {
			lines = append(lines, fmt.Sprintf("- %s (%s): %s\n", s.Full(), strings.Join(s.Rules, ", "), why))
		}
		if later != "" && later != why {
			lines = append(lines, fmt.Sprintf("- %s (%s), in mode %s: %s\n", s.Full(), strings.Join(s.Rules, ", "), modeOf(b.Later.Version), later))
		}
	}
	if len(lines) > 0 {
		slices.Sort(lines)
		fmt.Fprintf(t, "\nDifferences on purpose:\n\n%s", strings.Join(lines, ""))
	}
}

// marked is the part of a document between the marks of the scoreboard, with what
// is before and after it.
func marked(document string) (before, inside, after string, err error) {
	const begin, end = "<!-- scoreboard -->\n", "<!-- end of scoreboard -->"
	before, rest, ok := strings.Cut(document, begin)
	inside, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("the marks %q and %q are missing", begin, end)
	}
	return before + begin, inside, end + after, nil
}
