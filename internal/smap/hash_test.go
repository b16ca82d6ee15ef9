package smap

import (
	"fmt"
	"testing"
)

// A hash that forgot a byte, or the length, would put many of these keys into
// one bucket.
func TestHashSpreadsKeysOfAllLengths(t *testing.T) {
	for length := 1; length <= 20; length++ {
		for at := range length {
			buckets := map[uint64]int{}
			for c := range 256 {
				key := []byte(fmt.Sprintf("%020d", 0)[:length])
				key[at] = byte(c)
				buckets[hash(string(key))&255]++
			}
			for _, n := range buckets {
				if n > 12 { // 1 on average
					t.Fatalf("%d of 256 keys that differ in byte %d of %d share a bucket", n, at, length)
				}
			}
		}
	}
	seen := map[uint64]bool{}
	for n := range 17 {
		seen[hash(string(make([]byte, n)))] = true
	}
	if len(seen) != 17 {
		t.Fatal("keys of zeros hash alike, whatever their length")
	}
}
