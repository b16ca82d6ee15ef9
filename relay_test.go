package pocketmq_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// elsewhere is a queue on another machine, as far as a relay can tell: it notes how
// deliveries are settled.
type elsewhere struct {
	config hook.ConsumeConfig
	inlet  hook.Inlet
	refuse error // of Start

	mu       sync.Mutex
	settled  []string // outcome and body
	canceled int
	lost     bool
}

func (e *elsewhere) Start(c hook.ConsumeConfig, inlet hook.Inlet) error {
	e.config, e.inlet = c, inlet
	return e.refuse
}

func (e *elsewhere) Settle(outcome uint8, message any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost {
		return pocketmq.ErrConnectionLost
	}
	name := map[uint8]string{hook.Acked: "ack ", hook.Requeued: "requeue ", hook.Rejected: "reject "}[outcome]
	e.settled = append(e.settled, name+string(message.(*pocketmq.Message).Body))
	return nil
}

func (e *elsewhere) Cancel() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.canceled++
}

func (e *elsewhere) push(redelivered bool, bodies ...string) {
	for _, b := range bodies {
		e.inlet.Push(&pocketmq.Message{Body: []byte(b)}, "x", "k", redelivered)
	}
}

// what returns how deliveries were settled since it was called last.
func (e *elsewhere) what() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.settled
	e.settled = nil
	return s
}

func consumeElsewhere(t *testing.T, s *pocketmq.Session, opts ...pocketmq.ConsumeOption) (*pocketmq.Consumer, *elsewhere) {
	t.Helper()
	e := &elsewhere{}
	c, err := hook.Consume(ctx, s, "far", opts, e)
	require.NoError(t, err)
	return c.(*pocketmq.Consumer), e
}

func inRelayBubble(t *testing.T, test func(t *testing.T, s *pocketmq.Session)) {
	synctest.Test(t, func(t *testing.T) {
		b := pocketmq.New()
		test(t, b.Session())
		must(t, b.Close())
	})
}

func TestRelaySettlesAtTheOrigin(t *testing.T) {
	inRelayBubble(t, func(t *testing.T, s *pocketmq.Session) {
		c, e := consumeElsewhere(t, s, pocketmq.ConsumerTag("t"), pocketmq.Prefetch(7), pocketmq.Priority(3))
		assert.Equal(t, hook.ConsumeConfig{Tag: "t", Prefetch: 7, Priority: 3}, e.config)
		e.push(false, "1", "2", "3", "4")
		e.push(true, "5")
		all := held(t, c)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, bodies(all))
		assert.Equal(t, "x", all[0].Exchange)
		assert.Equal(t, "k", all[0].RoutingKey)
		assert.False(t, all[3].Redelivered)
		assert.True(t, all[4].Redelivered)
		must(t, all[1].Ack())
		must(t, all[0].Nack(true))
		assert.ErrorIs(t, all[1].Ack(), pocketmq.ErrSettled)
		assert.ErrorIs(t, pocketmq.SettleAll(pocketmq.Rejected, all...), pocketmq.ErrSettled)
		assert.Equal(t, []string{"ack 2", "requeue 1", "reject 3", "reject 4", "reject 5"}, e.what())
	})
}

func TestRelayGivesBack(t *testing.T) {
	inRelayBubble(t, func(t *testing.T, s *pocketmq.Session) {
		c, e := consumeElsewhere(t, s)
		e.push(false, "1", "2", "3")
		d := receive(t, c)
		c.Cancel()
		assert.Equal(t, []string{"requeue 2", "requeue 3"}, e.what())
		must(t, d.Ack())
		assert.Equal(t, []string{"ack 1"}, e.what())
		assert.Equal(t, 1, e.canceled)

		c, e = consumeElsewhere(t, s)
		e.push(false, "1", "2", "3")
		d = receive(t, c)
		c.Cancel()
		c.Close()
		assert.ErrorIs(t, d.Ack(), pocketmq.ErrSettled)
		assert.Equal(t, []string{"requeue 2", "requeue 3", "requeue 1"}, e.what())

		c, e = consumeElsewhere(t, s)
		e.push(false, "1", "2")
		assert.Equal(t, "1", string((<-c.Chan()).Body))
		synctest.Wait() // until the second is on its way into the channel
		must(t, s.Close())
		got := e.what()
		slices.Sort(got)
		assert.Equal(t, []string{"requeue 1", "requeue 2"}, got)
		assert.ErrorIs(t, c.Err(), pocketmq.ErrClosed)
	})
}

