// Rpc: a request names the queue where the reply is awaited, and an ID by which
// the caller knows which request a reply belongs to.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/pocketmq/pocketmq"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()

	if err := serve(ctx, broker); err != nil {
		return err
	}
	c, err := newCaller(ctx, broker)
	if err != nil {
		return err
	}
	defer c.session.Close()

	for _, n := range []int{10, 70, 20} {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		result, err := c.call(ctx, n)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			fmt.Fprintf(w, "fib(%d): no reply in time\n", n)
		case err != nil:
			return err
		default:
			fmt.Fprintf(w, "fib(%d) = %d\n", n, result)
		}
	}
	return nil
}

// serve computes Fibonacci numbers. To serve faster, start it several times, or
// with pocketmq.Concurrency.
func serve(ctx context.Context, client pocketmq.Client) error {
	if _, err := client.DeclareQueue(ctx, "fibonacci"); err != nil {
		return err
	}
	_, err := client.Handle(ctx, "fibonacci", func(ctx context.Context, d *pocketmq.Delivery) error {
		n, err := strconv.Atoi(string(d.Body))
		if err != nil {
			return pocketmq.Discard(err) // it will be no better the next time
		}
		// If the caller has gone in the meantime, so has its queue. The reply then
		// leads nowhere and is dropped, which is what we want.
		return client.Publish(ctx, "", d.ReplyTo, &pocketmq.Message{
			CorrelationID: d.CorrelationID,
			Body:          []byte(strconv.Itoa(fib(n))),
		})
	})
	return err
}

func fib(n int) int {
	time.Sleep(time.Duration(n) * 10 * time.Millisecond) // so that large numbers are slow
	a, b := 0, 1
	for range n {
		a, b = b, a+b
	}
	return a
}

// caller makes one call at a time.
type caller struct {
	session *pocketmq.Session
	queue   string
	replies *pocketmq.Consumer
	calls   int
}

// newCaller makes a queue for replies. It is exclusive: nobody but this session
// can read from it, everybody can publish to it, and it ends with the session.
func newCaller(ctx context.Context, broker *pocketmq.Broker) (*caller, error) {
	s := broker.Session()
	queue, err := s.DeclareQueue(ctx, "", pocketmq.Exclusive())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	replies, err := s.Consume(ctx, queue.Name, pocketmq.AutoAck())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &caller{session: s, queue: queue.Name, replies: replies}, nil
}

func (c *caller) call(ctx context.Context, n int) (int, error) {
	c.calls++
	id := strconv.Itoa(c.calls)
	// Mandatory: without a server there is no use in waiting for the reply.
	err := c.session.Publish(ctx, "", "fibonacci", &pocketmq.Message{
		ReplyTo:       c.queue,
		CorrelationID: id,
		Body:          []byte(strconv.Itoa(n)),
	}, pocketmq.Mandatory)
	if err != nil {
		return 0, err
	}
	for {
		reply, err := c.replies.Receive(ctx)
		if err != nil {
			return 0, err
		}
		if reply.CorrelationID == id { // else the late reply to a call that gave up
			return strconv.Atoi(string(reply.Body))
		}
	}
}
