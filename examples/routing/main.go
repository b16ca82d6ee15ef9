// Routing: a subscriber gets the messages with the routing keys it asked for.
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

	if err := broker.DeclareExchange(ctx, "logs", pocketmq.Direct); err != nil {
		return err
	}
	// A queue may be bound by several keys, and a key may lead to several queues.
	for queue, severities := range map[string][]string{
		"pager":   {"error"},
		"archive": {"info", "warning", "error"},
	} {
		if _, err := broker.DeclareQueue(ctx, queue); err != nil {
			return err
		}
		for _, severity := range severities {
			if err := broker.Bind(ctx, queue, "logs", severity); err != nil {
				return err
			}
		}
	}

	for _, event := range []struct{ severity, text string }{
		{"info", "backup done"},
		{"warning", "disk 90% full"},
		{"error", "disk full"},
		{"debug", "nobody has asked for this"},
	} {
		m := &pocketmq.Message{Body: []byte(event.text)}
		if err := broker.Publish(ctx, "logs", event.severity, m); err != nil {
			return err
		}
	}

	for _, queue := range []string{"pager", "archive"} {
		if err := printAll(ctx, broker, queue, w); err != nil {
			return err
		}
	}
	return nil
}

// printAll polls. To be called for each message instead, use Handle.
func printAll(ctx context.Context, client pocketmq.Client, queue string, w io.Writer) error {
	for {
		d, ok, err := client.Get(ctx, queue, pocketmq.AutoAck())
		if err != nil || !ok {
			return err
		}
		fmt.Fprintf(w, "%-8s [%s] %s\n", queue+":", d.RoutingKey, d.Body)
	}
}
