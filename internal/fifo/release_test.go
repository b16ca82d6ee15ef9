package fifo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// QQ-6
func TestReleasedAnyNumberOfTimesHasNotFailed(t *testing.T) {
	limits := Unlimited[int]()
	limits.Failures = 20
	var pool ring.Pool[Entry[int]]
	q := New(limits, &pool)
	q.Push(new(int), 0, 0)
	for range 100_000 {
		e, ok := q.Get()
		require.True(t, ok)
		q.Release(nil, e)
	}
	e, _ := q.Get()
	require.Zero(t, e.Failures())
	q.Return(nil, e)
	require.Equal(t, 1, q.Ready())
	require.NoError(t, q.Check())
}
