package amqpserver

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// A list of tags that is searched from end to end, as the twin of unacked.
func TestUnackedAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var u unacked
	var model, held []uint64 // held: taken, and may be restored
	var back []unackedDelivery
	last := uint64(0)
	for range 100000 {
		switch n := r.IntN(100); {
		case n < 55:
			last += 1 + uint64(r.IntN(2)) // deliveries without ack leave gaps
			u.add(last, 0, 0, &pocketmq.Delivery{ConsumerTag: string(rune(last % 1000))})
			model = append(model, last)
		case n < 90:
			tag := last - min(last, uint64(r.IntN(20)))
			if len(model) > 0 && r.IntN(2) == 0 {
				tag = model[0]
			}
			i := slices.Index(model, tag)
			d, ok := u.take(tag)
			require.Equal(t, i >= 0, ok)
			if ok {
				require.Equal(t, string(rune(tag%1000)), d.ConsumerTag)
				model = slices.Delete(model, i, i+1)
				back, held = append(back, unackedDelivery{tag: tag, delivery: d}), append(held, tag)
			}
		case n < 93:
			tag := last - min(last, uint64(r.IntN(20)))
			if r.IntN(4) == 0 {
				tag = 0
			}
			i := slices.Index(model, tag)
			taken, ok := u.takeThrough(tag, nil)
			require.Equal(t, tag == 0 || i >= 0, ok)
			if !ok {
				continue
			}
			if tag == 0 {
				i = len(model) - 1
			}
			require.Len(t, taken, i+1)
			for j, e := range taken {
				require.Equal(t, model[j], e.tag)
			}
			model = slices.Delete(model, 0, i+1)
		case n < 95:
			u.restore(back)
			model = append(model, held...)
			slices.Sort(model)
			back, held = nil, nil
		default:
			back, held = nil, nil
		}
		require.Equal(t, len(model), u.live)
	}
}

func TestUnackedForgetsWhatWasTaken(t *testing.T) {
	var u unacked
	u.add(1, 0, 0, &pocketmq.Delivery{}) // never settled
	for tag := uint64(2); tag < 100000; tag++ {
		u.add(tag, 0, 0, &pocketmq.Delivery{})
		u.take(tag)
	}
	require.Less(t, cap(u.list), 100)
}
