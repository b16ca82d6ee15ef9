package amqpserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestPoliciesOfQueuesOfClients(t *testing.T) { // POL-2, POL-4, POL-6, POL-9, as seen with RabbitMQ
	bubble(t, func(t *testing.T, s *server) {
		set := func(name string, priority int, definition pocketmq.Table) {
			p := pocketmq.Policy{Name: name, Pattern: "^q", Definition: definition, Priority: priority, ApplyTo: pocketmq.ApplyToQueues}
			require.NoError(t, s.broker.SetPolicy(p))
		}
		c := s.channel(t)
		queues := []string{"q1", "q2", c.declare()}
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q1", Exclusive: true})
		call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q2", Arguments: wire.Table{"x-max-length": int32(5), "x-overflow": "reject-publish"}})
		fill := func() {
			for i := range 10 {
				for _, q := range queues {
					c.publish(1, "", q, fmt.Sprint(i))
				}
			}
		}
		lengths := func() (all []uint32) {
			c.silent(10 * time.Millisecond)
			for _, q := range queues {
				all = append(all, c.ready(q))
			}
			return all
		}
		fill()
		require.Equal(t, []uint32{10, 5, 10}, lengths())

		// The first does not apply: these are no quorum queues.
		set("hi", 9, pocketmq.Table{"delivery-limit": 3, "max-length": 1})
		set("lo", 1, pocketmq.Table{"max-length": 3, "overflow": "drop-head"})
		require.Equal(t, []uint32{3, 5, 10}, lengths(), "what refuses new messages drops no old ones")
		require.NoError(t, s.broker.SetOperatorPolicy(pocketmq.Policy{Name: "op", Definition: pocketmq.Table{"max-length": 2}}))
		require.Equal(t, []uint32{2, 5, 2}, lengths())

		require.NoError(t, s.broker.ClearPolicy("lo"))
		require.NoError(t, s.broker.ClearOperatorPolicy("op"))
		fill()
		require.Equal(t, []uint32{12, 5, 12}, lengths())
		set("lo", 1, pocketmq.Table{"max-length": 4, "overflow": "reject-publish"})
		fill()
		require.Equal(t, []uint32{4, 5, 22}, lengths(), "it was trimmed before it refused")
	})
}
