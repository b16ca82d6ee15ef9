package pocketmq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/pocketmq/pocketmq"
)

func ExampleBroker_Publish() {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()

	// The exchange decides by the routing key which queues get a message.
	if err := broker.DeclareExchange(ctx, "events", pocketmq.Topic); err != nil {
		log.Fatal(err)
	}
	if _, err := broker.DeclareQueue(ctx, "invoices"); err != nil {
		log.Fatal(err)
	}
	if err := broker.Bind(ctx, "invoices", "events", "order.*.paid"); err != nil {
		log.Fatal(err)
	}

	for _, key := range []string{"order.17.paid", "order.17.shipped"} {
		// Without Mandatory nobody would learn of a message that leads nowhere.
		err := broker.Publish(ctx, "events", key, &pocketmq.Message{Body: []byte("17")}, pocketmq.Mandatory)
		switch {
		case err == nil:
			fmt.Println(key, "is in all queues that want it")
		case errors.Is(err, pocketmq.ErrUnroutable):
			fmt.Println(key, "is wanted by nobody")
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// order.17.paid is in all queues that want it
	// order.17.shipped is wanted by nobody
}

func ExampleBroker_Handle() {
	ctx := context.Background()
	broker := pocketmq.New()
	if _, err := broker.DeclareQueue(ctx, "mails"); err != nil {
		log.Fatal(err)
	}

	_, err := broker.Handle(ctx, "mails", func(_ context.Context, d *pocketmq.Delivery) error {
		address := string(d.Body)
		switch {
		case address == "":
			// Trying again won't help: the message leaves the queue.
			return pocketmq.Discard(errors.New("no address"))
		case !d.Redelivered:
			fmt.Println(address, "is busy")
			return errors.New("try again") // comes back after a short pause
		}
		fmt.Println(address, "has mail")
		return nil // acks
	})
	if err != nil {
		log.Fatal(err)
	}

	for _, address := range []string{"", "ann@example.com"} {
		if err := broker.Publish(ctx, "", "mails", &pocketmq.Message{Body: []byte(address)}); err != nil {
			log.Fatal(err)
		}
	}
	// Shutdown waits until the handler has dealt with everything.
	if err := broker.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ann@example.com is busy
	// ann@example.com has mail
}

func ExampleConsumer_Deliveries() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	broker := pocketmq.New()
	defer broker.Close()
	if _, err := broker.DeclareQueue(ctx, "numbers"); err != nil {
		log.Fatal(err)
	}
	for _, n := range []string{"one", "two", "three"} {
		if err := broker.Publish(ctx, "", "numbers", &pocketmq.Message{Body: []byte(n)}); err != nil {
			log.Fatal(err)
		}
	}

	consumer, err := broker.Consume(ctx, "numbers")
	if err != nil {
		log.Fatal(err)
	}
	for d, err := range consumer.Deliveries() { // ends with the consumer
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", d.Body)
		if err := d.Ack(); err != nil {
			log.Fatal(err)
		}
		if string(d.Body) == "three" {
			stop() // ends the consumer, and so the loop
		}
	}
	// Output:
	// one
	// two
	// three
}

func ExampleConsumer_Chan() {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()
	if _, err := broker.DeclareQueue(ctx, "jobs"); err != nil {
		log.Fatal(err)
	}
	if err := broker.Publish(ctx, "", "jobs", &pocketmq.Message{Body: []byte("the only job")}); err != nil {
		log.Fatal(err)
	}

	consumer, err := broker.Consume(ctx, "jobs")
	if err != nil {
		log.Fatal(err)
	}
	for {
		select {
		case d, ok := <-consumer.Chan():
			if !ok {
				fmt.Println("the consumer ended:", consumer.Err())
				return
			}
			fmt.Printf("%s\n", d.Body)
			if err := d.Ack(); err != nil {
				log.Fatal(err)
			}
		case <-time.After(50 * time.Millisecond):
			fmt.Println("nothing to do")
			return
		}
	}
	// Output:
	// the only job
	// nothing to do
}

func ExampleBroker_Get() {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()
	if _, err := broker.DeclareQueue(ctx, "letters"); err != nil {
		log.Fatal(err)
	}
	if err := broker.Publish(ctx, "", "letters", &pocketmq.Message{Body: []byte("dear all")}); err != nil {
		log.Fatal(err)
	}

	for range 3 {
		d, ok, err := broker.Get(ctx, "letters")
		if err != nil {
			log.Fatal(err)
		}
		if !ok {
			fmt.Println("no letters")
			continue
		}
		fmt.Printf("%s (redelivered: %v)\n", d.Body, d.Redelivered)
		if d.Redelivered {
			err = d.Ack()
		} else {
			err = d.Nack(true) // puts it back
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// dear all (redelivered: false)
	// dear all (redelivered: true)
	// no letters
}

func ExampleOverflow() {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()

	for _, policy := range []pocketmq.OverflowPolicy{pocketmq.Block, pocketmq.DropHead, pocketmq.RejectPublish} {
		queue := policy.String()
		if _, err := broker.DeclareQueue(ctx, queue, pocketmq.MaxLength(1), pocketmq.Overflow(policy)); err != nil {
			log.Fatal(err)
		}
		var errs [2]error
		for i, body := range []string{"first", "second"} {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond) // for Block
			errs[i] = broker.Publish(ctx, "", queue, &pocketmq.Message{Body: []byte(body)})
			cancel()
		}
		d, _, err := broker.Get(ctx, queue, pocketmq.AutoAck())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: has the %s; publishing the second: %v\n", queue, d.Body, errs[1])
	}
	// Output:
	// block: has the first; publishing the second: pocketmq: waiting for room in queue 'block': context deadline exceeded
	// drop-head: has the second; publishing the second: <nil>
	// reject-publish: has the first; publishing the second: RESOURCE_ERROR - queue 'reject-publish' in vhost '/' is full
}

func ExampleBroker_CancelDelayed() {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()

	// A reminder waits in the exchange, not in a queue, until it is due.
	err := broker.DeclareExchange(ctx, "reminders", pocketmq.DelayedMessage, pocketmq.DelayedType(pocketmq.Direct))
	if err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"order 17", "order 18"} {
		m := &pocketmq.Message{MessageID: order}
		if err := m.SetDelay(24 * time.Hour); err != nil {
			log.Fatal(err)
		}
		if err := broker.Publish(ctx, "reminders", "pay", m); err != nil {
			log.Fatal(err)
		}
	}

	// Order 17 is paid meanwhile.
	paid := func(d pocketmq.Delayed) bool { return d.Message.MessageID == "order 17" }
	if _, err := broker.CancelDelayed("reminders", paid); err != nil {
		log.Fatal(err)
	}
	left, err := broker.Delayed("reminders")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range left {
		fmt.Println(d.Message.MessageID, "is to be reminded in", time.Until(d.Due).Round(time.Minute))
	}
	// Output: order 18 is to be reminded in 24h0m0s
}
