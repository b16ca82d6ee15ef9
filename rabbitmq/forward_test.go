package rabbitmq_test

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/forward"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

// A forwarder brings messages to a broker that is away now and then, and others
// back from there. All of them arrive, and in order but for repetitions.
func TestForwardingThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{srv: amqptest.NewServer(t, quiet())}
		remote := dial(t, o.srv.URL(), rabbitmq.Dialer(o.dial))
		local := pocketmq.New()
		defer local.Close()
		outbox, there, back := queue(t, local, pocketmq.MaxLength(100)), queue(t, remote), queue(t, local)
		out, err := forward.Start(ctx, local, outbox, remote, "", forward.Key(there))
		require.NoError(t, err)
		in, err := forward.Start(ctx, remote, there, local, "", forward.Key(back))
		require.NoError(t, err)

		const messages = 5000
		var published sync.WaitGroup
		published.Go(func() {
			for i := range messages {
				assert.NoError(t, local.Publish(ctx, "", outbox, &pocketmq.Message{Body: []byte(strconv.Itoa(i))}))
				time.Sleep(10 * time.Millisecond)
			}
		})
		for range 10 {
			time.Sleep(time.Second)
			o.down.Store(true)
			o.srv.KillConnections()
			time.Sleep(3 * time.Second) // more than the queue has room for
			o.down.Store(false)
		}
		published.Wait()
		require.NoError(t, out.Shutdown(ctx))
		time.Sleep(time.Minute)
		require.NoError(t, in.Shutdown(ctx))
		next := 0
		repeated := 0
		for {
			d, ok, err := local.Get(ctx, back, pocketmq.AutoAck())
			require.NoError(t, err)
			if !ok {
				break
			}
			n, err := strconv.Atoi(string(d.Body))
			require.NoError(t, err)
			switch {
			case n == next:
				next++
			case n < next:
				repeated++
			default:
				require.Equal(t, next, n, "a message is missing, or late")
			}
		}
		assert.Equal(t, messages, next)
		t.Logf("%d repeated; there %+v, back %+v", repeated, out.Stats(), in.Stats())
	})
}
