package line

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type element struct{ place Place[*element] }

// A Line does what a slice does.
func TestLineDoesWhatASliceDoes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var l Line[*element]
	var want []*element
	for range 10_000 {
		switch rnd.IntN(5) {
		case 0:
			e := new(element)
			l.Push(&e.place, e)
			want = slices.Insert(want, 0, e)
		case 1, 2:
			e := new(element)
			l.Join(&e.place, e)
			want = append(want, e)
		default:
			if len(want) > 0 {
				i := rnd.IntN(len(want))
				e := want[i]
				if !e.place.In() {
					t.Fatal("an element is not in its line")
				}
				l.Leave(&e.place)
				if e.place != (Place[*element]{}) {
					t.Fatal("who has left keeps others alive")
				}
				want = slices.Delete(want, i, i+1)
			}
		}
		if got := slices.Collect(l.All()); !slices.Equal(got, want) || l.Len() != len(want) {
			t.Fatalf("got %v, %d of them, want %v", got, l.Len(), want)
		}
		if len(want) > 0 && l.First() != want[0] || len(want) == 0 && l.First() != nil {
			t.Fatal("wrong first")
		}
	}
}

func TestElementsMayLeaveWhileTheyAreRangedOver(t *testing.T) {
	var l Line[*element]
	for range 3 {
		e := new(element)
		l.Join(&e.place, e)
	}
	for e := range l.All() {
		l.Leave(&e.place)
	}
	if l.Len() != 0 || l.First() != nil {
		t.Fatal("somebody is left")
	}
}
