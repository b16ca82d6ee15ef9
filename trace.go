package pocketmq

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
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

// identity is who uses a session, as others are told.
type identity struct {
	connection, user string
	channel          uint16
}

// inProcess is who uses a session without a connection.
var inProcess = identity{connection: "in process", user: "none"}

// nodeName is what this broker calls itself where RabbitMQ names a node.
const nodeName = "pocketmq@localhost"

// routedNames are the names of the queues that a message is routed to. Before 4.0 the
// default exchange leads to any name.
func (s *Session) routedNames(it *item, r *routing) []string {
	if it.exchange.name == "" && s.version < v4_0 {
		return slices.Compact(slices.Sorted(slices.Values(r.keys)))
	}
	names := make([]string, len(r.queues))
	for i, q := range r.queues {
		names[i] = q.name
	}
	return names
}

// tracePublish copies a message that is published, by its key and more, to the queues
// of these names. Reply queues are none to RabbitMQ.
func (s *Session) tracePublish(it *item, more, queues []string) {
	queues = slices.DeleteFunc(slices.Sorted(slices.Values(queues)), isReplyQueue)
	s.trace("publish."+it.exchange.name, it, more, Table{"routed_queues": array(queues)})
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
	headers["node"] = nodeName
	headers["vhost"] = b.vhost
	headers["connection"] = s.who.connection
	headers["channel"] = int32(s.who.channel)
	headers["user"] = s.who.user
	x, _ := b.exchanges.Load(traceExchange)
	x.published.Add(1)
	if !b.passOn(x, &item{&Message{Body: it.msg.Body, Headers: headers}, x, key}, nil, (*queue).accept) {
		x.unroutable.Add(1)
	}
}

func array(words []string) []any {
	values := make([]any, len(words))
	for i, w := range words {
		values[i] = w
	}
	return values
}

// propertyNames are AMQP's, in the order in which properties are encoded.
var propertyNames = [...]string{
	"content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
	"expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
}

// propertyTable returns the properties that m has. RabbitMQ makes all numbers of 32
// bits, also times.
func (m *Message) propertyTable() Table {
	encoded := encodedProperties{}
	if o := m.own(); o != nil {
		encoded = readProperties(o.properties)
	}
	properties := Table{}
	for i, v := range [len(propertyNames)]any{
		m.ContentType, m.ContentEncoding, m.Headers, int32(m.DeliveryMode), int32(m.Priority), m.CorrelationID, m.ReplyTo,
		m.Expiration, m.MessageID, int32(0), m.Type, m.UserID, m.AppID, encoded.clusterID,
	} {
		there := encoded.empty[i]
		switch value := v.(type) {
		case string:
			there = there || value != ""
		case int32:
			there = there || value != 0
		case Table:
			there = there || value != nil
		}
		if there {
			properties[propertyNames[i]] = v
		}
	}
	if !m.Timestamp.IsZero() {
		properties["timestamp"] = int32(m.Timestamp.Unix())
	}
	return properties
}

// encodedProperties is what Message has no place for: which properties are there and
// empty, and one that nobody uses.
type encodedProperties struct {
	empty     [len(propertyNames)]bool
	clusterID string
}

// readProperties reads properties as a message came with them, which were decoded once.
func readProperties(encoded []byte) (p encodedProperties) {
	if len(encoded) == 0 {
		return p
	}
	flags, rest := binary.BigEndian.Uint16(encoded), encoded[2:]
	for i, name := range propertyNames {
		if flags&(1<<(15-i)) == 0 {
			continue
		}
		var size int
		switch name {
		case "headers":
			size = 4 + int(binary.BigEndian.Uint32(rest))
		case "delivery_mode", "priority":
			size = 1
		case "timestamp":
			size = 8
		default:
			size = 1 + int(rest[0])
		}
		p.empty[i] = len(bytes.Trim(rest[:size], "\x00")) == 0
		if name == "cluster_id" {
			p.clusterID = string(rest[1:size])
		}
		rest = rest[size:]
	}
	return p
}
