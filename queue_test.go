package pocketmq_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

var (
	dropHead = pocketmq.Overflow(pocketmq.DropHead)
	reject   = pocketmq.Overflow(pocketmq.RejectPublish)
)

// --- declaring ---------------------------------------------------------------

func TestDeclaringAQueueTellsItsCounts(t *testing.T) { // QUEUE-1, QUEUE-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, want := range []pocketmq.QueueInfo{
			{Name: "q"}, {Name: "q", Messages: 3}, {Name: "q", Messages: 1, Consumers: 1},
		} {
			info, err := b.DeclareQueue(ctx, "q")
			must(t, err)
			require.Equal(t, want, info)
			switch {
			case want.Messages == 0:
				send(t, b, "q", "a", "b", "c")
			case want.Consumers == 0:
				consume(t, b, "q", pocketmq.Prefetch(2)) // what it holds does not count
			}
		}
	})
}

func TestQueueWithoutANameGetsANewOne(t *testing.T) { // QUEUE-3
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		seen := map[string]bool{}
		for range 3 {
			info, err := b.DeclareQueue(ctx, "")
			must(t, err)
			require.Regexp(t, regexp.MustCompile(`^amq\.gen-[A-Za-z0-9_-]{22}$`), info.Name)
			require.False(t, seen[info.Name])
			seen[info.Name] = true
			declare(t, b, info.Name) // QUEUE-8
			require.Equal(t, []string{info.Name}, routed(t, b, "", info.Name, nil))
		}
	})
}

func TestQueueDeclaredDifferentlyNamesTheProperty(t *testing.T) { // QUEUE-10 to QUEUE-13
	type opts = []pocketmq.QueueOption
	at := " for queue 'q1' in vhost '/': "
	for _, tc := range []struct {
		name          string
		first, second opts
		want          string
	}{
		{"durable", nil, opts{pocketmq.Durable()}, "'durable'" + at + "received 'true' but current is 'false'"},
		{"not durable", opts{pocketmq.Durable()}, nil, "'durable'" + at + "received 'false' but current is 'true'"},
		{"auto-delete", nil, opts{pocketmq.AutoDelete()}, "'auto_delete'" + at + "received 'true' but current is 'false'"},
		{
			"another length", opts{pocketmq.MaxLength(100)}, opts{pocketmq.MaxLength(200)},
			"'x-max-length'" + at + "received '200' but current is '100'",
		},
		{
			"a length", nil, opts{pocketmq.MaxLength(100)},
			"'x-max-length'" + at + "received the value '100' of type 'long' but current is none",
		},
		{
			"no length", opts{pocketmq.MaxLength(100)}, nil,
			"'x-max-length'" + at + "received none but current is the value '100' of type 'long'",
		},
		{
			"unbounded instead of a length", opts{pocketmq.MaxLength(100)}, opts{pocketmq.Unbounded()},
			"'x-max-length'" + at + "received none but current is the value '100' of type 'long'",
		},
		{
			"unbounded instead of the default", nil, opts{pocketmq.Unbounded()},
			"'x-max-length'" + at + "received 'none' but current is '65536'",
		},
		{
			"the default instead of unbounded", opts{pocketmq.Unbounded()}, nil,
			"'x-max-length'" + at + "received '65536' but current is 'none'",
		},
		{
			"another policy", opts{dropHead}, opts{reject},
			"'x-overflow'" + at + "received 'reject-publish' but current is 'drop-head'",
		},
		{
			"a policy", nil, opts{dropHead},
			"'x-overflow'" + at + "received the value 'drop-head' of type 'longstr' but current is none",
		},
		// The first difference counts, in this order.
		{
			"durable first", nil, opts{pocketmq.Durable(), pocketmq.AutoDelete(), pocketmq.MaxLength(1)},
			"'durable'" + at + "received 'true' but current is 'false'",
		},
		{
			"then auto-delete", nil, opts{pocketmq.AutoDelete(), pocketmq.MaxLength(1)},
			"'auto_delete'" + at + "received 'true' but current is 'false'",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q1", tc.first...)
				_, err := b.DeclareQueue(ctx, "q1", tc.second...)
				require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed)
				require.EqualError(t, err, "PRECONDITION_FAILED - inequivalent arg "+tc.want)
			})
		})
	}
}

