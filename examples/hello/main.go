// Hello: one program part sends a message to a queue, another receives it.
package main

import (
	"context"
	"fmt"
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
	broker := pocketmq.New()
	defer broker.Close()

	// Declaring is idempotent, so both sides may do it, and neither depends on
	// the other having started first.
	if _, err := broker.DeclareQueue(ctx, "hello"); err != nil {
		return err
	}
	if err := send(ctx, broker, "Hello World!"); err != nil {
		return err
	}
	return receive(ctx, broker, w)
}

// send knows a Client, not a Broker: it need not care where the queue is.
func send(ctx context.Context, client pocketmq.Client, text string) error {
	// The default exchange "" leads to the queue that the routing key names.
	return client.Publish(ctx, "", "hello", &pocketmq.Message{
		ContentType: "text/plain",
		Body:        []byte(text),
	})
}

func receive(ctx context.Context, client pocketmq.Client, w io.Writer) error {
	consumer, err := client.Consume(ctx, "hello")
	if err != nil {
		return err
	}
	defer consumer.Close()

	d, err := consumer.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "received %q\n", d.Body)

	// Until it is acked the message belongs to the queue: if we closed the
	// consumer now, somebody else would get it.
	return d.Ack()
}
