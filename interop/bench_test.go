package interop

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqptest"
)

const (
	benchPrefetch = 1024
	benchBody     = 64
	inFlight      = 1024 // confirms that a publisher waits for at most
)

// BenchmarkRoundTrip is the time for a message from publish to ack with
// amqp091-go on both ends, on a connection each.
func BenchmarkRoundTrip(b *testing.B) {
	for _, confirms := range []bool{false, true} {
		for _, s := range benchTargets(b) {
			b.Run(fmt.Sprintf("confirms=%v/%s", confirms, s.target), func(b *testing.B) {
				b.ReportAllocs()
				roundTrip(b, s, b.N, confirms)
			})
		}
	}
}

// TestSpeed measures the same in turns, and prints medians and what they are of the
// first: on a machine with other load that says more. Set SPEED to the number of
// messages of a turn.
func TestSpeed(t *testing.T) {
	n := 20 // enough to see that it works
	rounds := 1
	if _, err := fmt.Sscan(os.Getenv("SPEED"), &n); err == nil {
		rounds = 9
	}
	targets := benchTargets(t)
	for _, confirms := range []bool{false, true} {
		took := map[string][]time.Duration{}
		for range rounds {
			for _, s := range targets {
				took[s.target] = append(took[s.target], roundTrip(t, s, n, confirms)/time.Duration(n))
			}
		}
		for _, s := range targets {
			slices.Sort(took[s.target])
			median := took[s.target][rounds/2]
			t.Logf("confirms=%-5v %-8s %8v a message (fastest %v, slowest %v), %s is %.2f times that", confirms, s.target,
				median, took[s.target][0], took[s.target][rounds-1],
				targets[0].target, float64(took[targets[0].target][rounds/2])/float64(median))
		}
	}
}

// benchTargets returns RabbitMQ, if there is one, the ways to reach us, and what is not
// even a server.
func benchTargets(tb testing.TB) []*server {
	var targets []*server
	if conn, err := amqp.Dial(rabbitURL); err == nil {
		conn.Close()
		targets = append(targets, &server{target: "rabbitmq", url: rabbitURL})
	}
	srv, none := amqptest.NewServer(tb), newFloor(tb)
	return append(targets,
		&server{target: "tcp", url: srv.Listen(), Server: srv},
		&server{target: "mem", url: srv.URL(), dial: srv.Dial, Server: srv},
		&server{target: "floor", url: none.url(), floor: none})
}

// roundTrip publishes n messages and acks them at the other end, and returns
// how long that took.
func roundTrip(tb testing.TB, s *server, n int, confirms bool) time.Duration {
	if s.floor != nil {
		s.floor.begin(n)
	}
	in, out := benchChannel(tb, s), benchChannel(tb, s)
	q, err := in.QueueDeclare("", false, true, false, false, nil)
	require.NoError(tb, err)
	require.NoError(tb, in.Qos(benchPrefetch, 0, false))
	deliveries, err := in.Consume(q.Name, "", false, false, false, false, nil)
	require.NoError(tb, err)
	send := publisher(tb, out, q.Name, confirms)

	if b, ok := tb.(*testing.B); ok {
		b.ResetTimer()
		defer b.StopTimer()
	}
	start := time.Now()
	failed := make(chan error, 1)
	go func() { failed <- send(n) }()
	for range n {
		if d := <-deliveries; d.Ack(false) != nil {
			tb.Fatal("the consumer's connection is gone")
		}
	}
	require.NoError(tb, <-failed)
	return time.Since(start)
}

func benchChannel(tb testing.TB, s *server) *amqp.Channel {
	tb.Helper()
	conn, err := amqp.DialConfig(s.url, s.config())
	require.NoError(tb, err)
	tb.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	require.NoError(tb, err)
	return ch
}

// publisher returns a function that publishes n messages, and with confirms
// returns when all are confirmed.
func publisher(tb testing.TB, ch *amqp.Channel, queue string, confirms bool) func(n int) error {
	body := make([]byte, benchBody)
	publish := func() error { return ch.Publish("", queue, false, false, amqp.Publishing{Body: body}) }
	if !confirms {
		return func(n int) error { return repeat(n, publish) }
	}
	require.NoError(tb, ch.Confirm(false))
	confirmed := ch.NotifyPublish(make(chan amqp.Confirmation, inFlight))
	return func(n int) error {
		sent := 0
		err := repeat(n, func() error {
			if sent++; sent > inFlight {
				<-confirmed
			}
			return publish()
		})
		for range min(n, inFlight) {
			<-confirmed
		}
		return err
	}
}

func repeat(n int, f func() error) error {
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWholeTest is what a test with a server of its own costs: from
// NewServer over a message there and back to Close.
func BenchmarkWholeTest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		srv := amqptest.NewServer(nil)
		conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial})
		require.NoError(b, err)
		ch, err := conn.Channel()
		require.NoError(b, err)
		_, err = ch.QueueDeclare("q", false, false, false, false, nil)
		require.NoError(b, err)
		require.NoError(b, ch.Publish("", "q", false, false, amqp.Publishing{Body: []byte("x")}))
		_, ok, err := ch.Get("q", true)
		require.NoError(b, err)
		require.True(b, ok)
		require.NoError(b, conn.Close())
		srv.Close()
	}
}
