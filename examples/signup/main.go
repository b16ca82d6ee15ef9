// Signup: who signs up waits until the account is stored, but not until the
// mail and the SMS are sent.
package main

import (
	"context"
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

// What the parts of a registration cost. In life they are calls of a database,
// a mail server and an SMS gateway.
func storeAccount(string) { time.Sleep(50 * time.Millisecond) }
func sendMail(string)     { time.Sleep(60 * time.Millisecond) }
func sendSMS(string)      { time.Sleep(40 * time.Millisecond) }

func run(w io.Writer) error {
	out := log.New(w, "", 0)
	serially("ann", out)
	return queued(context.Background(), "bob", out)
}

// serially is how it begins: one thing after the other.
func serially(user string, out *log.Logger) {
	since := stopwatch()
	storeAccount(user)
	sendMail(user)
	sendSMS(user)
	out.Printf("%s, serially: answered after %v", user, since())
}

// queued stores the account and leaves the rest to handlers. When they fail they
// are called again, and the user does not notice. What they have not done when
// the process dies is lost, however: the queue is in memory. Welcome mails can
// stand that; the account is stored before we answer.
func queued(ctx context.Context, user string, out *log.Logger) error {
	broker := pocketmq.New()
	defer broker.Close()
	since := stopwatch()

	if err := broker.DeclareExchange(ctx, "signups", pocketmq.Fanout); err != nil {
		return err
	}
	for queue, send := range map[string]func(user string){"mail": sendMail, "SMS": sendSMS} {
		// A queue for each: an SMS gateway that is down holds up no mail.
		if _, err := broker.DeclareQueue(ctx, queue); err != nil {
			return err
		}
		if err := broker.Bind(ctx, queue, "signups", ""); err != nil {
			return err
		}
		if _, err := broker.Handle(ctx, queue, func(_ context.Context, d *pocketmq.Delivery) error {
			send(string(d.Body))
			out.Printf("%s, queued:   %s sent after %v", d.Body, queue, since())
			return nil
		}); err != nil {
			return err
		}
	}

	storeAccount(user)
	if err := broker.Publish(ctx, "signups", "", &pocketmq.Message{Body: []byte(user)}); err != nil {
		return err
	}
	out.Printf("%s, queued:   answered after %v", user, since())

	return broker.Shutdown(ctx)
}

// stopwatch returns a function that tells the time since, to 10 ms.
func stopwatch() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start).Round(10 * time.Millisecond) }
}
