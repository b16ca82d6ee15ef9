package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// nothing is how a script writes down that nothing comes.
const nothing = "nothing"

// equal compares answers, which may be written down.
func equal(a, b []string) bool { return slices.Equal(written(a), written(b)) }

// written are answers in the order in which transcripts have them: by channel, the
// order within a channel is kept.
func written(lines []string) []string {
	all := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l == nothing })
	slices.SortStableFunc(all, func(a, b string) int {
		return strings.Compare(strings.Fields(a)[0], strings.Fields(b)[0])
	})
	return all
}

// A Side is what came from one of two servers, and what should have.
type Side struct {
	Name string
	Transcript
}

// Report puts two transcripts beside each other up to the step in which they
// differ: = are answers of both, < those of the left side only, > of the right.
func Report(s *Scenario, left, right Side) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s), < is %s, > is %s\n", s.Full(), s.Pos, left.Name, right.Name)
	for i := range max(len(left.Steps), len(right.Steps)) {
		l, r := at(left.Steps, i), at(right.Steps, i)
		lines := []string{"(is every channel still there?)"}
		if i < len(s.Steps) {
			lines = s.Steps[i].Lines
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		same := equal(l, r)
		if !same && i < len(left.Steps) && i < len(right.Steps) {
			b.WriteString("!!!!!!!! here they differ\n")
		}
		merge(&b, written(l), written(r))
		if i == len(left.Steps)-1 && !same {
			break
		}
	}
	for _, side := range []Side{left, right} {
		if side.Err != nil {
			fmt.Fprintf(&b, "%s: %v\n", side.Name, side.Err)
		}
	}
	return b.String()
}

func at(steps []Answers, i int) []string {
	if i < len(steps) {
		return steps[i].lines()
	}
	return nil
}

// merge writes the lines of both, in the order of a diff.
func merge(b *strings.Builder, l, r []string) {
	for len(l) > 0 || len(r) > 0 {
		switch {
		case len(l) > 0 && len(r) > 0 && l[0] == r[0]:
			fmt.Fprintf(b, "      =  %s\n", l[0])
			l, r = l[1:], r[1:]
		case len(l) > 0 && !slices.Contains(r, l[0]):
			fmt.Fprintf(b, "      <  %s\n", l[0])
			l = l[1:]
		case len(r) > 0:
			fmt.Fprintf(b, "      >  %s\n", r[0])
			r = r[1:]
		default:
			fmt.Fprintf(b, "      <  %s\n", l[0])
			l = l[1:]
		}
	}
}
