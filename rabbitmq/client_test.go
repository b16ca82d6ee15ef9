package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

var ctx = context.Background()

// inBubble runs a test in virtual time, with a server in memory and a client of
// it.
func inBubble(t *testing.T, test func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client)) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t, quiet())
		test(t, srv, dial(t, srv.URL(), rabbitmq.Dialer(srv.Dial)))
	})
}

func queue(t *testing.T, c pocketmq.Client, opts ...pocketmq.QueueOption) string {
	t.Helper()
	info, err := c.DeclareQueue(ctx, "", opts...)
	require.NoError(t, err)
	return info.Name
}

func publish(t *testing.T, c pocketmq.Client, exchange, key string, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		require.NoError(t, c.Publish(ctx, exchange, key, &pocketmq.Message{Body: []byte(b)}, pocketmq.Mandatory))
	}
}

func receive(t *testing.T, c *pocketmq.Consumer, want string) *pocketmq.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, want, string(d.Body))
	return &d
}

func consume(t *testing.T, c pocketmq.Client, queue string, opts ...pocketmq.ConsumeOption) *pocketmq.Consumer {
	t.Helper()
	consumer, err := c.Consume(ctx, queue, opts...)
	require.NoError(t, err)
	return consumer
}

// waits fails the test unless f is still blocked when nothing else can happen.
func waits(t *testing.T, f func() error) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	select {
	case err := <-done:
		require.FailNow(t, "it did not wait", "but returned: %v", err)
	default:
	}
	return done
}

func TestWhatWasDeclaredIsDeclaredAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		require.NoError(t, c.DeclareExchange(ctx, "in", pocketmq.Direct))
		require.NoError(t, c.DeclareExchange(ctx, "out", pocketmq.Fanout))
		require.NoError(t, c.BindExchange(ctx, "out", "in", "k"))
		q := queue(t, c, pocketmq.Exclusive())
		require.NoError(t, c.Bind(ctx, q, "out", ""))
		gone := queue(t, c)
		require.NoError(t, c.Bind(ctx, gone, "out", ""))
		_, err := c.DeleteQueue(ctx, gone)
		require.NoError(t, err)
		require.NoError(t, c.Bind(ctx, q, "in", "unbound"))
		require.NoError(t, c.Unbind(ctx, q, "in", "unbound"))
		consumer := consume(t, c, q)

		srv.KillConnections()
		synctest.Wait()                           // until the client has noticed
		for _, x := range []string{"in", "out"} { // as if the broker had been restarted, too
			require.NoError(t, srv.Broker().DeleteExchange(ctx, x))
		}
		publish(t, c, "in", "k", "1") // it waits for all of it
		require.NoError(t, receive(t, consumer, "1").Ack())
		_, exists := srv.Broker().Stats().Queue(gone)
		assert.False(t, exists)
		assert.ErrorIs(t, c.Publish(ctx, "in", "unbound", &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
	})
}

func TestDeliveriesOfALostConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		q, other := queue(t, c), queue(t, c)
		consumer := consume(t, c, q)
		publish(t, c, "", q, "1", "2", "3")
		publish(t, c, "", other, "4")
		old := receive(t, consumer, "1")
		got, ok, err := c.Get(ctx, other)
		require.NoError(t, err)
		require.True(t, ok)
		synctest.Wait()
		srv.KillConnections()
		synctest.Wait()
		assert.ErrorIs(t, old.Ack(), pocketmq.ErrConnectionLost)
		assert.ErrorIs(t, old.Ack(), pocketmq.ErrSettled)
		assert.ErrorIs(t, got.Nack(true), pocketmq.ErrConnectionLost)
		for _, want := range []string{"1", "2", "3"} { // also those that had been sent and not handed out, once
			d := receive(t, consumer, want)
			assert.True(t, d.Redelivered)
			assert.NoError(t, d.Ack())
		}
		_, ok, err = consumer.TryReceive()
		require.NoError(t, err)
		assert.False(t, ok)
		again, ok, err := c.Get(ctx, other)
		require.NoError(t, err)
		require.True(t, ok)
		assert.True(t, again.Redelivered)
		assert.NoError(t, again.Ack())
	})
}

