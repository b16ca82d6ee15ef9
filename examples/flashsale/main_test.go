package main

import (
	"strings"
	"testing"
	"testing/synctest"
)

// In the bubble no time passes during the burst, so that 100 purchases wait and
// one is being paid for. Outside some more are served meanwhile.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		if err := run(&out); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want {
			t.Errorf("printed\n%s\nwant\n%s", got, want)
		}
	})
}

const want = `10000 buyers: 101 are queued, 9899 know at once that it is sold out
100 items sold, 0 left; told late: 1
`
