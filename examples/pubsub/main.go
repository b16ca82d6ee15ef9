// Pubsub: everybody who is interested gets every message.
package main

import (
	"context"
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

	if err := broker.DeclareExchange(ctx, "logs", pocketmq.Fanout); err != nil {
		return err
	}
	// Nobody is bound yet: the exchange has nowhere to put this, and drops it.
	if err := publish(ctx, broker, "too early for anybody"); err != nil {
		return err
	}

	if err := subscribe(ctx, broker, func(_ context.Context, d *pocketmq.Delivery) error {
		out.Printf("screen: %s", d.Body)
		return nil
	}); err != nil {
		return err
	}
	if err := subscribe(ctx, broker, func(_ context.Context, d *pocketmq.Delivery) error {
		time.Sleep(20 * time.Millisecond) // a slow disk; the screen does not wait for it
		out.Printf("disk:   %s", d.Body)
		return nil
	}); err != nil {
		return err
	}

	for _, line := range []string{"service started", "first user logged in"} {
		if err := publish(ctx, broker, line); err != nil {
			return err
		}
	}
	return broker.Shutdown(ctx)
}

func publish(ctx context.Context, client pocketmq.Client, line string) error {
	return client.Publish(ctx, "logs", "", &pocketmq.Message{Body: []byte(line)})
}

// subscribe gives h a queue of its own, or the subscribers would share the
// messages instead of each getting all. The broker makes up the queue's name,
// and deletes the queue when its only consumer is gone.
func subscribe(ctx context.Context, client pocketmq.Client, h pocketmq.Handler) error {
	queue, err := client.DeclareQueue(ctx, "", pocketmq.AutoDelete())
	if err != nil {
		return err
	}
	if err := client.Bind(ctx, queue.Name, "logs", ""); err != nil {
		return err
	}
	_, err = client.Handle(ctx, queue.Name, h)
	return err
}
