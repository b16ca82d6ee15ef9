package fifo

// single says which consumer is the active one, if only one may be.
type single[T any] struct {
	active     *Consumer[T] // nil = there is no consumer
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

// succeeds reports whether c goes before next, which subscribed earlier.
func (q *Queue[T]) succeeds(c, next *Consumer[T]) bool {
	s := q.single
	switch s.succession {
	case FirstNext:
		return false
	case HighestNext:
		return s.active == nil && c.Priority > next.Priority
	}
	return c.Priority > next.Priority
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
	for _, c := range q.consumers {
		if next == nil || q.succeeds(c, next) {
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
