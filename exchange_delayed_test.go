package pocketmq_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// delaying is a test with the exchange "late", a delaying direct exchange that
// leads to the queue "q" by its name.
func delaying(t *testing.T, test func(t *testing.T, b *pocketmq.Broker), opts ...pocketmq.ExchangeOption) {
	t.Helper()
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "late", pocketmq.DelayedMessage, append(opts, pocketmq.DelayedType(pocketmq.Direct))...)
		bound(t, b, "late", "q")
		test(t, b)
	})
}

func delayed(t testing.TB, body string, d time.Duration) *pocketmq.Message {
	t.Helper()
	m := msg(body)
	must(t, m.SetDelay(d))
	return m
}

// sleep lets time pass, and then all be done that is due.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func heldBack(t testing.TB, b *pocketmq.Broker) int {
	t.Helper()
	x, ok := b.Stats().Exchange("late")
	require.True(t, ok)
	return x.Delayed
}

func TestDelayIsExact(t *testing.T) { // XPLUG-10
	for _, d := range []time.Duration{time.Millisecond, time.Second, 30 * 24 * time.Hour, pocketmq.MaxDelay} {
		delaying(t, func(t *testing.T, b *pocketmq.Broker) {
			must(t, b.Publish(ctx, "late", "q", delayed(t, "a", d)))
			sleep(d - time.Nanosecond)
			require.Empty(t, drain(t, b, "q"))
			sleep(time.Nanosecond)
			require.Equal(t, []string{"a"}, drain(t, b, "q"))
		})
	}
}

func TestDelayedMessagesComeInOrderOfTheirTimeThenOfPublishing(t *testing.T) { // XPLUG-10
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		type due struct {
			at   time.Duration
			body string
		}
		start := time.Now()
		var want []due
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 1000 {
			d := time.Duration(1+r.IntN(50)) * time.Millisecond
			must(t, b.Publish(ctx, "late", "q", delayed(t, fmt.Sprint(i), d)))
			want = append(want, due{time.Since(start) + d, fmt.Sprint(i)})
			if i%10 == 0 {
				sleep(time.Millisecond)
			}
		}
		slices.SortStableFunc(want, func(a, b due) int { return int(a.at - b.at) })
		sleep(time.Second)
		var got []string
		got = append(got, drain(t, b, "q")...)
		require.Len(t, got, 1000)
		for i := range want {
			require.Equal(t, want[i].body, got[i], "at place %d", i)
		}
	})
}

func TestShorterDelayIsNotHeldUpByALongerOne(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Publish(ctx, "late", "q", delayed(t, "hour", time.Hour)))
		sleep(time.Minute)
		must(t, b.Publish(ctx, "late", "q", delayed(t, "second", time.Second)))
		sleep(time.Second)
		require.Equal(t, []string{"second"}, drain(t, b, "q"))
		require.Equal(t, 1, heldBack(t, b))
		sleep(59*time.Minute - time.Second - 1)
		require.Empty(t, drain(t, b, "q"))
		sleep(1)
		require.Equal(t, []string{"hour"}, drain(t, b, "q"))
	})
}

func TestValuesOfXDelay(t *testing.T) { // XPLUG-10, XPLUG-11
	for _, tc := range []struct {
		value any
		after any // the header as it is received; nil = routed at once, unchanged
	}{
		{int8(5), int32(-5)}, {uint8(5), int32(-5)}, {int16(5), int32(-5)}, {uint16(5), int32(-5)}, {int32(5), int32(-5)},
		{uint32(5), int32(-5)}, {int64(5), int32(-5)}, {5, int32(-5)}, {"5", int32(-5)}, {5.9, int32(-5)}, {float32(5), int32(-5)},
		{int64(1<<32 - 1), int64(-1<<32 + 1)},
		{int64(1 << 32), nil}, {0, nil}, {-5, nil}, {"x", nil}, {true, nil}, {[]any{5}, nil}, {0.9, nil},
	} {
		delaying(t, func(t *testing.T, b *pocketmq.Broker) {
			headers := pocketmq.Table{"x-delay": tc.value, "other": "1"}
			must(t, b.Publish(ctx, "late", "q", &pocketmq.Message{Headers: headers, MessageID: "id"}))
			if tc.after == nil {
				require.Equal(t, headers, take(t, b, "q").Headers)
				return
			}
			require.Equal(t, 1, heldBack(t, b), "%T", tc.value)
			sleep(pocketmq.MaxDelay)
			d := take(t, b, "q")
			require.Equal(t, pocketmq.Table{"x-delay": tc.after, "other": "1"}, d.Headers)
			require.Equal(t, []string{"late", "q", "id"}, []string{d.Exchange, d.RoutingKey, d.MessageID})
			require.Equal(t, tc.value, headers["x-delay"], "the publisher's message is left alone")
		})
	}
}

