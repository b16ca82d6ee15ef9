package pocketmq_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// --- the forms ---------------------------------------------------------------

func TestReceiveWaitsForAMessage(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		var d pocketmq.Delivery
		done := background(func() (err error) { d, err = c.Receive(ctx); return err })
		waits(t, done)
		send(t, b, "q", "a")
		must(t, result(t, done))
		require.Equal(t, "a", string(d.Body))
	})
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		timeout, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.Receive(timeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		send(t, b, "q", "a")
		_, err = c.Receive(timeout)
		require.ErrorIs(t, err, context.DeadlineExceeded, "it was over before it began")
		require.Equal(t, "a", string(receive(t, c).Body), "the consumer goes on")
	})
}

func TestTryReceiveDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		_, ok, err := c.TryReceive()
		must(t, err)
		require.False(t, ok)
		send(t, b, "q", "a")
		d, ok, err := c.TryReceive()
		must(t, err)
		require.True(t, ok)
		require.Equal(t, "a", string(d.Body))
	})
}

func TestDeliveriesRangesUntilCancel(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a", "b")
		var got []string
		for d, err := range c.Deliveries() {
			must(t, err)
			got = append(got, string(d.Body))
			must(t, d.Ack())
			if len(got) == 2 {
				go func() {
					time.Sleep(time.Second)
					c.Cancel()
				}()
			}
		}
		require.Equal(t, []string{"a", "b"}, got)
	})
}

func TestLeavingTheLoopOverDeliveriesDoesNotEndTheConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a", "b")
		for _, want := range []string{"a", "b"} {
			for d, err := range c.Deliveries() {
				must(t, err)
				require.Equal(t, want, string(d.Body))
				break
			}
		}
		require.NoError(t, c.Err())
	})
}

func TestChanGivesTheMessagesInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(2))
		require.Equal(t, c.Chan(), c.Chan(), "it is always the same")
		send(t, b, "q", "a", "b", "c")
		for _, want := range []string{"a", "b", "c"} {
			d := <-c.Chan()
			require.Equal(t, want, string(d.Body))
			must(t, d.Ack())
		}
		c.Cancel()
		_, open := <-c.Chan()
		require.False(t, open)
	})
}

func TestChanOfAnEndedConsumerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		c.Cancel()
		_, open := <-c.Chan()
		require.False(t, open)
		require.True(t, isClosed(c.Done()))
	})
}

func TestSeveralGoroutinesMayReceiveFromOneConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(7))
		var mu sync.Mutex
		got := map[string]int{}
		add := func(d *pocketmq.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			got[string(d.Body)]++
			must(t, d.Ack())
		}
		for range 3 {
			go func() {
				for d := range c.Deliveries() {
					add(&d)
				}
			}()
			go func() {
				for d := range c.Chan() {
					add(&d)
				}
			}()
		}
		for i := range 200 {
			send(t, b, "q", fmt.Sprint(i))
		}
		synctest.Wait()
		c.Cancel()
		require.Len(t, got, 200)
		require.Equal(t, uint64(200), stats(t, b, "q").Acked)
	})
}

func TestNotifyTellsWhenToTryAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		told := 0
		c := consume(t, b, "q", pocketmq.Prefetch(1), pocketmq.Notify(func() { told++ }))
		require.Empty(t, held(t, c))
		send(t, b, "q", "a", "b")
		require.Equal(t, 1, told)
		first := held(t, c)
		require.Len(t, first, 1)
		require.Equal(t, 1, told)
		must(t, first[0].Ack())
		require.Equal(t, 2, told, "b follows")
		require.Len(t, held(t, c), 1)
		c.Cancel()
		require.Equal(t, 3, told)
	})
}

// --- ending ------------------------------------------------------------------

func TestCancelEndsTheConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.ConsumerTag("tag"))
		require.NoError(t, c.Err())
		require.False(t, isClosed(c.Done()))
		for range 2 {
			c.Cancel()
			require.ErrorIs(t, c.Err(), pocketmq.ErrCanceled)
			require.EqualError(t, c.Err(), "CONNECTION_FORCED - consumer 'tag' was cancelled")
			require.True(t, isClosed(c.Done()))
		}
		_, err := c.Receive(ctx)
		require.ErrorIs(t, err, pocketmq.ErrCanceled)
		_, _, err = c.TryReceive()
		require.ErrorIs(t, err, pocketmq.ErrCanceled)
		for range c.Deliveries() {
			require.Fail(t, "there is nothing")
		}
		send(t, b, "q", "a") // CONS-15
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
	})
}

func TestConsumerEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		timeout, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c, err := b.Consume(timeout, "q")
		must(t, err)
		for range c.Deliveries() {
			require.Fail(t, "there is nothing")
		}
		require.ErrorIs(t, c.Err(), pocketmq.ErrCanceled)
		_, err = b.Consume(timeout, "q")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestCanceledConsumerReturnsWhatItDidNotHandOut(t *testing.T) {
	for name, begin := range map[string]func(c *pocketmq.Consumer){
		"nothing fetched": func(*pocketmq.Consumer) {},
		"a batch fetched": func(c *pocketmq.Consumer) { c.TryReceive() },
		"one on its way":  func(c *pocketmq.Consumer) { c.Chan(); synctest.Wait() },
	} {
		for end, f := range map[string]func(*pocketmq.Consumer){
			"Cancel": (*pocketmq.Consumer).Cancel, "Close": (*pocketmq.Consumer).Close,
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				bubble(t, func(t *testing.T, b *pocketmq.Broker) {
					declare(t, b, "q")
					c := consume(t, b, "q")
					send(t, b, "q", "a", "b", "c")
					begin(c)
					f(c)
					want := []string{"afalse", "bfalse", "cfalse"}
					switch {
					case name == "a batch fetched" && end == "Cancel":
						want = want[1:]
					case name == "a batch fetched":
						want[0] = "atrue" // it was handed out
					}
					var got []string
					for range want {
						d := take(t, b, "q")
						got = append(got, fmt.Sprint(string(d.Body), d.Redelivered))
					}
					require.Equal(t, want, got)
				})
			})
		}
	}
}

func TestWhatACanceledConsumerHandedOutMayBeSettled(t *testing.T) { // CONS-15
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		send(t, b, "q", "a", "b", "c")
		all := held(t, c)
		c.Cancel()
		must(t, all[0].Ack())
		must(t, all[1].Nack(true))
		must(t, all[2].Reject())
		s := stats(t, b, "q")
		require.Equal(t, []uint64{1, 1, 1}, []uint64{s.Acked, s.Returned, s.Rejected})
		require.Equal(t, []string{"b"}, drain(t, b, "q"))
	})
}

func TestClosedConsumerReturnsInOrderWhatIsNotSettled(t *testing.T) { // ACK-10, ACK-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(4))
		send(t, b, "q", "1", "2", "3", "4", "5")
		all := held(t, c)
		must(t, all[1].Ack())
		require.Equal(t, []string{"5"}, bodies(held(t, c)))
		c.Close()
		c.Close()
		require.ErrorIs(t, all[0].Ack(), pocketmq.ErrSettled)
		require.Equal(t, []string{"1", "3", "4", "5"}, drain(t, b, "q"))
	})
}

func TestCloseAfterCancelReturnsWhatWasHandedOut(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		c := consume(t, b, "q")
		receive(t, c)
		c.Cancel()
		require.Empty(t, drain(t, b, "q"))
		c.Close()
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
	})
}

func TestWhatAClosedConsumerHeldGoesToTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		first, second := consume(t, b, "q", pocketmq.Priority(1)), consume(t, b, "q")
		send(t, b, "q", "a", "b", "c")
		receive(t, first)
		received := background(func() error {
			for _, want := range []string{"atrue", "bfalse", "cfalse"} {
				d := receive(t, second)
				if got := fmt.Sprint(string(d.Body), d.Redelivered); got != want {
					return fmt.Errorf("%s instead of %s", got, want)
				}
			}
			return nil
		})
		waits(t, received)
		first.Close()
		must(t, result(t, received))
	})
}

// --- settling ----------------------------------------------------------------

