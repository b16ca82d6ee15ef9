package pocketmq_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// withEvents runs a test with a broker that has events, and a queue for them.
func withEvents(t *testing.T, test func(t *testing.T, b *pocketmq.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, pocketmq.Events(), pocketmq.VHost("v"))
		declare(t, b, "events", pocketmq.MaxLength(1)) // Block: events do not wait
		must(t, b.Bind(ctx, "events", "amq.rabbitmq.event", "#"))
		require.Equal(t, "binding.created", take(t, b, "events", pocketmq.AutoAck()).RoutingKey)
		test(t, b)
	})
}

// happened returns the events that wait, by key and headers without those that all have.
func happened(t testing.TB, b *pocketmq.Broker) (keys []string, headers []pocketmq.Table) {
	t.Helper()
	for {
		d, ok, err := b.Get(ctx, "events", pocketmq.AutoAck())
		must(t, err)
		if !ok {
			return keys, headers
		}
		now := time.Now()
		require.Equal(t, "amq.rabbitmq.event", d.Exchange)
		require.Equal(t, now.UnixMilli(), d.Headers["timestamp_in_ms"])
		require.Equal(t, "v", d.Headers["vhost"])
		require.Equal(t, &pocketmq.Message{
			Headers: d.Headers, DeliveryMode: pocketmq.Persistent, Timestamp: now.Truncate(time.Second),
		}, d.Message)
		delete(d.Headers, "timestamp_in_ms")
		delete(d.Headers, "vhost")
		keys, headers = append(keys, d.RoutingKey), append(headers, d.Headers)
	}
}

func TestEventsAreOffByDefault(t *testing.T) { // XPLUG-15
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		require.False(t, exchangeExists(b, "amq.rabbitmq.event"))
	})
}

func TestEventExchangeIsInternal(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		x, ok := b.Stats().Exchange("amq.rabbitmq.event")
		require.True(t, ok && x.Durable && x.Internal && x.Kind == pocketmq.Topic)
		require.ErrorIs(t, b.Publish(ctx, "amq.rabbitmq.event", "k", msg("m")), pocketmq.ErrAccessRefused)
	})
}

func TestEventsOfTheTopology(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		exchange(t, b, "x", pocketmq.Topic, pocketmq.AutoDelete(), pocketmq.AlternateExchange("y"))
		exchange(t, b, "x", pocketmq.Topic, pocketmq.AutoDelete(), pocketmq.AlternateExchange("y"))
		declare(t, b, "q", pocketmq.MaxLength(5))
		declare(t, b, "q", pocketmq.MaxLength(5))
		must(t, b.Bind(ctx, "q", "x", "k"))
		must(t, b.Bind(ctx, "q", "x", "k"))
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)

		keys, headers := happened(t, b)
		require.Equal(t, []string{
			"exchange.created", "queue.created", "binding.created", "binding.deleted", "exchange.deleted", "queue.deleted",
		}, keys)
		bound := pocketmq.Table{
			"source_name": "x", "source_kind": "exchange", "destination_name": "q", "destination_kind": "queue",
			"routing_key": "k", "arguments": []any{}, "user_who_performed_action": "none",
		}
		require.Equal(t, pocketmq.Table{
			"name": "x", "type": "topic", "durable": false, "auto_delete": true, "internal": false, "policy": "",
			"arguments":                 []any{`{<<"alternate-exchange">>,longstr,<<"y">>}`},
			"user_who_performed_action": "none",
		}, headers[0])
		require.Equal(t, pocketmq.Table{
			"name": "q", "durable": false, "auto_delete": false, "exclusive": false, "owner_pid": "", "type": "rabbit_classic_queue",
			"leader": "pocketmq@localhost", "members": []any{"pocketmq@localhost"}, "user_who_performed_action": "none",
			"arguments": []any{`{<<"x-max-length">>,long,5}`, `{<<"x-queue-type">>,longstr,<<"classic">>}`},
		}, headers[1])
		require.Equal(t, bound, headers[2])
		bound["user_who_performed_action"] = "rmq-internal"
		require.Equal(t, bound, headers[3])
		require.Equal(t, pocketmq.Table{"name": "x", "user_who_performed_action": "rmq-internal"}, headers[4])
		require.Equal(t, pocketmq.Table{
			"name": "q", "type": "rabbit_classic_queue", "user_who_performed_action": "none",
		}, headers[5])
	})
}

