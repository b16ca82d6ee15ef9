// Package smap is a map with string keys that is read without locks while somebody writes to it: the names of
// exchanges and queues, the binding keys of an exchange, the next words of a topic pattern.
//
// Why not sync.Map: a broker holds a map for each exchange and for each word of each topic pattern, nearly all of them
// with a handful of entries, and reads several for every message. The empty sync.Map is six times as large as this
// one, its first entry allocates a table for sixteen, and it keeps keys as interfaces, which makes reading a string
// key about twice as slow. What it adds, many writers at once, is of no use here: the broker's writers hold a lock of
// their own.
package smap

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// Map holds values by string key. The zero Map is empty and ready to use, and is one pointer large; a Map that has
// been emptied is as small again. A Map must not be copied after first use.
//
// Any number of goroutines may call Load, Len and All at any time; none of them takes a lock, waits or allocates.
// Store and Delete are for one goroutine at a time: the caller serialises them with a lock of its own. They may be
// called from inside a loop over All.
//
// A Load sees the effect of every Store and Delete that returned before it began, and of each one that overlaps it
// either all or nothing; in particular, a key whose value is replaced is never seen missing.
type Map[V any] struct {
	table atomic.Pointer[table[V]] // nil when empty
}

// A table is a power of two of buckets, each an immutable list: a write builds the new list and replaces the head.
// A table that is outgrown is left as it was, for readers who are still in it.
type table[V any] struct {
	len     atomic.Int64
	buckets []atomic.Pointer[node[V]]
}

type node[V any] struct {
	key   string
	value V
	next  *node[V]
}

// small is how many entries one list holds: to compare so few keys is faster than to hash one.
const small = 4

// Load returns the value of key, and whether there is one.
func (m *Map[V]) Load(key string) (value V, ok bool) {
	t := m.table.Load()
	if t == nil {
		return value, false
	}
	for n := t.bucket(key).Load(); n != nil; n = n.next {
		if n.key == key {
			return n.value, true
		}
	}
	return value, false
}

// Store sets the value of key. It keeps the string: a key that is a piece of a larger string should be cloned first.
func (m *Map[V]) Store(key string, value V) {
	t := m.table.Load()
	if t == nil {
		t = newTable[V](1)
		m.table.Store(t)
	}
	bucket := t.bucket(key)
	list := bucket.Load()
	rest := list.without(key)
	bucket.Store(&node[V]{key, value, rest})
	if rest != list {
		return // replaced
	}
	if n := t.len.Add(1); n > int64(max(small, len(t.buckets))) {
		m.resize(t)
	}
}

// Delete removes key, if it is there.
func (m *Map[V]) Delete(key string) {
	t := m.table.Load()
	if t == nil {
		return
	}
	bucket := t.bucket(key)
	list := bucket.Load()
	rest := list.without(key)
	if rest == list {
		return // not there
	}
	bucket.Store(rest)
	if n := t.len.Add(-1); n < int64(len(t.buckets)/4) || n == 0 {
		m.resize(t)
	}
}

// Len returns the number of entries; while somebody writes, the number at some moment close by.
func (m *Map[V]) Len() int {
	if t := m.table.Load(); t != nil {
		return int(t.len.Load())
	}
	return 0
}

// All iterates over the entries in no particular order. It is no snapshot: a key that is there during the whole
// iteration is reported exactly once, with a value that it had at some moment of it; a key that comes or goes
// meanwhile is reported once or not at all.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		t := m.table.Load()
		if t == nil {
			return
		}
		for i := range t.buckets {
			for n := t.buckets[i].Load(); n != nil; n = n.next {
				if !yield(n.key, n.value) {
					return
				}
			}
		}
	}
}

// resize replaces t with a table of the right size for its entries. The size at least doubles or halves, so that the
// copying is paid for by the writes since the last time.
func (m *Map[V]) resize(t *table[V]) {
	n := int(t.len.Load())
	if n == 0 {
		m.table.Store(nil)
		return
	}
	fit := newTable[V](n)
	fit.len.Store(int64(n))
	for i := range t.buckets {
		for n := t.buckets[i].Load(); n != nil; n = n.next {
			bucket := fit.bucket(n.key)
			bucket.Store(n.before(bucket.Load()))
		}
	}
	m.table.Store(fit)
}

// newTable returns an empty table for n entries: one bucket for a few, else at least a bucket for each.
func newTable[V any](n int) *table[V] {
	size := 1
	if n > small {
		size = 1 << bits.Len(uint(n-1))
	}
	return &table[V]{buckets: make([]atomic.Pointer[node[V]], size)}
}

func (t *table[V]) bucket(key string) *atomic.Pointer[node[V]] {
	if len(t.buckets) == 1 {
		return &t.buckets[0]
	}
	return &t.buckets[hash(key)&uint64(len(t.buckets)-1)]
}

// before returns the list of n's entry and then rest.
func (n *node[V]) before(rest *node[V]) *node[V] {
	if n.next == rest {
		return n // often so: most lists have one entry
	}
	return &node[V]{n.key, n.value, rest}
}

// without returns the list without key: the list itself if key is not in it, else one that shares what follows key.
func (n *node[V]) without(key string) *node[V] {
	if n == nil {
		return nil
	}
	if n.key == key {
		return n.next
	}
	return n.before(n.next.without(key))
}
