package fifo

// single says which consumer is the active one, if only one may be.
type single[T any] struct {
	active     *Consumer[T] // nil = there is no consumer
	others     turns[T]     // stand by, in the order in which they subscribed
	succession Succession
}

// Succession is which of several consumers is the single active one.
type Succession uint8

// The rules of succession. At first it is the one that subscribed first.
const (
	HighestNext Succession = iota // when it is gone, the first of those with the highest priority (CONS-18, CONS-21)
	FirstNext                     // when it is gone, the first of the others (QQ-18)
	HighestNow                    // as with HighestNext, and if a higher one comes, it hands over once it has settled what it has (QQ-18)
)

// SetSingle makes only one consumer get messages. It is called before the first
// consumer comes.
func (q *Queue[T]) SetSingle(s Succession) { q.single = &single[T]{succession: s} }

// IsActive reports whether c is not waiting behind the single active consumer.
func (c *Consumer[T]) IsActive() bool { return c.state != standby }

// standBy makes c wait behind the single active consumer.
func (q *Queue[T]) standBy(c *Consumer[T]) {
	q.single.others.join(c)
	c.state = standby
}

// successor returns the consumer that would be the active one now, by the rule; nil if
// there is none.
func (q *Queue[T]) successor() *Consumer[T] {
	s := q.single
	c := s.others.first()
	switch {
	case c == nil, s.active != nil && (s.succession != HighestNow || c.Priority <= s.active.Priority):
		return s.active
	case s.succession == FirstNext:
		return q.consumers.First()
	}
	return c
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
	next := q.successor()
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
