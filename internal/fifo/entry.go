package fifo

// Entry is a message in a queue.
type Entry[T any] struct {
	Value T
	// Seq is the entry's place: a lower one is delivered earlier.
	Seq uint64
	// Expires is when the entry expires, in the unit and from the origin of the
	// times that At is given; 0 = never.
	Expires int64
	// Returns counts how often the entry was handed out and came back. An entry
	// with Returns > 0 is a redelivery.
	Returns uint32
	// Released counts those of the returns that do not count against the limit.
	Released uint16
	// Priority is its level: a higher one is delivered earlier, whatever the place.
	Priority uint8
}

// Failures is how often the entry came back to count against the limit.
func (e *Entry[T]) Failures() int { return int(e.Returns) - int(e.Released) }

// Reason is why a message left its queue without being acked, other than by
// Purge: what AMQP calls its death.
type Reason uint8

// The reasons, for which a message may become a dead letter (DLX-1).
const (
	Rejected      Reason = iota // somebody refused it
	Expired                     // it waited too long
	MaxLength                   // the queue was full
	DeliveryLimit               // it came back too often

	reasons // their number
)

// Dead is an entry that left its queue, and why.
type Dead[T any] struct {
	Entry  Entry[T]
	Reason Reason
	Held   bool // it counts against the limits until Forget is called
}

// before makes the entries that came back a heap with the lowest place on top.
func (e *Entry[T]) before(o *Entry[T]) bool { return e.Seq < o.Seq }

// delayed is an entry that came back and must wait until it may be ready.
type delayed[T any] struct {
	entry Entry[T]
	due   int64
	order uint64 // among those due at the same time
}

func (d *delayed[T]) before(o *delayed[T]) bool {
	return d.due < o.due || d.due == o.due && d.order < o.order
}
