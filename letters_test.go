package pocketmq_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// faithful declares a queue whose dead messages stay until they are in the queues behind
// the exchange "dx".
func faithful(t testing.TB, b *pocketmq.Broker, opts ...pocketmq.QueueOption) {
	t.Helper()
	declare(t, b, "q", append(opts, pocketmq.DeadLetter("dx"), pocketmq.DeadLetterAtLeastOnce())...)
}

// die lets messages of the queue "q" die.
func die(t testing.TB, b *pocketmq.Broker, bodies ...string) {
	t.Helper()
	send(t, b, "q", bodies...)
	for range bodies {
		must(t, take(t, b, "q").Reject())
	}
}

func deadLetterExchange(t testing.TB, b *pocketmq.Broker, queues ...string) {
	t.Helper()
	must(t, b.DeclareExchange(ctx, "dx", pocketmq.Fanout))
	for _, q := range queues {
		must(t, b.Bind(ctx, q, "dx", ""))
	}
}

func TestDeadLettersStayUntilThereIsARoute(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		faithful(t, b)
		declare(t, b, "dead")
		die(t, b, "a", "b")
		time.Sleep(time.Minute)
		die(t, b, "c")
		require.Equal(t, 3, stats(t, b, "q").HeldLetters)
		require.Zero(t, stats(t, b, "q").Ready)
		deadLetterExchange(t, b, "dead")
		die(t, b, "d")
		require.Equal(t, []string{"d"}, drain(t, b, "dead"), "which needs not wait for the others")
		time.Sleep(2*time.Minute - time.Nanosecond)
		synctest.Wait()
		require.Empty(t, drain(t, b, "dead"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c"}, drain(t, b, "dead"))
		require.Zero(t, stats(t, b, "q").HeldLetters)
	})
}

func TestADeadLetterStaysUntilAllQueuesHaveIt(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "ok")
		declare(t, b, "full", pocketmq.MaxLength(1), reject)
		deadLetterExchange(t, b, "ok", "full")
		faithful(t, b)
		die(t, b, "a", "b")
		require.Equal(t, []string{"a", "b"}, drain(t, b, "ok"))
		time.Sleep(3 * time.Minute) // it is still full
		synctest.Wait()
		require.Equal(t, []string{"a"}, drain(t, b, "full"))
		require.Equal(t, 1, stats(t, b, "q").HeldLetters)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		d := take(t, b, "full")
		require.Equal(t, "b", string(d.Body))
		require.Equal(t, int64(1), deaths(t, d)[0]["count"], "it has died once")
		must(t, d.Ack())
		require.Empty(t, drain(t, b, "ok"), "which has it already")
		require.Zero(t, stats(t, b, "q").HeldLetters)
	})
}

// One that was refused is not tried again before its time, but one that came to no queue is.
func TestAQueueThatHasRefusedADeadLetterIsLeftAloneForAWhile(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "full", pocketmq.MaxLength(0), reject)
		faithful(t, b)
		die(t, b, "nowhere")
		time.Sleep(time.Minute)
		deadLetterExchange(t, b, "full")
		die(t, b, "refused")
		require.EqualValues(t, 1, stats(t, b, "full").Refused)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, stats(t, b, "full").Refused, "nowhere, now refused")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 4, stats(t, b, "full").Refused)
	})
}

func TestDeadLettersThatStayTakeRoom(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "dead")
		for _, limit := range []pocketmq.QueueOption{pocketmq.MaxLength(2), pocketmq.MaxBytes(2)} {
			faithful(t, b, limit, reject)
			die(t, b, "a")
			send(t, b, "q", "b")
			require.ErrorIs(t, b.Publish(ctx, "", "q", msg("c")), pocketmq.ErrQueueFull)
			_, err := b.PurgeQueue(ctx, "q")
			must(t, err)
			send(t, b, "q", "d")
			require.ErrorIs(t, b.Publish(ctx, "", "q", msg("e")), pocketmq.ErrQueueFull, "it is not purged")
			_, err = b.DeleteQueue(ctx, "q")
			must(t, err)
		}
		faithful(t, b, pocketmq.MaxLength(1))
		die(t, b, "f")
		published := background(func() error { return b.Publish(ctx, "", "q", msg("g")) })
		waits(t, published)
		deadLetterExchange(t, b, "dead")
		waits(t, published)
		time.Sleep(3 * time.Minute)
		must(t, result(t, published))
		require.Equal(t, []string{"f"}, drain(t, b, "dead"))
	})
}

