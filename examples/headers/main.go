// Headers: a binding asks for headers of the message; the routing key plays no
// part.
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

	if err := broker.DeclareExchange(ctx, "documents", pocketmq.Headers); err != nil {
		return err
	}
	queues := []struct {
		name string
		want pocketmq.Table
	}{
		{"printer", pocketmq.Table{"x-match": "all", "format": "pdf", "pages": 1}},
		{"archive", pocketmq.Table{"x-match": "any", "format": "pdf", "signed": true}},
	}
	for _, q := range queues {
		if _, err := broker.DeclareQueue(ctx, q.name); err != nil {
			return err
		}
		if err := broker.Bind(ctx, q.name, "documents", "", pocketmq.Arguments(q.want)); err != nil {
			return err
		}
	}

	for name, headers := range map[string]pocketmq.Table{
		"one-page.pdf": {"format": "pdf", "pages": 1},
		"book.pdf":     {"format": "pdf", "pages": 800},
		"contract.txt": {"format": "txt", "signed": true},
		"notes.txt":    {"format": "txt", "pages": 1},
	} {
		m := &pocketmq.Message{MessageID: name, Headers: headers}
		if err := broker.Publish(ctx, "documents", "", m); err != nil {
			return err
		}
	}

	for _, q := range queues {
		info, err := broker.DeclareQueue(ctx, q.name, pocketmq.Passive()) // only asks
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %d documents\n", q.name, info.Messages)
	}
	return nil
}
