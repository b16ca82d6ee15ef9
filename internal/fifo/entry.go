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
}

// returned holds the entries that came back, as a heap with the lowest place on
// top. It is written out because container/heap would box every entry.
type returned[T any] []Entry[T]

func (h *returned[T]) push(e Entry[T]) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].Seq < s[i].Seq {
			return
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

func (h *returned[T]) pop() Entry[T] {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s[last] = Entry[T]{}
	s = s[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s); child++ {
			if s[child].Seq < s[least].Seq {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	if last == 0 {
		*h = nil // an idle queue keeps no heap
	}
	return top
}