func TestAPolicyLeadsDeadLettersElsewhere(t *testing.T) { // QQ-19, POL-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		policy := func(definition pocketmq.Table) {
			t.Helper()
			must(t, b.SetPolicy(pocketmq.Policy{Name: "p", Pattern: "^q$", Definition: definition}))
		}
		policy(pocketmq.Table{"dead-letter-exchange": "nowhere", "dead-letter-strategy": "at-least-once"})
		declare(t, b, "q")
		declare(t, b, "dead")
		die(t, b, "a", "b")
		require.Equal(t, 2, stats(t, b, "q").HeldLetters)
		policy(pocketmq.Table{"dead-letter-exchange": "", "dead-letter-routing-key": "dead", "dead-letter-strategy": "at-least-once"})
		require.Equal(t, []string{"a", "b"}, drain(t, b, "dead"))
		require.Zero(t, stats(t, b, "q").HeldLetters)
	})
}

// setStrategy has what dies in q go to the queue dead by this strategy.
func setStrategy(t testing.TB, b *pocketmq.Broker, strategy string) {
	t.Helper()
	must(t, b.SetPolicy(pocketmq.Policy{Name: "p", Pattern: "^q$", Definition: pocketmq.Table{
		"dead-letter-exchange": "", "dead-letter-routing-key": "dead", "dead-letter-strategy": strategy,
	}}))
}

// As in RabbitMQ they are lost if they may not stay, and do not come back later.
func TestDeadLettersAreLostWithTheirStrategy(t *testing.T) { // QQ-19
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		policy := func(strategy string) { setStrategy(t, b, strategy) }
		policy("at-least-once")
		declare(t, b, "q", pocketmq.MaxLength(1))
		die(t, b, "a")
		policy("at-most-once")
		require.Contains(t, strings.Join(log.read(), ""), "dead letters are lost")
		declare(t, b, "dead")
		policy("at-least-once")
		send(t, b, "q", "b") // there is room
		time.Sleep(time.Hour)
		require.Empty(t, drain(t, b, "dead"))
	})
}

// Also those are named that are on their way when the strategy changes.
func TestDeadLettersThatAreBeingSentAreLostWithTheirStrategy(t *testing.T) { // QQ-19
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		b := newBroker(t, log.option())
		policy := func(strategy string) { setStrategy(t, b, strategy) }
		policy("at-least-once")
		declare(t, b, "q", pocketmq.MessageTTL(time.Second))
		declare(t, b, "dead", pocketmq.MaxLength(1), reject)
		c := consume(t, b, "dead", pocketmq.Prefetch(1), pocketmq.Notify(sync.OnceFunc(func() { policy("at-most-once") })))
		require.Empty(t, held(t, c), "it wants to be notified")
		send(t, b, "q", "for the consumer", "waits", "refused", "refused")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, stats(t, b, "dead").Ready)
		require.Zero(t, stats(t, b, "q").HeldLetters)
		require.Contains(t, strings.Join(log.read(), ""), "dead letters are lost: the queue holds them no longer\" queue=q letters=2")
	})
}

// What is logged of letters that stay is logged without locks.
func TestALogsHandlerMayLookAtHeldLetters(t *testing.T) { // QQ-19
	synctest.Test(t, func(t *testing.T) {
		var b *pocketmq.Broker
		held := map[string]int{}
		b = newBroker(t, pocketmq.Logger(slog.New(handlerFunc(func(text string) {
			held[text] = stats(t, b, "q").HeldLetters
		}))))
		policy := pocketmq.Policy{Name: "p", Pattern: "^q$", Definition: pocketmq.Table{
			"dead-letter-exchange": "nowhere", "dead-letter-strategy": "at-least-once",
		}}
		must(t, b.SetPolicy(policy))
		declare(t, b, "q")
		die(t, b, "a")
		die(t, b, "b")
		must(t, b.ClearPolicy("p"))
		require.Equal(t, map[string]int{
			"dead letters are held: no queue takes them":            1,
			"dead letters are lost: the queue holds them no longer": 0,
		}, held)
	})
}

