package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/pocketmq/pocketmq"
)

// This file is the application. It knows a pocketmq.Client and nothing else, so it
// is the same in one process and in four.

// module is a part of the application that is done when it has seen n orders.
type module func(ctx context.Context, client pocketmq.Client, n int, out *log.Logger) error

var modules = map[string]module{
	"shop":        shop,
	"delivery":    receiver("delivery", inform),
	"back office": receiver("back office", inform),
	"merchant":    receiver("merchant", informAtSecondTry),
}

// receivers are those whose orders wait in queues.
var receivers = []string{"back office", "delivery", "merchant"}

// declare declares what the modules share. Each of them calls it: whoever starts
// first, no order is placed before there are queues for it.
func declare(ctx context.Context, client pocketmq.Client) error {
	if err := client.DeclareExchange(ctx, "orders", pocketmq.Fanout, pocketmq.Durable()); err != nil {
		return err
	}
	for _, name := range receivers {
		if _, err := client.DeclareQueue(ctx, queue(name), pocketmq.Durable()); err != nil {
			return err
		}
		if err := client.Bind(ctx, queue(name), "orders", ""); err != nil {
			return err
		}
	}
	return nil
}

func queue(receiver string) string { return "orders." + strings.ReplaceAll(receiver, " ", "-") }

// shop places n orders.
func shop(ctx context.Context, client pocketmq.Client, n int, out *log.Logger) error {
	if err := declare(ctx, client); err != nil {
		return err
	}
	for i := range n {
		order := &pocketmq.Message{
			MessageID:    fmt.Sprintf("order %d", i+1), // by which a receiver knows an order that comes twice
			DeliveryMode: pocketmq.Persistent,
		}
		if err := client.Publish(ctx, "orders", "", order); err != nil {
			return err
		}
		out.Printf("%s is placed", order.MessageID)
	}
	return nil
}

// receiver is a module that informs somebody of n orders.
func receiver(name string, inform func(*pocketmq.Delivery) error) module {
	return func(ctx context.Context, client pocketmq.Client, n int, out *log.Logger) error {
		if err := declare(ctx, client); err != nil {
			return err
		}
		informed := map[string]bool{}
		all := make(chan struct{})
		consumer, err := client.Handle(ctx, queue(name), func(_ context.Context, d *pocketmq.Delivery) error {
			if informed[d.MessageID] {
				return nil // at least once means now and then twice
			}
			if err := inform(d); err != nil {
				return err // it comes again
			}
			informed[d.MessageID] = true
			out.Printf("%s: %s", name, d.MessageID)
			if len(informed) == n {
				close(all)
			}
			return nil
		})
		if err != nil {
			return err
		}
		select {
		case <-all:
		case <-ctx.Done():
			return ctx.Err()
		}
		consumer.Cancel()
		<-consumer.Done() // the last order is acked
		return nil
	}
}

func inform(*pocketmq.Delivery) error { return nil }

// informAtSecondTry is for a system that does not always answer at once.
func informAtSecondTry(d *pocketmq.Delivery) error {
	if !d.Redelivered {
		return errors.New("no answer")
	}
	return nil
}