func TestDeliveryIsSettledOnce(t *testing.T) { // ACK-2
	settle := map[string]func(*pocketmq.Delivery) error{
		"Ack":         (*pocketmq.Delivery).Ack,
		"Reject":      (*pocketmq.Delivery).Reject,
		"Nack(true)":  func(d *pocketmq.Delivery) error { return d.Nack(true) },
		"Nack(false)": func(d *pocketmq.Delivery) error { return d.Nack(false) },
	}
	for first, one := range settle {
		for second, two := range settle {
			t.Run(first+" "+second, func(t *testing.T) {
				bubble(t, func(t *testing.T, b *pocketmq.Broker) {
					declare(t, b, "q")
					send(t, b, "q", "a")
					d := receive(t, consume(t, b, "q", pocketmq.Prefetch(1)))
					duplicate := *d
					must(t, one(d))
					require.ErrorIs(t, two(d), pocketmq.ErrSettled)
					require.ErrorIs(t, two(&duplicate), pocketmq.ErrSettled)
					s := stats(t, b, "q")
					require.Equal(t, uint64(1), s.Acked+s.Rejected+s.Returned)
				})
			})
		}
	}
}

func TestOldDeliveryDoesNotSettleANewerOne(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a", "b")
		old := receive(t, c)
		must(t, old.Nack(true))
		again := receive(t, c)
		require.Equal(t, "a", string(again.Body))
		require.ErrorIs(t, old.Ack(), pocketmq.ErrSettled)
		must(t, again.Ack())
		require.Equal(t, "b", string(receive(t, c).Body))
		require.ErrorIs(t, again.Ack(), pocketmq.ErrSettled)
	})
}

func TestDeliveryMayBeSettledByAnyGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		d := receive(t, consume(t, b, "q"))
		var settled sync.Map
		for i := range 10 {
			go func() { settled.Store(i, d.Ack() == nil) }()
		}
		synctest.Wait()
		n := 0
		settled.Range(func(_, ok any) bool {
			if ok.(bool) {
				n++
			}
			return true
		})
		require.Equal(t, 1, n)
		require.Equal(t, uint64(1), stats(t, b, "q").Acked)
	})
}

func TestSettleAllIsOneStepForEachConsumer(t *testing.T) { // ACK-6, ACK-10
	for outcome, want := range map[pocketmq.Outcome]struct {
		waits                     []string
		acked, rejected, returned uint64
	}{
		pocketmq.Acked:    {[]string{"5", "6"}, 4, 0, 0},
		pocketmq.Rejected: {[]string{"5", "6"}, 0, 4, 0},
		pocketmq.Requeued: {[]string{"1", "3"}, 0, 0, 4}, // what others held comes back after that
	} {
		t.Run(fmt.Sprint(outcome), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				c1 := consume(t, b, "q", pocketmq.ConsumerTag("a"), pocketmq.Prefetch(2))
				c2 := consume(t, b, "q", pocketmq.ConsumerTag("b"), pocketmq.Prefetch(1))
				fill(t, b, "q", 3)
				all := append(held(t, c1), held(t, c2)...)
				c2.Cancel()
				send(t, b, "q", "4", "5", "6")
				all = append(all, take(t, b, "q"))
				all[0], all[3] = all[3], all[0]
				must(t, pocketmq.SettleAll(outcome, all...))
				require.Equal(t, want.waits, bodies(held(t, c1)))
				s := stats(t, b, "q")
				require.Equal(t, []uint64{want.acked, want.rejected, want.returned}, []uint64{s.Acked, s.Rejected, s.Returned})
				require.ErrorIs(t, all[0].Ack(), pocketmq.ErrSettled)
			})
		})
	}
}

func TestSettleAllLeavesOutWhatIsSettled(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		fill(t, b, "q", 3)
		all := held(t, c)
		must(t, all[1].Ack())
		require.ErrorIs(t, pocketmq.SettleAll(pocketmq.Rejected, all[0], all[1], all[2], all[2]), pocketmq.ErrSettled)
		s := stats(t, b, "q")
		require.Equal(t, []uint64{1, 2}, []uint64{s.Acked, s.Rejected})
		must(t, pocketmq.SettleAll(pocketmq.Acked))
		require.ErrorIs(t, pocketmq.SettleAll(pocketmq.Acked, &pocketmq.Delivery{}), pocketmq.ErrSettled)
	})
}

