package fifo

import (
	"math/rand/v2"
	"testing"
)

func TestUnackedSettlesEachHandleOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var u Unacked[int]
	live, settled := map[uint64]int{}, map[uint64]bool{}
	for i := range 20_000 {
		if rnd.IntN(2) == 0 {
			h := u.Add(&Entry[int]{Value: i, Seq: uint64(i)})
			if _, again := live[h]; h == 0 || again || settled[h] {
				t.Fatalf("handle %x was valid before", h)
			}
			live[h] = i
		}
		for h, want := range live {
			e, ok := u.Settle(h)
			if !ok || e.Value != want {
				t.Fatalf("handle %x: got %v %v, want %d", h, e, ok, want)
			}
			delete(live, h)
			settled[h] = true
			break
		}
		for h := range settled {
			if _, ok := u.Settle(h); ok {
				t.Fatalf("handle %x settled twice", h)
			}
			break
		}
		if u.Len() != len(live) {
			t.Fatalf("Len %d, want %d", u.Len(), len(live))
		}
	}
}

func TestUnackedDrainsInOrder(t *testing.T) {
	var u Unacked[int]
	h := u.Add(&Entry[int]{Seq: 9})
	u.Add(&Entry[int]{Seq: 2})
	u.Settle(h)
	u.Add(&Entry[int]{Seq: 5})
	u.Add(&Entry[int]{Seq: 1})
	var places []uint64
	for _, e := range u.Drain() {
		places = append(places, e.Seq)
	}
	if len(places) != 3 || places[0] != 2 || places[1] != 5 || places[2] != 1 || u.Len() != 0 {
		t.Fatalf("drained %v, %d left", places, u.Len())
	}
}
