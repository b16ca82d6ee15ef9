package topic

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var matchTests = []struct {
	pattern  string
	match    []string
	mismatch []string
}{
	// A literal pattern matches itself, with regard to case.
	{"a", []string{"a"}, []string{"", "A", "b", "aa", "a.", ".a", "a.a"}},
	{"stock.usd.nyse", []string{"stock.usd.nyse"}, []string{"stock.usd", "stock.usd.NYSE", "stock.usd.nyse.x", "stock.usd.nys"}},

	// # matches every key, the pattern "" only the key "".
	{"#", []string{"", ".", "a", "a.b", "a.b.c", "..", "#", "*"}, nil},
	{"", []string{""}, []string{"a", ".", "*", "#"}},

	// The key "" has no words.
	{"*", []string{"a", "*", "#"}, []string{"", ".", "a.b"}},
	{"*.#", []string{"a", "a.b", ".", "a.", ".."}, []string{""}},
	{"#.*", []string{"a", "a.b", ".", "..", "a."}, []string{""}},
	{"#.#", []string{"", ".", "a", "a.b"}, nil},
	{"#.#.#", []string{"", "a", "a.b.c.d"}, nil},

	// "." is two empty words, ".." three.
	{"*.*", []string{".", "a.b", "a.", ".b"}, []string{"", "a", "..", "a.b.c"}},
	{"*.*.*", []string{"..", "a.b.c", "a..c"}, []string{"", ".", "..."}},
	{".", []string{"."}, []string{"", "..", "a", "a."}},

	// Empty words count.
	{"a.*.b", []string{"a..b", "a.x.b"}, []string{"a.b", "a.x.y.b", "a...b"}},
	{"a.#", []string{"a", "a.", "a.b.c", "a.."}, []string{"", "b", ".a", "aa", "b.a"}},
	{"#.a", []string{"a", ".a", "b.a", "a.a", "..a"}, []string{"", "a.", "a.b"}},
	{"a.", []string{"a."}, []string{"a", "a..", "a.b"}},
	{".a", []string{".a"}, []string{"a", "..a", "b.a"}},
	{"a..b", []string{"a..b"}, []string{"a.b", "a.x.b", "a...b"}},

	// # between words, and beside *.
	{"a.#.b", []string{"a.b", "a..b", "a.x.y.b", "a.b.b", "a.a.b"}, []string{"a", "b", "a.bb", "a.b.c", "x.a.b"}},
	{"*.#.*", []string{"a.b", ".", "a.b.c", ".."}, []string{"", "a"}},
	{"#.*.#", []string{"a", ".", "a.b.c"}, []string{""}},
	{"#.a.#", []string{"a", "a.b", "b.a", "b.a.b", ".a."}, []string{"", "b", "aa", "b.b"}},
	{"#.a.#.b.#", []string{"a.b", "b.a.b.a", "a.a.b.b", "x.a.x.b.x"}, []string{"", "b.a", "a", "b.b.a.a"}},
	{"#.a.b", []string{"a.b", "a.a.b", "a.b.a.b"}, []string{"a.b.a", "a.b.b", "a"}},
	{"#.a.*.#.b", []string{"a.x.b", "a.a.x.b", "a.b.b"}, []string{"a.b", "a.x.b.c"}},

	// Wildcards work only as whole words.
	{"a*", []string{"a*"}, []string{"a", "ab", "a.b"}},
	{"a#", []string{"a#"}, []string{"a", "ab", "a.b"}},
	{"*a", []string{"*a"}, []string{"ba", "a"}},
	{"#a.b", []string{"#a.b"}, []string{"a.b", "xa.b"}},
	{"**", []string{"**"}, []string{"a", "ab", "a.b"}},
	{"##", []string{"##"}, []string{"", "a", "a.b"}},
	{"*#", []string{"*#"}, []string{"", "a", "a.b"}},
	{"a.*", []string{"a.b", "a.", "a.*"}, []string{"a", "a.b.c", "b.a"}},
	{"*.a", []string{"b.a", ".a"}, []string{"a", "c.b.a"}},
}

