package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

// Retries after pauses that grow, on any RabbitMQ and in the process: what failed waits
// in a queue without consumers, one for each pause, and expires back into its own. Like
// all that is published again it may come twice.
func Example_retries() {
	srv := amqptest.NewServer(nil) // or a RabbitMQ
	defer srv.Close()
	ctx := context.Background()
	client, err := rabbitmq.Dial(ctx, srv.URL(), rabbitmq.Dialer(srv.Dial))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	pauses := []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}
	declare := func(queue string, opts ...pocketmq.QueueOption) {
		if _, err := client.DeclareQueue(ctx, queue, append(opts, pocketmq.Durable())...); err != nil {
			log.Fatal(err)
		}
	}
	declare("orders")
	declare("orders.dead")
	for _, p := range pauses {
		declare("orders."+p.String(), pocketmq.MessageTTL(p), pocketmq.DeadLetter(""), pocketmq.DeadLetterRoutingKey("orders"))
	}

	// retry is what a handler does with a message that failed. Its nil acks the message,
	// which is in the other queue then.
	retry := func(ctx context.Context, d *pocketmq.Delivery) error {
		failed, _ := d.Headers["failed"].(int64)
		to := "orders.dead"
		if failed < int64(len(pauses)) {
			to = "orders." + pauses[failed].String()
		}
		again := &pocketmq.Message{
			Body: d.Body, MessageID: d.MessageID, DeliveryMode: pocketmq.Persistent,
			Headers: pocketmq.Table{"failed": failed + 1}, // a message that was received must not be changed
		}
		return client.Publish(ctx, "", to, again, pocketmq.Mandatory)
	}

	work := func(d *pocketmq.Delivery) error {
		fmt.Printf("%s, failed before: %v\n", d.Body, d.Headers["failed"])
		return errors.New("the bank does not answer")
	}
	if _, err := client.Handle(ctx, "orders", func(ctx context.Context, d *pocketmq.Delivery) error {
		if work(d) != nil {
			return retry(ctx, d)
		}
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	if err := client.Publish(ctx, "", "orders", &pocketmq.Message{Body: []byte("order 1")}); err != nil {
		log.Fatal(err)
	}

	dead, err := client.Consume(ctx, "orders.dead")
	if err != nil {
		log.Fatal(err)
	}
	d, err := dead.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is dead\n", d.Body)
	if err := d.Ack(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// order 1, failed before: <nil>
	// order 1, failed before: 1
	// order 1, failed before: 2
	// order 1, failed before: 3
	// order 1 is dead
}
