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

const want = `order 1 is placed
order 2 is placed
order 3 is placed
  delivery: order 1
  delivery: order 2
  back office: order 1
  delivery: order 3
  merchant: order 1: no answer
  back office: order 2
  back office: order 3
  merchant: order 1: no answer
  merchant: order 1
  merchant: order 2
  merchant: order 3
`