func TestQueueMayBeDeclaredAgainWithTheSameProperties(t *testing.T) { // QUEUE-1
	for name, opts := range map[string][]pocketmq.QueueOption{
		"default":   nil,
		"durable":   {pocketmq.Durable(), pocketmq.AutoDelete()},
		"bounded":   {pocketmq.MaxLength(5), dropHead},
		"unbounded": {pocketmq.Unbounded()},
		"exclusive": {pocketmq.Exclusive()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q", opts...)
				send(t, b, "q", "a")
				declare(t, b, "q", opts...)
				require.Equal(t, []string{"a"}, drain(t, b, "q"))
			})
		})
	}
}

func TestPassiveDeclarationOfAQueueOnlyAsks(t *testing.T) { // QUEUE-4, QUEUE-8, QUEUE-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		for _, name := range []string{"nope", "", "amq.nope"} {
			_, err := b.DeclareQueue(ctx, name, pocketmq.Passive())
			require.EqualError(t, err, "NOT_FOUND - no queue '"+name+"' in vhost '/'")
		}
		declare(t, b, "q", pocketmq.MaxLength(5))
		send(t, b, "q", "a")
		info, err := b.DeclareQueue(ctx, "q", pocketmq.Passive(), pocketmq.Durable(), pocketmq.Exclusive(), pocketmq.MaxLength(9))
		must(t, err)
		require.Equal(t, 1, info.Messages)
	})
}

func TestExclusiveQueueIsNeverDurable(t *testing.T) { // QUEUE-19
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Exclusive(), pocketmq.Durable())
		require.False(t, stats(t, b, "q").Durable)
		declare(t, b, "q", pocketmq.Exclusive())
		declare(t, b, "q", pocketmq.Exclusive(), pocketmq.Durable())
	})
}

func TestExclusivenessCannotBeRedeclared(t *testing.T) { // QUEUE-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		declare(t, b, "mine", pocketmq.Exclusive())
		_, err := b.DeclareQueue(ctx, "q", pocketmq.Exclusive())
		require.ErrorIs(t, err, pocketmq.ErrResourceLocked)
		_, err = b.DeclareQueue(ctx, "mine")
		require.ErrorIs(t, err, pocketmq.ErrResourceLocked)
	})
}

// --- limits ------------------------------------------------------------------

// blocked publishes to a full queue, and returns when the publisher waits.
func blocked(t testing.TB, b *pocketmq.Broker, queue, body string) <-chan error {
	t.Helper()
	done := background(func() error { return b.Publish(ctx, "", queue, msg(body)) })
	waits(t, done)
	return done
}

func TestQueueIsBoundedUnlessDeclaredOtherwise(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		m := msg("a")
		for range pocketmq.DefaultMaxLength {
			must(t, b.Publish(ctx, "", "q", m))
		}
		done := blocked(t, b, "q", "one more")
		take(t, b, "q")
		must(t, result(t, done))
	})
}

func TestUnboundedQueueTakesAnyNumber(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.Unbounded())
		m := msg("a")
		for range pocketmq.DefaultMaxLength + 1 {
			must(t, b.Publish(ctx, "", "q", m))
		}
		require.Equal(t, -1, stats(t, b, "q").MaxLength)
	})
}

func TestPublisherIsReleasedByRoom(t *testing.T) {
	for name, makeRoom := range map[string]func(t *testing.T, b *pocketmq.Broker){
		"get":      func(t *testing.T, b *pocketmq.Broker) { take(t, b, "q") }, // LEN-6: it need not be settled
		"purge":    func(t *testing.T, b *pocketmq.Broker) { b.PurgeQueue(ctx, "q") },
		"consumer": func(t *testing.T, b *pocketmq.Broker) { consume(t, b, "q", pocketmq.Prefetch(1)) },
		"handler": func(t *testing.T, b *pocketmq.Broker) {
			handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q", pocketmq.MaxLength(2))
				send(t, b, "q", "a", "b")
				done := blocked(t, b, "q", "c")
				makeRoom(t, b)
				must(t, result(t, done))
			})
		})
	}
}

