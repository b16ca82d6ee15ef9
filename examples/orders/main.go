// Orders: an order informs the delivery service, the merchant and the back
// office. The merchant's system is down for a while; nobody else notices, and
// it catches up.
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
	broker := pocketmq.New() // with pocketmq.Logger it would report failed handlers
	defer broker.Close()

	if err := broker.DeclareExchange(ctx, "orders", pocketmq.Fanout); err != nil {
		return err
	}
	up := time.Now().Add(200 * time.Millisecond) // when the merchant's system comes back
	for name, inform := range map[string]func() error{
		"delivery":    func() error { time.Sleep(20 * time.Millisecond); return nil },
		"back office": func() error { time.Sleep(45 * time.Millisecond); return nil },
		"merchant": func() error {
			time.Sleep(70 * time.Millisecond)
			if time.Now().Before(up) {
				return errors.New("no answer")
			}
			return nil
		},
	} {
		if err := subscribe(ctx, broker, name, inform, out); err != nil {
			return err
		}
	}

	for _, order := range []string{"order 1", "order 2", "order 3"} {
		// Nil says that all three queues have the order. That is all the customer
		// waits for, so none of the three can make ordering slow or fail.
		if err := broker.Publish(ctx, "orders", "", &pocketmq.Message{Body: []byte(order)}); err != nil {
			return err
		}
		out.Printf("%s is placed", order)
	}
	return broker.Shutdown(ctx)
}

// subscribe calls inform for each order. The three have a queue each, so none of
// them waits for another.
func subscribe(ctx context.Context, client pocketmq.Client, name string, inform func() error, out *log.Logger) error {
	if _, err := client.DeclareQueue(ctx, name); err != nil {
		return err
	}
	if err := client.Bind(ctx, name, "orders", ""); err != nil {
		return err
	}
	_, err := client.Handle(ctx, name, func(_ context.Context, d *pocketmq.Delivery) error {
		if err := inform(); err != nil {
			// The order goes back to its place in the queue, before the later ones,
			// and comes again after a pause that grows each time.
			out.Printf("  %s: %s: %v", name, d.Body, err)
			return err
		}
		out.Printf("  %s: %s", name, d.Body)
		return nil
	})
	return err
}
