package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Rule is one of RabbitMQ's behaviour.
type Rule struct {
	Name, Title string
	Not         string // why there is no scenario for it; "" = there must be
}

// ReadRules reads rules.txt in the directory of the scripts.
func ReadRules(dir string) ([]Rule, error) {
	b, err := os.ReadFile(filepath.Join(dir, "rules.txt"))
	if err != nil {
		return nil, err
	}
	var all []Rule
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		title, not, _ := strings.Cut(rest, " -- ")
		if !ruleName.MatchString(name) || title == "" {
			return nil, fmt.Errorf("rules.txt: %q is not RULE TITLE", line)
		}
		if slices.ContainsFunc(all, func(r Rule) bool { return r.Name == name }) {
			return nil, fmt.Errorf("rules.txt: %s is there twice", name)
		}
		all = append(all, Rule{name, title, not})
	}
	return all, nil
}

// readMissing reads missing.txt, the rules that wait for a scenario.
func readMissing(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, missingFile))
	return strings.Fields(string(b)), err
}

const missingFile = "missing.txt"

// writeMissing writes missing.txt, a line for each area.
func writeMissing(dir string, rules []string) error {
	var b strings.Builder
	area := ""
	for _, r := range rules {
		next, _, _ := strings.Cut(r, "-")
		if area != "" {
			b.WriteString(map[bool]string{true: " ", false: "\n"}[next == area])
		}
		b.WriteString(r)
		area = next
	}
	b.WriteString("\n")
	return os.WriteFile(filepath.Join(dir, missingFile), []byte(b.String()), 0o644)
}

// byRule lists the scenarios that show each rule.
func byRule(areas map[string][]*Scenario) map[string][]*Scenario {
	all := map[string][]*Scenario{}
	for _, scenarios := range areas {
		for _, s := range scenarios {
			for _, r := range s.Rules {
				all[r] = append(all[r], s)
			}
		}
	}
	for _, scenarios := range all {
		slices.SortFunc(scenarios, func(a, b *Scenario) int { return strings.Compare(a.Full(), b.Full()) })
	}
	return all
}
