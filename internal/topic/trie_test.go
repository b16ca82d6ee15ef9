package topic

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTrieZeroValue(t *testing.T) {
	var trie Trie[int]
	for _, key := range []string{"", ".", "a", "a.b", "*", "#"} {
		if got := trie.Match(nil, key); got != nil {
			t.Errorf("Match(%q) = %v in an empty Trie", key, got)
		}
		if trie.Remove(key, 1) {
			t.Errorf("Remove(%q) in an empty Trie", key)
		}
	}
}

func TestTrieIsASet(t *testing.T) {
	var trie Trie[string]
	trie.Insert("a.b", "x")
	trie.Insert("a.b", "x")
	trie.Insert("a.b", "y")
	trie.Insert("a.*", "x")
	checkFound(t, &trie, "a.b", "x", "x", "y") // x by two patterns

	if !trie.Remove("a.b", "x") || trie.Remove("a.b", "x") {
		t.Error("a pair that was inserted twice was not there once")
	}
	checkFound(t, &trie, "a.b", "x", "y")
	for _, pattern := range []string{"", "a", "a.b.c", "a.#", "b", "#"} {
		if trie.Remove(pattern, "x") {
			t.Errorf("Remove(%q) of what is not there", pattern)
		}
	}
	if trie.Remove("a.b", "z") {
		t.Error("Remove of a value that is not there")
	}
	checkFound(t, &trie, "a.b", "x", "y")
}

func checkFound[V cmp.Ordered](t *testing.T, trie *Trie[V], key string, want ...V) {
	t.Helper()
	got := trie.Match(nil, key)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Match(%q) = %v, want %v", key, got, want)
	}
}

func TestTrieMatchAppends(t *testing.T) {
	var trie Trie[string]
	trie.Insert("#", "x")
	if got := trie.Match([]string{"before"}, "a"); !slices.Equal(got, []string{"before", "x"}) {
		t.Errorf("Match = %q", got)
	}
}

// Each pattern is found once, however many ways its #s could take the key.
func TestTrieFindsAPatternOnce(t *testing.T) {
	var trie Trie[string]
	for _, pattern := range []string{"#.#", "#.a.#", "#.a.#.a.#", "#.*.#.*.#", "a.#.a.#.a", "#.#.#.#.a"} {
		trie.Insert(pattern, pattern)
	}
	got := trie.Match(nil, "a.a.a.a.a.a.a.a")
	slices.Sort(got)
	if len(got) != 6 || len(slices.Compact(got)) != 6 {
		t.Errorf("Match = %q", got)
	}
}

// More second #s than a search can note without a map.
func TestTrieManyNestedPatterns(t *testing.T) {
	var trie Trie[string]
	var key []string
	for i := range 30 {
		key = append(key, fmt.Sprint("w", i))
		pattern := fmt.Sprintf("#.w%d.#.w29.#.#", i)
		trie.Insert(pattern, pattern)
	}
	got := trie.Match(nil, strings.Join(key, "."))
	slices.Sort(got)
	if len(got) != 29 || len(slices.Compact(got)) != 29 {
		t.Errorf("%d patterns found: %q", len(got), got)
	}
}

func TestTrieRemovePrunes(t *testing.T) {
	var trie Trie[int]
	trie.Insert("a.b.c", 1)
	trie.Insert("a", 1)
	trie.Insert("a.*.#.x", 1)
	count := func() int { return countNodes(&trie.root) }
	if got := count(); got != 7 {
		t.Fatalf("%d nodes, want the root and 6", got)
	}
	for _, step := range []struct {
		pattern string
		left    int
	}{{"a.*.#.x", 4}, {"a", 4}, {"a.b.c", 1}} {
		trie.Remove(step.pattern, 1)
		if got := count(); got != step.left {
			t.Errorf("%d nodes left without %q, want %d", got, step.pattern, step.left)
		}
	}
}

func countNodes[V comparable](n *node[V]) int {
	if n == nil {
		return 0
	}
	count := 1 + countNodes(n.one.Load()) + countNodes(n.many.Load())
	for _, child := range n.literals.All() {
		count += countNodes(child)
	}
	return count
}

