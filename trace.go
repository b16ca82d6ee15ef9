package pocketmq

import (
	"slices"
	"strings"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// traceExchange gets copies of all messages while tracing is on (XPLUG-12). Clients
// cannot publish to it.
const traceExchange = "amq.rabbitmq.trace"

// SetTracing switches tracing on or off; it is off at first. It may be called at any
// time, from any goroutine. While tracing is on, amq.rabbitmq.trace, a topic exchange
// to which queues are bound as to any other, gets a copy of
//
//   - each message that is published, with the routing key "publish.EXCHANGE"
//     ("publish." for the default exchange), also if it reaches no queue,
//   - each message that Get or a consumer hands out, with the key "deliver.QUEUE"; one
//     that is on its way into the channel of Chan counts as handed out.
//
// A copy has the same body, and all else in its headers, as RabbitMQ has it:
// exchange_name, routing_keys, properties, node, vhost, connection, channel, user, and
// routed_queues or redelivered. What is done in this process comes from the connection
// "in process", its channel 0 and the user "none".
//
// Headers that are nested so deep that they would be too deep in those of a copy are
// not in it.
//
// The copies themselves are not traced, nor are the messages that move without being
// published: dead letters, and delayed messages when they are due. Nothing waits for
// room in a queue that gets copies: if its policy is Block, they exceed its limit.
func (b *Broker) SetTracing(on bool) { b.tracing.Store(on) }

// tracePublish copies a message that is published, by its key and more, to the queues
// of these names. The default exchange leads to any name, there or not. Before 4.0
// reply queues are none to RabbitMQ, and from 4.0 on the names of all other exchanges
// come in reverse.
func (s *Session) tracePublish(it *item, more, names []string) {
	isDefault := it.exchange.name == ""
	if isDefault {
		names = append([]string{it.key}, more...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case s.version < v4_0:
		names = slices.DeleteFunc(names, isReplyQueue)
	case !isDefault:
		slices.Reverse(names)
	}
	s.trace("publish."+it.exchange.name, it, more, Table{"routed_queues": array(names)})
}

// traceDelivery copies a message that is handed out.
func (s *Session) traceDelivery(q *queue, d *Delivery) {
	if isReplyQueue(q.name) {
		return
	}
	redelivered := int32(0)
	if d.Redelivered {
		redelivered = 1
	}
	it := &item{d.Message, &exchange{name: d.Exchange}, d.RoutingKey}
	s.trace("deliver."+q.name, it, d.keysToRepeat(), Table{"redelivered": redelivered})
}

// isReplyQueue reports whether a queue is one of direct reply-to.
func isReplyQueue(name string) bool { return strings.HasPrefix(name, "amq.rabbitmq.reply-to.") }

// trace publishes a copy of a message, with what XPLUG-13 says in its headers.
func (s *Session) trace(key string, it *item, more []string, headers Table) {
	if it.exchange.name == traceExchange {
		return
	}
	key = key[:min(len(key), maxShortString)] // AMQP allows no more; the headers have the name
	b := s.broker
	seen := it.msg.withoutBCC()
	properties := seen.propertyTable()
	if checkTable("headers", seen.Headers, 2) != nil {
		delete(properties, "headers")
	}
	headers["exchange_name"] = it.exchange.name
	headers["routing_keys"] = array(append([]string{it.key}, more...))
	headers["properties"] = properties
	headers["node"] = hook.NodeName
	headers["vhost"] = b.vhost
	headers["connection"] = s.who.connection
	headers["channel"] = int32(s.who.channel)
	headers["user"] = s.who.user
	b.tell(traceExchange, key, &Message{Body: it.msg.Body, Headers: headers})
}

// array makes words a value of a table.
func array(words []string) []any {
	values := make([]any, len(words))
	for i, w := range words {
		values[i] = w
	}
	return values
}