func TestSetDelay(t *testing.T) {
	m := msg("a")
	must(t, m.SetDelay(1500*time.Microsecond))
	require.Equal(t, int64(2), m.Headers["x-delay"], "milliseconds, rounded up")
	require.ErrorIs(t, m.SetDelay(-1), pocketmq.ErrInvalid)
	require.ErrorIs(t, m.SetDelay(pocketmq.MaxDelay+1), pocketmq.ErrInvalid)
	must(t, m.SetDelay(0))
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Publish(ctx, "late", "q", m))
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
	})
}

func TestDelayedMessagesAreRoutedByTheBindingsOfTheirTime(t *testing.T) { // XPLUG-9
	for kind, key := range map[string]string{
		pocketmq.Direct: "a.b", pocketmq.Topic: "#.b", pocketmq.Fanout: "", pocketmq.Headers: "", pocketmq.ConsistentHash: "1",
		pocketmq.ModulusHash: "", pocketmq.Random: "", pocketmq.LocalRandom: "", pocketmq.RecentHistory: "",
	} {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			exchange(t, b, "x", pocketmq.DelayedMessage, pocketmq.DelayedType(kind))
			must(t, b.Publish(ctx, "x", "a.b", delayed(t, "a", time.Second)))
			declare(t, b, "q")
			bind(t, b, "q", "x", key)
			require.Empty(t, drain(t, b, "q"), kind)
			sleep(time.Second)
			require.Equal(t, []string{"a"}, drain(t, b, "q"), kind)
			require.Equal(t, []string{"q"}, routed(t, b, "x", "a.b", nil), kind)
		})
	}
}

func TestDelayedMessageThatLeadsNowhere(t *testing.T) { // XPLUG-11
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		err := b.Publish(ctx, "late", "q", delayed(t, "a", time.Second), pocketmq.Mandatory)
		require.ErrorIs(t, err, pocketmq.ErrUnroutable)
		require.EqualError(t, err,
			"NO_ROUTE - exchange 'late' in vhost '/' holds a message with routing key 'q' back: it has reached no queue yet")
		must(t, b.Publish(ctx, "late", "nowhere", delayed(t, "b", time.Second)))
		sleep(time.Second)
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
		x, _ := b.Stats().Exchange("late")
		require.EqualValues(t, 2, x.Published)
		require.EqualValues(t, 1, x.Unroutable)
	})
}

func TestDelayedMessageGoesToTheAlternateOnlyWhenDue(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "amq.fanout", "rest")
		must(t, b.Publish(ctx, "late", "q", delayed(t, "a", time.Second)))
		must(t, b.Publish(ctx, "late", "nowhere", delayed(t, "b", time.Second)))
		require.Empty(t, drain(t, b, "rest"))
		sleep(time.Second)
		require.Equal(t, []string{"b"}, drain(t, b, "rest"))
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
	}, pocketmq.AlternateExchange("amq.fanout"))
}

func TestDelayOnTheWayThroughOtherExchanges(t *testing.T) { // XPLUG-11
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "later", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Fanout))
		bound(t, b, "amq.fanout", "now")
		must(t, b.BindExchange(ctx, "late", "amq.fanout", ""))
		must(t, b.BindExchange(ctx, "later", "late", "q"))
		bound(t, b, "later", "end")
		must(t, b.Publish(ctx, "amq.fanout", "q", delayed(t, "a", time.Second), pocketmq.Mandatory))
		require.Equal(t, []string{"a"}, drain(t, b, "now"))
		sleep(time.Second)
		require.Equal(t, []string{"a"}, drain(t, b, "end"), "it is delayed once")
		d := take(t, b, "q")
		require.Equal(t, "amq.fanout", d.Exchange)
	})
}

func TestDelayedMessageKeepsCCAndLosesBCC(t *testing.T) { // ROUTE-22, ROUTE-23
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "late", "cc", "bcc")
		m := &pocketmq.Message{Headers: pocketmq.Table{"CC": []any{"cc"}, "BCC": []any{"bcc"}, "x-delay": 5}}
		must(t, b.Publish(ctx, "late", "q", m))
		sleep(5 * time.Millisecond)
		for _, q := range []string{"q", "cc", "bcc"} {
			require.Equal(t, pocketmq.Table{"CC": []any{"cc"}, "x-delay": int32(-5)}, take(t, b, q).Headers, q)
		}
	})
}

