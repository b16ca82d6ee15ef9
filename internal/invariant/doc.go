// Package invariant holds the checks that pocketmq makes on itself: statements
// that are true of every state the code can reach, written where they must
// hold. A check that fails is a bug in pocketmq, never a user's mistake, and
// so it panics.
//
// The checks are compiled in under the race detector and with the build tag
// invariants, and cost nothing otherwise:
//
//	invariant.Check(q.len >= 0, "queue %q holds %d messages", q.name, q.len)
//
// The arguments are evaluated either way. When computing the condition is not
// free, put it behind the constant, and the compiler drops all of it:
//
//	if invariant.Enabled {
//		invariant.Check(q.count() == q.len, "count is %d, len is %d", q.count(), q.len)
//	}
package invariant
