package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func contents(r *Ring[int]) []int {
	var all []int
	for v := range r.All() {
		all = append(all, *v)
	}
	return all
}

func TestRingAgainstASlice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var pool Pool[int]
	r := New(&pool)
	var model []int
	for i := range 100_000 {
		// The bias changes every thousand steps, so that the ring grows over
		// many chunks and runs empty again.
		if push := rnd.IntN(10) < 3+4*(i/1000%2); push {
			*r.PushBack() = i
			model = append(model, i)
		} else if n := min(rnd.IntN(500), len(model)); n > 1 && rnd.IntN(10) == 0 {
			dst := New(&pool)
			r.MoveTo(&dst, n)
			got := contents(&dst)
			if len(got) == 0 || len(got) > n || dst.Len() != len(got) || !slices.Equal(got, model[:len(got)]) {
				t.Fatalf("step %d: moved %v, want up to %v", i, got, model[:n])
			}
			for range got {
				dst.PopFront() // gives the chunks back, for the ring to use again
			}
			model = model[len(got):]
		} else if len(model) > 0 {
			if got := r.PopFront(); got != model[0] {
				t.Fatalf("step %d: popped %d, want %d", i, got, model[0])
			}
			model = model[1:]
		}
		if r.Len() != len(model) {
			t.Fatalf("step %d: Len %d, want %d", i, r.Len(), len(model))
		}
		if i%997 == 0 && !slices.Equal(contents(&r), model) {
			t.Fatalf("step %d: holds %v, want %v", i, contents(&r), model)
		}
		if (r.Front() == nil) != (len(model) == 0) || len(model) > 0 && *r.Front() != model[0] {
			t.Fatalf("step %d: wrong front", i)
		}
	}
	r.Clear()
	if r.Len() != 0 || r.Front() != nil || contents(&r) != nil {
		t.Fatal("a cleared ring is not empty")
	}
	*r.PushBack() = 7
	if !slices.Equal(contents(&r), []int{7}) {
		t.Fatal("a cleared ring does not take new entries")
	}
}

func TestPoppedSlotsAreZeroed(t *testing.T) {
	var r Ring[*int]
	*r.PushBack() = new(int)
	slot := r.Front()
	r.PopFront()
	if *slot != nil {
		t.Fatal("the ring keeps a popped entry alive")
	}
}

func BenchmarkPushPop(b *testing.B) {
	var pool Pool[[6]uint64]
	r := New(&pool)
	for range 100 {
		*r.PushBack() = [6]uint64{}
	}
	b.ReportAllocs()
	for b.Loop() {
		*r.PushBack() = [6]uint64{}
		r.PopFront()
	}
}
