package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// An Outcome is how a scenario went.
type Outcome int

func (o Outcome) String() string {
	return [...]string{NotPlayed: "not played", Same: "same", Deliberate: "differs on purpose", Different: "different"}[o]
}

// The outcomes.
const (
	NotPlayed  Outcome = iota
	Same               // pocketmq answers as RabbitMQ
	Deliberate         // it differs, as the script says
	Different
)

// A Scoreboard is what runs of all scenarios have shown.
type Scoreboard struct {
	Rules []Rule
	Areas map[string][]*Scenario
	Base  Record // on the RabbitMQ that scripts are written for
	Later Record // on a later one
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
	return fmt.Sprintf("%s. They show %d of the %d rules that a client can observe. %s.", b.Base.totals(), covered, len(b.Rules)-not, b.Later.totals())
}

// totals are a sentence with the numbers, without its end.
func (r Record) totals() string {
	count := map[Outcome]int{}
	for _, o := range r.Outcomes {
		count[o]++
	}
	text := fmt.Sprintf("%d scenarios played on RabbitMQ %s and on pocketmq in its mode %s: %d go the same", len(r.Outcomes), r.Version, modeOf(r.Version), count[Same])
	if n := count[Deliberate]; n > 0 {
		text += fmt.Sprintf(", %d differ on purpose", n)
	}
	if n := count[Different]; n > 0 {
		text += fmt.Sprintf(", %d differ", n)
	}
	return text
}

// Markdown is the scoreboard as docs/COMPAT.md has it.
func (b *Scoreboard) Markdown() string {
	var t strings.Builder
	fmt.Fprintf(&t, "**%s**\n", b.Totals())
	fmt.Fprintf(&t, "\n| rule | | scenarios | as RabbitMQ %s | as RabbitMQ %s | in mode 4.3 |\n|---|---|---|---|---|---|\n", b.Base.Version, b.Later.Version)
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
		fmt.Fprintf(t, "| %s | %s | — | %s | | |\n", r.Name, r.Title, why)
		return
	}
	var names []string
	changes := map[string]bool{} // by mode
	for _, s := range scenarios {
		names = append(names, s.Full())
		for _, v := range s.Versions() {
			changes[v] = true
		}
	}
	later, newest := b.Later.worst(scenarios).String(), ""
	if changes[modeOf(b.Later.Version)] {
		later += ", unlike " + modeOf(b.Base.Version)
	}
	if changes["4.3"] {
		newest = "otherwise, as written down"
	}
	fmt.Fprintf(t, "| %s | %s | %s | %s | %s | %s |\n", r.Name, r.Title, strings.Join(names, ", "), b.Base.worst(scenarios), later, newest)
}

// differences lists the deliberate ones with their reasons.
func (b *Scoreboard) differences(t *strings.Builder) {
	var lines []string
	for _, scenarios := range b.Areas {
		for _, s := range scenarios {
			rules := strings.Join(s.Rules, ", ")
			base, later := s.Differs(b.Base.Version), s.Differs(b.Later.Version)
			if base != "" {
				lines = append(lines, fmt.Sprintf("- %s (%s): %s\n", s.Full(), rules, base))
			}
			if later != "" && later != base {
				lines = append(lines, fmt.Sprintf("- %s (%s), from RabbitMQ %s on: %s\n", s.Full(), rules, modeOf(b.Later.Version), later))
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
