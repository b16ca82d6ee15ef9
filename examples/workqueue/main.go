// Workqueue: tasks that take their time are shared by several workers.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"strings"
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
	out := log.New(w, "", 0) // unlike w it may be used by several goroutines
	broker := pocketmq.New()
	defer broker.Close()

	if _, err := broker.DeclareQueue(ctx, "tasks"); err != nil {
		return err
	}
	for _, name := range []string{"worker 1", "worker 2"} {
		if _, err := broker.Handle(ctx, "tasks", worker(name, out)); err != nil {
			return err
		}
	}

	// Every dot is a tenth of a second of work. A handler holds one message at a
	// time, so while worker 1 is busy with the long task, the short ones go to
	// worker 2: nobody waits behind a colleague who is not done.
	for _, task := range []string{"report.....", "thumbnail.", "invoice..", "reminder."} {
		if err := broker.Publish(ctx, "", "tasks", &pocketmq.Message{Body: []byte(task)}); err != nil {
			return err
		}
	}
	out.Print("all tasks are queued")

	return broker.Shutdown(ctx) // returns when all of them are done
}

func worker(name string, out *log.Logger) pocketmq.Handler {
	return func(_ context.Context, d *pocketmq.Delivery) error {
		task := strings.TrimRight(string(d.Body), ".")
		time.Sleep(time.Duration(len(d.Body)-len(task)) * 100 * time.Millisecond)
		out.Printf("%s: %s done", name, task)
		return nil // had we failed or panicked, the task would come back
	}
}
