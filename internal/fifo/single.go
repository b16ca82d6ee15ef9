package fifo

// single says which consumer is the active one, if only one may be.
type single[T any] struct {
	active  *Consumer[T] // nil = there is no consumer
	preempt bool
}

// SetSingle makes only one consumer get messages, that which subscribed first;
// when it is gone, it is the first of those with the highest priority (CONS-18,
// CONS-21). With preempt that is so from the beginning: if a higher one than the
// active comes, that gets no more messages, and hands over once it has settled what
// it has (QQ-18). It is called before the first consumer comes.
func (q *Queue[T]) SetSingle(preempt bool) { q.single = &single[T]{preempt: preempt} }

// IsActive reports whether c is not waiting behind the single active consumer.
func (c *Consumer[T]) IsActive() bool { return c.state != standby }

// elect finds the single active consumer when there may be another one.
func (q *Queue[T]) elect() {
	s := q.single
	if s == nil {
		return
	}
	if s.active != nil && s.active.state == gone {
		s.active = nil
	}
	next := s.active
	for _, c := range q.consumers {
		if next == nil || (s.active == nil || s.preempt) && c.Priority > next.Priority {
			next = c
		}
	}
	if next == s.active {
		if next != nil && next.state == standby {
			q.turns.join(next) // whom it was to hand over to is gone
		}
		return
	}
	if s.active != nil {
		if s.active.state == active {
			q.turns.leave(s.active)
		}
		s.active.state = standby
		if s.active.unacked > 0 {
			return // it hands over later
		}
	}
	s.active = next
	q.turns.join(next)
}
