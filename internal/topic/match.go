// Package topic says which patterns of a topic exchange's bindings match a message's routing key.
//
// Patterns and keys are words separated by dots. In a pattern, the word * stands for exactly one word and # for any
// number of words, also none; they are wildcards only as a whole word, and everything else is compared byte for byte.
// Words may be empty, so "." is two of them, but the empty string has no words at all: the pattern * does not match
// the key "", the pattern # does, and the pattern "" matches nothing else.
package topic

import "strings"

const (
	one  = "*"
	many = "#"
)

// Match reports whether pattern matches key. It does not allocate, and takes no more steps than about the words in
// pattern times the words in key.
func Match(pattern, key string) bool {
	p, k := first(pattern), first(key)
	retryP, retryK := -1, 0 // behind the last # so far, and behind the key's words it takes
	for more(key, k) {
		if more(pattern, p) {
			want, nextP := word(pattern, p)
			if want == many {
				p, retryP, retryK = nextP, nextP, k
				continue
			}
			if have, nextK := word(key, k); want == one || want == have {
				p, k = nextP, nextK
				continue
			}
		}
		// A mismatch: the last # takes one word more. There is no need to reconsider those before it: what lies
		// between them matched at its first chance, which left the last # the most words to choose from.
		if retryP < 0 {
			return false
		}
		_, retryK = word(key, retryK)
		p, k = retryP, retryK
	}
	for more(pattern, p) {
		want, next := word(pattern, p)
		if want != many {
			return false
		}
		p = next
	}
	return true
}

// A position in a string is where a word begins: from first, by word, until there is no more.

// first returns the position of the first word of s. In the empty string it is already behind the end.
func first(s string) int {
	if s == "" {
		return 1
	}
	return 0
}

// more reports whether there is a word at i. The last word may be empty and begin at len(s).
func more(s string, i int) bool { return i <= len(s) }

// word returns the word at i and the position of the next one.
func word(s string, i int) (w string, next int) {
	if n := strings.IndexByte(s[i:], '.'); n >= 0 {
		return s[i : i+n], i + n + 1
	}
	return s[i:], len(s) + 1
}
