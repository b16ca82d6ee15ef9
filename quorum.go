package pocketmq

import (
	"slices"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// A quorum queue is replicated in RabbitMQ. Of that nothing is left on one node but
// the rules by which it differs from a classic queue, some of them by version.

// defaultDeliveryLimit is that of a quorum queue since 4.0 (QQ-8).
const defaultDeliveryLimit = 20

// quorumSettings changes the settings of a queue without arguments to those of a
// quorum queue.
func (c *queueConfig) quorumSettings(s settings) *settings {
	s.quorum, s.version = true, c.version
	if c.version >= v4_0 {
		s.deliveryLimit = defaultDeliveryLimit
	}
	switch c.version { // QQ-10
	case v4_0:
		s.maxPriority, s.highTurns = 1, 2
	case v4_3:
		s.maxPriority = 31
	}
	return &s
}

// asQuorum gives the settings that arguments have made their effect.
func (s *settings) asQuorum() {
	if s.overflow == RejectPublishDLX {
		s.overflow = DropHead // QQ-12
	}
	s.place = fifo.ReturnOrder // QQ-9
	if s.deliveryLimit < 0 && s.version < v4_3 {
		s.place = fifo.Back
	}
}

// quorumPriority is that of a message in a quorum queue (QQ-10).
func (s *settings) quorumPriority(m *Message) uint8 {
	switch {
	case s.version < v4_0:
		return 0
	case s.version < v4_3:
		if m.Priority >= 5 {
			return 1
		}
		return 0
	case !m.hasPriority():
		return 4
	}
	return min(m.Priority, s.maxPriority)
}

// checkQuorum refuses what there is not of quorum queues.
func (w where) checkQuorum(c queueConfig) error {
	if _, ok := c.args["x-consumer-timeout"]; ok && !c.wire {
		return notSupported("%v: x-consumer-timeout is for connections: nothing limits the time for settling in process", w)
	}
	return nil
}

// consumerTimeout is how long a consumer with these arguments, which are valid, may leave
// a message unsettled; 0 = nothing says so (CHAN-17).
func (q *queue) consumerTimeout(args Table) time.Duration {
	if ms, ok := integer(args["x-consumer-timeout"]); ok {
		return time.Duration(ms) * time.Millisecond
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings.consumerTimeout
}

// checkDelete refuses the conditions of a deletion that quorum queues do not know
// (QQ-13).
func (q *queue) checkDelete(c deleteConfig) error {
	flag := ""
	switch {
	case !q.quorum:
		return nil
	case c.ifUnused:
		flag = "if-unused"
	case c.ifEmpty:
		flag = "if-empty"
	default:
		return nil
	}
	return notSupported("cannot delete %v. queue.delete operations with %s flag set are not supported by quorum queues", q.at(), flag)
}

// checkGet refuses what would go past the single active consumer of a quorum queue
// (QQ-15).
func (q *queue) checkGet() error {
	if !q.quorum || q.args["x-single-active-consumer"] != true {
		return nil
	}
	return newError(ErrResourceLocked, CodeResourceLocked,
		"cannot obtain access to locked %v. basic.get operations are not supported by quorum queues with single active consumer", q.at())
}

// consumerCount is the number of consumers. In a quorum queue a cancelled one counts until
// it has settled all that it holds, and so does each message that was got and is not
// settled; one that stands by does not (QQ-17). q.mu is held.
func (q *queue) consumerCount() int {
	if !q.quorum {
		return q.consumers.Len()
	}
	q.leaving = q.stillLeaving()
	all, got := make([]*Consumer, 0, q.consumers.Len()), q.fifo.Unacked()
	for c := range q.consumers.All() {
		got -= c.core.Unacked()
		if c.core.IsActive() {
			all = append(all, c)
		}
	}
	for _, c := range q.leaving {
		got -= c.core.Unacked()
		if !slices.ContainsFunc(all, func(x *Consumer) bool { return x.session == c.session && x.tag == c.tag }) {
			all = append(all, c) // else it is the same one to RabbitMQ
		}
	}
	return len(all) + got
}

func (q *queue) stillLeaving() []*Consumer {
	return slices.DeleteFunc(q.leaving, func(c *Consumer) bool { return c.core.Unacked() == 0 })
}

// counted is a message as a quorum queue delivers it: with the number of times it
// came back (QQ-4). Before 4.0 it also says so of none, but only to Get.
func (q *queue) counted(e *entry, got bool) *Message {
	failures := e.Failures()
	counts := failures > 0 || got && q.version < v4_0
	if !counts && q.version < v4_3 {
		return e.Value.msg
	}
	m := e.Value.msg.withHeaders()
	if counts {
		m.Headers["x-delivery-count"] = int64(failures)
	}
	if q.version >= v4_3 {
		m.Headers["x-acquired-count"] = int64(e.Returns)
	}
	return m
}
