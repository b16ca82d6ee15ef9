package pocketmq

import (
	"cmp"
	"time"
)

// RetryPolicy says when a message that came back is delivered again; see Retry.
type RetryPolicy struct {
	// Min is how long it waits the first time, in whole milliseconds, more than 0.
	Min time.Duration
	// Max is how long it waits at most, in whole milliseconds, at least Min; 0 means
	// any time.
	Max time.Duration
	// Exponential makes each time twice as long as the one before. Else each is longer
	// by Min.
	Exponential bool
	// Times is how often it is delivered again. If it comes back then it is dead; see
	// DeadLetter. 0 means any number.
	Times int
}

// Retry makes a message wait that comes back to the queue, because its handler
// failed, by a Nack with requeue, or because its consumer or session ended without
// having settled it. Meanwhile it keeps nobody waiting: it is neither ready nor
// unacked, does not count against MaxLength, is in Stats as Delayed, and leaves with
// the queue or with PurgeQueue. Then it goes back to its place, so order is
// kept only among those that did not fail. If it has a TTL that passes meanwhile,
// it dies when its time to wait is over.
//
// Shutdown waits for it if the queue has consumers. RabbitMQ 4.3 has the same, but
// for Exponential, in quorum queues, as the arguments x-delayed-retry-type, -min and
// -max; the package rabbitmq refuses what the RabbitMQ does not have.
//
// A Policy says the same to queues that exist:
//
//	Definition: pocketmq.Table{
//		"delayed-retry-type":   "all", // or "failed", "returned", "disabled"; without it nothing waits
//		"delayed-retry-min":    1000,  // milliseconds; without it nothing waits
//		"delayed-retry-max":    60000,
//		"delayed-retry-growth": "exponential",
//		"delivery-limit":       5, // Times
//	}
//
// As in RabbitMQ 4.3 such keys are checked one by one: with type or min alone the policy
// applies and says nothing of retries, and a max below min is what each time takes.
// QueueStats.Retry has what is in force. With "returned" nothing waits but what a client
// of a server like 4.3 returns by basic.nack; all else that comes back has failed.
//
// It is for what comes back from now on: what waits already goes on waiting for as
// long as it was to. Where a queue has its own Retry that counts, but of two limits
// the lesser does.
func Retry(p RetryPolicy) QueueOption {
	return queueOption(func(c *queueConfig) {
		set(&c.args, "x-delayed-retry-type", "all")
		durationArgument("RetryPolicy.Min", "x-delayed-retry-min", p.Min, 1).queue(c)
		if p.Max != 0 {
			durationArgument("RetryPolicy.Max", "x-delayed-retry-max", p.Max, 1).queue(c)
		}
		if p.Exponential {
			set(&c.args, "x-delayed-retry-growth", "exponential")
		}
		switch {
		case p.Max != 0 && p.Max < p.Min:
			c.err = invalid("RetryPolicy.Max(%v): must not be less than Min, %v", p.Max, p.Min)
		case p.Times < 0:
			c.err = invalid("RetryPolicy.Times is %d: must not be negative", p.Times)
		case p.Times > 0:
			DeliveryLimit(p.Times).queue(c)
		}
	})
}

// The values of x-delayed-retry-type and x-delayed-retry-growth.
var (
	retryTypes   = []string{"disabled", "all", "failed", "returned"}
	retryGrowths = []string{"linear", "exponential"}
)

// retry is a RetryPolicy in force.
type retry struct {
	min, max         time.Duration // max 0 = none
	exponential      bool
	failed, released bool // which messages wait: those that count against the delivery limit, and others
}

// retryOf reads the arguments, which are valid.
func retryOf(args Table) *retry {
	lowest, _ := integer(args["x-delayed-retry-min"])
	highest, _ := integer(args["x-delayed-retry-max"])
	r := &retry{
		min: time.Duration(lowest) * time.Millisecond, max: time.Duration(highest) * time.Millisecond,
		exponential: args["x-delayed-retry-growth"] == "exponential",
	}
	switch args["x-delayed-retry-type"] {
	case "all":
		r.failed, r.released = true, true
	case "failed":
		r.failed = true
	case "returned":
		r.released = true
	default:
		return nil
	}
	if r.min == 0 {
		return nil
	}
	return r
}

// delay is how long a message waits that came back so often, in nanoseconds (QQ-20);
// see fifo.Limits.
func (r *retry) delay(returns, failures int, released bool) int64 {
	if released && !r.released || !released && !r.failed {
		return 0
	}
	n := int64(returns)
	if !r.released {
		n = int64(failures)
	}
	by, limit := int64(r.min), int64(cmp.Or(r.max, maxTime*time.Millisecond))
	if r.exponential {
		for ; n > 1 && by < limit; n-- {
			by *= 2
		}
		return min(by, limit)
	}
	if n > limit/by {
		return limit
	}
	return n * by
}

// retryPolicy is how what comes back is retried, as far as a RetryPolicy can say it.
func (s *settings) retryPolicy() RetryPolicy {
	if s.retry == nil {
		return RetryPolicy{}
	}
	return RetryPolicy{Min: s.retry.min, Max: s.retry.max, Exponential: s.retry.exponential, Times: max(s.deliveryLimit, 0)}
}