func TestPublisherIsReleasedByASettlement(t *testing.T) {
	for name, settle := range map[string]func(c *pocketmq.Consumer, d *pocketmq.Delivery) error{
		"ack":    func(_ *pocketmq.Consumer, d *pocketmq.Delivery) error { return d.Ack() },
		"reject": func(_ *pocketmq.Consumer, d *pocketmq.Delivery) error { return d.Reject() },
	} {
		for _, consumers := range []int{1, 2} {
			t.Run(fmt.Sprint(name, " with ", consumers), func(t *testing.T) {
				bubble(t, func(t *testing.T, b *pocketmq.Broker) {
					declare(t, b, "q", pocketmq.MaxLength(1))
					c := consume(t, b, "q", pocketmq.Prefetch(1))
					send(t, b, "q", "a")
					d := receive(t, c)
					for range consumers - 1 {
						consume(t, b, "q", pocketmq.Prefetch(1))
						send(t, b, "q", "for the other")
					}
					send(t, b, "q", "b")
					done := blocked(t, b, "q", "c")
					must(t, settle(c, d))
					must(t, result(t, done))
				})
			})
		}
	}
}

func TestPublishersAreReleasedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1))
		send(t, b, "q", "0")
		var waiting []<-chan error
		for _, body := range []string{"1", "2", "3"} {
			waiting = append(waiting, blocked(t, b, "q", body))
		}
		require.Equal(t, 3, stats(t, b, "q").WaitingPublishers)
		for i, w := range waiting {
			waits(t, w)
			require.Equal(t, fmt.Sprint(i), string(take(t, b, "q").Body))
			must(t, result(t, w))
		}
	})
}

func TestAsManyPublishersAreReleasedAsThereIsRoomFor(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(2))
		send(t, b, "q", "0", "0")
		one, two, three := blocked(t, b, "q", "1"), blocked(t, b, "q", "2"), blocked(t, b, "q", "3")
		_, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		must(t, result(t, one))
		must(t, result(t, two))
		waits(t, three)
		require.Equal(t, []string{"1", "2", "3"}, drain(t, b, "q"))
		must(t, result(t, three))
	})
}

func TestPublisherThatGivesUpIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1))
		send(t, b, "q", "a")
		timeout, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		gaveUp := background(func() error { return b.Publish(timeout, "", "q", msg("b")) })
		waits(t, gaveUp)
		patient := blocked(t, b, "q", "c")
		time.Sleep(time.Second)
		err := result(t, gaveUp)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "pocketmq: waiting for room in queue 'q': context deadline exceeded")
		waits(t, patient)
		require.Equal(t, []string{"a", "c"}, drain(t, b, "q"))
		must(t, result(t, patient))
	})
}

func TestPublisherIsReleasedWhenTheQueueIsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(0))
		done := blocked(t, b, "q", "a")
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		require.ErrorIs(t, result(t, done), pocketmq.ErrQueueDeleted)
	})
}

func TestPublisherIsReleasedWhenItsSessionIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(0))
		s := b.Session()
		done := background(func() error { return s.Publish(ctx, "", "q", msg("a")) })
		waits(t, done)
		must(t, s.Close())
		require.ErrorIs(t, result(t, done), pocketmq.ErrClosed)
	})
}

func TestRejectPublishRefusesWhatDoesNotFit(t *testing.T) { // LEN-5, LEN-6
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(2), reject)
		send(t, b, "q", "a", "b")
		err := b.Publish(ctx, "", "q", msg("c"), pocketmq.Mandatory)
		require.ErrorIs(t, err, pocketmq.ErrQueueFull) // and not unroutable: PUB-7
		take(t, b, "q")
		send(t, b, "q", "d")
		require.Equal(t, []string{"b", "d"}, drain(t, b, "q"))
	})
}

