package invariant_test

import (
	"testing"

	"github.com/pocketmq/pocketmq/internal/invariant"
)

func TestCheckAcceptsWhatHolds(t *testing.T) {
	invariant.Check(true, "never printed")
}

func TestCheckPanicsOnlyWhenEnabled(t *testing.T) {
	got := func() (r any) {
		defer func() { r = recover() }()
		invariant.Check(false, "%d is not %d", 1, 2)
		return nil
	}()

	var want any
	if invariant.Enabled {
		want = "pocketmq: invariant broken: 1 is not 2"
	}
	if got != want {
		t.Errorf("a broken invariant panicked with %v, want %v", got, want)
	}
}

// Check may stand on a hot path: passing it arguments must not put them on the heap.
func TestCheckThatHoldsIsFreeWhenDisabled(t *testing.T) {
	n := 1 << 20
	allocs := testing.AllocsPerRun(100, func() {
		n++
		invariant.Check(n > 0, "n is %d", n)
	})
	if !invariant.Enabled && allocs != 0 {
		t.Errorf("a disabled check allocates %v times", allocs)
	}
}
