package pocketmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pocketmq/pocketmq"
)

// events declares a stream with messages that came in a second after each other,
// and have their offsets as bodies.
func events(t testing.TB, b *pocketmq.Broker, n int, opts ...pocketmq.QueueOption) {
	t.Helper()
	declare(t, b, "events", append(opts, pocketmq.Stream())...)
	for i := range n {
		send(t, b, "events", fmt.Sprint(i))
		time.Sleep(time.Second)
	}
}

// read takes all that a consumer may have, acking it.
func read(t testing.TB, c *pocketmq.Consumer) (all []string) {
	t.Helper()
	for {
		d, ok, err := c.TryReceive()
		must(t, err)
		if !ok {
			return all
		}
		all = append(all, string(d.Body))
		must(t, d.Ack())
	}
}

func TestEveryConsumerOfAStreamReadsAllOfIt(t *testing.T) { // STREAM-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 3)
		for range 2 {
			c := consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(1))
			require.Equal(t, []string{"0", "1", "2"}, read(t, c))
		}
		next := consume(t, b, "events")
		require.Empty(t, read(t, next))
		send(t, b, "events", "3")
		require.Equal(t, "3", string(receive(t, next).Body))
		require.Equal(t, 4, stats(t, b, "events").Ready)
	})
}

func TestConsumersBeginWhereTheyAskTo(t *testing.T) { // STREAM-8
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		begin := time.Now()
		events(t, b, 10)
		for _, tc := range []struct {
			at   pocketmq.ConsumeOption
			want string // "" is none yet
		}{
			{pocketmq.StreamFirst(), "0"},
			{pocketmq.StreamLast(), "9"},
			{pocketmq.StreamNext(), ""},
			{nil, ""},
			{pocketmq.StreamOffset(4), "4"},
			{pocketmq.StreamOffset(-4), "0"},
			{pocketmq.StreamOffset(12), ""},
			{pocketmq.StreamTime(begin.Add(5 * time.Second)), "5"},
			{pocketmq.StreamTime(begin.Add(5*time.Second + 1)), "6"},
			{pocketmq.StreamTime(begin.Add(-time.Hour)), "0"},
			{pocketmq.StreamTime(begin.Add(time.Hour)), ""},
			{offset("first"), "0"},
			{offset([]byte("last")), "9"},
			{offset("3s"), "7"},
			{offset("1m"), "0"},
			{offset("99999999999999999999Y"), "0"},
			{offset(uint8(3)), "3"},
		} {
			c := consume(t, b, "events", tc.at, pocketmq.Prefetch(1))
			d, ok, err := c.TryReceive()
			must(t, err)
			require.Equal(t, tc.want != "", ok)
			if ok {
				require.Equal(t, tc.want, string(d.Body))
			}
			c.Cancel()
		}
	})
}

// offset is the argument x-stream-offset.
func offset(v any) pocketmq.ConsumeOption {
	return pocketmq.Arguments(pocketmq.Table{"x-stream-offset": v})
}

func TestConsumerWaitsForAnOffsetToCome(t *testing.T) { // STREAM-8
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 2)
		c := consume(t, b, "events", pocketmq.StreamOffset(4))
		got := background(func() error {
			d, err := c.Receive(ctx)
			if err == nil && string(d.Body) != "4" {
				err = fmt.Errorf("got %s", d.Body)
			}
			return err
		})
		send(t, b, "events", "2", "3")
		waits(t, got)
		send(t, b, "events", "4")
		must(t, result(t, got))
	})
}

