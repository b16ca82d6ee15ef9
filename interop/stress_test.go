package interop

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqptest"
)

// Clients publish, consume, return messages and reconnect while all connections
// are killed again and again. What was confirmed must be consumed in the end.
func TestNothingConfirmedIsLost(t *testing.T) {
	for _, listen := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%v", listen), func(t *testing.T) {
			srv := amqptest.NewServer(t, quiet())
			s := &server{target: "mem", url: srv.URL(), dial: srv.Dial, Server: srv}
			if listen {
				s = &server{target: "tcp", url: srv.Listen(), Server: srv}
			}
			newStorm(t, s).run(t)
		})
	}
}

const (
	stormPublishers = 4
	stormConsumers  = 4
	stormMessages   = 1000 // of each publisher, confirmed
)

type storm struct {
	*server
	queue string

	mu        sync.Mutex
	confirmed map[string]bool
	consumed  map[string]bool
}

func newStorm(t *testing.T, s *server) *storm {
	st := &storm{server: s, queue: "storm", confirmed: map[string]bool{}, consumed: map[string]bool{}}
	_, err := s.channel(t).QueueDeclare(st.queue, true, false, false, false, nil)
	require.NoError(t, err)
	return st
}

func (s *storm) run(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	done := make(chan struct{})
	var publishers, consumers sync.WaitGroup
	for i := range stormPublishers {
		publishers.Go(func() { s.publish(i) })
	}
	for i := range stormConsumers {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		consumers.Go(func() { s.consume(random, done) })
	}
	published := make(chan struct{})
	go func() { publishers.Wait(); close(published) }()
	t.Logf("%d connections were killed", s.killUntil(published))
	assert.Eventually(t, s.complete, patience, time.Millisecond, "confirmed, and never consumed")
	close(done)
	consumers.Wait()
}

// killUntil kills all connections from time to time, until published is closed.
func (s *storm) killUntil(published <-chan struct{}) (killed int) {
	for {
		select {
		case <-published:
			return killed
		case <-time.After(10 * time.Millisecond):
			killed += s.KillConnections()
		}
	}
}

// complete reports whether everything confirmed has been consumed.
func (s *storm) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.confirmed {
		if !s.consumed[name] {
			return false
		}
	}
	return len(s.confirmed) == stormPublishers*stormMessages
}

// publish publishes until its share is confirmed, with as many connections as
// it takes.
func (s *storm) publish(publisher int) {
	for n := 0; n < stormMessages; {
		conn, err := amqp.DialConfig(s.url, s.config())
		if err != nil {
			continue // killed in the handshake
		}
		ch, err := conn.Channel()
		if err == nil {
			err = ch.Confirm(false)
		}
		for err == nil && n < stormMessages {
			name := fmt.Sprintf("%d-%d", publisher, n)
			var c *amqp.DeferredConfirmation
			c, err = ch.PublishWithDeferredConfirm("", s.queue, true, false, amqp.Publishing{Body: []byte(name)})
			if err != nil || !c.Wait() {
				break // perhaps it arrived; it is sent again
			}
			s.mu.Lock()
			s.confirmed[name] = true
			s.mu.Unlock()
			n++
		}
		conn.Close()
	}
}

// consume consumes until done is closed, and returns some messages.
func (s *storm) consume(random *rand.Rand, done <-chan struct{}) {
	for {
		conn, deliveries := s.subscribe(1 + random.IntN(50))
		for deliveries != nil {
			select {
			case <-done:
				conn.Close()
				return
			case d, ok := <-deliveries:
				if !ok {
					deliveries = nil
				} else if random.IntN(10) == 0 {
					_ = d.Nack(false, true)
				} else if d.Ack(false) == nil {
					s.mu.Lock()
					s.consumed[string(d.Body)] = true
					s.mu.Unlock()
				}
			}
		}
		if conn != nil {
			conn.Close()
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func (s *storm) subscribe(prefetch int) (*amqp.Connection, <-chan amqp.Delivery) {
	conn, err := amqp.DialConfig(s.url, s.config())
	if err != nil {
		return nil, nil
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(prefetch, 0, false)
	}
	if err != nil {
		return conn, nil
	}
	deliveries, err := ch.Consume(s.queue, "", false, false, false, false, nil)
	if err != nil {
		return conn, nil
	}
	return conn, deliveries
}
