// Confirms: what Publish returns is the publisher confirm. Nil means that every
// queue the message was routed to has it; the errors say what went wrong.
package main

import (
	"context"
	"errors"
	"fmt"
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
	broker := pocketmq.New()
	defer broker.Close()

	// Two queues with room for one message each, and no consumer. They differ in
	// what happens to the second message.
	if _, err := broker.DeclareQueue(ctx, "refuses", pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.RejectPublish)); err != nil {
		return err
	}
	if _, err := broker.DeclareQueue(ctx, "waits", pocketmq.MaxLength(1), pocketmq.Overflow(pocketmq.Block)); err != nil {
		return err
	}

	for _, queue := range []string{"refuses", "refuses", "waits", "waits", "mistyped"} {
		result, err := publish(ctx, broker, queue)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-8s %s\n", queue, result)
	}
	return nil
}

// publish tells the outcomes apart that call for different answers.
func publish(ctx context.Context, client pocketmq.Client, queue string) (result string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond) // how long it may wait for room
	defer cancel()

	err = client.Publish(ctx, "", queue, &pocketmq.Message{Body: []byte("hello")}, pocketmq.Mandatory)
	switch {
	case err == nil:
		return "has it", nil
	case errors.Is(err, pocketmq.ErrQueueFull):
		return "is full: try later, or tell the user", nil
	case errors.Is(err, context.DeadlineExceeded):
		return "had no room in time: the consumers are too slow", nil
	case errors.Is(err, pocketmq.ErrUnroutable):
		// Without Mandatory this would be nil: publishing to nobody is no error in
		// AMQP.
		return "does not exist: the message leads nowhere", nil
	default:
		return "", err
	}
}