func TestDeliveriesOfAStreamHaveTheirOffset(t *testing.T) { // STREAM-10
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 0)
		declare(t, b, "q")
		must(t, b.DeclareExchange(ctx, "x", pocketmq.Fanout))
		must(t, b.Bind(ctx, "events", "x", ""))
		must(t, b.Bind(ctx, "q", "x", ""))
		sent := &pocketmq.Message{
			Headers: pocketmq.Table{"a": int32(1), "x-stream-offset": "mine"}, Expiration: "1", Priority: 5, Body: []byte("hello"),
		}
		must(t, b.Publish(ctx, "x", "key", sent))
		time.Sleep(time.Hour)
		must(t, b.Publish(ctx, "x", "key", &pocketmq.Message{}))
		c := consume(t, b, "events", pocketmq.StreamFirst())
		first, second := receive(t, c), receive(t, c)
		require.Equal(t, pocketmq.Table{"a": int32(1), "x-stream-offset": int64(0)}, first.Headers)
		require.Equal(t, pocketmq.Table{"x-stream-offset": int64(1)}, second.Headers)
		require.Equal(t, []any{"hello", "1", uint8(5), "x", "key", false},
			[]any{string(first.Body), first.Expiration, first.Priority, first.Exchange, first.RoutingKey, first.Redelivered})
		require.Equal(t, "mine", sent.Headers["x-stream-offset"])
		require.Empty(t, take(t, b, "q").Headers, "other queues have the message as it was published")
	})
}

func TestPrefetchIsTheCreditOfAStreamsConsumer(t *testing.T) { // STREAM-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 9)
		c := consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(3))
		got := held(t, c)
		require.Equal(t, []string{"0", "1", "2"}, bodies(got))
		must(t, got[2].Ack())
		must(t, got[0].Nack(true))
		require.Equal(t, []string{"3", "4"}, bodies(held(t, c)), "nothing comes again")
		must(t, got[1].Reject())
		require.ErrorIs(t, got[1].Ack(), pocketmq.ErrSettled)
		require.Equal(t, []string{"5"}, bodies(held(t, c)))
		require.Equal(t, 3, stats(t, b, "events").Unacked)
		c.Close()
		require.Equal(t, 0, stats(t, b, "events").Unacked)
		require.Equal(t, []string{"0"}, bodies(held(t, consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(1)))))
	})
}

func TestAckWakesTheConsumerWhoseCreditItIs(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 2)
		one, two := consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(1)), consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(1))
		d := receive(t, one)
		other := receive(t, two)
		var got *pocketmq.Delivery
		next := background(func() error {
			d, err := one.Receive(ctx)
			got = &d
			return err
		})
		must(t, other.Ack())
		waits(t, next)
		must(t, d.Ack())
		must(t, result(t, next))
		require.Equal(t, "1", string(got.Body))
	})
}

func TestHandlersOfAStreamGoOnAfterAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 4)
		var got []string
		handle(t, b, "events", func(_ context.Context, d *pocketmq.Delivery) error {
			got = append(got, string(d.Body))
			return errors.New("no")
		}, pocketmq.StreamOffset(1))
		synctest.Wait()
		require.Equal(t, []string{"1", "2", "3"}, got)
	})
}

func TestManyGoroutinesReadOneStreamConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 0)
		seen := make(chan string, 1000)
		for range 2 {
			handle(t, b, "events", func(_ context.Context, d *pocketmq.Delivery) error {
				time.Sleep(time.Millisecond)
				seen <- string(d.Body)
				return nil
			}, pocketmq.Concurrency(7))
		}
		for i := range 500 {
			send(t, b, "events", fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		times := map[string]int{}
		for range len(seen) {
			times[<-seen]++
		}
		require.Len(t, times, 500)
		for body, n := range times {
			require.Equal(t, 2, n, body)
		}
	})
}

func TestStreamKeepsWhatItsLimitsCover(t *testing.T) { // STREAM-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		const each = 1 << 20 // bytes, of which the bodies are nearly all
		limits := []pocketmq.QueueOption{pocketmq.MaxBytes(10 * each), pocketmq.SegmentBytes(2 * each), pocketmq.Stream()}
		declare(t, b, "events", limits...)
		behind := consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Prefetch(1))
		body := make([]byte, each)
		for range 25 {
			must(t, b.Publish(ctx, "", "events", &pocketmq.Message{Body: body}))
		}
		s := stats(t, b, "events")
		require.Equal(t, 9, s.Ready)
		require.Equal(t, uint64(16), s.Dropped)
		got := receive(t, behind)
		require.Equal(t, int64(16), got.Headers["x-stream-offset"])
		declare(t, b, "events", limits...)
	})
}

