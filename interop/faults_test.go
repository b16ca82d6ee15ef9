package interop

import (
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqptest"
)

// faulty runs a test in a bubble with a channel of a server in which things go wrong.
func faulty(t *testing.T, test func(t *testing.T, srv *amqptest.Server, conn *amqp.Connection, ch *amqp.Channel)) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t)
		conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial})
		require.NoError(t, err)
		defer conn.Close()
		ch, err := conn.Channel()
		require.NoError(t, err)
		_, err = ch.QueueDeclare("q", true, false, false, false, nil)
		require.NoError(t, err)
		test(t, srv, conn, ch)
	})
}

func TestInjectedNacks(t *testing.T) {
	faulty(t, func(t *testing.T, srv *amqptest.Server, _ *amqp.Connection, ch *amqp.Channel) {
		require.NoError(t, ch.Confirm(false))
		srv.Inject(amqptest.Next(2, "basic.publish", amqptest.Nack))
		for _, want := range []bool{false, false, true} {
			c, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{})
			require.NoError(t, err)
			assert.Equal(t, want, c.Wait())
		}
		q, _ := srv.Broker().Stats().Queue("q")
		assert.Equal(t, 1, q.Ready)
	})
}

func TestInjectedError(t *testing.T) {
	faulty(t, func(t *testing.T, srv *amqptest.Server, conn *amqp.Connection, ch *amqp.Channel) {
		srv.Inject(amqptest.Next(1, "queue.declare", &pocketmq.Error{Code: pocketmq.CodePreconditionFailed, Text: "not today"}))
		_, err := ch.QueueDeclare("q", true, false, false, false, nil)
		var said *amqp.Error
		require.ErrorAs(t, err, &said)
		assert.Equal(t, 406, said.Code)
		assert.Equal(t, "PRECONDITION_FAILED - not today", said.Reason)
		ch, err = conn.Channel()
		require.NoError(t, err)
		_, err = ch.QueueDeclare("q", true, false, false, false, nil)
		assert.NoError(t, err)
	})
}

func TestInjectedDrop(t *testing.T) {
	faulty(t, func(t *testing.T, srv *amqptest.Server, conn *amqp.Connection, ch *amqp.Channel) {
		remove := srv.Inject(amqptest.After(3, "basic.publish", amqptest.Drop))
		closed := conn.NotifyClose(make(chan *amqp.Error, 1))
		for range 5 {
			_ = ch.Publish("", "q", false, false, amqp.Publishing{}) // the last one may notice
		}
		assert.NotNil(t, <-closed)
		q, _ := srv.Broker().Stats().Queue("q")
		assert.Equal(t, 3, q.Ready)
		remove()
		srv.RefuseDials(1)
		config := amqp.Config{Dial: srv.Dial}
		_, err := amqp.DialConfig(srv.URL(), config)
		require.Error(t, err)
		conn, err = amqp.DialConfig(srv.URL(), config)
		require.NoError(t, err)
		assert.NoError(t, conn.Close())
	})
}

func TestInjectedDelays(t *testing.T) {
	faulty(t, func(t *testing.T, srv *amqptest.Server, conn *amqp.Connection, ch *amqp.Channel) {
		require.NoError(t, ch.Confirm(false))
		remove := srv.Inject(amqptest.FromServer(amqptest.Delay(3*time.Second, "basic.ack")))
		start := time.Now()
		c, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{})
		require.NoError(t, err)
		assert.True(t, c.Wait())
		assert.Equal(t, 3*time.Second, time.Since(start))
		remove()
		stalled, resume := amqptest.Hold("basic.deliver")
		srv.Inject(stalled)
		deliveries, err := ch.Consume("q", "", true, false, false, false, nil)
		require.NoError(t, err)
		time.AfterFunc(5*time.Second, resume)
		start = time.Now()
		<-deliveries
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestConsumersCancelledByTheServer(t *testing.T) {
	faulty(t, func(t *testing.T, srv *amqptest.Server, conn *amqp.Connection, ch *amqp.Channel) {
		cancelled := ch.NotifyCancel(make(chan string, 1))
		deliveries, err := ch.Consume("q", "c1", false, false, false, false, nil)
		require.NoError(t, err)
		require.NoError(t, srv.CancelConsumers("q"))
		assert.Equal(t, "c1", <-cancelled)
		_, open := <-deliveries
		assert.False(t, open)
		assert.False(t, ch.IsClosed())
	})
}