func TestEventsOfConsumers(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		s := b.Session()
		declare(t, s, "q", pocketmq.Exclusive())
		consume(t, s, "q", pocketmq.ConsumerTag("c"), pocketmq.Prefetch(3))
		must(t, s.Close())
		keys, headers := happened(t, b)
		require.Equal(t, []string{"queue.created", "consumer.created", "consumer.deleted", "queue.deleted"}, keys)
		owner := headers[0]["owner_pid"]
		require.Regexp(t, `^<pocketmq@localhost\.\d+\.\d+\.\d+>$`, owner)
		require.Equal(t, pocketmq.Table{
			"consumer_tag": "c", "exclusive": false, "ack_required": true, "channel": owner, "queue": "q",
			"prefetch_count": int64(3), "arguments": []any{}, "user_who_performed_action": "none",
		}, headers[1])
		require.Equal(t, pocketmq.Table{
			"consumer_tag": "c", "channel": owner, "queue": "q", "user_who_performed_action": "rmq-internal",
		}, headers[2])

		declare(t, b, "q")
		consume(t, b, "q").Cancel()
		consume(t, b, "q")
		_, err := b.DeleteQueue(ctx, "q")
		must(t, err)
		_, headers = happened(t, b)
		require.Equal(t, "none", headers[2]["user_who_performed_action"], "it was cancelled")
		require.NotContains(t, headers[5], "user_who_performed_action", "its queue was deleted")
	})
}

func TestEventsOfPolicies(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		p := pocketmq.Policy{Name: "p", Pattern: "^q", Definition: pocketmq.Table{"max-length": 5}, Priority: 2}
		must(t, b.SetPolicy(p))
		must(t, b.SetOperatorPolicy(p))
		must(t, b.ClearPolicy("p"))
		must(t, b.ClearOperatorPolicy("p"))
		require.Error(t, b.ClearPolicy("p"))
		keys, headers := happened(t, b)
		require.Equal(t, []string{"policy.set", "policy.set", "policy.cleared", "operator.policy.cleared"}, keys)
		require.Equal(t, pocketmq.Table{
			"name": "p", "pattern": "^q", "definition": pocketmq.Table{"max-length": int64(5)}, "priority": int64(2), "apply-to": "all",
			"user_who_performed_action": "none",
		}, headers[0])
		require.Equal(t, pocketmq.Table{"name": "p", "user_who_performed_action": "none"}, headers[3])
	})
}

// A queue that is deleted because it expires, and one that loses its last consumer.
func TestEventsOfQueuesThatEndByThemselves(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "expires", pocketmq.Expires(time.Second))
		declare(t, b, "auto", pocketmq.AutoDelete())
		happened(t, b)
		time.Sleep(time.Second)
		synctest.Wait()
		keys, headers := happened(t, b)
		require.Equal(t, []string{"queue.deleted"}, keys)
		require.Equal(t, pocketmq.Table{
			"name": "expires", "type": "rabbit_classic_queue", "user_who_performed_action": "rmq-internal",
		}, headers[0])
		consume(t, b, "auto").Cancel()
		keys, headers = happened(t, b)
		require.Equal(t, []string{"consumer.created", "consumer.deleted", "queue.deleted"}, keys)
		require.Equal(t, "auto", headers[2]["name"])
	})
}

// Whatever happens at once, each end is told as often as its beginning.
func TestEventsTellOfAllThatHappensAtOnce(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		const workers, rounds = 4, 50
		told := map[string]int{}
		handle(t, b, "events", func(_ context.Context, d *pocketmq.Delivery) error {
			told[d.RoutingKey]++
			return nil
		})
		exchange(t, b, "x", pocketmq.Fanout)
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for range rounds {
					s := b.Session()
					name := "q" + strconv.Itoa(w%2) // two share a name
					_, err := s.DeclareQueue(ctx, name, pocketmq.AutoDelete(), pocketmq.DeadLetter("amq.rabbitmq.event"))
					must(t, err)
					_ = s.Bind(ctx, name, "x", "")
					if c, err := s.Consume(ctx, name); err == nil {
						_ = s.Publish(ctx, "x", "", msg("m"))
						if w < 2 {
							c.Close()
						}
					}
					_, err = s.DeleteQueue(ctx, name)
					must(t, err)
					must(t, s.Close())
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, what := range []string{"queue", "binding"} {
			require.NotZero(t, told[what+".created"])
			require.Equal(t, told[what+".created"], told[what+".deleted"], what)
		}
		require.NotZero(t, told["consumer.created"])
		require.Equal(t, told["consumer.created"]-1, told["consumer.deleted"], "all but that of the events")
	})
}

