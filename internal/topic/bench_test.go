package topic

import (
	"fmt"
	"strconv"
	"testing"
)

// BenchmarkTrie finds 3 matching patterns among many that do not match.
func BenchmarkTrie(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		var trie Trie[*int]
		for i := range n {
			patterns := []string{"order.%d.created", "order.eu.%d", "*.%d.created", "stock.%d.#", "order.eu.created.%d"}
			trie.Insert(fmt.Sprintf(patterns[i%len(patterns)], i), new(int))
		}
		for _, pattern := range []string{"order.eu.created", "order.*.created", "order.#"} {
			trie.Insert(pattern, new(int))
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			var found []*int
			for b.Loop() {
				found = trie.Match(found[:0], "order.eu.created")
			}
			if len(found) != 3 {
				b.Fatalf("%d patterns found", len(found))
			}
		})
	}
}

// BenchmarkTrieNested is about patterns whose #s can take a key in several ways.
func BenchmarkTrieNested(b *testing.B) {
	var trie Trie[*int]
	for _, pattern := range []string{"#.error.#", "#.error.#.db.#", "#.db.#"} {
		trie.Insert(pattern, new(int))
	}
	b.ReportAllocs()
	var found []*int
	for b.Loop() {
		found = trie.Match(found[:0], "eu.shop.error.log.db.error")
	}
	if len(found) != 3 {
		b.Fatalf("%d patterns found", len(found))
	}
}

// BenchmarkTrieHostile matches some hundred patterns of up to 400 words each with a key of 200.
func BenchmarkTrieHostile(b *testing.B) {
	patterns, key := hostile()
	var trie Trie[string]
	for _, p := range patterns {
		trie.Insert(p, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		trie.Match(nil, key)
	}
}

// BenchmarkTrieValues binds ten thousand values with one pattern and removes them; the time is for all of them.
func BenchmarkTrieValues(b *testing.B) {
	values := make([]*int, 10_000)
	for i := range values {
		values[i] = new(int)
	}
	fill := func() *Trie[*int] {
		var trie Trie[*int]
		for _, v := range values {
			trie.Insert("#", v)
		}
		return &trie
	}
	b.Run("insert", func(b *testing.B) {
		for b.Loop() {
			fill()
		}
	})
	b.Run("remove", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			trie := fill()
			b.StartTimer()
			for _, v := range values {
				trie.Remove("#", v)
			}
		}
	})
	b.Run("match", func(b *testing.B) {
		trie := fill()
		var found []*int
		for b.Loop() {
			found = trie.Match(found[:0], "a.b")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	b.Run("star", func(b *testing.B) {
		for b.Loop() {
			Match("order.*.created", "order.eu.created")
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			Match("#.created", "order.eu.created")
		}
	})
	b.Run("hostile", func(b *testing.B) {
		patterns, key := hostile()
		pattern := patterns[len(patterns)-1]
		for b.Loop() {
			Match(pattern, key)
		}
	})
}