func TestSettleAllOfADeletedQueueIsNoError(t *testing.T) { // ACK-7
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q")
		fill(t, b, "q", 2)
		all := held(t, c)
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		must(t, pocketmq.SettleAll(pocketmq.Requeued, all...))
		require.ErrorIs(t, all[0].Ack(), pocketmq.ErrSettled)
	})
}

func TestAutoAckSettlesWhatIsHandedOut(t *testing.T) { // CONS-8
	for name, next := range map[string]func(t *testing.T, c *pocketmq.Consumer) *pocketmq.Delivery{
		"Receive":    func(t *testing.T, c *pocketmq.Consumer) *pocketmq.Delivery { return receive(t, c) },
		"TryReceive": func(_ *testing.T, c *pocketmq.Consumer) *pocketmq.Delivery { d, _, _ := c.TryReceive(); return &d },
		"Chan":       func(_ *testing.T, c *pocketmq.Consumer) *pocketmq.Delivery { d := <-c.Chan(); return &d },
		"Deliveries": func(_ *testing.T, c *pocketmq.Consumer) *pocketmq.Delivery {
			for d := range c.Deliveries() {
				return &d
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q")
				c := consume(t, b, "q", pocketmq.AutoAck(), pocketmq.Prefetch(2))
				send(t, b, "q", "a", "b", "c", "d")
				for _, want := range []string{"a", "b"} {
					d := next(t, c)
					require.Equal(t, want, string(d.Body))
					require.ErrorIs(t, d.Ack(), pocketmq.ErrSettled)
				}
				synctest.Wait()
				require.Equal(t, uint64(2), stats(t, b, "q").Acked)
				c.Close()
				require.Equal(t, []string{"c", "d"}, drain(t, b, "q"))
			})
		})
	}
}

func TestGetWithAutoAckSettles(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a", "b")
		d := take(t, b, "q", pocketmq.AutoAck())
		require.ErrorIs(t, d.Nack(true), pocketmq.ErrSettled)
		require.Equal(t, []string{"b"}, drain(t, b, "q"))
	})
}

// --- Get ---------------------------------------------------------------------

func TestGetOfAnEmptyQueueIsNoError(t *testing.T) { // GET-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		_, ok, err := b.Get(ctx, "q")
		must(t, err)
		require.False(t, ok)
	})
}

func TestGetTellsHowManyMessagesAreLeft(t *testing.T) { // GET-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a", "b", "c")
		for _, want := range []int{2, 1, 0} {
			require.Equal(t, want, take(t, b, "q").MessageCount)
		}
	})
}

func TestGetTakesNothingFromAConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(2)) // it is assigned a and b, and fetches them later
		send(t, b, "q", "a", "b", "c")
		require.Equal(t, "c", string(take(t, b, "q").Body))
		require.Equal(t, []string{"a", "b"}, bodies(held(t, c)))
	})
}

// --- whose turn it is --------------------------------------------------------

func TestConsumersTakeTurns(t *testing.T) { // CONS-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c1, c2, c3 := consume(t, b, "q"), consume(t, b, "q"), consume(t, b, "q")
		send(t, b, "q", "1", "2", "3", "4", "5", "6", "7")
		require.Equal(t, []string{"3", "6"}, bodies(held(t, c3)), "who asks first makes no difference")
		require.Equal(t, []string{"1", "4", "7"}, bodies(held(t, c1)))
		require.Equal(t, []string{"2", "5"}, bodies(held(t, c2)))
	})
}

func TestConsumerWithoutCreditIsPassedOverAndQueuesUpAgain(t *testing.T) { // CONS-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c1, c2, c3 := consume(t, b, "q", pocketmq.Prefetch(1)), consume(t, b, "q"), consume(t, b, "q")
		send(t, b, "q", "1", "2", "3", "4", "5", "6")
		must(t, receive(t, c1).Ack())
		send(t, b, "q", "7", "8", "9")
		require.Equal(t, []string{"9"}, bodies(held(t, c1)))
		require.Equal(t, []string{"2", "4", "6", "8"}, bodies(held(t, c2)))
		require.Equal(t, []string{"3", "5", "7"}, bodies(held(t, c3)))
	})
}

