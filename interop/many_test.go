package interop

import (
	"fmt"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqptest"
)

// A thousand servers live in one process at once, each with a client.
func TestAThousandServers(t *testing.T) {
	const n = 1000
	start := time.Now()
	var wg sync.WaitGroup
	channels := make([]*amqp.Channel, n)
	for i := range n {
		srv := amqptest.NewServer(t)
		wg.Go(func() {
			conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial})
			if !assert.NoError(t, err) {
				return
			}
			ch, err := conn.Channel()
			if assert.NoError(t, err) {
				_, err = ch.QueueDeclare("q", false, false, false, false, nil) // the same name everywhere
				assert.NoError(t, err)
				assert.NoError(t, ch.Publish("", "q", false, false, amqp.Publishing{Body: fmt.Append(nil, i)}))
				channels[i] = ch
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	for i, ch := range channels {
		d, ok, err := ch.Get("q", true)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, fmt.Sprint(i), string(d.Body))
	}
	t.Logf("%d servers with a connection, a message there and back: %v", n, time.Since(start))
}
