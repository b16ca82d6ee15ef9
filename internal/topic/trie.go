package topic

import (
	"strings"
	"sync/atomic"

	"github.com/pocketmq/pocketmq/internal/smap"
)

// Trie is a set of pairs of a pattern and a value, asked for the values whose pattern matches a key. The zero Trie is
// empty and ready to use; it must not be copied after first use.
//
// What Match costs depends on the words of the key and on the patterns that match or begin to match it, not on how
// many others there are.
//
// Any number of goroutines may call Match at any time; it takes no lock. Insert and Remove are for one goroutine at a
// time: the caller serialises them with a lock of its own. A Match sees every pair that is there from its beginning to
// its end; a pair that comes or goes meanwhile it may see or not.
type Trie[V comparable] struct {
	root node[V]
}

// A node stands for the beginning of some patterns: the words on the way to it from the root. But for the root, a
// node is there only as long as some pattern needs it.
type node[V comparable] struct {
	literals smap.Map[*node[V]] // by the pattern's next word
	one      atomic.Pointer[node[V]]
	many     atomic.Pointer[node[V]]
	values   atomic.Pointer[set[V]] // of the pattern that ends here; nil when empty
}

// Insert adds the pair of pattern and v, if it is not there yet.
func (t *Trie[V]) Insert(pattern string, v V) {
	n := &t.root
	for i := first(pattern); more(pattern, i); {
		var w string
		w, i = word(pattern, i)
		child := n.child(w)
		if child == nil {
			child = new(node[V])
			n.setChild(strings.Clone(w), child) // a clone, lest a word keeps a whole pattern, or what it was cut from
		}
		n = child
	}
	n.values.Store(n.values.Load().add(v))
}

// Remove removes the pair of pattern and v, and reports whether it was there.
func (t *Trie[V]) Remove(pattern string, v V) bool {
	return t.root.remove(pattern, first(pattern), v)
}

// remove removes v from the pattern whose words from position i on lead on from n, and the nodes that nothing needs
// any more.
func (n *node[V]) remove(pattern string, i int, v V) bool {
	if !more(pattern, i) {
		values, ok := n.values.Load().remove(v)
		n.values.Store(values)
		return ok
	}
	w, next := word(pattern, i)
	child := n.child(w)
	if child == nil || !child.remove(pattern, next, v) {
		return false
	}
	if child.leaf() && child.values.Load() == nil {
		n.setChild(w, nil)
	}
	return true
}

// child returns the node for the pattern word w after n, or nil.
func (n *node[V]) child(w string) *node[V] {
	switch w {
	case one:
		return n.one.Load()
	case many:
		return n.many.Load()
	}
	child, _ := n.literals.Load(w)
	return child
}

func (n *node[V]) setChild(w string, child *node[V]) {
	switch {
	case w == one:
		n.one.Store(child)
	case w == many:
		n.many.Store(child)
	case child == nil:
		n.literals.Delete(w)
	default:
		n.literals.Store(w, child)
	}
}

// leaf reports whether no pattern goes on from n.
func (n *node[V]) leaf() bool {
	return n.literals.Len() == 0 && n.one.Load() == nil && n.many.Load() == nil
}

// Match appends to dst the values whose pattern matches key, and returns the extended slice. A value is appended once
// for each of its patterns that matches. Match allocates only to extend dst, and for a key that leads to the second # of more
// than a few patterns.
func (t *Trie[V]) Match(dst []V, key string) []V {
	s := search[V]{key: key, found: dst}
	s.visit(&t.root, first(key), false)
	return s.found
}

// A search walks down all patterns that match key at once.
//
// It comes to a node at most once for each position in the key, and therefore ends soon whatever the patterns: on
// from a #, the words that lead to a node say how many words of the key are behind it. Only at the second # of a
// pattern do ways meet again, as one can take what the other left. It is then enough to follow the first that comes:
// it has consumed the least of the key, and whatever the later ones leave to the second #, it can take as well.
type search[V comparable] struct {
	key   string
	found []V
	seen  seen[V] // nodes for a second or later #
}

// visit goes on from n at position i of the key; nested says whether there was a # on the way.
func (s *search[V]) visit(n *node[V], i int, nested bool) {
	if child := n.many.Load(); child != nil && (!nested || s.seen.add(child)) {
		s.visitMany(child, i)
	}
	if !more(s.key, i) {
		s.found = n.values.Load().appendTo(s.found)
		return
	}
	w, next := word(s.key, i)
	if child := n.one.Load(); child != nil {
		s.visit(child, next, nested)
	}
	if child, ok := n.literals.Load(w); ok {
		s.visit(child, next, nested)
	}
}

// visitMany goes on from n, whose # takes none, one, and so on up to all words of the key from position i on.
func (s *search[V]) visitMany(n *node[V], i int) {
	if n.leaf() {
		s.found = n.values.Load().appendTo(s.found)
		return
	}
	for more(s.key, i) {
		s.visit(n, i, true)
		_, i = word(s.key, i)
	}
	s.visit(n, i, true)
}

// seen is a set of nodes that needs no allocation while it is small.
type seen[V comparable] struct {
	few  [8]*node[V]
	len  int
	rest map[*node[V]]bool
}

// add adds n and reports whether it is new.
func (s *seen[V]) add(n *node[V]) bool {
	for _, old := range s.few[:s.len] {
		if old == n {
			return false
		}
	}
	if s.len < len(s.few) {
		s.few[s.len] = n
		s.len++
		return true
	}
	if s.rest[n] {
		return false
	}
	if s.rest == nil {
		s.rest = make(map[*node[V]]bool)
	}
	s.rest[n] = true
	return true
}
