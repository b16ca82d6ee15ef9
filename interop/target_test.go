package interop

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/internal/skip"
)

const rabbitURL = "amqp://guest:guest@127.0.0.1:5672/"

// A target is a way to reach a server: what a test is run against.
type target struct {
	name string
	run  func(t *testing.T, test func(t *testing.T, s *server))
}

var (
	tcp = target{"tcp", func(t *testing.T, test func(*testing.T, *server)) {
		srv := amqptest.NewServer(t)
		test(t, &server{target: "tcp", url: srv.Listen(), Server: srv})
	}}
	mem = target{"mem", func(t *testing.T, test func(*testing.T, *server)) {
		srv := amqptest.NewServer(t)
		test(t, &server{target: "mem", url: srv.URL(), dial: srv.Dial, Server: srv})
	}}
	bubble = target{"bubble", func(t *testing.T, test func(*testing.T, *server)) {
		synctest.Test(t, func(t *testing.T) {
			srv := amqptest.NewServer(t)
			test(t, &server{target: "bubble", url: srv.URL(), dial: srv.Dial, Server: srv})
		})
	}}
	rabbit = target{"rabbitmq", func(t *testing.T, test func(*testing.T, *server)) {
		needRabbitMQ(t)
		test(t, &server{target: "rabbitmq", url: rabbitURL})
	}}
	ours = []target{tcp, mem, bubble}
	all  = []target{rabbit, tcp, mem, bubble}
)

// each runs a test against several targets.
func each(t *testing.T, targets []target, test func(t *testing.T, s *server)) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) { target.run(t, test) })
	}
}

// inBubble runs a test against pocketmq, in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, s *server)) { bubble.run(t, test) }

// server is what a test talks to.
type server struct {
	*amqptest.Server // nil for others
	floor            *floor
	target           string
	url              string
	dial             func(network, addr string) (net.Conn, error) // nil = TCP
}

// config is amqp091-go's default configuration for this server.
func (s *server) config() amqp.Config {
	return amqp.Config{Dial: s.dial, Locale: "en_US", Properties: amqp.NewConnectionProperties()}
}

// connect opens a connection, which is closed when the test ends.
func (s *server) connect(t *testing.T) *amqp.Connection {
	t.Helper()
	return s.connectWith(t, s.config())
}

func (s *server) connectWith(t *testing.T, config amqp.Config) *amqp.Connection {
	t.Helper()
	conn, err := amqp.DialConfig(s.url, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // or it is closed already
	return conn
}

// channel opens a channel on a connection of its own.
func (s *server) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	return channel(t, s.connect(t))
}

// confirming is channel with publisher confirms.
func (s *server) confirming(t *testing.T) *amqp.Channel {
	t.Helper()
	ch := s.channel(t)
	require.NoError(t, ch.Confirm(false))
	return ch
}

// queue declares an exclusive queue.
func (s *server) queue(t *testing.T, ch *amqp.Channel) string {
	t.Helper()
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	require.NoError(t, err)
	return q.Name
}

// namedQueue is queue with a name that allows to declare it again.
func (s *server) namedQueue(t *testing.T, ch *amqp.Channel) string {
	t.Helper()
	q, err := ch.QueueDeclare(s.name(t, "q"), false, false, true, false, nil)
	require.NoError(t, err)
	return q.Name
}

// name returns a name for an exchange or queue that nobody else uses. It is
// deleted when the test ends, if the server goes on without the test.
func (s *server) name(t *testing.T, what string) string {
	t.Helper()
	name := fmt.Sprintf("interop.%s.%s", what, rand.Text()[:12])
	if s.Server == nil {
		t.Cleanup(func() { s.remove(name) })
	}
	return name
}

func (s *server) remove(name string) {
	conn, err := amqp.Dial(s.url)
	if err != nil {
		return
	}
	defer conn.Close()
	if ch, err := conn.Channel(); err == nil {
		_, _ = ch.QueueDelete(name, false, false, false)
		_ = ch.ExchangeDelete(name, false, false)
	}
}

func channel(t *testing.T, conn *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// receive returns the next value that comes from a channel.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		require.True(t, ok, "the channel is closed")
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// nothing checks that nothing comes. Outside of a bubble it can only wait for a
// while.
func nothing[T any](t *testing.T, s *server, ch <-chan T) {
	t.Helper()
	while := 50 * time.Millisecond
	if s.target == "bubble" {
		while = 20 * time.Minute // less than the consumer timeout
	}
	select {
	case v, ok := <-ch:
		require.Fail(t, "something came", "%+v (open: %v)", v, ok)
	case <-time.After(while):
	}
}

// closed waits for the end of a channel, and drops what still comes.
func closed[T any](t *testing.T, ch <-chan T) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-timeout:
			require.FailNow(t, "the channel is still open")
		}
	}
}

// publish publishes to a queue.
func publish(t *testing.T, ch *amqp.Channel, queue string, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		require.NoError(t, ch.Publish("", queue, false, false, amqp.Publishing{Body: []byte(b)}))
	}
}

// consume starts a consumer that acks by hand.
func consume(t *testing.T, ch *amqp.Channel, queue string) <-chan amqp.Delivery {
	t.Helper()
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	require.NoError(t, err)
	return deliveries
}

// get gets a message that must be there, and its body.
func get(t *testing.T, ch *amqp.Channel, queue string) amqp.Delivery {
	t.Helper()
	d, ok, err := ch.Get(queue, false)
	require.NoError(t, err)
	require.True(t, ok, "queue %s is empty", queue)
	return d
}

// messages returns how many messages wait in a queue.
func messages(t *testing.T, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
	require.NoError(t, err)
	return q.Messages
}

func needRabbitMQ(t *testing.T) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", "127.0.0.1:5672", patience)
	if err != nil {
		skip.For(t, "there is no RabbitMQ at 127.0.0.1:5672")
	}
	_ = conn.Close()
}

// quiet is an option against log lines that a test provokes on purpose.
func quiet() amqpserver.Option {
	return amqpserver.Logger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func bodies(ds []amqp.Delivery) string {
	var all []string
	for _, d := range ds {
		all = append(all, string(d.Body))
	}
	return strings.Join(all, " ")
}