func TestMatch(t *testing.T) {
	for _, tt := range matchTests {
		for _, key := range tt.match {
			checkMatch(t, tt.pattern, key, true)
		}
		for _, key := range tt.mismatch {
			checkMatch(t, tt.pattern, key, false)
		}
	}
}

// checkMatch checks Match, the Trie and the model that the fuzz test believes.
func checkMatch(t *testing.T, pattern, key string, want bool) {
	t.Helper()
	if got := Match(pattern, key); got != want {
		t.Errorf("Match(%q, %q) = %v", pattern, key, got)
	}
	if got := matches(words(pattern), words(key)); got != want {
		t.Errorf("the model says that %q matches %q: %v", pattern, key, got)
	}
	var trie Trie[int]
	trie.Insert(pattern, 1)
	wantFound := []int{}
	if want {
		wantFound = []int{1}
	}
	if got := trie.Match([]int{}, key); !slices.Equal(got, wantFound) {
		t.Errorf("Trie of %q: Match(%q) = %v", pattern, key, got)
	}
	if !trie.Remove(pattern, 1) || !trie.root.leaf() || trie.root.values.Load() != nil {
		t.Errorf("Trie of %q is not empty when it was removed", pattern)
	}
}

// matches is the definition of a match, slow but evident.
func matches(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return matches(pattern[1:], key) || len(key) > 0 && matches(pattern, key[1:])
	case len(key) == 0:
		return false
	default:
		return (pattern[0] == "*" || pattern[0] == key[0]) && matches(pattern[1:], key[1:])
	}
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ".")
}

// hostile returns patterns that take a naive matcher longer than anyone can wait, and the key to do it with.
func hostile() (patterns []string, key string) {
	const words = 200
	key = strings.Repeat("a.", words-1) + "a"
	for n := range words / 2 {
		patterns = append(patterns,
			strings.Repeat("#.", n)+"b",
			strings.Repeat("#.a.", n)+"b",
			strings.Repeat("#.*.", n)+"b",
			strings.Repeat("#.a.#.*.", n)+"b",
			strings.Repeat("#.a.a.*.", n)+"#.b",
			strings.Repeat("*.#.a.", n)+"#.#.b",
		)
	}
	return patterns, key
}

func TestHostilePatterns(t *testing.T) {
	patterns, key := hostile()
	slices.Sort(patterns)
	patterns = slices.Compact(patterns) // "b" comes several times
	var trie Trie[string]
	for _, p := range patterns {
		trie.Insert(p, p)
	}
	start := time.Now()
	for _, key := range []string{key, key + ".b"} {
		var want []string
		for _, p := range patterns {
			if Match(p, key) {
				want = append(want, p)
			}
		}
		checkFound(t, &trie, key, want...)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// FuzzMatch takes patterns, one a line, and a key.
func FuzzMatch(f *testing.F) {
	for _, tt := range matchTests {
		for _, key := range slices.Concat(tt.match, tt.mismatch) {
			f.Add(tt.pattern+"\n"+strings.ReplaceAll(tt.pattern, "a", "*"), key)
		}
	}
	f.Add("#.a.#.a.#\n#.a.#.b.#\n#.#.a\n*.#.a.#\n#.a.*.#", "a.b.a.a.b")
	f.Fuzz(func(t *testing.T, lines, key string) {
		if len(lines) > 200 || len(words(key)) > 12 || strings.Count(lines, "#") > 12 {
			t.Skip("too much for the model")
		}
		patterns := strings.Split(lines, "\n")
		var trie Trie[string]
		var want []string
		for _, p := range patterns {
			trie.Insert(p, p)
			ok := matches(words(p), words(key))
			if got := Match(p, key); got != ok {
				t.Errorf("Match(%q, %q) = %v", p, key, got)
			}
			if ok && !slices.Contains(want, p) {
				want = append(want, p)
			}
		}
		checkFound(t, &trie, key, want...)
		for i, p := range patterns {
			if trie.Remove(p, p) == slices.Contains(patterns[:i], p) {
				t.Errorf("Remove(%q) is wrong about whether it was there", p)
			}
		}
		if !trie.root.leaf() || trie.root.values.Load() != nil {
			t.Error("Trie is not empty when all patterns were removed")
		}
	})
}
