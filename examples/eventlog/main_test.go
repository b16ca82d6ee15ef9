package main

import (
	"strings"
	"testing"
	"testing/synctest"
)

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

const want = `audit: goes on with event 0
audit: event 0 is +100
audit: event 1 is -30
balance: +100 makes 100
balance: -30 makes 70
balance: +5 makes 75
balance: -15 makes 60
audit: goes on with event 2
audit: event 2 is +5
audit: event 3 is -15
`
