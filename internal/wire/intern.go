package wire

import "hash/maphash"

const (
	internSlots  = 64
	internMaxLen = 64 // longer strings seldom repeat, and would make the cache's size the peer's choice
)

// internSeed is random, so that a peer cannot aim at one slot.
var internSeed = maphash.MakeSeed()

// Interner hands out one copy of strings that repeat, such as the exchange and routing key of a busy publisher, so
// that decoding them does not allocate. It holds a few kilobytes at most. The zero value is ready; nil is an Interner
// that remembers nothing. It is not for concurrent use: a connection's reader owns one.
type Interner struct {
	slots [internSlots]string
}

// String returns b as a string, the same one as last time if it is still remembered.
func (in *Interner) String(b []byte) string {
	if in == nil || len(b) > internMaxLen {
		return string(b)
	}
	slot := &in.slots[maphash.Bytes(internSeed, b)%internSlots]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
