// Topics: routing keys are words, and a binding is a pattern of words: * stands
// for exactly one, # for any number.
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

	if err := broker.DeclareExchange(ctx, "animals", pocketmq.Topic); err != nil {
		return err
	}
	// The keys are SPEED.COLOUR.SPECIES.
	queues := []struct {
		name     string
		patterns []string
	}{
		{"orange ones", []string{"*.orange.*"}},
		{"rabbits and all lazy ones", []string{"*.*.rabbit", "lazy.#"}},
	}
	for _, q := range queues {
		if _, err := broker.DeclareQueue(ctx, q.name); err != nil {
			return err
		}
		for _, pattern := range q.patterns {
			if err := broker.Bind(ctx, q.name, "animals", pattern); err != nil {
				return err
			}
		}
	}

	for _, key := range []string{
		"quick.orange.rabbit",    // both
		"lazy.orange.elephant",   // both
		"quick.orange.fox",       // the first
		"lazy.pink.rabbit",       // the second, and once: that two patterns match makes no copy
		"lazy.orange.male.mouse", // the second: # takes any number of words, but * only one
		"quick.brown.fox",        // none: dropped
	} {
		if err := broker.Publish(ctx, "animals", key, &pocketmq.Message{}); err != nil {
			return err
		}
	}

	for _, q := range queues {
		fmt.Fprintln(w, q.name)
		for {
			d, ok, err := broker.Get(ctx, q.name, pocketmq.AutoAck())
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			fmt.Fprintln(w, "  "+d.RoutingKey)
		}
	}
	return nil
}
