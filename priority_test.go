package pocketmq_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// sendWith publishes messages that say which priority they have, and which number.
func sendWith(t testing.TB, c pocketmq.Client, queue string, priorities ...uint8) {
	t.Helper()
	for i, p := range priorities {
		publish(t, c, queue, &pocketmq.Message{Body: fmt.Appendf(nil, "%d.%d", p, i), Priority: p})
	}
}

func TestPrioritiesAreServedHighestFirst(t *testing.T) { // PRIO-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5))
		sendWith(t, b, "q", 0, 1, 9, 1, 5, 0)
		require.Equal(t, []string{"9.2", "5.4", "1.1", "1.3", "0.0", "0.5"}, drain(t, b, "q"))
		declare(t, b, "plain", pocketmq.MaxPriority(0)) // PRIO-2
		sendWith(t, b, "plain", 0, 255)
		require.Equal(t, []string{"0.0", "255.1"}, drain(t, b, "plain"))
		declare(t, b, "all", pocketmq.MaxPriority(255))
		sendWith(t, b, "all", 63, 64, 128, 255, 254)
		require.Equal(t, []string{"255.3", "254.4", "128.2", "64.1", "63.0"}, drain(t, b, "all"))
	})
}

func TestWhatComesBackKeepsItsPlaceInItsPriority(t *testing.T) { // PRIO-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5))
		sendWith(t, b, "q", 1, 1, 5)
		high, low := take(t, b, "q"), take(t, b, "q")
		must(t, low.Nack(true))
		must(t, high.Nack(true))
		require.Equal(t, []string{"5.2", "1.0", "1.1"}, drain(t, b, "q"))
	})
}

func TestWhatAConsumerHoldsIsNotOvertaken(t *testing.T) { // PRIO-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5))
		c := consume(t, b, "q", pocketmq.Prefetch(2))
		sendWith(t, b, "q", 1, 1, 1, 5)
		d := receive(t, c)
		require.Equal(t, "1.0", string(d.Body))
		must(t, d.Ack())
		require.Equal(t, []string{"1.1", "5.3"}, bodies(held(t, c)))
	})
}

func TestWhatThereIsCreditForIsNotOvertaken(t *testing.T) { // PRIO-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5))
		c := consume(t, b, "q", pocketmq.Prefetch(2))
		sendWith(t, b, "q", 1, 1, 1, 1)
		must(t, receive(t, c).Ack()) // there is credit for one more
		sendWith(t, b, "q", 5)
		must(t, receive(t, c).Ack()) // and now for the newest
		require.Equal(t, []string{"1.2", "5.0"}, bodies(held(t, c)))
	})
}

func TestManyThatThereIsCreditForAreNotOvertaken(t *testing.T) { // PRIO-5
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		const prefetch = 100
		declare(t, b, "q", pocketmq.MaxPriority(5))
		c := consume(t, b, "q", pocketmq.Prefetch(prefetch))
		sendWith(t, b, "q", make([]uint8, 3*prefetch)...)
		for range prefetch {
			must(t, receive(t, c).Ack())
		}
		receive(t, c)
		sendWith(t, b, "q", 5)
		for _, body := range bodies(held(t, c)) {
			require.NotEqual(t, "5.0", body)
		}
	})
}

func TestAFullQueueDropsTheHighestPriorityFirst(t *testing.T) { // PRIO-4
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5), pocketmq.MaxLength(2), dropHead)
		sendWith(t, b, "q", 1, 5, 0)
		require.Equal(t, []string{"1.0", "0.2"}, drain(t, b, "q"))
	})
}

func TestALowPriorityExpiresWhenItIsTheHead(t *testing.T) { // TTL-12
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxPriority(5))
		sendWith(t, b, "q", 5)
		publish(t, b, "q", expiring("low", 10))
		time.Sleep(time.Second)
		require.Equal(t, 2, stats(t, b, "q").Ready)
		require.Zero(t, take(t, b, "q").MessageCount)
	})
}