// A consumer has begun before it ends, whoever is quicker.
func TestEventsOfAConsumerAreInOrder(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		for range 1000 {
			declare(t, b, "q")
			happened(t, b)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = b.Consume(ctx, "q") })
			wg.Go(func() { _, _ = b.DeleteQueue(ctx, "q") })
			wg.Wait()
			keys, _ := happened(t, b)
			if slices.Contains(keys, "consumer.created") {
				require.Equal(t, []string{"consumer.created", "queue.deleted", "consumer.deleted"}, keys)
			} else {
				require.Equal(t, []string{"queue.deleted"}, keys)
			}
		}
	})
}

// Those whom an event concerns may use the broker, for it is told without locks.
func TestEventsAreToldWithoutLocks(t *testing.T) { // XPLUG-15
	withEvents(t, func(t *testing.T, b *pocketmq.Broker) {
		declare(t, b, "more")
		must(t, b.Bind(ctx, "more", "amq.rabbitmq.event", "queue.created"))
		var c *pocketmq.Consumer
		notified := 0
		c = consume(t, b, "more", pocketmq.AutoAck(), pocketmq.Notify(func() {
			if notified++; notified == 1 {
				declare(t, b, "declared meanwhile")
			}
		}))
		happened(t, b)
		_, ok, err := c.TryReceive()
		must(t, err)
		require.False(t, ok, "it wants to be notified")

		declare(t, b, "q")
		keys, headers := happened(t, b)
		require.Equal(t, []string{"queue.created", "queue.created"}, keys)
		require.Equal(t, "q", headers[0]["name"])
		require.Equal(t, "declared meanwhile", headers[1]["name"])
		require.NotZero(t, notified)
	})
}

// handlerFunc is a log's handler that is told of records.
type handlerFunc func(text string)

func (f handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r.Message)
	return nil
}
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f handlerFunc) WithGroup(string) slog.Handler      { return f }

// What is logged of an event that dies is logged without locks.
func TestALogsHandlerMayUseTheBroker(t *testing.T) { // DLX-14
	synctest.Test(t, func(t *testing.T) {
		var b *pocketmq.Broker
		var logged []string
		b = newBroker(t, pocketmq.Events(), pocketmq.Logger(slog.New(handlerFunc(func(text string) {
			if logged = append(logged, text); len(logged) == 1 {
				declare(t, b, "declared meanwhile")
			}
		}))))
		declare(t, b, "events", pocketmq.MessageTTL(0), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("events"))
		must(t, b.Bind(ctx, "events", "amq.rabbitmq.event", "queue.*"))
		declare(t, b, "q")
		_, exists := b.Stats().Queue("declared meanwhile")
		require.True(t, exists)
		const circle = "dead letter dropped: it would go round in circles"
		require.Equal(t, []string{circle, circle}, logged)
	})
}

// A log's handler, or whoever is notified, may change the policies of which it hears.
func TestPoliciesChangeWithoutLocks(t *testing.T) { // POL-9
	bubble(t, func(t *testing.T, b *pocketmq.Broker) {
		limit := func(name string, n int) {
			must(t, b.SetPolicy(pocketmq.Policy{Name: name, Pattern: "^q", Priority: n, Definition: pocketmq.Table{
				"max-length": n, "overflow": "drop-head", "dead-letter-exchange": "amq.fanout",
			}}))
		}
		names := []string{"q1", "q2", "q3", "q4", "q5", "q6"}
		for _, name := range names {
			declare(t, b, name)
			send(t, b, name, "1", "2", "3", "4")
		}
		bound(t, b, "amq.fanout", "letters")
		notified := 0
		c := consume(t, b, "letters", pocketmq.Notify(func() {
			if notified++; notified == 1 {
				limit("later", 2)
			}
		}))
		_, ok, err := c.TryReceive()
		must(t, err)
		require.False(t, ok, "it wants to be notified")
		limit("first", 1) // while it reaches one queue after the other, the later one overtakes it
		require.NotZero(t, notified)
		for _, name := range names {
			q, _ := b.Stats().Queue(name)
			require.Equal(t, "later", q.Policy)
			require.Equal(t, 2, q.MaxLength)
		}
	})
}
