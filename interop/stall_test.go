package interop

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stalled is a connection from which nothing is read while it is held.
type stalled struct {
	net.Conn
	mu   sync.Mutex
	held chan struct{} // guarded by mu; reading waits for its end
}

// stall makes reading wait until the function it returns is called.
func (s *stalled) stall() (resume func()) {
	held := make(chan struct{})
	s.mu.Lock()
	s.held = held
	s.mu.Unlock()
	return func() { close(held) }
}

func (s *stalled) Read(b []byte) (int, error) {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	return s.Conn.Read(b)
}

// stallable opens a connection that can be made to stop reading.
func (s *server) stallable(t *testing.T) (*amqp.Connection, *stalled) {
	t.Helper()
	dial := s.dial
	if dial == nil {
		dial = net.Dial
	}
	var c *stalled
	config := s.config()
	config.Dial = func(network, addr string) (net.Conn, error) {
		inner, err := dial(network, addr)
		c = &stalled{Conn: inner}
		return c, err
	}
	return s.connectWith(t, config), c
}

// A client that does not read gets no more than its buffers hold, and stops
// nobody else. When it reads again it gets the rest.
func TestAClientThatDoesNotRead(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		const n = 2000
		conn, wire := s.stallable(t)
		slow := channel(t, conn)
		q := s.name(t, "q")
		other := s.confirming(t)
		_, err := other.QueueDeclare(q, true, false, false, false, nil)
		require.NoError(t, err)
		deliveries, err := slow.Consume(q, "", true, false, false, false, nil)
		require.NoError(t, err)

		resume := wire.stall()
		body := bytes.Repeat([]byte("x"), 10_000)
		var last *amqp.DeferredConfirmation
		for range n {
			last, err = other.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{Body: body})
			require.NoError(t, err)
		}
		require.True(t, last.Wait(), "publishing goes on")
		time.Sleep(100 * time.Millisecond)
		if s.target != "rabbitmq" && s.target != "tcp" { // there the system's buffers are large
			assert.Greater(t, messages(t, other, q), n/2, "the rest waits in the queue")
		}
		resume()
		for range n {
			require.Len(t, receive(t, deliveries).Body, len(body))
		}
	})
}

// The server can be closed while a client does not read.
func TestClosingWhileAClientDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		conn, wire := s.stallable(t)
		ch := channel(t, conn)
		q := s.queue(t, ch)
		_, err := ch.Consume(q, "", true, false, false, false, nil)
		require.NoError(t, err)
		defer wire.stall()()
		for range 100 {
			require.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{Body: make([]byte, 10_000)}))
		}
		time.Sleep(time.Second)
		start := time.Now()
		s.Close()
		assert.Less(t, time.Since(start), time.Second)
	})
}

// A hundred clients work for an hour.
func TestManyClientsInOneBubble(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		const clients, rounds = 100, 20
		var wg sync.WaitGroup
		start := time.Now()
		for range clients {
			ch := s.channel(t)
			q := s.queue(t, ch)
			deliveries := consume(t, ch, q)
			wg.Go(func() {
				for range rounds { // an hour in all
					time.Sleep(3 * time.Minute)
					assert.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{Body: []byte("x")}))
					d := <-deliveries
					assert.NoError(t, d.Ack(false))
				}
			})
		}
		wg.Wait()
		assert.Equal(t, time.Hour, time.Since(start).Round(time.Minute))
	})
}