func TestStreamKeepsMessagesForItsMaxAge(t *testing.T) { // STREAM-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 0, pocketmq.MaxAge(10*time.Second), pocketmq.SegmentBytes(0))
		for i := range 30 {
			send(t, b, "events", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		s := stats(t, b, "events")
		require.Equal(t, 11, s.Ready)
		require.Equal(t, uint64(19), s.Expired)
		time.Sleep(time.Hour)
		require.Equal(t, 11, stats(t, b, "events").Ready, "nothing is removed until something comes in")
	})
}

func TestFilteredConsumersGetWhatTheyAskFor(t *testing.T) { // STREAM-16
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 0)
		for i, value := range []any{"a", nil, "b", "c", int32(7), "a"} {
			m := msg(fmt.Sprint(i))
			if value != nil {
				m.Headers = pocketmq.Table{"x-stream-filter-value": value}
			}
			must(t, b.Publish(ctx, "", "events", m))
		}
		for _, tc := range []struct {
			opts []pocketmq.ConsumeOption
			want []string
		}{
			{[]pocketmq.ConsumeOption{pocketmq.StreamFilter("a")}, []string{"0", "5"}},
			{[]pocketmq.ConsumeOption{pocketmq.StreamFilter("b", "c")}, []string{"2", "3"}},
			{[]pocketmq.ConsumeOption{pocketmq.StreamFilter("b"), pocketmq.StreamMatchUnfiltered()}, []string{"1", "2", "4"}},
			{[]pocketmq.ConsumeOption{pocketmq.Arguments(pocketmq.Table{"x-stream-filter": "c"})}, []string{"3"}},
			{[]pocketmq.ConsumeOption{pocketmq.StreamMatchUnfiltered()}, []string{"0", "1", "2", "3", "4", "5"}},
			{[]pocketmq.ConsumeOption{pocketmq.StreamFilter("d")}, nil},
		} {
			c := consume(t, b, "events", append(tc.opts, pocketmq.StreamFirst(), pocketmq.Prefetch(1))...)
			require.Equal(t, tc.want, read(t, c))
		}
	})
}

