package rabbitmq

import (
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
)

// toPublishing returns m as amqp091 sends it.
func toPublishing(m *pocketmq.Message) amqp.Publishing {
	return amqp.Publishing{
		Body: m.Body, Headers: toTable(m.Headers),
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: m.DeliveryMode, Priority: m.Priority,
		CorrelationId: m.CorrelationID, ReplyTo: m.ReplyTo, Expiration: m.Expiration, MessageId: m.MessageID,
		Timestamp: m.Timestamp, Type: m.Type, UserId: m.UserID, AppId: m.AppID,
	}
}

// fromDelivery returns the message of a delivery.
func fromDelivery(d *amqp.Delivery) *pocketmq.Message {
	return &pocketmq.Message{
		Body: d.Body, Headers: fromTable(d.Headers),
		ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
		CorrelationID: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageID: d.MessageId,
		Timestamp: d.Timestamp, Type: d.Type, UserID: d.UserId, AppID: d.AppId,
	}
}

func toTable(t pocketmq.Table) amqp.Table {
	if t == nil {
		return nil
	}
	out := make(amqp.Table, len(t))
	for k, v := range t {
		out[k] = toValue(v)
	}
	return out
}

func toValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v) // amqp091 would cut it to 32 bits
	case pocketmq.Decimal:
		return amqp.Decimal{Scale: v.Scale, Value: v.Value}
	case pocketmq.Table:
		return toTable(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = toValue(e)
		}
		return out
	}
	return v
}

func fromTable(t amqp.Table) pocketmq.Table {
	if t == nil {
		return nil
	}
	out := make(pocketmq.Table, len(t))
	for k, v := range t {
		out[k] = fromValue(v)
	}
	return out
}

func fromValue(v any) any {
	switch v := v.(type) {
	case amqp.Decimal:
		return pocketmq.Decimal{Scale: v.Scale, Value: v.Value}
	case amqp.Table:
		return fromTable(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = fromValue(e)
		}
		return out
	}
	return v
}
