// Package ring holds the storage of a queue: a first-in first-out ring of
// chunks.
//
// Why not one slice that doubles: a queue's backlog grows and drains all the
// time, and doubling copies it, doubles its memory at the worst moment and
// keeps that memory for ever. A Ring takes a chunk when the last one is full
// and gives it back when it has been read, so it costs what it holds, and an
// empty one costs nothing.
//
// Why chunks and not a list of entries: a consumer on another processor gets
// whole chunks by a change of pointers, so that the entries' memory, which is in
// the publisher's cache, is read without the queue's lock.
package ring

import (
	"iter"
	"sync"
)

const chunkLen = 64

type chunk[T any] struct {
	slots [chunkLen]T
	next  *chunk[T]
}

// A Pool shares empty chunks between the rings of one broker, so that a steady
// flow of messages allocates nothing. The zero value is ready to use; it may be
// used by several goroutines at once.
type Pool[T any] struct{ chunks sync.Pool }

func (p *Pool[T]) get() *chunk[T] {
	if p != nil {
		if c, ok := p.chunks.Get().(*chunk[T]); ok {
			return c
		}
	}
	return new(chunk[T])
}

// put takes a chunk back whose slots have all been zeroed.
func (p *Pool[T]) put(c *chunk[T]) {
	c.next = nil
	if p != nil {
		p.chunks.Put(c)
	}
}

// Ring is a first-in first-out sequence of T. The zero value is an empty ring
// without a pool. It is not safe for concurrent use.
type Ring[T any] struct {
	head, tail *chunk[T] // nil when empty
	first      int       // index of the front entry in head
	last       int       // index behind the back entry in tail
	len        int
	pool       *Pool[T]
}

// New returns an empty ring that takes its chunks from pool, which may be nil.
func New[T any](pool *Pool[T]) Ring[T] { return Ring[T]{pool: pool} }

// Len is the number of entries.
func (r *Ring[T]) Len() int { return r.len }

// PushBack appends an entry and returns a pointer to it, for the caller to fill
// in: until then it is the zero value. The pointer is good until the entry is
// removed.
func (r *Ring[T]) PushBack() *T {
	if r.tail == nil || r.last == chunkLen {
		r.extend()
	}
	slot := &r.tail.slots[r.last]
	r.last++
	r.len++
	return slot
}

// extend adds a chunk at the tail.
func (r *Ring[T]) extend() {
	c := r.pool.get()
	if r.tail == nil {
		r.head = c
	} else {
		r.tail.next = c
	}
	r.tail, r.last = c, 0
}

// Front returns a pointer to the oldest entry, or nil when the ring is empty.
// The pointer is good until the entry is removed.
func (r *Ring[T]) Front() *T {
	if r.len == 0 {
		return nil
	}
	return &r.head.slots[r.first]
}

// PopFront removes the oldest entry and returns it. Its slot is zeroed, so the
// ring keeps nothing alive that it no longer holds. It must not be called on an
// empty ring.
func (r *Ring[T]) PopFront() T {
	slot := &r.head.slots[r.first]
	v := *slot
	var zero T
	*slot = zero
	r.Advance()
	return v
}

// Advance removes the oldest entry, which the caller has set to its zero value.
// It must not be called on an empty ring.
func (r *Ring[T]) Advance() {
	r.first++
	r.len--
	if r.first == chunkLen || r.len == 0 {
		r.dropHead()
	}
}

// dropHead gives the first chunk back, all of whose entries have been removed.
func (r *Ring[T]) dropHead() {
	empty := r.head
	r.head, r.first = empty.next, 0
	if r.head == nil {
		r.tail, r.last = nil, 0
	}
	r.pool.put(empty)
}

// MoveTo moves entries from the front of r to the empty ring dst: n of them or,
// where that saves copying them, fewer, but at least one if r and n allow.
func (r *Ring[T]) MoveTo(dst *Ring[T], n int) {
	if n >= r.len {
		*dst, *r = *r, Ring[T]{pool: r.pool}
		return
	}
	if n < chunkLen-r.first {
		for ; n > 0; n-- {
			*dst.PushBack() = r.PopFront()
		}
		return
	}
	// Whole chunks, as many as n covers; r keeps at least one entry.
	last, moved := r.head, chunkLen-r.first
	for moved+chunkLen <= n {
		last = last.next
		moved += chunkLen
	}
	*dst = Ring[T]{head: r.head, first: r.first, tail: last, last: chunkLen, len: moved, pool: r.pool}
	r.head, r.first = last.next, 0
	r.len -= moved
	last.next = nil
}

// Clear empties the ring and gives its chunks to the garbage collector.
func (r *Ring[T]) Clear() { *r = Ring[T]{pool: r.pool} }

// All yields pointers to the entries, oldest first. The ring must not be
// changed meanwhile.
func (r *Ring[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		c, i := r.head, r.first
		for range r.len {
			if i == chunkLen {
				c, i = c.next, 0
			}
			if !yield(&c.slots[i]) {
				return
			}
			i++
		}
	}
}
