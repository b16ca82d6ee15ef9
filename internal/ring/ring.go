// Package ring holds the storage of a queue: a first-in first-out ring of
// small chunks.
//
// Why not one slice that doubles: a queue's backlog grows and drains all the
// time, and doubling copies it, doubles its memory at the worst moment and
// keeps that memory for ever. A Ring takes a chunk when the last one is full
// and gives it back when it has been read, so it costs what it holds, and a
// queue that ran empty costs one chunk.
package ring

import (
	"iter"
	"sync"
)

// chunkLen is chosen so that the one chunk an idle queue keeps stays below a
// kibibyte for the entries we store, while a walk along the chunks still
// costs next to nothing per entry.
const chunkLen = 16

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

// put takes a chunk back whose slots have all been zeroed by PopFront.
func (p *Pool[T]) put(c *chunk[T]) {
	c.next = nil
	if p != nil {
		p.chunks.Put(c)
	}
}

// Ring is a first-in first-out sequence of T. The zero value is an empty ring
// without a pool. It is not safe for concurrent use.
type Ring[T any] struct {
	head, tail *chunk[T] // nil until the first PushBack
	first      int       // index of the front entry in head
	last       int       // index behind the back entry in tail
	len        int
	pool       *Pool[T]
}

// New returns an empty ring that takes its chunks from pool, which may be nil.
func New[T any](pool *Pool[T]) Ring[T] { return Ring[T]{pool: pool} }

// Len is the number of entries.
func (r *Ring[T]) Len() int { return r.len }

// PushBack appends v.
func (r *Ring[T]) PushBack(v T) {
	if r.tail == nil {
		r.head = r.pool.get()
		r.tail = r.head
	} else if r.last == chunkLen {
		r.tail.next = r.pool.get()
		r.tail, r.last = r.tail.next, 0
	}
	r.tail.slots[r.last] = v
	r.last++
	r.len++
}

// Front returns a pointer to the oldest entry, or nil when the ring is empty.
// The pointer is good until the next PopFront.
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
	r.first++
	r.len--
	switch {
	case r.len == 0: // keep the one chunk for what comes next
		r.first, r.last = 0, 0
	case r.first == chunkLen:
		empty := r.head
		r.head, r.first = empty.next, 0
		r.pool.put(empty)
	}
	return v
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
