package amqptest_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqptest"
)

// What faults do to clients is tested in the module interop.

// see shows a method to a fault.
func see(fault func(*amqptest.Method) error, name string) error {
	return fault(&amqptest.Method{Name: name, Context: context.Background()})
}

func TestNextAndAfter(t *testing.T) {
	next, after := amqptest.Next(2, "basic.ack", amqptest.Nack), amqptest.After(2, "basic.ack", amqptest.Drop)
	for i, want := range []error{amqptest.Nack, amqptest.Nack, nil, nil} {
		assert.Equal(t, want, see(next, "basic.ack"), i)
		assert.NoError(t, see(next, "basic.nack"))
	}
	for i, want := range []error{nil, nil, amqptest.Drop, amqptest.Drop} {
		assert.Equal(t, want, see(after, "basic.ack"), i)
		assert.NoError(t, see(after, "basic.nack"))
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		assert.NoError(t, see(amqptest.Delay(time.Hour, "basic.ack"), "basic.nack"))
		assert.Zero(t, time.Since(start))
		assert.NoError(t, see(amqptest.Delay(time.Hour, "basic.ack"), "basic.ack"))
		assert.Equal(t, time.Hour, time.Since(start))
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		assert.NoError(t, amqptest.Delay(time.Hour, "basic.ack")(&amqptest.Method{Name: "basic.ack", Context: ended}))
		assert.Equal(t, time.Hour, time.Since(start))
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault, release := amqptest.Hold("basic.ack")
		time.AfterFunc(time.Hour, release)
		start := time.Now()
		assert.NoError(t, see(fault, "basic.nack"))
		assert.Zero(t, time.Since(start))
		assert.NoError(t, see(fault, "basic.ack"))
		assert.Equal(t, time.Hour, time.Since(start))
		release()
		assert.NoError(t, see(fault, "basic.ack"))
	})
}

func TestFaultsThatNothingWouldMeet(t *testing.T) {
	for _, name := range []string{"", "queue.declared", "Basic.Publish", "heartbeat", "connection.start-ok", "connection.open-ok"} {
		assert.Panics(t, func() { amqptest.Next(1, name, amqptest.Drop) }, name)
		assert.Panics(t, func() { amqptest.After(1, name, amqptest.Drop) }, name)
		assert.Panics(t, func() { amqptest.Delay(time.Second, name) }, name)
		assert.Panics(t, func() { amqptest.Hold(name) }, name)
	}
	srv := amqptest.NewServer(t)
	assert.Panics(t, func() { srv.Inject(nil) }, "here, and not in a goroutine of the server")
	for _, f := range []func(func(*amqptest.Method) error) func(*amqptest.Method) error{amqptest.FromServer, amqptest.FromClient} {
		assert.Panics(t, func() { f(nil) }, "as Inject")
	}
	for _, f := range []func(int, string, error) func(*amqptest.Method) error{amqptest.Next, amqptest.After} {
		assert.Panics(t, func() { f(-1, "basic.ack", amqptest.Drop) })
		assert.Panics(t, func() { f(1, "basic.ack", nil) })
	}
	assert.Panics(t, func() { amqptest.Delay(-1, "basic.ack") })
	assert.Panics(t, func() { srv.RefuseDials(-1) })
	dial(t, srv)
}

func TestSides(t *testing.T) {
	fault := func(*amqptest.Method) error { return amqptest.Drop }
	for _, fromServer := range []bool{false, true} {
		m := &amqptest.Method{FromServer: fromServer}
		assert.Equal(t, fromServer, amqptest.FromServer(fault)(m) != nil)
		assert.Equal(t, !fromServer, amqptest.FromClient(fault)(m) != nil)
	}
}

func TestRefuseDials(t *testing.T) {
	srv := amqptest.NewServer(t)
	srv.RefuseDials(2)
	for range 2 {
		_, err := srv.Dial("tcp", "anywhere:5672")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
	dial(t, srv)
	url := srv.Listen()
	srv.RefuseDials(1)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "amqp://guest:guest@"), "/"))
	if err == nil { // it may learn while it connects, or later
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	dialTCP(t, url)
	assert.Equal(t, 2, srv.KillConnections())
}

func TestCancelConsumersOfNoQueue(t *testing.T) {
	require.True(t, errors.Is(amqptest.NewServer(t).CancelConsumers("nope"), pocketmq.ErrNotFound))
}