func TestConsumerTakesTheBacklogBeforeAnotherComes(t *testing.T) { // CONS-13
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "1", "2")
		c1 := consume(t, b, "q", pocketmq.Prefetch(0))
		send(t, b, "q", "3")
		c2 := consume(t, b, "q")
		send(t, b, "q", "4", "5")
		require.Equal(t, []string{"5"}, bodies(held(t, c2)))
		require.Equal(t, []string{"1", "2", "3", "4"}, bodies(held(t, c1)))
	})
}

func TestConsumersOfHigherPriorityGoFirst(t *testing.T) { // CONS-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		low, normal := consume(t, b, "q", pocketmq.Priority(-1)), consume(t, b, "q")
		high1 := consume(t, b, "q", pocketmq.Priority(9), pocketmq.Prefetch(2))
		high2 := consume(t, b, "q", pocketmq.Priority(9), pocketmq.Prefetch(1))
		send(t, b, "q", "1", "2", "3", "4", "5")
		all := held(t, high1)
		require.Equal(t, []string{"1", "3"}, bodies(all))
		require.Equal(t, []string{"2"}, bodies(held(t, high2)))
		require.Equal(t, []string{"4", "5"}, bodies(held(t, normal)))
		must(t, all[0].Ack())
		send(t, b, "q", "6", "7")
		require.Equal(t, []string{"6"}, bodies(held(t, high1)))
		require.Equal(t, []string{"7"}, bodies(held(t, normal)))
		require.Empty(t, held(t, low))
	})
}

func TestRequeuedMessageGoesToTheNextInTurn(t *testing.T) { // ACK-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c1, c2 := consume(t, b, "q"), consume(t, b, "q")
		send(t, b, "q", "a")
		must(t, receive(t, c1).Nack(true))
		d := receive(t, c2)
		require.True(t, d.Redelivered)
		must(t, d.Nack(true))
		require.Equal(t, "a", string(receive(t, c1).Body))
	})
}

func TestLoneConsumerGetsBackWhatItRequeues(t *testing.T) { // ACK-11, ORD-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a", "b")
		for range 3 {
			d := receive(t, c)
			require.Equal(t, "a", string(d.Body))
			must(t, d.Nack(true))
		}
	})
}

func TestExclusiveConsumerIsAlone(t *testing.T) { // CONS-4, CONS-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "k1")
		refused := func(opts ...pocketmq.ConsumeOption) {
			t.Helper()
			_, err := b.Consume(ctx, "k1", opts...)
			require.ErrorIs(t, err, pocketmq.ErrAccessRefused)
			require.EqualError(t, err, "ACCESS_REFUSED - queue 'k1' in vhost '/' in exclusive use")
		}
		c := consume(t, b, "k1")
		refused(pocketmq.Exclusive(), pocketmq.ConsumerTag("tag"))
		c.Cancel()
		c = consume(t, b, "k1", pocketmq.Exclusive(), pocketmq.Prefetch(1), pocketmq.ConsumerTag("tag"))
		refused()
		refused(pocketmq.Exclusive())
		send(t, b, "k1", "a", "b")
		require.Equal(t, "b", string(take(t, b, "k1").Body))
		c.Cancel()
		consume(t, b, "k1")
	})
}

// --- tags --------------------------------------------------------------------

func TestConsumerTags(t *testing.T) { // CONS-2, CONS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		require.Regexp(t, regexp.MustCompile(`^amq\.ctag-[A-Za-z0-9_-]{22}$`), consume(t, b, "q").Tag())
		c := consume(t, b, "q", pocketmq.ConsumerTag("t"))
		require.Equal(t, "t", c.Tag())
		_, err := b.Consume(ctx, "q", pocketmq.ConsumerTag("t"))
		require.ErrorIs(t, err, pocketmq.ErrNotAllowed)
		require.EqualError(t, err, "NOT_ALLOWED - attempt to reuse consumer tag 't'")
		consume(t, b.Session(), "q", pocketmq.ConsumerTag("t"))
		c.Cancel()
		consume(t, b, "q", pocketmq.ConsumerTag("t"))
	})
}

