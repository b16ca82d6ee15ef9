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

const want = `orange ones
  quick.orange.rabbit
  lazy.orange.elephant
  quick.orange.fox
rabbits and all lazy ones
  quick.orange.rabbit
  lazy.orange.elephant
  lazy.pink.rabbit
  lazy.orange.male.mouse
`
