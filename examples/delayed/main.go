// Delayed: jobs that are done later. They wait in a queue that nobody consumes
// from, until they expire; then they are dead letters, which the queue of the jobs
// gets.
package main

import (
	"context"
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
	out := log.New(w, "", 0)
	broker := pocketmq.New()
	defer broker.Close()

	if _, err := broker.DeclareQueue(ctx, "jobs"); err != nil {
		return err
	}
	start := time.Now()
	done := make(chan struct{})
	_, err := broker.Handle(ctx, "jobs", func(_ context.Context, d *pocketmq.Delivery) error {
		out.Printf("%v: %s", time.Since(start).Round(10*time.Millisecond), d.Body)
		done <- struct{}{}
		return nil
	})
	if err != nil {
		return err
	}

	// Only the message at the head of a queue expires, so there is a queue for each
	// delay. It goes away when it was not used for longer than that.
	jobs := []struct {
		after time.Duration
		what  string
	}{
		{300 * time.Millisecond, "send a reminder"},
		{100 * time.Millisecond, "close the tab"},
		{0, "say hello"},
	}
	for _, job := range jobs {
		if err := later(ctx, broker, job.after, job.what); err != nil {
			return err
		}
	}
	for range jobs {
		<-done
	}
	return nil
}

// later does a job after a time.
func later(ctx context.Context, broker pocketmq.Client, after time.Duration, what string) error {
	queue := "jobs after " + strconv.FormatInt(after.Milliseconds(), 10) + " ms"
	_, err := broker.DeclareQueue(ctx, queue,
		pocketmq.MessageTTL(after), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("jobs"),
		pocketmq.Expires(after+time.Minute))
	if err != nil {
		return err
	}
	return broker.Publish(ctx, "", queue, &pocketmq.Message{Body: []byte(what)})
}
