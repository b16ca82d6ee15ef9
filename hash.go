package pocketmq

// hashOf is FNV-1a over strings, mixed well. Unlike maphash it is the same in every
// process: where a message goes can be relied on.
func hashOf(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range parts {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // no two lists run into the same text: 0xff is in no UTF-8
	}
	return mix(h)
}

// mix spreads the bits of h over all of them (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// fraction makes a number in (0, 1] of a hash.
func fraction(h uint64) float64 { return float64(h>>11+1) / (1 << 53) }
