package pocketmq_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

func window(t testing.TB, n int) (*pocketmq.Window, pocketmq.ConsumeOption) {
	t.Helper()
	w, err := pocketmq.NewWindow(n)
	must(t, err)
	return w, pocketmq.SharedPrefetch(w)
}

// fill publishes n messages, the numbers from 1 on.
func fill(t testing.TB, b *pocketmq.Broker, queue string, n int) {
	t.Helper()
	for i := range n {
		send(t, b, queue, fmt.Sprint(i+1))
	}
}

func TestPrefetchLimitsWhatAConsumerHolds(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []pocketmq.ConsumeOption
		want int
	}{
		{"one", []pocketmq.ConsumeOption{pocketmq.Prefetch(1)}, 1},
		{"some", []pocketmq.ConsumeOption{pocketmq.Prefetch(100)}, 100},
		{"the default", nil, pocketmq.DefaultPrefetch},
		{"no limit", []pocketmq.ConsumeOption{pocketmq.Prefetch(0)}, 300}, // QOS-5
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				fill(t, b, "q", 200)
				c := consume(t, b, "q", tc.opts...)
				fill(t, b, "q", 100)
				require.Equal(t, 300-tc.want, stats(t, b, "q").Ready)
				require.Len(t, held(t, c), tc.want)
			})
		})
	}
}

func TestEverySettlementGivesCreditBack(t *testing.T) { // QOS-7
	for name, settle := range map[string]func(d *pocketmq.Delivery) error{
		"ack":     (*pocketmq.Delivery).Ack,
		"reject":  (*pocketmq.Delivery).Reject,
		"requeue": func(d *pocketmq.Delivery) error { return d.Nack(true) },
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(name, shared), func(t *testing.T) {
				bubble(t, func(t *testing.T, b *pocketmq.Broker) {
					declare(t, b, "q")
					opt := pocketmq.Prefetch(2)
					if shared {
						_, opt = window(t, 2)
					}
					c := consume(t, b, "q", opt)
					fill(t, b, "q", 4)
					all := held(t, c)
					require.Equal(t, []string{"1", "2"}, bodies(all))
					want := "3"
					if name == "requeue" {
						want = "1" // it goes back to its place, and that is the first
					}
					must(t, settle(all[0]))
					require.Equal(t, []string{want}, bodies(held(t, c)))
				})
			})
		}
	}
}

func TestGetIgnoresPrefetch(t *testing.T) { // QOS-8
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		w, shared := window(t, 1)
		c := consume(t, b, "q", shared)
		fill(t, b, "q", 3)
		require.Len(t, held(t, c), 1)
		take(t, b, "q")
		take(t, b, "q")
		require.Equal(t, 1, w.Used())
	})
}

func TestWindowIsSharedByConsumersOfOneQueue(t *testing.T) { // QOS-3, QOS-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		_, shared := window(t, 3)
		c1 := consume(t, b, "q", shared, pocketmq.Prefetch(2))
		c2 := consume(t, b, "q", shared, pocketmq.Prefetch(2))
		fill(t, b, "q", 6)
		first, second := held(t, c1), held(t, c2)
		require.Equal(t, []string{"1", "3"}, bodies(first))
		require.Equal(t, []string{"2"}, bodies(second), "it had credit of its own")
		must(t, first[0].Ack())
		require.Len(t, append(held(t, c1), held(t, c2)...), 1)
	})
}

func TestWindowIsSharedAcrossQueues(t *testing.T) { // QOS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q1")
		declare(t, b, "q2")
		w, shared := window(t, 2)
		c1, c2 := consume(t, b, "q1", shared), consume(t, b.Session(), "q2", shared)
		fill(t, b, "q1", 2)
		fill(t, b, "q2", 1)
		all := held(t, c1)
		require.Len(t, all, 2)
		require.Empty(t, held(t, c2))
		must(t, all[0].Ack())
		require.Len(t, held(t, c2), 1)
		require.Equal(t, 2, w.Used())
	})
}

func TestWindowServesAllItsQueues(t *testing.T) {
	for name, settle := range map[string]func(d *pocketmq.Delivery) error{
		"ack":    (*pocketmq.Delivery).Ack,
		"reject": (*pocketmq.Delivery).Reject,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				_, shared := window(t, 1)
				var consumers []*pocketmq.Consumer
				for _, q := range []string{"q1", "q2", "q3"} {
					declare(t, b, q)
					fill(t, b, q, 5)
					consumers = append(consumers, consume(t, b, q, shared))
				}
				served := map[int]int{}
				for range 9 {
					for i, c := range consumers {
						if all := held(t, c); len(all) > 0 {
							served[i]++
							must(t, settle(all[0]))
							break
						}
					}
				}
				for i := range consumers {
					require.GreaterOrEqual(t, served[i], 2, "%v: a queue is starved by another", served)
				}
			})
		})
	}
}

