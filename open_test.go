package pocketmq_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/brokertest"
)

func open(t testing.TB, url string) pocketmq.Client {
	t.Helper()
	c, err := pocketmq.Open(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestOpenedByNameIsShared(t *testing.T) {
	a, b, other := open(t, "mem://TestOpenedByName"), open(t, "mem://TestOpenedByName"), open(t, "mem://TestOpenedByName2")
	_, err := a.DeclareQueue(ctx, "q")
	must(t, err)
	must(t, b.Publish(ctx, "", "q", &pocketmq.Message{}, pocketmq.Mandatory))
	assert.ErrorIs(t, other.Publish(ctx, "", "q", &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
	must(t, a.Close())
	must(t, a.Close())
	must(t, b.Publish(ctx, "", "q", &pocketmq.Message{}, pocketmq.Mandatory))
	must(t, b.Close())
	assert.ErrorIs(t, b.Publish(ctx, "", "q", &pocketmq.Message{}), pocketmq.ErrClosed)
	again := open(t, "mem://TestOpenedByName")
	assert.ErrorIs(t, again.Publish(ctx, "", "q", &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
}

func TestOpenedWithoutANameIsAlone(t *testing.T) {
	a, b := open(t, "mem://"), open(t, "MEM://")
	_, err := a.DeclareQueue(ctx, "q")
	must(t, err)
	assert.ErrorIs(t, b.Publish(ctx, "", "q", &pocketmq.Message{}, pocketmq.Mandatory), pocketmq.ErrUnroutable)
}

func TestOpenedClientsShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, "mem://TestOpenedClientsShutDown"), open(t, "mem://TestOpenedClientsShutDown")
		_, err := a.DeclareQueue(ctx, "q")
		must(t, err)
		handled := 0
		handle(t, b, "q", func(context.Context, *pocketmq.Delivery) error { handled++; return nil })
		for range 10 {
			must(t, a.Publish(ctx, "", "q", &pocketmq.Message{}))
		}
		must(t, a.(interface{ Shutdown(context.Context) error }).Shutdown(ctx))
		must(t, b.(interface{ Shutdown(context.Context) error }).Shutdown(ctx))
		assert.Equal(t, 10, handled)
	})
}

func TestHandlersOfOpenedClientsCannotShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := pocketmq.Open(ctx, "mem://handlers")
		must(t, err)
		declare(t, c, "q")
		done := make(chan error, 1)
		handle(t, c, "q", func(ctx context.Context, _ *pocketmq.Delivery) error {
			done <- c.(interface{ Shutdown(context.Context) error }).Shutdown(ctx)
			return nil
		})
		send(t, c, "q", "a")
		require.ErrorIs(t, result(t, done), pocketmq.ErrNotAllowed)
		must(t, c.Close())
	})
}

func TestURLsThatAreWrong(t *testing.T) {
	for _, url := range []string{"", "mem:", "orders", "mem://a/b", "mem://a?x=1", "mem://user@a", "nope://secret"} {
		_, err := pocketmq.Open(ctx, url)
		assert.ErrorIs(t, err, pocketmq.ErrInvalid, url)
		assert.NotContains(t, err.Error(), "secret")
	}
	_, err := pocketmq.Open(ctx, "http://localhost")
	assert.ErrorContains(t, err, `Open: the scheme "http" is unknown; known are mem`)
	assert.NotContains(t, err.Error(), "import")
	_, err = pocketmq.Open(ctx, "AMQPS://localhost")
	assert.ErrorContains(t, err, "Open: amqps URLs need the package github.com/pocketmq/pocketmq/rabbitmq to be imported")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = pocketmq.Open(ended, "mem://")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRegister(t *testing.T) {
	opener := func(context.Context, string) (pocketmq.Client, error) { return pocketmq.New(), nil }
	panics := func(want, scheme string, open pocketmq.Opener) {
		t.Helper()
		assert.PanicsWithValue(t, "pocketmq: Register: the "+want, func() { pocketmq.Register(scheme, open) })
	}
	panics(`Opener of the scheme "mem" is nil`, "mem", nil)
	panics(`scheme "mem" is registered already`, "mem", opener)
	panics(`scheme "" is empty or has capital letters`, "", opener)
	panics(`scheme "Mem" is empty or has capital letters`, "Mem", opener)
	scheme := fmt.Sprint("test-register-", time.Now().UnixNano()) // there is no way to remove it, and the test may run again
	pocketmq.Register(scheme, opener)
	open(t, scheme+"://x")
}

func TestContractOfOpened(t *testing.T) {
	keep := open(t, "mem://TestContractOfOpened")
	defer keep.Close()
	brokertest.Run(t, func(testing.TB) pocketmq.Client {
		c, err := pocketmq.Open(ctx, "mem://TestContractOfOpened")
		require.NoError(t, err)
		return c
	}, brokertest.InProcess)
}
