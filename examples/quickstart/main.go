// The program of the README: a handler works behind the queue, and Shutdown
// waits until it is done.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/pocketmq/pocketmq"
)

func main() {
	ctx, broker := context.Background(), pocketmq.New()

	_, err := broker.DeclareQueue(ctx, "mails")
	check(err)
	_, err = broker.Handle(ctx, "mails", func(_ context.Context, d *pocketmq.Delivery) error {
		fmt.Printf("mail to %s\n", d.Body)
		return nil // acks the message; an error would bring it back
	})
	check(err)

	check(broker.Publish(ctx, "", "mails", &pocketmq.Message{Body: []byte("ann@example.com")}))
	check(broker.Shutdown(ctx)) // lets the handler finish
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
