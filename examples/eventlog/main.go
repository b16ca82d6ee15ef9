// Eventlog: what happens to an account is a stream of events, which stay when they
// have been read. One reader replays all of them to know the balance; another, the
// audit, goes on where it stopped.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
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

	// The log keeps the events of a month, and never takes more memory than 64 MiB.
	_, err := broker.DeclareQueue(ctx, "account", pocketmq.Stream(), pocketmq.MaxAge(30*24*time.Hour), pocketmq.MaxBytes(64<<20))
	if err != nil {
		return err
	}
	if err := publish(ctx, broker, "+100", "-30"); err != nil {
		return err
	}

	// The audit looks at what there is, and remembers where it stopped.
	audit := &audit{out: w}
	if err := audit.look(ctx, broker, 2); err != nil {
		return err
	}
	if err := publish(ctx, broker, "+5", "-15"); err != nil {
		return err
	}

	// A balance that starts from nothing has to see everything, from the first
	// event on. Reading takes nothing away from anybody.
	balance := 0
	reader, err := broker.Consume(ctx, "account", pocketmq.StreamFirst())
	if err != nil {
		return err
	}
	for range 4 {
		d, err := reader.Receive(ctx)
		if err != nil {
			return err
		}
		amount, err := strconv.Atoi(string(d.Body))
		if err != nil {
			return err
		}
		balance += amount
		fmt.Fprintf(w, "balance: %s makes %d\n", d.Body, balance)
		if err := d.Ack(); err != nil { // lets the next one come, and removes nothing
			return err
		}
	}

	return audit.look(ctx, broker, 2)
}

func publish(ctx context.Context, client pocketmq.Client, events ...string) error {
	for _, event := range events {
		if err := client.Publish(ctx, "", "account", &pocketmq.Message{Body: []byte(event)}); err != nil {
			return err
		}
	}
	return nil
}

// audit looks at events now and then.
type audit struct {
	out  io.Writer
	next int64 // offset of the event to go on with; a real one would keep it in a file
}

// look reads n events.
func (a *audit) look(ctx context.Context, client pocketmq.Client, n int) error {
	reader, err := client.Consume(ctx, "account", pocketmq.StreamOffset(a.next))
	if err != nil {
		return err
	}
	defer reader.Close()
	fmt.Fprintf(a.out, "audit: goes on with event %d\n", a.next)
	for range n {
		d, err := reader.Receive(ctx)
		if err != nil {
			return err
		}
		offset, _ := d.Offset()
		fmt.Fprintf(a.out, "audit: event %d is %s\n", offset, d.Body)
		a.next = offset + 1 // after the work is done: what fails before that is seen again
		if err := d.Ack(); err != nil {
			return err
		}
	}
	return nil
}