func TestADeadLetterDoesNotStayWhereMessagesAreDropped(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		faithful(t, b, pocketmq.MaxLength(1), dropHead)
		send(t, b, "q", "a", "b")
		require.Zero(t, stats(t, b, "q").HeldLetters)
	})
}

func TestDeadLettersThatStayAreLostWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pocketmq.New()
		faithful(t, b)
		die(t, b, "a")
		require.ErrorIs(t, b.Shutdown(ctx), pocketmq.ErrMessagesLost)
		must(t, b.CheckInvariants())
	})
}

// One that dies at the moment in which the broker ends is lost with it, and named, be it
// before or after.
func TestWhatDiesAsTheBrokerEndsIsNamed(t *testing.T) { // QQ-19
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			var log logbook
			b := pocketmq.New(log.option())
			faithful(t, b, pocketmq.MessageTTL(time.Second))
			send(t, b, "q", "a")
			time.Sleep(time.Second)
			must(t, b.Close())
			require.Contains(t, strings.Join(log.read(), ""), "closing the broker loses messages")
			must(t, b.CheckInvariants())
		})
	}
}

func TestADelayedDeadLetterIsOnItsWay(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		must(t, b.DeclareExchange(ctx, "dx", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Fanout)))
		declare(t, b, "dead")
		must(t, b.Bind(ctx, "dead", "dx", ""))
		faithful(t, b)
		m := msg("a")
		must(t, m.SetDelay(time.Hour))
		must(t, b.Publish(ctx, "", "q", m))
		must(t, take(t, b, "q").Reject())
		require.Zero(t, stats(t, b, "q").HeldLetters)
		time.Sleep(2 * time.Hour)
		require.Equal(t, []string{"a"}, drain(t, b, "dead"))
	})
}

// Nothing is lost, nothing comes twice, while messages die and a full queue is emptied.
func TestDeadLettersArriveOnce(t *testing.T) { // QQ-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "dead", pocketmq.MaxLength(7), reject)
		deadLetterExchange(t, b, "dead")
		faithful(t, b)
		const n = 1000
		handle(t, b, "q", func(_ context.Context, d *pocketmq.Delivery) error { return d.Reject() }, pocketmq.Concurrency(4))
		published := background(func() error {
			for i := range n {
				if err := b.Publish(ctx, "", "q", msg(strconv.Itoa(i))); err != nil {
					return err
				}
			}
			return nil
		})
		got := map[string]int{}
		collect := func() {
			for _, body := range drain(t, b, "dead") {
				got[body]++
			}
		}
		for len(got) < n {
			collect()
			time.Sleep(20 * time.Second)
		}
		must(t, result(t, published))
		time.Sleep(time.Hour)
		collect()
		require.Len(t, got, n)
		for body, times := range got {
			require.Equal(t, 1, times, body)
		}
		require.Zero(t, stats(t, b, "q").HeldLetters)
	})
}

func TestShutdownSendsLettersThatAreHeld(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		faithful(t, b)
		die(t, b, "a", "b", "c")
		require.Equal(t, 3, stats(t, b, "q").HeldLetters)
		declare(t, b, "dead", pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.RejectPublish))
		deadLetterExchange(t, b, "dead")
		var got []string
		handle(t, b, "dead", func(_ context.Context, d *pocketmq.Delivery) error {
			got = append(got, string(d.Body))
			time.Sleep(time.Second) // there is room for one letter at a time
			return nil
		}, pocketmq.Prefetch(1))
		start := time.Now()
		must(t, b.Shutdown(ctx))
		require.ElementsMatch(t, []string{"a", "b", "c"}, got)
		require.Equal(t, 3*time.Second, time.Since(start), "which is not the time for trying again")
	})
}

func TestShutdownLosesLettersThatNobodyTakes(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		faithful(t, b)
		die(t, b, "a", "b")
		err := b.Shutdown(ctx)
		require.ErrorIs(t, err, pocketmq.ErrMessagesLost)
		require.ErrorContains(t, err, "2 messages in queue 'q' are lost with the broker, 2 of them dead letters that are held")
	})
}
