package fifo

// single says which consumer is the active one, if only one may be.
type single[T any] struct {
	active  *Consumer[T] // nil = there is no consumer
	others  turns[T]     // stand by, in the order in which they subscribed
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

// standBy makes c wait behind the single active consumer.
func (q *Queue[T]) standBy(c *Consumer[T]) {
	q.single.others.join(c)
	c.state = standby
}

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
	if c := s.others.first(); c != nil && (next == nil || s.preempt && c.Priority > next.Priority) {
		next = c
	}
	if next == s.active {
		if next != nil && next.state == standby {
			q.turns.join(next) // whom it was to hand over to is gone
		}
		return
	}
	if s.active != nil {
		q.leaveTurn(s.active)
		s.active.state = standby
		if s.active.unacked > 0 {
			return // it hands over later
		}
		// It was the first of its priority when it became active, and no other has come before it since.
		s.others.level(s.active.Priority).Push(&s.active.turn, s.active)
	}
	s.others.leave(next)
	s.others.prune()
	s.active = next
	q.turns.join(next)
}