func TestWindowIsFreedByWhateverEndsADelivery(t *testing.T) {
	for name, end := range map[string]func(b *pocketmq.Broker, s *pocketmq.Session, c *pocketmq.Consumer){
		"cancel": func(_ *pocketmq.Broker, _ *pocketmq.Session, c *pocketmq.Consumer) { c.Cancel() },
		"close":  func(_ *pocketmq.Broker, _ *pocketmq.Session, c *pocketmq.Consumer) { c.TryReceive(); c.Close() },
		"channel": func(_ *pocketmq.Broker, _ *pocketmq.Session, c *pocketmq.Consumer) {
			c.Chan()
			synctest.Wait()
			c.Cancel()
		},
		"session closed": func(_ *pocketmq.Broker, s *pocketmq.Session, c *pocketmq.Consumer) { c.TryReceive(); s.Close() },
		"queue deleted":  func(b *pocketmq.Broker, _ *pocketmq.Session, _ *pocketmq.Consumer) { b.DeleteQueue(ctx, "q1") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				w, shared := window(t, 2)
				declare(t, b, "q1")
				declare(t, b, "q2")
				s := b.Session()
				c1, c2 := consume(t, s, "q1", shared), consume(t, b, "q2", shared)
				fill(t, b, "q1", 2)
				fill(t, b, "q2", 2)
				require.Equal(t, 2, stats(t, b, "q2").Ready)
				end(b, s, c1)
				all := held(t, c2)
				require.Len(t, all, 2)
				for _, d := range all {
					must(t, d.Ack())
				}
				require.Zero(t, w.Used())
			})
		})
	}
}

func TestDeliveriesOfADeletedQueueHoldTheirWindowUntilSettled(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		w, shared := window(t, 2)
		declare(t, b, "q1")
		declare(t, b, "q2")
		fill(t, b, "q1", 2)
		all := held(t, consume(t, b, "q1", shared))
		c2 := consume(t, b, "q2", shared)
		fill(t, b, "q2", 2)
		_, err := b.DeleteQueue(ctx, "q1")
		must(t, err)
		require.Equal(t, 2, w.Used())
		must(t, all[0].Ack())
		must(t, all[1].Nack(true))
		require.Len(t, held(t, c2), 2)
	})
}

func TestWindowHoldsUpConsumersThatNeedNoAcksWhileItIsFull(t *testing.T) { // QOS-8
	for name, start := range map[string]func(*testing.T, *pocketmq.Broker, *pocketmq.Window) *pocketmq.Consumer{
		"shared": func(t *testing.T, b *pocketmq.Broker, w *pocketmq.Window) *pocketmq.Consumer {
			return consume(t, b, "free", pocketmq.SharedPrefetch(w), pocketmq.AutoAck())
		},
		"joined": func(t *testing.T, b *pocketmq.Broker, w *pocketmq.Window) *pocketmq.Consumer {
			c := consume(t, b, "free", pocketmq.AutoAck())
			w.Join(c)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				w, shared := window(t, 1)
				declare(t, b, "q")
				declare(t, b, "free")
				free := start(t, b, w)
				fill(t, b, "free", 3)
				require.Len(t, held(t, free), 3, "they are acked as they are handed out")
				require.Zero(t, w.Used())

				acks := consume(t, b, "q", shared)
				fill(t, b, "q", 2)
				all := held(t, acks)
				require.Len(t, all, 1)
				fill(t, b, "free", 3)
				require.Empty(t, held(t, free))
				w.Resize(2)
				require.Len(t, held(t, acks), 1)
				require.Empty(t, held(t, free), "the other's second message was first")
				must(t, all[0].Ack())
				require.Len(t, held(t, free), 3)
			})
		})
	}
}

func TestConsumerWithoutAWindowIsNotHeldUpByOneThatHas(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		_, shared := window(t, 1)
		declare(t, b, "q")
		c1, c2 := consume(t, b, "q", shared), consume(t, b, "q")
		fill(t, b, "q", 4)
		require.Equal(t, []string{"1"}, bodies(held(t, c1)))
		require.Equal(t, []string{"2", "3", "4"}, bodies(held(t, c2)))
	})
}