func TestStreamsRefuseWhatTheyCannotDo(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 1)
		declare(t, b, "classic")
		window, err := pocketmq.NewWindow(1)
		must(t, err)
		try := func(opts ...pocketmq.QueueOption) error {
			_, err := b.DeclareQueue(ctx, "s", append(opts, pocketmq.Stream())...)
			return err
		}
		from := func(opts ...pocketmq.ConsumeOption) error {
			_, err := b.Consume(ctx, "events", opts...)
			return err
		}
		_, _, get := b.Get(ctx, "events")
		_, purge := b.PurgeQueue(ctx, "events")
		_, named := b.DeclareQueue(ctx, "", pocketmq.Stream())
		_, again := b.DeclareQueue(ctx, "classic", pocketmq.Stream())
		_, classic := b.DeclareQueue(ctx, "events", pocketmq.Durable())
		_, offsetInClassic := b.Consume(ctx, "classic", pocketmq.StreamFirst())
		_, ageOfClassic := b.DeclareQueue(ctx, "c", pocketmq.MaxAge(time.Hour))
		for want, err := range map[string]error{
			"NOT_IMPLEMENTED - basic.get not supported by stream queues queue 'events' in vhost '/'":                            get,   // STREAM-5
			"NOT_IMPLEMENTED - queue.purge not supported by stream queues queue 'events' in vhost '/'":                          purge, // STREAM-6
			"PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue":                            named, // STREAM-1
			"PRECONDITION_FAILED - invalid property 'auto-delete' for queue 's' in vhost '/'":                                   try(pocketmq.AutoDelete(), pocketmq.Exclusive()),
			"PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 's' in vhost '/'":                               try(pocketmq.Exclusive()),
			"PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 's' in vhost '/' of queue type rabbit_stream_queue":     try(pocketmq.MaxLength(1)), // ARGS-24
			"PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 's' in vhost '/' of queue type rabbit_stream_queue": try(pocketmq.DeliveryLimit(1)),
			"PRECONDITION_FAILED - Exceeded max value for x-stream-max-segment-size-bytes":                                      try(pocketmq.SegmentBytes(3_000_000_001)), // ARGS-20
			"PRECONDITION_FAILED - Invalid value for  x-stream-filter-size-bytes":                                               try(pocketmq.Arguments(pocketmq.Table{"x-stream-filter-size-bytes": 5})),
			"PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 's' in vhost '/': invalid_max_age":                         try(pocketmq.Arguments(pocketmq.Table{"x-max-age": "D"})), // ARGS-19
			"PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 's' in vhost '/': {unacceptable_type,long}":                try(pocketmq.Arguments(pocketmq.Table{"x-max-age": 5})),
			"PRECONDITION_FAILED - invalid arg 'x-queue-leader-locator' for queue 's' in vhost '/': invalid_queue_locator_arg":  try(pocketmq.Arguments(pocketmq.Table{"x-queue-leader-locator": "foo"})),
			"SYNTAX_ERROR - MaxAge(1.5s): must be whole seconds, at least one":                                                  try(pocketmq.MaxAge(1500 * time.Millisecond)),
			"SYNTAX_ERROR - SegmentBytes(-1): must not be negative":                                                             try(pocketmq.SegmentBytes(-1)),
			"SYNTAX_ERROR - the argument 'x-max-length-bytes' and Unbounded contradict each other":                              try(pocketmq.MaxBytes(1), pocketmq.Unbounded()),
			"PRECONDITION_FAILED - inequivalent arg 'x-max-length-bytes' for queue 'events' in vhost '/': received 'none' but current is '268435456'": func() error {
				_, err := b.DeclareQueue(ctx, "events", pocketmq.Stream(), pocketmq.Unbounded())
				return err
			}(),
			"PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'classic' in vhost '/': received 'true' but current is 'false'":            again,
			"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'events' in vhost '/': received 'classic' but current is 'stream'":    classic,
			"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'classic' in vhost '/' of queue type rabbit_classic_queue":              offsetInClassic,
			"PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'c' in vhost '/' of queue type rabbit_classic_queue":                          ageOfClassic,
			"PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 'events' in vhost '/'":                                      from(pocketmq.Prefetch(0)), // STREAM-3
			"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue 'events' in vhost '/'":                                      from(pocketmq.AutoAck()),   // STREAM-4
			"SYNTAX_ERROR - a consumer of a stream begins at one place, not at first and 3":                                                        from(pocketmq.StreamFirst(), pocketmq.StreamOffset(3)),
			"NOT_IMPLEMENTED - queue 'events' in vhost '/' does not support global qos":                                                            from(pocketmq.SharedPrefetch(window)), // QQ-14
			"PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'events' in vhost '/' of queue type rabbit_stream_queue":                     from(pocketmq.Priority(1)),            // STREAM-14
			"SYNTAX_ERROR - StreamFilter: needs at least one value":                                                                                from(pocketmq.StreamFilter()),
			`PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'events' in vhost '/': {invalid_stream_offset_arg,{longstr,<<"foo">>}}`: from(offset("foo")), // STREAM-9
			"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'events' in vhost '/': {invalid_stream_offset_arg,{bool,true}}":         from(offset(true)),
		} {
			require.EqualError(t, err, want)
		}
	})
}

func TestExclusiveConsumersOfAStreamAreNotAlone(t *testing.T) { // STREAM-15
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 1)
		for range 2 {
			c := consume(t, b, "events", pocketmq.StreamFirst(), pocketmq.Exclusive())
			require.Equal(t, []string{"0"}, read(t, c))
		}
	})
}

