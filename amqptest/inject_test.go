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
	next, after := amqptest.Next(2, "a", amqptest.Nack), amqptest.After(2, "a", amqptest.Drop)
	for i, want := range []error{amqptest.Nack, amqptest.Nack, nil, nil} {
		assert.Equal(t, want, see(next, "a"), i)
		assert.NoError(t, see(next, "b"))
	}
	for i, want := range []error{nil, nil, amqptest.Drop, amqptest.Drop} {
		assert.Equal(t, want, see(after, "a"), i)
		assert.NoError(t, see(after, "b"))
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		assert.NoError(t, see(amqptest.Delay(time.Hour, "a"), "b"))
		assert.Zero(t, time.Since(start))
		assert.NoError(t, see(amqptest.Delay(time.Hour, "a"), "a"))
		assert.Equal(t, time.Hour, time.Since(start))
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		assert.NoError(t, amqptest.Delay(time.Hour, "a")(&amqptest.Method{Name: "a", Context: ended}))
		assert.Equal(t, time.Hour, time.Since(start))
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault, release := amqptest.Hold("a")
		time.AfterFunc(time.Hour, release)
		start := time.Now()
		assert.NoError(t, see(fault, "b"))
		assert.Zero(t, time.Since(start))
		assert.NoError(t, see(fault, "a"))
		assert.Equal(t, time.Hour, time.Since(start))
		release()
		assert.NoError(t, see(fault, "a"))
	})
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
