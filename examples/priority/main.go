// Priority: what is urgent overtakes what waits.
package main

import (
	"context"
	"io"
	"log"
	"os"

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

	if _, err := broker.DeclareQueue(ctx, "patients", pocketmq.MaxPriority(9)); err != nil {
		return err
	}
	for _, patient := range []pocketmq.Message{
		{Body: []byte("a cough"), Priority: 1},
		{Body: []byte("a broken arm"), Priority: 5},
		{Body: []byte("a heart attack"), Priority: 9},
		{Body: []byte("another cough"), Priority: 1},
	} {
		if err := broker.Publish(ctx, "", "patients", &patient); err != nil {
			return err
		}
	}

	// A handler holds one message at a time, unless it has a larger Prefetch: what a
	// consumer holds is not overtaken any more.
	_, err := broker.Handle(ctx, "patients", func(_ context.Context, d *pocketmq.Delivery) error {
		out.Printf("priority %d: %s", d.Priority, d.Body)
		return nil
	})
	if err != nil {
		return err
	}
	return broker.Shutdown(ctx)
}
