// Outgrow: the orders of an application, which moves from one process to several.
// The code of the application, orders.go, stays as it is.
//
// Step one: all modules in one process, and nothing else to run.
//
//	go run .
//
// Step two: half of them in a second process, with a RabbitMQ between them (or, to
// try it, `go run ./cmd/pocketmq`).
//
//	go run . -broker amqp://guest:guest@127.0.0.1/ -modules "delivery,merchant"
//	go run . -broker amqp://guest:guest@127.0.0.1/ -modules "shop,back office"
//
// Step three: a process for each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq"
	_ "github.com/pocketmq/pocketmq/rabbitmq" // opens amqp and amqps URLs
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, w io.Writer) (err error) {
	flags := flag.NewFlagSet("outgrow", flag.ContinueOnError)
	broker := flags.String("broker", "mem://orders", "the `URL` of the broker")
	names := flags.String("modules", strings.Join(slices.Sorted(maps.Keys(modules)), ","), "the modules of this process")
	orders := flags.Int("orders", 3, "how many orders are placed")
	if err := flags.Parse(args); err != nil {
		return err
	}

	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := pocketmq.Open(opening, *broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	out := log.New(w, "", 0)
	var running []<-chan error
	for name := range strings.SplitSeq(*names, ",") {
		m, ok := modules[name]
		if !ok {
			return fmt.Errorf("there is no module %q", name)
		}
		done := make(chan error, 1)
		go func() { done <- m(ctx, client, *orders, out) }()
		running = append(running, done)
	}
	for _, done := range running {
		err = errors.Join(err, <-done)
	}
	return err
}
