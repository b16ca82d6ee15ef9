// Package line has a list in the order in which its elements came, which each of them may
// leave at any time, wherever it stands, at the same cost.
package line

import "iter"

// Line is such a list. The zero value is empty.
type Line[E any] struct {
	first, last *Place[E]
	n           int
}

// Place is where an element stands, in one Line at most. It is a field of the element.
type Place[E any] struct {
	of         E
	prev, next *Place[E]
	in         bool
}

// In reports whether the element stands in a Line.
func (p *Place[E]) In() bool { return p.in }

// Len is the number of elements.
func (l *Line[E]) Len() int { return l.n }

// First returns the element that came first, or the zero value.
func (l *Line[E]) First() (e E) {
	if l.first != nil {
		e = l.first.of
	}
	return e
}

// Join puts e, whose place is p, at the end.
func (l *Line[E]) Join(p *Place[E], e E) {
	*p = Place[E]{of: e, prev: l.last, in: true}
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.n++
}

// Push puts e, whose place is p, before all others.
func (l *Line[E]) Push(p *Place[E], e E) {
	*p = Place[E]{of: e, next: l.first, in: true}
	if l.first == nil {
		l.last = p
	} else {
		l.first.prev = p
	}
	l.first = p
	l.n++
}

// Leave takes the element away that stands at p.
func (l *Line[E]) Leave(p *Place[E]) {
	if p.prev == nil {
		l.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	*p = Place[E]{}
	l.n--
}

// All ranges over the elements in order. The one that it is at may leave.
func (l *Line[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for p := l.first; p != nil; {
			next := p.next
			if !yield(p.of) {
				return
			}
			p = next
		}
	}
}