// --- nobody waits in vain ----------------------------------------------------

func TestReceiverGetsAMessageAsSoonAsAnAckOfAnotherGivesCredit(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(2))
		send(t, b, "q", "1")
		first := receive(t, c)
		got := make(chan string, 2)
		for range 2 {
			go func() { got <- string(receive(t, c).Body) }()
		}
		synctest.Wait() // both wait
		send(t, b, "q", "2", "3")
		require.Equal(t, "2", <-got)
		must(t, first.Ack())
		synctest.Wait()
		require.Len(t, got, 1, "there was credit for 3, and somebody who waited for it")
		<-got
	})
}

// Goroutines receive, publish and settle at random. Whenever nothing moves any
// more, nobody may wait for what is there: no receiver for a message that its
// consumer has credit for, and no publisher for room.
func TestNobodyWaitsInVain(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) { nobodyWaitsInVain(t, b, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func nobodyWaitsInVain(t *testing.T, b *pocketmq.Broker, r *rand.Rand) {
	prefetch, limit := 1+r.IntN(4), r.IntN(4)
	var opts []pocketmq.ConsumeOption
	if r.IntN(3) == 0 {
		w, err := pocketmq.NewWindow(prefetch)
		must(t, err)
		opts = append(opts, pocketmq.SharedPrefetch(w), pocketmq.Prefetch(0))
	} else {
		opts = append(opts, pocketmq.Prefetch(prefetch))
	}
	declare(t, b, "q", pocketmq.MaxLength(limit))
	c := consume(t, b, "q", opts...)
	var (
		mu                    sync.Mutex
		unsettled             []*pocketmq.Delivery
		receivers, publishers int
		published, received   int
	)
	locked := func(f func()) { mu.Lock(); defer mu.Unlock(); f() }
	end, stop := context.WithCancel(ctx)
	defer stop()
	for step := range 60 {
		mu.Lock()
		switch r.IntN(5) {
		case 0:
			if receivers < 5 {
				receivers++
				go func() {
					d, err := c.Receive(end)
					locked(func() {
						if receivers--; err == nil {
							received++
							unsettled = append(unsettled, &d)
						}
					})
				}()
			}
		case 1, 2:
			if publishers < 5 {
				publishers++
				go func() {
					err := b.Publish(end, "", "q", msg(fmt.Sprint(step)))
					locked(func() {
						if publishers--; err == nil {
							published++
						}
					})
				}()
			}
		default:
			if n := len(unsettled); n > 0 {
				i := r.IntN(n)
				d := unsettled[i]
				unsettled = append(unsettled[:i], unsettled[i+1:]...)
				if r.IntN(4) == 0 {
					must(t, d.Nack(true))
					received--
				} else {
					must(t, d.Ack())
				}
			}
		}
		mu.Unlock()
		if r.IntN(3) > 0 { // else the next step happens at the same time
			synctest.Wait()
			waiting, held := published-received, len(unsettled)
			require.False(t, receivers > 0 && waiting > 0 && held < prefetch,
				"step %d: %d receivers, but %d messages wait, and %d of %d are held", step, receivers, waiting, held, prefetch)
			ready := max(0, waiting-(prefetch-held))
			require.False(t, publishers > 0 && (ready < limit || waiting == 0 && held < prefetch),
				"step %d: %d publishers, but only %d of %d messages are ready", step, publishers, ready, limit)
		}
	}
}

// Whoever is notified that a consumer has ended may use its tag again.
func TestATagIsFreeWhenItsConsumerHasEnded(t *testing.T) { // CONS-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		declare(t, b, "other")
		var c, next *pocketmq.Consumer
		c = consume(t, b, "q", pocketmq.ConsumerTag("t"), pocketmq.Notify(func() {
			if c.Err() != nil && next == nil {
				next = consume(t, b, "other", pocketmq.ConsumerTag("t"))
			}
		}))
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		require.NotNil(t, next)
		_, err = b.Consume(ctx, "other", pocketmq.ConsumerTag("t"))
		require.ErrorIs(t, err, pocketmq.ErrNotAllowed)
		next.Cancel()
		consume(t, b, "other", pocketmq.ConsumerTag("t"))
	})
}