func TestAStreamIsReadOn(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		_, err := c.DeclareQueue(ctx, "events", pocketmq.Stream(), pocketmq.MaxAge(time.Hour))
		require.NoError(t, err)
		publish(t, c, "", "events", "0", "1", "2", "3", "4")
		consumer := consume(t, c, "events", pocketmq.StreamOffset(1), pocketmq.Prefetch(3))
		old := receive(t, consumer, "1")
		require.NoError(t, receive(t, consumer, "2").Nack(true)) // credit, and no more
		receive(t, consumer, "3")
		require.NoError(t, old.Ack())
		receive(t, consumer, "4")
		srv.KillConnections()
		synctest.Wait()
		publish(t, c, "", "events", "5")
		for _, want := range []string{"3", "4", "5"} { // what was not settled comes again
			require.NoError(t, receive(t, consumer, want).Ack())
		}
	})
}

func TestAnAutoDeleteQueueIsNotRevived(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		used, left := queue(t, c, pocketmq.AutoDelete()), queue(t, c, pocketmq.AutoDelete())
		consumer := consume(t, c, used)
		consume(t, c, left).Cancel()
		srv.KillConnections()
		synctest.Wait()
		publish(t, c, "", used, "1")
		receive(t, consumer, "1")
		_, exists := srv.Broker().Stats().Queue(left)
		assert.False(t, exists)
	})
}

func TestAQueueThatIsGoneEndsItsConsumers(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		_, err := srv.Broker().DeclareQueue(ctx, "q", pocketmq.Unbounded()) // not by the client
		require.NoError(t, err)
		consumer := consume(t, c, "q")
		srv.KillConnections()
		_, err = srv.Broker().DeleteQueue(ctx, "q")
		require.NoError(t, err)
		<-consumer.Done()
		assert.ErrorIs(t, consumer.Err(), pocketmq.ErrQueueDeleted)
	})
}

// outage is a Dialer whose network can be down.
type outage struct {
	srv  *amqptest.Server
	down atomic.Bool
	n    atomic.Int32 // attempts
}

func (o *outage) dial(network, addr string) (net.Conn, error) {
	o.n.Add(1)
	if o.down.Load() {
		return nil, &net.OpError{Op: "dial", Err: errors.New("the network is down")}
	}
	return o.srv.Dial(network, addr)
}

func TestPublishWaitsForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{srv: amqptest.NewServer(t, quiet())}
		c := dial(t, o.srv.URL(), rabbitmq.Dialer(o.dial), rabbitmq.Backoff(time.Second, time.Minute))
		q := queue(t, c)
		publish(t, c, "", q, "1")
		o.down.Store(true)
		o.srv.KillConnections()
		synctest.Wait()

		limited, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		before := o.n.Load()
		err := c.Publish(limited, "", q, &pocketmq.Message{})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		attempts := o.n.Load() - before
		assert.True(t, 100 < attempts && attempts < 200, "%d attempts in an hour, of two connections with pauses of up to a minute", attempts)

		done := waits(t, func() error { return c.Publish(ctx, "", q, &pocketmq.Message{Body: []byte("2")}) })
		declared := waits(t, func() error { _, err := c.DeclareQueue(ctx, q); return err })
		_, err = c.Consume(limited, q)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		o.down.Store(false)
		assert.NoError(t, <-done)
		assert.NoError(t, <-declared)
	})
}