func TestDropHeadDropsTheOldest(t *testing.T) { // LEN-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(2), dropHead)
		send(t, b, "q", "a", "b", "c", "d")
		require.Equal(t, []string{"c", "d"}, drain(t, b, "q"))
	})
}

func TestLimitCountsOnlyWhatWaits(t *testing.T) { // LEN-1
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), reject)
		c := consume(t, b, "q", pocketmq.Prefetch(2)) // and it fetches nothing yet
		send(t, b, "q", "a", "b", "c")
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("d")), pocketmq.ErrQueueFull)
		must(t, receive(t, c).Ack())
		send(t, b, "q", "e")
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("f")), pocketmq.ErrQueueFull)
	})
}

func TestDropHeadSparesWhatIsAssigned(t *testing.T) { // LEN-1, LEN-2
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), dropHead)
		c := consume(t, b, "q", pocketmq.Prefetch(2))
		send(t, b, "q", "a", "b", "c", "d")
		require.Equal(t, []string{"a", "b"}, bodies(held(t, c)))
		require.Equal(t, []string{"d"}, drain(t, b, "q"))
	})
}

func TestQueueOfLengthZeroPassesOnWhatAConsumerTakesAtOnce(t *testing.T) { // LEN-3
	for _, policy := range []pocketmq.OverflowPolicy{pocketmq.Block, pocketmq.DropHead, pocketmq.RejectPublish} {
		t.Run(policy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *pocketmq.Broker) {
				declare(t, b, "q", pocketmq.MaxLength(0), pocketmq.Overflow(policy))
				c := consume(t, b, "q", pocketmq.Prefetch(1))
				if policy == pocketmq.RejectPublish { // as in RabbitMQ, which looks at the length first
					require.ErrorIs(t, b.Publish(ctx, "", "q", msg("a")), pocketmq.ErrQueueFull)
					return
				}
				send(t, b, "q", "a")
				done := background(func() error { return b.Publish(ctx, "", "q", msg("b")) })
				if policy == pocketmq.Block {
					waits(t, done)
				} else {
					must(t, result(t, done))
				}
				d := receive(t, c)
				require.Equal(t, "a", string(d.Body))
				must(t, d.Ack())
				if policy == pocketmq.Block {
					must(t, result(t, done))
					require.Equal(t, "b", string(receive(t, c).Body))
				}
			})
		})
	}
}

func TestRequeueMayExceedTheLimit(t *testing.T) { // LEN-7
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), reject)
		send(t, b, "q", "a")
		d := take(t, b, "q")
		send(t, b, "q", "b")
		must(t, d.Nack(true))
		require.ErrorIs(t, b.Publish(ctx, "", "q", msg("c")), pocketmq.ErrQueueFull)
		require.Equal(t, []string{"a", "b"}, drain(t, b, "q"))
	})
}

func TestDropHeadDropsWhatARequeueMadeTooMuch(t *testing.T) { // LEN-7
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.MaxLength(1), dropHead)
		send(t, b, "q", "a")
		d := take(t, b, "q")
		send(t, b, "q", "b")
		must(t, d.Nack(true))
		require.Equal(t, 1, stats(t, b, "q").Ready)
		require.Equal(t, []string{"b"}, drain(t, b, "q"))
	})
}

// --- the place of what comes back --------------------------------------------

func TestRequeuedMessagesGoBackToTheirPlaces(t *testing.T) { // ACK-9, ACK-10
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "1", "2", "3", "4", "5")
		var got []*pocketmq.Delivery
		for range 4 {
			got = append(got, take(t, b, "q"))
		}
		for _, i := range []int{2, 0, 3} { // 2 is left out
			must(t, got[i].Nack(true))
		}
		send(t, b, "q", "6")
		var order []string
		for range 5 {
			d := take(t, b, "q")
			order = append(order, fmt.Sprint(string(d.Body), d.Redelivered))
		}
		require.Equal(t, []string{"1true", "3true", "4true", "5false", "6false"}, order)
		must(t, got[1].Nack(true))
		require.Equal(t, "2", string(take(t, b, "q").Body))
	})
}

