// Retry-deadletter: what fails is tried again after pauses that grow, and what
// keeps failing ends in a queue of its own, where somebody can look at it.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
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
	out := log.New(w, "", 0)
	broker := pocketmq.New()
	defer broker.Close()

	// A payment that fails waits for 100 ms, then 200 ms, then 400 ms. When it fails
	// once more, the exchange "dead" gets it.
	retries := pocketmq.RetryPolicy{Min: 100 * time.Millisecond, Exponential: true, Times: 3}
	for _, err := range []error{
		broker.DeclareExchange(ctx, "dead", pocketmq.Fanout),
		declare(broker, "failed payments"),
		broker.Bind(ctx, "failed payments", "dead", ""),
		declare(broker, "payments", pocketmq.Retry(retries), pocketmq.DeadLetter("dead")),
	} {
		if err != nil {
			return err
		}
	}

	start := time.Now()
	_, err := broker.Handle(ctx, "payments", func(_ context.Context, d *pocketmq.Delivery) error {
		at := time.Since(start).Round(10 * time.Millisecond)
		switch {
		case string(d.Body) == "of Alice" && at < 50*time.Millisecond:
			out.Printf("%v: the bank does not answer, payment %s", at, d.Body)
			return errors.New("no answer")
		case string(d.Body) == "of Mallory":
			out.Printf("%v: the bank says no, payment %s", at, d.Body)
			return errors.New("declined")
		}
		out.Printf("%v: paid, payment %s", at, d.Body)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"of Alice", "of Mallory", "of Bob"} {
		if err := broker.Publish(ctx, "", "payments", &pocketmq.Message{Body: []byte(name)}); err != nil {
			return err
		}
	}

	failed, err := broker.Consume(ctx, "failed payments")
	if err != nil {
		return err
	}
	d, err := failed.Receive(ctx)
	if err != nil {
		return err
	}
	death := d.Headers["x-death"].([]any)[0].(pocketmq.Table)
	out.Printf("dead: payment %s, in queue %q, because of %s", d.Body, death["queue"], death["reason"])
	return d.Ack()
}

func declare(broker *pocketmq.Broker, queue string, opts ...pocketmq.QueueOption) error {
	_, err := broker.DeclareQueue(context.Background(), queue, opts...)
	return err
}