func TestPublishWaitsWhileTheBrokerIsBlocked(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		q := queue(t, c)
		publish(t, c, "", q, "1", "2")
		consumer := consume(t, c, q, pocketmq.Prefetch(1))
		srv.Server().RaiseAlarm("memory")
		done := waits(t, func() error { return c.Publish(ctx, "", q, &pocketmq.Message{Body: []byte("3")}) })
		next := waits(t, func() error { return c.Publish(ctx, "", q, &pocketmq.Message{Body: []byte("4")}) })
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		assert.ErrorIs(t, c.Publish(limited, "", q, &pocketmq.Message{}), context.DeadlineExceeded)
		// Consumers go on: what they ack makes room.
		assert.NoError(t, receive(t, consumer, "1").Ack())
		assert.NoError(t, receive(t, consumer, "2").Ack())
		srv.Server().ClearAlarm("memory")
		assert.NoError(t, <-done)
		assert.NoError(t, <-next)
	})
}

// stalled is a connection whose writes do not end while it is stalled, as when the
// other side does not read.
type stalled struct {
	net.Conn
	stall *atomic.Pointer[chan struct{}]
}

func (s stalled) Write(b []byte) (int, error) {
	if until := s.stall.Load(); until != nil {
		<-*until
	}
	return s.Conn.Write(b)
}

func TestAContextEndsAPublishThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t, quiet())
		var stall atomic.Pointer[chan struct{}]
		c := dial(t, srv.URL(), rabbitmq.Dialer(func(network, addr string) (net.Conn, error) {
			conn, err := srv.Dial(network, addr)
			return stalled{conn, &stall}, err
		}))
		q := queue(t, c)
		publish(t, c, "", q, "1")
		require.NoError(t, c.Publish(ctx, "", q, &pocketmq.Message{}))
		until := make(chan struct{})
		stall.Store(&until)
		defer func() {
			stall.Store(nil)
			close(until)
		}()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				limited, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				assert.ErrorIs(t, c.Publish(limited, "", q, &pocketmq.Message{Body: bytes.Repeat([]byte("x"), 1000)}), context.DeadlineExceeded)
			})
		}
		all.Wait()
	})
}

func TestShutdownWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		q, out := queue(t, c), queue(t, c)
		started, finish := make(chan struct{}), make(chan struct{})
		_, err := c.Handle(ctx, q, func(ctx context.Context, d *pocketmq.Delivery) error {
			close(started)
			<-finish
			return c.Publish(ctx, "", out, d.Message)
		})
		require.NoError(t, err)
		publish(t, c, "", q, "1", "2")
		<-started
		held := receive(t, func() *pocketmq.Consumer { publish(t, c, "", out, "0"); return consume(t, c, out) }(), "0")
		done := waits(t, func() error { return c.Shutdown(ctx) })
		close(finish)
		synctest.Wait()
		select {
		case <-done:
			assert.Fail(t, "a delivery is not settled")
		default:
		}
		assert.NoError(t, held.Ack())
		assert.NoError(t, <-done)
		stats := srv.Broker().Stats()
		for name, want := range map[string]int{q: 1, out: 1} {
			s, _ := stats.Queue(name)
			assert.Equal(t, want, s.Ready, name)
			assert.Zero(t, s.Unacked, name)
		}
		assert.ErrorIs(t, c.Publish(ctx, "", q, &pocketmq.Message{}), pocketmq.ErrClosed)
		synctest.Wait()
		assert.Empty(t, srv.Server().Connections())
	})
}

func TestShutdownGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		q := queue(t, c)
		publish(t, c, "", q, "1")
		receive(t, consume(t, c, q), "1") // and never acks
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		assert.ErrorIs(t, c.Shutdown(limited), context.DeadlineExceeded)
		s, _ := srv.Broker().Stats().Queue(q)
		assert.Equal(t, 1, s.Ready)
	})
}

func TestCloseLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{srv: amqptest.NewServer(t, quiet())}
		c := dial(t, o.srv.URL(), rabbitmq.Dialer(o.dial))
		q := queue(t, c)
		o.down.Store(true)
		o.srv.KillConnections()
		synctest.Wait()
		published := waits(t, func() error { return c.Publish(ctx, "", q, &pocketmq.Message{}) })
		declared := waits(t, func() error { return c.DeclareExchange(ctx, "x", pocketmq.Direct) })
		consumed := waits(t, func() error { _, err := c.Consume(ctx, q); return err })
		got := waits(t, func() error { _, _, err := c.Get(ctx, q); return err })
		require.NoError(t, c.Close())
		for _, done := range []<-chan error{published, declared, consumed, got} {
			assert.ErrorIs(t, <-done, pocketmq.ErrClosed)
		}
	})
}

func TestOneErrorEndsNoConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *amqptest.Server, c *rabbitmq.Client) {
		q := queue(t, c)
		publish(t, c, "", q, "1")
		d := receive(t, consume(t, c, q), "1")
		assert.ErrorIs(t, c.DeclareExchange(ctx, "x", "x-unknown"), pocketmq.ErrInvalid)
		_, err := c.DeclareQueue(ctx, "nope", pocketmq.Passive())
		assert.ErrorIs(t, err, pocketmq.ErrNotFound)
		_, err = c.Consume(ctx, "nope")
		assert.ErrorIs(t, err, pocketmq.ErrNotFound)
		assert.NoError(t, d.Ack())
	})
}

func TestRetryIsForQuorumQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t, quiet(), amqpserver.Compat(amqpserver.V4_3))
		c := dial(t, srv.URL(), rabbitmq.Dialer(srv.Dial))
		for _, wrong := range [][]pocketmq.QueueOption{
			{pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second})},
			{pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second, Exponential: true}), pocketmq.Quorum()},
		} {
			_, err := c.DeclareQueue(ctx, "q", wrong...)
			assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
		}
		_, err := c.DeclareQueue(ctx, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second, Times: 3}), pocketmq.Quorum())
		assert.NoError(t, err)
	})
}

func TestRetryIsRefusedWhereItIsIgnored(t *testing.T) {
	for version, text := range map[amqpserver.Compatibility]string{amqpserver.V3_10: "3.10.8", amqpserver.V4_0: "4.0.9"} {
		synctest.Test(t, func(t *testing.T) {
			srv := amqptest.NewServer(t, quiet(), amqpserver.Compat(version))
			c := dial(t, srv.URL(), rabbitmq.Dialer(srv.Dial))
			_, err := c.DeclareQueue(ctx, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second}), pocketmq.Quorum())
			assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
			assert.ErrorContains(t, err, "Retry: RabbitMQ has it from 4.3 on, and this one, "+text+", ignores it")
			_, exists := srv.Broker().Stats().Queue("q")
			assert.False(t, exists)
			require.NoError(t, c.Close())
			_, err = c.DeclareQueue(ctx, "q", pocketmq.Retry(pocketmq.RetryPolicy{Min: time.Second}), pocketmq.Quorum())
			assert.ErrorIs(t, err, pocketmq.ErrClosed)
		})
	}
}

func TestDeadLetterAtLeastOnceNeedsRejectPublish(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *amqptest.Server, c *rabbitmq.Client) {
		opts := []pocketmq.QueueOption{pocketmq.Quorum(), pocketmq.DeadLetter("x"), pocketmq.DeadLetterAtLeastOnce()}
		_, err := c.DeclareQueue(ctx, "q", opts...)
		assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
		_, err = c.DeclareQueue(ctx, "q", append(opts, pocketmq.Overflow(pocketmq.RejectPublish))...)
		assert.NoError(t, err)
	})
}

func TestDirectReplyToIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *amqptest.Server, c *rabbitmq.Client) {
		const name = "amq.rabbitmq.reply-to"
		_, err := c.Consume(ctx, name, pocketmq.AutoAck())
		assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
		assert.ErrorIs(t, c.Publish(ctx, "", "q", &pocketmq.Message{ReplyTo: name}), pocketmq.ErrNotSupported)
	})
}

func TestUserIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *amqptest.Server, c *rabbitmq.Client) {
		q := queue(t, c)
		assert.NoError(t, c.Publish(ctx, "", q, &pocketmq.Message{UserID: "guest"}))
		assert.ErrorIs(t, c.Publish(ctx, "", q, &pocketmq.Message{UserID: "bob"}), pocketmq.ErrPreconditionFailed)
	})
}

func TestDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t, quiet())
		_, err := rabbitmq.Dial(ctx, srv.URLFor("guest", "wrong-secret", "/"), rabbitmq.Dialer(srv.Dial))
		assert.ErrorIs(t, err, pocketmq.ErrAccessRefused)
		assert.NotContains(t, err.Error(), "wrong-secret")
		_, err = rabbitmq.Dial(ctx, srv.URLFor("guest", "guest", "nope"), rabbitmq.Dialer(srv.Dial))
		assert.ErrorIs(t, err, pocketmq.ErrNotAllowed)
		_, err = rabbitmq.Dial(ctx, "http://guest:secret@host/", rabbitmq.Dialer(srv.Dial))
		assert.Error(t, err)
		assert.NotContains(t, err.Error(), "secret")
		down := &outage{srv: srv}
		down.down.Store(true)
		_, err = rabbitmq.Dial(ctx, srv.URL(), rabbitmq.Dialer(down.dial))
		assert.ErrorContains(t, err, "the network is down")

		silent := memconn.Listen(memconn.Address("silent.invalid", 5672)) // takes what it is sent, and does not answer
		defer silent.Close()
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = rabbitmq.Dial(limited, srv.URL(), rabbitmq.Dialer(silent.Dial))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestNames(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, _ *rabbitmq.Client) {
		c := dial(t, srv.URL(), rabbitmq.Dialer(srv.Dial), rabbitmq.Name("billing"))
		publish(t, c, "", queue(t, c), "1")
		var names []string
		for _, conn := range srv.Server().Connections() {
			names = append(names, conn.ClientProperties["connection_name"].(string))
		}
		slices.Sort(names)
		assert.Equal(t, []string{"billing control", "billing publishing"}, names[:2])
	})
}

// Exchanges and queues may be many, the channels of a connection are few.
func TestManyExchangesAndQueues(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *amqptest.Server, c *rabbitmq.Client) {
		var all sync.WaitGroup
		for i := range 2500 {
			all.Go(func() {
				x := "x" + strconv.Itoa(i%600)
				assert.NoError(t, c.DeclareExchange(ctx, x, pocketmq.Fanout))
				assert.NoError(t, c.Publish(ctx, x, "", &pocketmq.Message{}))
				assert.ErrorIs(t, c.Publish(ctx, x, "", &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
			})
		}
		all.Wait()
		for i := range 300 {
			_, err := c.DeclareQueue(ctx, "q"+strconv.Itoa(i))
			require.NoError(t, err)
			_, ok, err := c.Get(ctx, "q"+strconv.Itoa(i))
			require.NoError(t, err)
			assert.False(t, ok)
		}
	})
}

func TestAStreamGoesOnWhereItWas(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *amqptest.Server, c *rabbitmq.Client) {
		s := queue(t, c, pocketmq.Stream())
		publish(t, c, "", s, "0", "1", "2", "3", "4")
		consumer := consume(t, c, s, pocketmq.StreamFirst())
		require.NoError(t, receive(t, consumer, "0").Ack())
		held := receive(t, consumer, "1")
		require.NoError(t, receive(t, consumer, "2").Nack(true)) // means Ack
		synctest.Wait()
		srv.KillConnections()
		synctest.Wait()
		assert.ErrorIs(t, held.Ack(), pocketmq.ErrConnectionLost)
		for _, want := range []string{"1", "2", "3", "4"} { // from the first that was not settled
			require.NoError(t, receive(t, consumer, want).Ack())
		}
		_, err := c.Consume(ctx, s, pocketmq.AutoAck())
		assert.ErrorIs(t, err, pocketmq.ErrNotSupported)
	})
}