func TestDeletingAStreamEndsItsConsumers(t *testing.T) { // STREAM-15, STREAM-18
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 3)
		c := consume(t, b, "events", pocketmq.StreamFirst())
		d := receive(t, c)
		n, err := b.DeleteQueue(ctx, "events", pocketmq.IfUnused(), pocketmq.IfEmpty())
		must(t, err)
		require.Zero(t, n)
		require.ErrorIs(t, c.Err(), pocketmq.ErrQueueDeleted)
		must(t, d.Ack())
		events(t, b, 1)
		require.Equal(t, []string{"0"}, read(t, consume(t, b, "events", pocketmq.StreamFirst())))
	})
}

func TestStreamTakesDeadLetters(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 0)
		declare(t, b, "work", pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("events"))
		send(t, b, "work", "bad")
		must(t, take(t, b, "work").Reject())
		d := receive(t, consume(t, b, "events", pocketmq.StreamFirst()))
		require.Equal(t, "bad", string(d.Body))
		require.Contains(t, d.Headers, "x-death")
		require.Equal(t, int64(0), d.Headers["x-stream-offset"])
	})
}

func TestShutdownWaitsUntilStreamsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pocketmq.New()
		events(t, b, 10)
		got := 0
		handle(t, b, "events", func(context.Context, *pocketmq.Delivery) error {
			time.Sleep(time.Hour)
			got++
			return nil
		}, pocketmq.StreamOffset(2))
		must(t, b.Shutdown(ctx))
		require.Equal(t, 8, got)
	})
}

func TestDeclaringAStreamTellsItsLength(t *testing.T) { // STREAM-13
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 3)
		consume(t, b, "events")
		info, err := b.DeclareQueue(ctx, "events", pocketmq.Stream())
		must(t, err)
		require.Equal(t, pocketmq.QueueInfo{Name: "events", Messages: 3}, info)
	})
}

func TestSessionsReadStreamsIndependently(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		events(t, b, 3)
		s := b.Session()
		held(t, consume(t, s, "events", pocketmq.StreamFirst()))
		require.Equal(t, 3, stats(t, b, "events").Unacked)
		must(t, s.Close())
		require.Equal(t, 0, stats(t, b, "events").Unacked)
		require.Equal(t, 3, stats(t, b, "events").Ready)
	})
}

// Whatever else goes on, each consumer reads without a gap.
func TestStreamUnderStress(t *testing.T) {
	const publishers, each = 4, 2000
	b := newBroker(t)
	declare(t, b, "events", pocketmq.Stream())
	var all errgroup.Group
	for range publishers {
		all.Go(func() error {
			for range each {
				if err := b.Publish(ctx, "", "events", &pocketmq.Message{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range 6 {
		all.Go(func() error {
			next := int64(0)
			for next < publishers*each {
				c, err := b.Consume(ctx, "events", pocketmq.StreamOffset(next), pocketmq.Prefetch(1+i*i))
				if err != nil {
					return err
				}
				for range 100 * (i + 1) {
					if next == publishers*each {
						break
					}
					d, err := c.Receive(ctx)
					if err != nil {
						return err
					}
					if got, _ := d.Offset(); got != next {
						return fmt.Errorf("got %d, want %d", got, next)
					}
					next++
					if err := d.Nack(next%3 == 0); err != nil {
						return err
					}
				}
				c.Close()
			}
			return nil
		})
	}
	var handled sync.Map
	done := make(chan struct{})
	handle(t, b, "events", func(_ context.Context, d *pocketmq.Delivery) error {
		n, _ := d.Offset()
		if _, again := handled.LoadOrStore(n, true); again {
			t.Errorf("%d came twice", n)
		}
		if n == publishers*each-1 {
			close(done)
		}
		return nil
	}, pocketmq.StreamFirst(), pocketmq.Concurrency(8))
	for b.Stats().Queues[0].Ready < publishers*each {
		time.Sleep(time.Millisecond)
		require.NoError(t, b.CheckInvariants())
	}
	must(t, all.Wait())
	<-done
}
