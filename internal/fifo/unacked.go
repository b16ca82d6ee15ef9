package fifo

import (
	"cmp"
	"slices"
)

// Unacked holds the entries that were handed to an application and are not
// settled yet. It gives each a handle which is not valid again for as good as ever, so that
// settling a delivery a second time is noticed, however late. The zero value is
// ready to use. Its owner guards it with a lock of its own.
type Unacked[T any] struct {
	slots []slot[T]
	free  []uint32
	added uint64 // entries so far
}

type slot[T any] struct {
	entry      Entry[T]
	generation uint32 // odd while the slot is taken
	nth        uint64 // to be added
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
	u.added++
	s.entry, s.nth = *e, u.added
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

// Priority is that of the entry of the handle, 0 if it is not there.
func (u *Unacked[T]) Priority(handle uint64) uint8 {
	if !u.Has(handle) {
		return 0
	}
	return u.slots[uint32(handle)].entry.Priority
}

// Len is the number of entries held.
func (u *Unacked[T]) Len() int { return len(u.slots) - len(u.free) }

// Drain removes all entries and returns them in the order in which they were added.
func (u *Unacked[T]) Drain() []Entry[T] {
	var taken []slot[T]
	for i, s := range u.slots {
		if s.generation%2 == 1 {
			taken = append(taken, s)
			u.Drop(uint64(s.generation)<<32 | uint64(i))
		}
	}
	slices.SortFunc(taken, func(a, b slot[T]) int { return cmp.Compare(a.nth, b.nth) })
	all := make([]Entry[T], len(taken))
	for i := range taken {
		all[i] = taken[i].entry
	}
	return all
}
