package memconn

// minRing is the first size of a ring: enough for a few small frames, little
// enough for thousands of idle connections.
const minRing = 1 << 10

// ring is a queue of bytes in a circle that doubles as it needs to. Its zero
// value is empty and holds no memory.
type ring struct {
	buf  []byte
	head int // index in buf of the first byte
	n    int // bytes held
}

// push appends as much of b as fits when the ring may hold limit bytes, and
// returns how much that was.
func (r *ring) push(b []byte, limit int) int {
	b = b[:min(len(b), limit-r.n)]
	if r.n+len(b) > len(r.buf) {
		r.grow(r.n+len(b), limit)
	}
	tail := r.head + r.n
	if tail >= len(r.buf) {
		tail -= len(r.buf)
	}
	first := copy(r.buf[tail:], b)
	copy(r.buf, b[first:])
	r.n += len(b)
	return len(b)
}

// pop moves the oldest bytes into b and returns how many they were.
func (r *ring) pop(b []byte) int {
	b = b[:min(len(b), r.n)]
	first := copy(b, r.buf[r.head:])
	copy(b[first:], r.buf)
	r.n -= len(b)
	r.head += len(b)
	switch {
	case r.n == 0:
		r.head = 0 // the next push is in one piece, on memory still in cache
	case r.head >= len(r.buf):
		r.head -= len(r.buf)
	}
	return len(b)
}

// grow makes room for need bytes in all. It at least doubles, so that filling
// the ring byte by byte copies each byte a bounded number of times.
func (r *ring) grow(need, limit int) {
	buf := make([]byte, min(max(minRing, need, 2*len(r.buf)), limit))
	n := r.n
	r.pop(buf)
	*r = ring{buf: buf, n: n}
}