func TestDelayedMessageDoesNotWaitForRoom(t *testing.T) {
	for p, want := range map[pocketmq.OverflowPolicy][]string{
		pocketmq.Block: {"a", "b", "c"}, pocketmq.DropHead: {"c"}, pocketmq.RejectPublish: {"a"},
	} {
		bubble(t, func(t *testing.T, b *pocketmq.Broker) {
			exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Fanout))
			declare(t, b, "q", pocketmq.MaxLength(1), pocketmq.Overflow(p))
			declare(t, b, "other")
			bind(t, b, "q", "late", "")
			bind(t, b, "other", "late", "")
			for _, body := range []string{"a", "b", "c"} {
				must(t, b.Publish(ctx, "late", "", delayed(t, body, time.Second)))
			}
			sleep(time.Second)
			require.Equal(t, want, drain(t, b, "q"), p.String())
			require.Len(t, drain(t, b, "other"), 3)
		})
	}
}

func TestConsumersGetDelayedMessages(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		start := time.Now()
		var came []time.Duration
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error {
			came = append(came, time.Since(start))
			return nil
		})
		for _, d := range []time.Duration{3, 1, 2} {
			must(t, b.Publish(ctx, "late", "q", delayed(t, "", d*time.Hour)))
		}
		sleep(4 * time.Hour)
		require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}, came)
	})
}

func TestDelayedMessagesCanBeListedAndCanceled(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		start := time.Now()
		for _, n := range []time.Duration{3, 1, 4, 2} {
			m := delayed(t, "", n*time.Second)
			m.MessageID = fmt.Sprint("id", int(n))
			must(t, b.Publish(ctx, "late", "q", m))
		}
		ids := func(all []pocketmq.Delayed, err error) (ids []string) {
			must(t, err)
			for _, d := range all {
				require.Equal(t, []string{"late", "q"}, []string{d.Exchange, d.RoutingKey})
				require.Equal(t, "id"+fmt.Sprint(int(d.Due.Sub(start)/time.Second)), d.Message.MessageID)
				ids = append(ids, d.Message.MessageID)
			}
			return ids
		}
		require.Equal(t, []string{"id1", "id2", "id3", "id4"}, ids(b.Delayed("late")))
		some := func(d pocketmq.Delayed) bool { return d.Message.MessageID == "id1" || d.Message.MessageID == "id3" }
		require.Equal(t, []string{"id1", "id3"}, ids(b.CancelDelayed("late", some)))
		require.Empty(t, ids(b.CancelDelayed("late", some)))
		require.Equal(t, []string{"id2", "id4"}, ids(b.Delayed("late")))
		require.Equal(t, 2, heldBack(t, b))
		sleep(2 * time.Second)
		require.Equal(t, "id2", take(t, b, "q").MessageID)
		require.Equal(t, []string{"id4"}, ids(b.CancelDelayed("late", func(pocketmq.Delayed) bool { return true })))
		sleep(time.Hour)
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestMessageThatBecomesDueWhileItIsCanceledIsNotInTheResult(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Publish(ctx, "late", "q", delayed(t, "a", time.Second)))
		canceled, err := b.CancelDelayed("late", func(pocketmq.Delayed) bool { sleep(time.Second); return true })
		must(t, err)
		require.Empty(t, canceled)
		require.Equal(t, []string{"a"}, drain(t, b, "q"))
	})
}

func TestErrorsAboutDelays(t *testing.T) {
	b := newBroker(t)
	for name, is := range map[string]error{"nowhere": pocketmq.ErrNotFound, "amq.direct": pocketmq.ErrPreconditionFailed, "": pocketmq.ErrPreconditionFailed} {
		_, err := b.Delayed(name)
		require.ErrorIs(t, err, is, name)
		_, err = b.CancelDelayed(name, nil)
		require.ErrorIs(t, err, is, name)
	}
	exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct), pocketmq.MaxDelayed(5))
	_, err := b.CancelDelayed("late", nil)
	require.ErrorIs(t, err, pocketmq.ErrInvalid)
	require.EqualError(t, b.DeclareExchange(ctx, "late", pocketmq.DelayedMessage, pocketmq.MaxDelayed(6)),
		"PRECONDITION_FAILED - inequivalent arg 'MaxDelayed' for exchange 'late' in vhost '/': received '6' but current is '5'")
	require.ErrorIs(t, b.DeclareExchange(ctx, "x", pocketmq.Direct, pocketmq.MaxDelayed(5)), pocketmq.ErrInvalid)
	require.ErrorIs(t, b.DeclareExchange(ctx, "x", pocketmq.DelayedMessage, pocketmq.MaxDelayed(0)), pocketmq.ErrInvalid)
	_, err = new(pocketmq.Broker).Delayed("late")
	require.ErrorIs(t, err, pocketmq.ErrInvalid)
}

