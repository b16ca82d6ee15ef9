package amqptest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
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
	next, after := amqptest.Next(2, "basic.ack", amqptest.Ignore), amqptest.After(2, "basic.ack", amqptest.Drop)
	for i, want := range []error{amqptest.Ignore, amqptest.Ignore, nil, nil} {
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
		assert.Panics(t, func() { f(1, "queue.declare", amqptest.Nack) }, "only who publishes can be told so")
		assert.NotPanics(t, func() { f(1, "basic.publish", amqptest.Nack) })
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

// A fault for a method that never comes from a side would meet none.
func TestSidesThatNeverSend(t *testing.T) {
	assert.PanicsWithValue(t, "amqptest: FromServer: the fault is for basic.publish, which the server never sends; it would meet none",
		func() { amqptest.FromServer(amqptest.Next(1, "basic.publish", amqptest.Drop)) })
	hold, _ := amqptest.Hold("queue.declare-ok")
	assert.PanicsWithValue(t, "amqptest: FromClient: the fault is for queue.declare-ok, which clients never send; it would meet none",
		func() { amqptest.FromClient(hold) })
	assert.Panics(t, func() { amqptest.FromServer(amqptest.After(1, "basic.get", amqptest.Drop)) })
	assert.Panics(t, func() { amqptest.FromClient(amqptest.Delay(1, "basic.deliver")) })
	next := amqptest.Next(1, "basic.ack", amqptest.Drop)
	amqptest.FromServer(next)
	assert.Equal(t, amqptest.Drop, see(next, "basic.ack"), "to ask it its name does not count")
	seen := 0
	amqptest.FromServer(func(*amqptest.Method) error { seen++; return nil })
	assert.Zero(t, seen, "other functions are not asked")
}

// Who sends what is as docs/COMPAT.md says, which the server's tests compare with it.
func TestSidesAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../docs/COMPAT.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| ([a-z]+\.[a-z-]+) \| (client|server|both) \| (same|differs|refused) \|`).FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(rows), 60)
	for _, row := range rows {
		name, from := row[1], row[2]
		if amqptest.BelongsToHandshake(name) {
			continue
		}
		assert.Equal(t, from != "client", amqptest.MayCome(name, true), name)
		assert.Equal(t, from != "server", amqptest.MayCome(name, false), name)
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
