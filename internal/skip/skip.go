// Package skip is for tests that need what may not be on this machine.
package skip

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// For skips a test for want of something on this machine, and says so where whoever
// runs it sees it. In CI, where all of it is to be installed, the test fails.
func For(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	if _, again := said.LoadOrStore(what, true); !again {
		say("SKIPPED, not compared with anything else: " + what)
	}
	t.Skip(what)
}

var said sync.Map

// say writes a line. What a package prints whose tests pass, go test keeps to itself
// without -v; so the line goes to where go test itself writes.
func say(line string) {
	if testing.Verbose() {
		return // go test shows why tests were skipped
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/2", os.Getppid()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		f, err = os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	}
	if err != nil {
		f = os.Stderr
	}
	_, _ = fmt.Fprintln(f, line)
}