func TestExchangeHoldsAsManyMessagesBackAsItMay(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Publish(ctx, "late", "q", delayed(t, "a", time.Second)))
		must(t, b.Publish(ctx, "late", "q", delayed(t, "b", time.Second)))
		err := b.Publish(ctx, "late", "q", delayed(t, "c", time.Second))
		require.ErrorIs(t, err, pocketmq.ErrQueueFull)
		require.EqualError(t, err, "RESOURCE_ERROR - exchange 'late' in vhost '/' holds 2 messages back, as many as it may")
		must(t, b.Publish(ctx, "late", "q", msg("now")))
		sleep(time.Second)
		require.Equal(t, []string{"now", "a", "b"}, drain(t, b, "q"))
		must(t, b.Publish(ctx, "late", "q", delayed(t, "d", time.Second)))
	}, pocketmq.MaxDelayed(2))
}

func TestExchangeOfRabbitMQDefaultsHoldsAnyNumberBack(t *testing.T) {
	b := newBroker(t)
	s := b.Session(pocketmq.RabbitMQDefaults())
	must(t, s.DeclareExchange(ctx, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct)))
	require.EqualError(t, s.DeclareExchange(ctx, "late", pocketmq.DelayedMessage, pocketmq.MaxDelayed(5)),
		"PRECONDITION_FAILED - inequivalent arg 'MaxDelayed' for exchange 'late' in vhost '/': received '5' but current is 'none'")
}

func TestDelayedMessagesAreGoneWithTheirExchange(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.Publish(ctx, "late", "q", delayed(t, "a", time.Second)))
		must(t, b.DeleteExchange(ctx, "late"))
		exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct))
		bind(t, b, "q", "late", "q")
		require.Zero(t, heldBack(t, b))
		sleep(time.Hour)
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestClosingLosesDelayedMessagesAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		exchange(t, b, "late", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct))
		must(t, b.Publish(ctx, "late", "q", delayed(t, "a", time.Hour)))
		err := b.Shutdown(ctx)
		require.ErrorIs(t, err, pocketmq.ErrMessagesLost)
		require.EqualError(t, err, "CONNECTION_FORCED - 1 message that exchange 'late' delays is lost with the broker")
		require.Equal(t, []string{"level=WARN msg=\"closing the broker loses delayed messages\" exchange=late messages=1\n"}, log.read())
		sleep(2 * time.Hour)
	})
}

func TestShutdownLetsMessagesPassThatBecomeDueMeanwhile(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		var got []string
		handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error {
			got = append(got, string(d.Body))
			time.Sleep(2 * time.Second)
			return nil
		})
		send(t, b, "q", "now")
		must(t, b.Publish(ctx, "late", "q", delayed(t, "soon", time.Second)))
		must(t, b.Shutdown(ctx))
		require.Equal(t, []string{"now", "soon"}, got)
	})
}

func TestManyPublishersDelay(t *testing.T) {
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		var all []<-chan error
		for range 8 {
			all = append(all, background(func() error {
				for i := range 100 {
					m := msg("a")
					if err := m.SetDelay(time.Duration(i%7) * time.Millisecond); err != nil {
						return err
					}
					if err := b.Publish(ctx, "late", "q", m); err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			}))
		}
		sleep(time.Minute)
		for _, done := range all {
			must(t, result(t, done))
		}
		require.Len(t, drain(t, b, "q"), 800)
		require.Zero(t, heldBack(t, b))
	})
}

func TestDeadLettersAreDelayed(t *testing.T) { // XPLUG-10, DLX-4
	delaying(t, func(t *testing.T, b *pocketmq.Broker) {
		bound(t, b, "late", "bcc")
		declare(t, b, "work", pocketmq.DeadLetter("late"))
		bind(t, b, "work", "amq.fanout", "")
		m := &pocketmq.Message{Headers: pocketmq.Table{"x-delay": 5000, "BCC": []any{"bcc"}}}
		must(t, b.Publish(ctx, "amq.fanout", "q", m))
		must(t, take(t, b, "work").Reject())
		require.Equal(t, 1, heldBack(t, b))
		sleep(5*time.Second - 1)
		require.Empty(t, drain(t, b, "q"))
		sleep(1)
		for _, q := range []string{"q", "bcc"} {
			d := take(t, b, q)
			require.Equal(t, int32(-5000), d.Headers["x-delay"], q)
			require.Len(t, d.Headers["x-death"], 1, q)
			require.NotContains(t, d.Headers, "BCC", q)
		}
	})
}
