package topic

import "sync/atomic"

// A set is the values of one pattern. The nil set is empty; add and remove return the set to use from then on.
//
// Ten thousand queues may well be bound with the same pattern, so a value comes or goes without copying the others:
// by storing to its cell, or clearing it. A value stays in its cell, so a reader who walks over the cells misses none,
// and a set that is outgrown is left as it was.
type set[V comparable] struct {
	cells []atomic.Pointer[V] // nil: not taken yet, or its value was removed

	// for the writer alone
	taken int       // the cells before this one have been taken
	live  int       // the cells that have a value
	index map[V]int // the cell of each value, in a set of many cells
}

// long is from how many cells on a set has an index.
const long = 64

// add returns the set with v, which may be there already.
func (s *set[V]) add(v V) *set[V] {
	if s.find(v) >= 0 {
		return s
	}
	if s == nil || s.taken == len(s.cells) {
		s = s.resized()
	}
	s.take(&v)
	return s
}

// remove returns the set without v, and whether v was there. The set of no values is nil again.
func (s *set[V]) remove(v V) (*set[V], bool) {
	i := s.find(v)
	if i < 0 {
		return s, false
	}
	s.cells[i].Store(nil)
	delete(s.index, v)
	switch s.live--; {
	case s.live == 0:
		s = nil
	case s.live < len(s.cells)/4:
		s = s.resized()
	}
	return s, true
}

// appendTo appends the values to dst. It may run beside add and remove.
func (s *set[V]) appendTo(dst []V) []V {
	if s == nil {
		return dst
	}
	for i := range s.cells {
		if v := s.cells[i].Load(); v != nil {
			dst = append(dst, *v)
		}
	}
	return dst
}

// resized returns a copy of s with as many free cells as values, or one cell for the first.
func (s *set[V]) resized() *set[V] {
	if s == nil {
		return &set[V]{cells: make([]atomic.Pointer[V], 1)}
	}
	fit := &set[V]{cells: make([]atomic.Pointer[V], 2*s.live)}
	if len(fit.cells) >= long {
		fit.index = make(map[V]int, len(fit.cells))
	}
	for i := range s.cells {
		if v := s.cells[i].Load(); v != nil {
			fit.take(v)
		}
	}
	return fit
}

// take puts v into the next cell.
func (s *set[V]) take(v *V) {
	if s.index != nil {
		s.index[*v] = s.taken
	}
	s.cells[s.taken].Store(v)
	s.taken++
	s.live++
}

// find returns the cell of v, or -1.
func (s *set[V]) find(v V) int {
	if s == nil {
		return -1
	}
	if s.index != nil {
		if i, ok := s.index[v]; ok {
			return i
		}
		return -1
	}
	for i := range s.taken {
		if old := s.cells[i].Load(); old != nil && *old == v {
			return i
		}
	}
	return -1
}
