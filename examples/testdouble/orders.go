// Package orders is a small service as many have one: it takes orders, tells the
// rest of the company about them through RabbitMQ, and sends mail about those
// that were shipped. It is written for github.com/rabbitmq/amqp091-go and knows
// nothing of pocketmq; its tests do.
package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Exchange is the topic exchange for everything that happens to orders; routing
// keys are "order.placed" and "order.shipped".
const Exchange = "orders"

// MailQueue has the orders of which customers have to be told.
const MailQueue = "orders.mail"

// Order is what a customer ordered.
type Order struct {
	ID       string
	Customer string
	Cents    int64
}

// ErrNotStored is returned by Place if RabbitMQ did not take the order.
var ErrNotStored = errors.New("the order was not stored")

// Service publishes orders and handles what becomes of them.
type Service struct {
	conn    *amqp.Connection
	publish *amqp.Channel // with confirms
}

// New declares what the service needs. The connection stays the caller's.
func New(conn *amqp.Connection) (*Service, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.ExchangeDeclare(Exchange, "topic", true, false, false, false, nil); err != nil {
		return nil, err
	}
	if _, err := ch.QueueDeclare(MailQueue, true, false, false, false, nil); err != nil {
		return nil, err
	}
	if err := ch.QueueBind(MailQueue, "order.shipped", Exchange, false, nil); err != nil {
		return nil, err
	}
	return &Service{conn, ch}, ch.Confirm(false)
}

// Place tells everybody about a new order, and returns when RabbitMQ has it.
func (s *Service) Place(ctx context.Context, o Order) error { return s.tell(ctx, "order.placed", o) }

// Ship tells everybody that an order is on its way.
func (s *Service) Ship(ctx context.Context, o Order) error { return s.tell(ctx, "order.shipped", o) }

func (s *Service) tell(ctx context.Context, key string, o Order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	stored, err := s.publish.PublishWithDeferredConfirmWithContext(ctx, Exchange, key, false, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: o.ID, Body: body,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	if ok, err := stored.WaitContext(ctx); err != nil || !ok {
		return errors.Join(ErrNotStored, err)
	}
	return nil
}

// Mail calls send for every shipped order until ctx ends. What send can't deliver
// is tried once more; what is not an order is dropped.
func (s *Service) Mail(ctx context.Context, send func(Order) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.Qos(10, 0, false); err != nil {
		return err
	}
	shipped, err := ch.ConsumeWithContext(ctx, MailQueue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range shipped {
		if err := mail(d, send); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func mail(d amqp.Delivery, send func(Order) error) error {
	var o Order
	if err := json.Unmarshal(d.Body, &o); err != nil {
		return d.Reject(false)
	}
	if err := send(o); err != nil {
		return d.Nack(false, !d.Redelivered)
	}
	return d.Ack(false)
}