func TestOnlyOneConsumerIsActive(t *testing.T) { // CONS-18 to CONS-21
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.SingleActiveConsumer())
		first := consume(t, b, "q", pocketmq.Prefetch(2))
		second := consume(t, b, "q")
		third := consume(t, b, "q", pocketmq.Priority(10))
		fill(t, b, "q", 5)
		require.Equal(t, []string{"1", "2"}, bodies(held(t, first)))
		require.Empty(t, held(t, second))
		require.True(t, stats(t, b, "q").Consumers[1].Standby)

		first.Close()
		all := held(t, third)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, bodies(all), "it does not pre-empt, but succeed")
		require.True(t, all[0].Redelivered)
		require.Empty(t, held(t, second))

		third.Cancel()
		fill(t, b, "q", 1)
		require.Equal(t, []string{"1"}, bodies(held(t, second)), "though the third still holds messages")
		must(t, all[0].Nack(true))
		require.Equal(t, []string{"1"}, bodies(held(t, second)))
		_, err := b.Consume(ctx, "q", pocketmq.Exclusive()) // CONS-6
		require.ErrorContains(t, err, "in exclusive use")
	})
}

func TestASingleActiveHandlerIsSucceeded(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.SingleActiveConsumer())
		handled := make(chan string, 10)
		handler := func(name string) pocketmq.Handler {
			return func(_ context.Context, d *pocketmq.Delivery) error { handled <- name + string(d.Body); return nil }
		}
		first := handle(t, b, "q", handler("a"))
		handle(t, b, "q", handler("b"))
		fill(t, b, "q", 2)
		synctest.Wait()
		first.Cancel()
		fill(t, b, "q", 1)
		synctest.Wait()
		require.Equal(t, []string{"a1", "a2", "b1"}, []string{<-handled, <-handled, <-handled})
	})
}

// A lone consumer's acks reach the queue late. Nobody may notice, but by the clock.
func TestLateAcksGiveCreditInTime(t *testing.T) { // PRIO-5
	for seed := range uint64(300) {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			chance := rand.New(rand.NewPCG(seed, 1))
			prefetch := 1 + chance.IntN(8)
			declare(t, b, "q", pocketmq.MaxPriority(255))
			c := consume(t, b, "q", pocketmq.Prefetch(prefetch))
			m := eager{prefetch: prefetch}
			var held []pocketmq.Delivery
			for i := range 200 {
				switch n := chance.IntN(10); {
				case n < 5:
					p := []uint8{0, 0, 1, 5, 15, 16, 17, 63, 64, 200, 255}[chance.IntN(11)]
					body := fmt.Sprintf("%d.%d", p, i)
					publish(t, b, "q", &pocketmq.Message{Body: []byte(body), Priority: p})
					m.publish(p, body)
				case n < 8:
					d, ok, err := c.TryReceive()
					must(t, err)
					var body string
					if ok {
						body = string(d.Body)
						held = append(held, d)
					}
					require.Equal(t, m.receive(), body, "seed %d, step %d", seed, i)
				case len(held) > 0:
					must(t, held[0].Ack())
					held = held[1:]
					m.ack()
				}
			}
		})
	}
}

// eager is a priority queue with a consumer that has at once what it has credit for.
type eager struct {
	waiting  [256][]string
	assigned []string // and not received
	unacked  int
	prefetch int
}

func (m *eager) publish(priority uint8, body string) {
	m.waiting[priority] = append(m.waiting[priority], body)
	m.dispatch()
}

func (m *eager) ack() {
	m.unacked--
	m.dispatch()
}

func (m *eager) dispatch() {
	for p := 255; p >= 0; p-- {
		for len(m.waiting[p]) > 0 && m.unacked < m.prefetch {
			m.assigned = append(m.assigned, m.waiting[p][0])
			m.waiting[p] = m.waiting[p][1:]
			m.unacked++
		}
	}
}

// receive returns the next message's body, or "".
func (m *eager) receive() (body string) {
	if len(m.assigned) > 0 {
		body, m.assigned = m.assigned[0], m.assigned[1:]
	}
	return body
}
