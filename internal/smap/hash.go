package smap

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

var (
	seed = maphash.MakeSeed()
	k0   = rand.Uint64()
	k1   = rand.Uint64()
)

// hash is maphash.String, but for short keys, which nearly all are, it does
// without the calls: two overlapping loads see every byte, and two wide
// multiplications with secret numbers mix them, as wyhash does it.
func hash(key string) uint64 {
	var a, b uint64
	switch n := len(key); {
	case n > 16:
		return maphash.String(seed, key)
	case n >= 8:
		a, b = load64(key), load64(key[n-8:])
	case n >= 4:
		a, b = load32(key), load32(key[n-4:])
	case n > 0:
		a = uint64(key[0]) | uint64(key[n/2])<<8 | uint64(key[n-1])<<16
	}
	hi, lo := bits.Mul64(a^k0^uint64(len(key)), b^k1)
	hi, lo = bits.Mul64(hi^k0, lo^k1) // one round leaves patterns, with unlucky numbers
	return hi ^ lo
}

func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}