// --- purge and delete --------------------------------------------------------

func TestPurgeRemovesWhatWaits(t *testing.T) { // QUEUE-29
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a", "b", "c")
		d := receive(t, c)
		n, err := b.PurgeQueue(ctx, "q")
		must(t, err)
		require.Equal(t, 2, n)
		must(t, d.Nack(true))
		require.Equal(t, "a", string(receive(t, c).Body))
	})
}

func TestDeletingAQueueTellsHowManyMessagesWaited(t *testing.T) { // QUEUE-24, QUEUE-25
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a", "b", "c")
		take(t, b, "q")
		for _, want := range []int{2, 0} {
			n, err := b.DeleteQueue(ctx, "q")
			must(t, err)
			require.Equal(t, want, n)
		}
		_, err := b.PurgeQueue(ctx, "q")
		require.EqualError(t, err, "NOT_FOUND - no queue 'q' in vhost '/'")
	})
}

func TestQueueIsNotDeletedIfItMustBeEmpty(t *testing.T) { // QUEUE-26
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		send(t, b, "q", "a")
		_, err := b.DeleteQueue(ctx, "q", pocketmq.IfEmpty())
		require.ErrorIs(t, err, pocketmq.ErrPreconditionFailed)
		require.EqualError(t, err, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")
		d := take(t, b, "q")
		_, err = b.DeleteQueue(ctx, "q", pocketmq.IfEmpty())
		must(t, err)
		must(t, d.Ack()) // ACK-7
		_, err = b.DeleteQueue(ctx, "q", pocketmq.IfEmpty(), pocketmq.IfUnused())
		must(t, err)
	})
}

func TestQueueIsNotDeletedIfItMustBeUnused(t *testing.T) { // QUEUE-27
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		_, err := b.DeleteQueue(ctx, "q", pocketmq.IfUnused())
		require.EqualError(t, err, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use")
		send(t, b, "q", "a", "b")
		_, err = b.DeleteQueue(ctx, "q", pocketmq.IfUnused(), pocketmq.IfEmpty())
		require.EqualError(t, err, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")
		c.Cancel()
		n, err := b.DeleteQueue(ctx, "q", pocketmq.IfUnused())
		must(t, err)
		require.Equal(t, 2, n)
	})
}

func TestAssignedMessagesDoNotKeepAQueueFromBeingEmpty(t *testing.T) { // QUEUE-26
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		consume(t, b, "q") // which fetches nothing
		send(t, b, "q", "a")
		n, err := b.DeleteQueue(ctx, "q", pocketmq.IfEmpty())
		must(t, err)
		require.Zero(t, n)
	})
}

func TestDeletedQueueEndsItsConsumersInAllForms(t *testing.T) { // QUEUE-28, CONS-17
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		receiving, ranging, channel, handling := consume(t, b, "q"), consume(t, b, "q"), consume(t, b, "q"),
			handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { return nil })
		received := background(func() error { _, err := receiving.Receive(ctx); return err })
		ranged := background(func() (last error) {
			for _, err := range ranging.Deliveries() {
				last = err
			}
			return last
		})
		ch := channel.Chan()
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		require.ErrorIs(t, result(t, received), pocketmq.ErrQueueDeleted)
		require.ErrorIs(t, result(t, ranged), pocketmq.ErrQueueDeleted)
		_, open := <-ch
		require.False(t, open)
		for _, c := range []*pocketmq.Consumer{receiving, ranging, channel, handling} {
			require.True(t, isClosed(c.Done()))
			require.ErrorIs(t, c.Err(), pocketmq.ErrQueueDeleted)
		}
	})
}

func TestConsumersOfADeletedQueueGetNothingMore(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q")
		c1, c2 := consume(t, b, "q"), consume(t, b, "q")
		send(t, b, "q", "a", "b", "c", "d")
		d := receive(t, c1) // c1 has fetched, c2 has not
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		for _, c := range []*pocketmq.Consumer{c1, c2} {
			_, ok, err := c.TryReceive()
			require.False(t, ok)
			require.ErrorIs(t, err, pocketmq.ErrQueueDeleted)
		}
		must(t, d.Nack(true)) // ACK-7: it has no meaning any more, and is no error
		require.ErrorIs(t, d.Ack(), pocketmq.ErrSettled)
		declare(t, b, "q")
		require.Empty(t, drain(t, b, "q"))
	})
}