func TestWindowMayBeResized(t *testing.T) { // QOS-5, QOS-6
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		w, shared := window(t, 2)
		c := consume(t, b, "q", shared)
		fill(t, b, "q", 9)
		all := held(t, c)
		require.Len(t, all, 2)
		w.Resize(4)
		all = append(all, held(t, c)...)
		require.Len(t, all, 4, "more at once")
		w.Resize(1)
		for _, d := range all[:3] {
			must(t, d.Ack())
			require.Empty(t, held(t, c), "still too many")
		}
		must(t, all[3].Ack())
		require.Len(t, held(t, c), 1)
		w.Resize(0)
		require.Len(t, held(t, c), 4, "no limit any more")
	})
}

func TestRunningConsumerMayJoinAWindow(t *testing.T) { // QOS-3
	for name, fetched := range map[string]bool{"fetched": true, "not fetched": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				c := consume(t, b, "q", pocketmq.Prefetch(3))
				fill(t, b, "q", 6)
				var all []*pocketmq.Delivery
				if fetched {
					all = held(t, c)
					must(t, all[0].Ack()) // of which the queue has not heard yet
					all = all[1:]
				}
				w, _ := window(t, 2)
				w.Join(c)
				w.Join(c)
				require.Equal(t, 3, w.Used(), "what it held before counts")
				all = append(all, held(t, c)...)
				require.Len(t, all, 3)
				must(t, all[0].Ack())
				require.Empty(t, held(t, c))
				must(t, all[1].Reject())
				require.Len(t, held(t, c), 1)
				c.Close()
				require.Zero(t, w.Used())
				w.Join(c)
				require.Zero(t, w.Used(), "it has ended")
			})
		})
	}
}

func TestZeroWindowGetsItsSizeFromResize(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var w pocketmq.Window
		w.Resize(1)
		c := consume(t, b, "q", pocketmq.SharedPrefetch(&w))
		fill(t, b, "q", 2)
		require.Len(t, held(t, c), 1)
	})
}

func TestNilWindowLimitsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		var w *pocketmq.Window
		w.Resize(1)
		c := consume(t, b, "q")
		w.Join(c)
		w, _ = pocketmq.NewWindow(1)
		w.Join(nil)
		fill(t, b, "q", 2)
		require.Len(t, held(t, c), 2)
	})
}

// A delivery that is settled twice at once makes room once.
func TestSettleAllOfTheSameTwiceMakesRoomOnce(t *testing.T) { // QOS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		w, err := pocketmq.NewWindow(3)
		must(t, err)
		declare(t, b, "p")
		declare(t, b, "q")
		first := consume(t, b, "p", pocketmq.SharedPrefetch(w))
		second := consume(t, b, "q", pocketmq.SharedPrefetch(w))
		send(t, b, "p", "1")
		send(t, b, "q", "2", "3", "4", "5", "6", "7")
		one, two := held(t, first), held(t, second)
		require.Len(t, append(one, two...), 3)
		require.ErrorIs(t, pocketmq.SettleAll(pocketmq.Acked, one[0], two[0], two[0]), pocketmq.ErrSettled)
		require.Len(t, held(t, second), 2)
		require.Equal(t, 3, w.Used())
	})
}

// A window without room forgets the queues that nobody under it consumes from any more.
func TestAWindowForgetsQueues(t *testing.T) { // QOS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		w, err := pocketmq.NewWindow(1)
		must(t, err)
		declare(t, b, "held")
		c := consume(t, b, "held", pocketmq.SharedPrefetch(w))
		send(t, b, "held", "m")
		d := receive(t, c)
		for range 3 {
			declare(t, b, "q")
			send(t, b, "q", "1", "2")
			consume(t, b, "q", pocketmq.SharedPrefetch(w)).Cancel()
			stays := consume(t, b, "q", pocketmq.SharedPrefetch(w))
			consume(t, b, "q", pocketmq.SharedPrefetch(w)).Cancel()
			require.Equal(t, 1, w.Waiting())
			must(t, d.Ack())
			d = receive(t, stays)
			_, err := b.DeleteQueue(ctx, "q")
			must(t, err)
			require.Zero(t, w.Waiting())
			must(t, d.Ack())
			send(t, b, "held", "m")
			d = receive(t, c)
		}
	})
}