// Ten thousand values of one pattern, which come and go.
func TestTrieManyValues(t *testing.T) {
	const n = 10_000
	var trie Trie[int]
	for i := range n {
		trie.Insert("#", i)
		trie.Insert("#", i)
	}
	left := map[int]bool{}
	for _, v := range trie.Match(nil, "a.b") {
		left[v] = true
	}
	if len(left) != n {
		t.Fatalf("%d values, want %d", len(left), n)
	}
	for i, v := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		if !trie.Remove("#", v) || trie.Remove("#", v) {
			t.Fatalf("value %d was not there once", v)
		}
		delete(left, v)
		if i%97 != 0 && i < n-200 {
			continue
		}
		got := trie.Match(nil, "")
		if len(got) != len(left) {
			t.Fatalf("%d values, want %d", len(got), len(left))
		}
		for _, v := range got {
			if !left[v] {
				t.Fatalf("value %d, which was removed", v)
			}
		}
	}
	if !trie.root.leaf() {
		t.Error("Trie is not empty when all values were removed")
	}
}

func TestTrieAgainstList(t *testing.T) {
	type pair struct {
		pattern string
		v       int
	}
	r := rand.New(rand.NewPCG(3, 4))
	alphabet := []string{"a", "b", "", "*", "#"}
	random := func(from []string) string {
		w := make([]string, r.IntN(6))
		for i := range w {
			w[i] = from[r.IntN(len(from))]
		}
		return strings.Join(w, ".")
	}
	var trie Trie[int]
	model := map[pair]bool{}
	for range 2000 {
		p := pair{random(alphabet), r.IntN(3)}
		if r.IntN(3) < 2 {
			trie.Insert(p.pattern, p.v)
			model[p] = true
		} else {
			if got := trie.Remove(p.pattern, p.v); got != model[p] {
				t.Fatalf("Remove(%q, %d) = %v", p.pattern, p.v, got)
			}
			delete(model, p)
		}
		key := random(alphabet[:3])
		var want []int
		for p := range model {
			if matches(words(p.pattern), words(key)) {
				want = append(want, p.v)
			}
		}
		if checkFound(t, &trie, key, want...); t.Failed() {
			return
		}
	}
	for p := range model {
		trie.Remove(p.pattern, p.v)
	}
	if n := countNodes(&trie.root); n != 1 {
		t.Errorf("%d nodes left in an empty Trie", n)
	}
}

func TestTrieMatchDoesNotAllocate(t *testing.T) {
	var trie Trie[*int]
	for _, pattern := range []string{"a.b.c", "a.*.c", "#", "a.#", "#.c", "#.b.#", "*.#.c.#", "#.#"} {
		trie.Insert(pattern, new(int))
	}
	var dst []*int
	got := testing.AllocsPerRun(100, func() {
		dst = trie.Match(dst[:0], "a.b.c")
		Match("#.a.#.c", "a.b.c")
	})
	if got != 0 || len(dst) != 8 {
		t.Errorf("%v allocations to find %d values", got, len(dst))
	}
}

// Readers look for patterns that stay, and check that what else they find does match, while a writer inserts and
// removes patterns around them, of all kinds and in the same nodes.
func TestTrieReadersBesideAWriter(t *testing.T) {
	stay := []string{"a.b.c", "a.*.c", "a.#", "#", "#.b.#.c", "*.b.#"}
	const key = "a.b.c"
	var churn []string
	for i := range 50 {
		churn = append(churn, fmt.Sprint("a.b.c.", i), fmt.Sprint("a.", i), fmt.Sprint("#.", i, ".#"))
	}
	churn = append(churn, "*", "*.*.*", "#.c", "#.#", "a", "a.b", "a.b.#", "#.b.#.c.#", "", "a.*", "*.#.*")

	type value struct {
		pattern string
		i       int
	}
	var trie Trie[value]
	for _, p := range stay {
		trie.Insert(p, value{p, -1})
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var found []value
			for !done.Load() {
				found = trie.Match(found[:0], key)
				for _, p := range stay {
					if !slices.Contains(found, value{p, -1}) {
						t.Errorf("Match misses %q", p)
						return
					}
				}
				for _, v := range found {
					if !Match(v.pattern, key) {
						t.Errorf("Match finds %q", v.pattern)
						return
					}
				}
			}
		})
	}
	for range 20 {
		for i := range 5 {
			for _, p := range churn {
				trie.Insert(p, value{p, i})
			}
			for _, p := range stay {
				for j := range long { // in and out of the index
					trie.Insert(p, value{p, i*long + j})
				}
			}
		}
		for i := range 5 {
			for _, p := range churn {
				trie.Remove(p, value{p, i})
			}
			for _, p := range stay {
				for j := range long {
					trie.Remove(p, value{p, i*long + j})
				}
			}
		}
	}
	done.Store(true)
	wg.Wait()

	got := trie.Match(nil, key)
	if len(got) != len(stay) {
		t.Errorf("in the end Match = %v", got)
	}
}
