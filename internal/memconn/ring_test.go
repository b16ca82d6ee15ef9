package memconn

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A ring does what a slice does that is appended to and cut from the front.
func TestRingAgainstSlice(t *testing.T) {
	for limit := range 70 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		var r ring
		var model []byte
		next := byte(0)
		for range 500 {
			if rng.IntN(2) == 0 {
				b := make([]byte, rng.IntN(limit+10))
				for i := range b {
					b[i] = next + byte(i)
				}
				n := r.push(b, limit)
				if want := min(len(b), limit-len(model)); n != want {
					t.Fatalf("seed %d, limit %d: pushed %d, want %d", seed, limit, n, want)
				}
				next += byte(n)
				model = append(model, b[:n]...)
			} else {
				b := make([]byte, rng.IntN(limit+10))
				n := r.pop(b)
				if want := model[:min(len(b), len(model))]; !bytes.Equal(b[:n], want) {
					t.Fatalf("seed %d, limit %d: popped %v, want %v", seed, limit, b[:n], want)
				}
				model = model[n:]
			}
			if r.n != len(model) {
				t.Fatalf("seed %d, limit %d: ring holds %d, want %d", seed, limit, r.n, len(model))
			}
		}
	}
}

// Sizes are not multiples of each other here, so growing happens at every
// position of the head.
func TestRingGrows(t *testing.T) {
	const limit = 10_000
	var r ring
	var want, got []byte
	for i := 0; r.n < limit-37; i++ {
		b := bytes.Repeat([]byte{byte(i)}, 37)
		want = append(want, b[:r.push(b, limit)]...)
		b = make([]byte, 11)
		got = append(got, b[:r.pop(b)]...)
		if len(r.buf) > limit {
			t.Fatalf("the buffer has %d bytes, the limit is %d", len(r.buf), limit)
		}
	}
	rest := make([]byte, limit)
	got = append(got, rest[:r.pop(rest)]...)
	if !bytes.Equal(got, want) {
		t.Error("bytes were lost or changed on the way")
	}
}

func TestMemory(t *testing.T) {
	client, server := Pipe()
	held := func() int { return len(client.out.ring.buf) }

	if held() != 0 {
		t.Errorf("%d bytes before the first write", held())
	}
	client.Write(make([]byte, 10))
	if held() != minRing {
		t.Errorf("%d bytes after a small write, want %d", held(), minRing)
	}
	client.Write(make([]byte, DefaultBuffer-10))
	if held() != DefaultBuffer {
		t.Errorf("%d bytes when full, want %d", held(), DefaultBuffer)
	}
	client.Close()
	if held() != DefaultBuffer {
		t.Error("closing dropped what the peer has not read yet")
	}
	server.Read(make([]byte, DefaultBuffer))
	if held() != 0 {
		t.Errorf("%d bytes after the last read", held())
	}

	for name, closeFirst := range map[string]func(){
		"reader":            func() { server.Close() },
		"writer, all read,": func() { server.Read(make([]byte, 10)); client.Close() },
		"writer, by Reset,": func() { client.Reset() },
	} {
		client, server = Pipe()
		client.Write(make([]byte, 10))
		closeFirst()
		if held() != 0 {
			t.Errorf("%d bytes after the %s closed", held(), name)
		}
	}
}
