package fifo

import "slices"

// Unacked holds the entries that were handed to an application and are not
// settled yet. It gives each a handle which is not valid again for as good as ever, so that
// settling a delivery a second time is noticed, however late. The zero value is
// ready to use. Its owner guards it with a lock of its own.
type Unacked[T any] struct {
	slots []slot[T]
	free  []uint32
}

type slot[T any] struct {
	entry      Entry[T]
	generation uint32 // odd while the slot is taken
}

// Add stores e and returns its handle, which is never 0.
func (u *Unacked[T]) Add(e *Entry[T]) (handle uint64) {
	var i uint32
	if n := len(u.free); n > 0 {
		i, u.free = u.free[n-1], u.free[:n-1]
	} else {
		i = uint32(len(u.slots))
		u.slots = append(u.slots, slot[T]{})
	}
	s := &u.slots[i]
	s.entry = *e
	s.generation++
	return uint64(s.generation)<<32 | uint64(i)
}

// Settle removes the entry of the handle and reports whether it was there.
func (u *Unacked[T]) Settle(handle uint64) (e Entry[T], ok bool) {
	if u.Has(handle) {
		e = u.slots[uint32(handle)].entry
		ok = u.Drop(handle)
	}
	return e, ok
}

// Drop is Settle for those who do not want the entry.
func (u *Unacked[T]) Drop(handle uint64) bool {
	if !u.Has(handle) {
		return false
	}
	i := uint32(handle)
	s := &u.slots[i]
	s.entry = Entry[T]{}
	s.generation++
	u.free = append(u.free, i)
	return true
}

// Has reports whether the entry of the handle is there.
func (u *Unacked[T]) Has(handle uint64) bool {
	i, generation := uint32(handle), uint32(handle>>32)
	return int(i) < len(u.slots) && u.slots[i].generation == generation && generation%2 == 1
}

// Len is the number of entries held.
func (u *Unacked[T]) Len() int { return len(u.slots) - len(u.free) }

// Drain removes all entries and returns them in the order of their places.
func (u *Unacked[T]) Drain() []Entry[T] {
	var all []Entry[T]
	for i := range u.slots {
		if s := &u.slots[i]; s.generation%2 == 1 {
			e, _ := u.Settle(uint64(s.generation)<<32 | uint64(i))
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry[T]) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	return all
}
