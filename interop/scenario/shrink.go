package scenario

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Shrink leaves out steps, and then words and arguments that are not needed, as
// long as fails says that what remains still fails. It asks for no more than budget
// scenarios, some at once.
func Shrink(s *Scenario, budget int, fails func(*Scenario) bool) *Scenario {
	sh := &shrinker{s, budget, fails}
	for size := len(s.Steps) / 2; size > 0; size /= 2 {
		for sh.pass(func(s *Scenario) []*Scenario { return withoutSteps(s, size) }) && size == 1 {
			continue // until no step can be left out
		}
	}
	for sh.pass(withoutGivens) || sh.pass(withoutWords) {
		continue
	}
	return sh.Scenario
}

type shrinker struct {
	*Scenario
	budget int
	fails  func(*Scenario) bool
}

// atOnce is how many scenarios are tried at a time. Playing one is waiting, mostly.
const atOnce = 6

// pass replaces the scenario by shorter ones that fail, one after the other, and
// tells whether there was any. It does not go back to where others passed.
func (sh *shrinker) pass(shorter func(*Scenario) []*Scenario) bool {
	any := false
	for from := 0; ; {
		all := shorter(sh.Scenario)
		n := min(atOnce, len(all)-from, sh.budget)
		if n <= 0 {
			return any
		}
		sh.budget -= n
		if i := sh.first(all[from : from+n]); i < n {
			sh.Scenario, any = all[from+i], true
			n = i // what came after it moves up
		}
		from += n
	}
}

// first is the first of some scenarios that fails, or their number.
func (sh *shrinker) first(all []*Scenario) int {
	failed := make([]bool, len(all))
	var tries sync.WaitGroup
	for i, s := range all {
		tries.Go(func() { failed[i] = sh.fails(s) })
	}
	tries.Wait()
	if i := slices.Index(failed, true); i >= 0 {
		return i
	}
	return len(all)
}

// withoutSteps are a scenario's copies without some of its steps. A wait belongs to
// the step before it: without it, what that began would end by chance.
func withoutSteps(s *Scenario, size int) []*Scenario {
	var all []*Scenario
	for from := 0; from < len(s.Steps); {
		to := min(from+size, len(s.Steps))
		for to < len(s.Steps) && s.Steps[to].waits() {
			to++
		}
		c := *s
		c.Steps = slices.Delete(slices.Clone(s.Steps), from, to)
		if len(c.Steps) > 0 {
			all = append(all, &c)
		}
		from = to
	}
	return all
}

func (s *Step) waits() bool { return len(s.Lines) == 1 && strings.HasPrefix(s.Lines[0], "wait ") }

// withoutGivens are a scenario's copies with less that is given.
func withoutGivens(s *Scenario) []*Scenario {
	var all []*Scenario
	for i := range s.Givens {
		c := *s
		c.Givens = slices.Delete(slices.Clone(s.Givens), i, i+1)
		all = append(all, &c)
	}
	return all
}

// What a line may do without: flags, properties and tables, with the blank before
// them; and the entries of tables.
var (
	needlessWord = regexp.MustCompile(` (?:durable|auto-delete|exclusive|internal|passive|no-ack|no-wait|mandatory|multiple|requeue|if-unused|if-empty` +
		`|(?:priority|expiration|delivery-mode)=\S+|(?:headers|arguments)=\{.*\})`)
	needlessEntry = regexp.MustCompile(`[\w-]+:\w:(?:"[^"]*"|\[[^\]]*\]|[^,{}\[\]]*)(?:, )?`)
)

// withoutWords are a scenario's copies with a word or an entry less.
func withoutWords(s *Scenario) []*Scenario {
	var all []*Scenario
	for i, step := range s.Steps {
		for j, line := range step.Lines {
			for _, at := range append(needlessWord.FindAllStringIndex(line, -1), needlessEntry.FindAllStringIndex(line, -1)...) {
				shorter := strings.Replace(line[:at[0]]+line[at[1]:], ", }", "}", 1)
				if check(shorter) != nil {
					continue
				}
				c := *s
				c.Steps = slices.Clone(s.Steps)
				c.Steps[i].Lines = slices.Clone(step.Lines)
				c.Steps[i].Lines[j] = shorter
				all = append(all, &c)
			}
		}
	}
	return all
}
