package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// An Outcome is how a scenario went.
type Outcome int

// The outcomes.
const (
	NotPlayed  Outcome = iota
	Same               // pocketmq answers as RabbitMQ
	Deliberate         // it differs, as the script says
	Different
)

// A Scoreboard is what a run of all scenarios has shown.
type Scoreboard struct {
	Rules    []Rule
	Areas    map[string][]*Scenario
	Outcomes map[*Scenario]Outcome
	Version  string // RabbitMQ's
}

// Totals is a sentence with the numbers.
func (b *Scoreboard) Totals() string {
	count := map[Outcome]int{}
	for _, o := range b.Outcomes {
		count[o]++
	}
	shown, covered, not := byRule(b.Areas), 0, 0
	for _, r := range b.Rules {
		switch {
		case r.Not != "" && len(shown[r.Name]) == 0:
			not++
		case len(shown[r.Name]) > 0:
			covered++
		}
	}
	text := fmt.Sprintf("%d scenarios played on RabbitMQ %s and on pocketmq: %d go the same", len(b.Outcomes), b.Version, count[Same])
	if n := count[Deliberate]; n > 0 {
		text += fmt.Sprintf(", %d differ on purpose", n)
	}
	if n := count[Different] + count[NotPlayed]; n > 0 {
		text += fmt.Sprintf(", %d fail", n)
	}
	return text + fmt.Sprintf(". They show %d of the %d rules that a client can observe.", covered, len(b.Rules)-not)
}

// Markdown is the scoreboard as docs/COMPAT.md has it.
func (b *Scoreboard) Markdown() string {
	var t strings.Builder
	fmt.Fprintf(&t, "**%s**\n", b.Totals())
	fmt.Fprintf(&t, "\n| rule | | scenarios | RabbitMQ %s | pocketmq in mode 3.10 | 4.0 | 4.3 |\n|---|---|---|---|---|---|---|\n", b.Version)
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
		fmt.Fprintf(t, "| %s | %s | — | %s | | | |\n", r.Name, r.Title, why)
		return
	}
	worst := Same
	var names []string
	later := map[string]string{}
	for _, s := range scenarios {
		names = append(names, s.Full())
		if o := b.Outcomes[s]; o == NotPlayed || o > worst {
			worst = o
		}
		for _, v := range s.Versions() {
			later[v] = "otherwise, as written down"
		}
	}
	result := map[Outcome]string{NotPlayed: "**not played**", Same: "same", Deliberate: "differs on purpose", Different: "**different**"}[worst]
	fmt.Fprintf(t, "| %s | %s | %s | played | %s | %s | %s |\n", r.Name, r.Title, strings.Join(names, ", "), result, later["4.0"], later["4.3"])
}

// differences lists the deliberate ones with their reasons.
func (b *Scoreboard) differences(t *strings.Builder) {
	var lines []string
	for _, scenarios := range b.Areas {
		for _, s := range scenarios {
			if why := s.Differs(b.Version); why != "" {
				lines = append(lines, fmt.Sprintf("- %s (%s): %s\n", s.Full(), strings.Join(s.Rules, ", "), why))
			}
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
