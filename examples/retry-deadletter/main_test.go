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

const want = `0s: the bank does not answer, payment of Alice
0s: the bank says no, payment of Mallory
0s: paid, payment of Bob
100ms: paid, payment of Alice
100ms: the bank says no, payment of Mallory
300ms: the bank says no, payment of Mallory
700ms: the bank says no, payment of Mallory
dead: payment of Mallory, in queue "payments", because of delivery_limit
`
