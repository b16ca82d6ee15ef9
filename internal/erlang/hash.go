package erlang

// ratio is the golden one, of which the hash takes multiples as its constants.
const ratio = 0x9e3779b9

// Hash is Erlang's phash2 of a list of binaries: a number below 2^27 that is the
// same in all its versions. It is made from Bob Jenkins's hash of 1996.
func Hash(binaries []string) uint32 {
	var h uint32
	for _, b := range binaries {
		h = hashBinary(b, ratio*13%(1<<32)+h)
	}
	_, _, h = mix(ratio*2%(1<<32)+2, ratio*2%(1<<32), h) // the end of the list
	return h % (1 << 27)
}

func hashBinary(s string, h uint32) uint32 {
	if s == "" {
		return h
	}
	size := uint32(len(s))
	a, b := uint32(ratio), uint32(ratio)
	for ; len(s) >= 12; s = s[12:] {
		a, b, h = mix(a+word(s, 0), b+word(s, 4), h+word(s, 8))
	}
	_, _, h = mix(a+word(s, 0), b+word(s, 4), h+size+word(s, 8)<<8)
	return h
}

// word is the number of up to four octets from i on, the lowest first.
func word(s string, i int) (n uint32) {
	for j := i; j < min(i+4, len(s)); j++ {
		n |= uint32(s[j]) << (8 * (j - i))
	}
	return n
}

func mix(a, b, c uint32) (_, _, _ uint32) {
	a = (a - b - c) ^ c>>13
	b = (b - c - a) ^ a<<8
	c = (c - a - b) ^ b>>13
	a = (a - b - c) ^ c>>12
	b = (b - c - a) ^ a<<16
	c = (c - a - b) ^ b>>5
	a = (a - b - c) ^ c>>3
	b = (b - c - a) ^ a<<10
	c = (c - a - b) ^ b>>15
	return a, b, c
}
