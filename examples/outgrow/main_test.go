package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqptest"
)

// asProgram makes the test's binary run as the program.
const asProgram = "OUTGROW_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// want is what is printed in each of the steps, by whichever process, in
// whichever order.
var want = []string{
	"back office: order 1", "back office: order 2", "back office: order 3",
	"delivery: order 1", "delivery: order 2", "delivery: order 3",
	"merchant: order 1", "merchant: order 2", "merchant: order 3",
	"order 1 is placed", "order 2 is placed", "order 3 is placed",
}

func lines(s string) []string {
	return slices.Sorted(strings.SplitSeq(strings.TrimSpace(s), "\n"))
}

func TestStepOne(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	assert.Equal(t, want, lines(out.String()))
}

func TestStepTwo(t *testing.T) {
	processes(t, "delivery,merchant", "shop,back office")
}

func TestStepThree(t *testing.T) {
	processes(t, "shop", "delivery", "merchant", "back office")
}

// processes runs the program once for each list of modules, with a broker between
// them.
func processes(t *testing.T, modules ...string) {
	url := amqptest.NewServer(t).Listen()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	outputs := make([]string, len(modules))
	for i, m := range modules {
		all.Go(func() {
			cmd := exec.CommandContext(ctx, os.Args[0], "-broker", url, "-modules", m)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			assert.NoError(t, err, m)
			outputs[i] = string(out)
		})
	}
	all.Wait()
	assert.Equal(t, want, lines(strings.Join(outputs, "")))
}

func TestWrongUse(t *testing.T) {
	assert.ErrorContains(t, run(t.Context(), []string{"-modules", "warehouse"}, io.Discard), "warehouse")
	assert.ErrorContains(t, run(t.Context(), []string{"-broker", "nope://"}, io.Discard), "nope")
}
