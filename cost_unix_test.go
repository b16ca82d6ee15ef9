//go:build !race && unix

package pocketmq_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// cpuTime is how long processors have worked for this process: unlike what a clock shows it
// does not depend on who else is at work.
func cpuTime(t testing.TB) time.Duration {
	var used syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// howLong is the shortest time in which n consumers of a queue of a kind end, the last ones first.
func howLong(t testing.TB, n int, opts ...pocketmq.QueueOption) time.Duration {
	shortest := time.Hour
	for range 3 {
		b := pocketmq.New()
		declare(t, b, "q", opts...)
		all := make([]*pocketmq.Consumer, n)
		for i := range all {
			all[i] = consume(t, b, "q")
		}
		start := cpuTime(t)
		for _, c := range slices.Backward(all) {
			c.Cancel()
		}
		shortest = min(shortest, cpuTime(t)-start)
		must(t, b.Close())
	}
	return shortest
}

// Eight times as many take eight times as long, not 64 times.
func TestEndingManyConsumersIsNotQuadratic(t *testing.T) {
	for kind, opts := range map[string][]pocketmq.QueueOption{
		"classic": nil, "single active": {pocketmq.SingleActiveConsumer()}, "stream": {pocketmq.Stream()},
	} {
		const n = 2000
		few, many := howLong(t, n, opts...), howLong(t, 8*n, opts...)
		t.Logf("%s: %v for %d, %v for %d", kind, few, n, many, 8*n)
		require.Less(t, many, 32*few, kind)
	}
}