func TestRelayForgetsWhatALostConnectionBrought(t *testing.T) {
	inRelayBubble(t, func(t *testing.T, s *pocketmq.Session) {
		c, e := consumeElsewhere(t, s)
		e.push(false, "1", "2", "3")
		d := receive(t, c) // and the others are fetched with it
		e.push(false, "4")
		e.lost = true
		e.inlet.Reset()
		assert.ErrorIs(t, d.Ack(), pocketmq.ErrConnectionLost)
		assert.Empty(t, held(t, c))
		e.lost = false
		e.push(true, "1", "2")
		assert.Equal(t, []string{"1", "2"}, bodies(held(t, c)))

		waiting := background(func() error { _, err := c.Receive(ctx); return err })
		waits(t, waiting)
		e.inlet.Reset()
		e.push(true, "3")
		must(t, result(t, waiting))
	})
}

func TestRelayEnds(t *testing.T) {
	inRelayBubble(t, func(t *testing.T, s *pocketmq.Session) {
		c, e := consumeElsewhere(t, s)
		e.inlet.End(pocketmq.ErrQueueDeleted)
		_, err := c.Receive(ctx)
		assert.ErrorIs(t, err, pocketmq.ErrQueueDeleted)
		assert.True(t, isClosed(c.Done()))

		refused := &elsewhere{refuse: errors.New("no")}
		for range 2 { // its tag is free again
			_, err = hook.Consume(ctx, s, "far", []pocketmq.ConsumeOption{pocketmq.ConsumerTag("t")}, refused)
			assert.ErrorIs(t, err, refused.refuse)
		}
		w, err := pocketmq.NewWindow(1)
		must(t, err)
		_, err = hook.Consume(ctx, s, "far", []pocketmq.ConsumeOption{pocketmq.SharedPrefetch(w)}, refused)
		assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
	})
}

// The broker does not say how often a message has come back, so failures in a row
// are counted.
func TestRelayPausesGrow(t *testing.T) {
	inRelayBubble(t, func(t *testing.T, s *pocketmq.Session) {
		e := &elsewhere{}
		fail := errors.New("not yet")
		c, err := hook.Handle(ctx, s, "far", pocketmq.Handler(func(context.Context, *pocketmq.Delivery) error { return fail }),
			[]pocketmq.ConsumeOption{}, e)
		must(t, err)
		var pauses []time.Duration
		for n := range 5 {
			before := time.Now()
			e.push(n > 0, "1")
			for len(e.what()) == 0 {
				time.Sleep(time.Millisecond)
			}
			pauses = append(pauses, time.Since(before).Round(10*time.Millisecond))
		}
		assert.Equal(t, []time.Duration{10e6, 20e6, 40e6, 80e6, 160e6}, pauses)
		c.(*pocketmq.Consumer).Cancel()
	})
}

// Several goroutines receive while messages come, until the consumer ends at some
// moment: each message is settled once, one way or the other.
func TestRelayUnderLoad(t *testing.T) {
	for range 20 {
		b := pocketmq.New()
		c, e := consumeElsewhere(t, b.Session())
		var all sync.WaitGroup
		all.Go(func() {
			for i := range 500 {
				e.push(i%7 == 0, strconv.Itoa(i))
			}
			c.Cancel()
		})
		for range 3 {
			all.Go(func() {
				for d, err := range c.Deliveries() {
					if assert.NoError(t, err) {
						assert.NoError(t, d.Ack())
					}
				}
			})
		}
		all.Wait()
		assert.Len(t, e.what(), 500)
		must(t, b.Close())
	}
}