// --- auto-delete -------------------------------------------------------------

func TestAutoDeleteQueueGoesWithItsLastConsumer(t *testing.T) { // QUEUE-21, QUEUE-22
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.AutoDelete())
		send(t, b, "q", "a", "b")
		must(t, take(t, b, "q").Nack(true)) // Get is no consumer
		c1, c2 := consume(t, b, "q"), consume(t, b, "q")
		d := receive(t, c1)
		c1.Cancel()
		declare(t, b, "q", pocketmq.Passive())
		c2.Close()
		_, err := b.DeclareQueue(ctx, "q", pocketmq.Passive())
		require.ErrorIs(t, err, pocketmq.ErrNotFound)
		must(t, d.Ack())
		declare(t, b, "q")
		require.Empty(t, drain(t, b, "q"))
	})
}

func TestAutoDeleteQueueReleasesPublishers(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.AutoDelete(), pocketmq.MaxLength(0))
		c := consume(t, b, "q", pocketmq.Prefetch(1))
		send(t, b, "q", "a")
		done := blocked(t, b, "q", "b")
		c.Cancel()
		require.ErrorIs(t, result(t, done), pocketmq.ErrQueueDeleted)
	})
}

func TestAutoDeleteQueueGoesWithTheContextOfItsConsumer(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "q", pocketmq.AutoDelete())
		timeout, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := b.Consume(timeout, "q")
		must(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, b.Stats().Queues)
	})
}

func TestQueueMayBeDeclaredAnewWhileAnOldOneEnds(t *testing.T) {
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		done, stop := context.WithCancel(ctx)
		churned := background(func() (err error) {
			for done.Err() == nil && err == nil {
				_, err = b.DeleteQueue(ctx, "q")
			}
			return err
		})
		for range 500 {
			declare(t, b, "q", pocketmq.AutoDelete())
			if c, err := b.Consume(ctx, "q"); err == nil {
				c.Cancel()
			}
			err := b.Bind(ctx, "q", "amq.fanout", "")
			if err != nil {
				require.ErrorIs(t, err, pocketmq.ErrNotFound)
			}
		}
		stop()
		must(t, result(t, churned))
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		x, _ := b.Stats().Exchange("amq.fanout")
		require.Empty(t, x.Bindings)
	})
}

func TestSettingsTakeEffectAtOnce(t *testing.T) { // POL-9, POL-11
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "dead")
		declare(t, b, "q", dropHead)
		fill(t, b, "q", 5)
		setPolicy(t, b, "p", "^q$", pocketmq.Table{
			"max-length": 3, "message-ttl": 10, "expires": 1000, "dead-letter-exchange": "", "dead-letter-routing-key": "dead",
		})
		require.Equal(t, []string{"1", "2"}, drain(t, b, "dead"))
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, 3, stats(t, b, "q").Ready, "they came in without a TTL")
		must(t, b.ClearPolicy("p"))
		fill(t, b, "q", 10)
		time.Sleep(time.Hour)
		require.Equal(t, 13, stats(t, b, "q").Ready)
		setPolicy(t, b, "p", "^q$", pocketmq.Table{"expires": 1000})
		time.Sleep(time.Second)
		synctest.Wait()
		_, err := b.DeclareQueue(ctx, "q", pocketmq.Passive())
		require.ErrorIs(t, err, pocketmq.ErrNotFound)

		setPolicy(t, b, "p", "^waiting", pocketmq.Table{"max-length": 1})
		declare(t, b, "waiting")
		send(t, b, "waiting", "a")
		done := background(func() error { return b.Publish(ctx, "", "waiting", msg("b")) })
		waits(t, done)
		setPolicy(t, b, "p", "^waiting", pocketmq.Table{"max-length": 2})
		must(t, result(t, done))
	})
}
