//go:build race || invariants

package invariant

import "fmt"

// Enabled tells whether Check checks anything in this build.
const Enabled = true

// Check panics with the formatted message when ok is false.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic("pocketmq: invariant broken: " + fmt.Sprintf(format, args...))
	}
}
