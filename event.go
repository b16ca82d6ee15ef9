package pocketmq

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// eventExchange is where the broker tells what happens in it (XPLUG-15).
const eventExchange = "amq.rabbitmq.event"

// Events makes the broker tell what happens in it, as RabbitMQ does with the plug-in
// rabbitmq_event_exchange: it has the exchange amq.rabbitmq.event, an internal one of
// the type topic, and publishes a message there with an empty body and the facts in
// its headers when
//
//   - an exchange, a queue or a binding is created or deleted ("exchange.created",
//     "exchange.deleted", "queue.created" and so on, which are the routing keys),
//   - a consumer is started or ends ("consumer.created", "consumer.deleted"),
//   - a policy is set or cleared ("policy.set", "policy.cleared",
//     "operator.policy.cleared"),
//   - the package amqpserver opens or closes a connection or channel to it
//     ("connection.created", "connection.closed", "channel.created", "channel.closed").
//
// docs/COMPAT.md has the headers. RabbitMQ has one such exchange, for all its virtual
// hosts; here each Broker has its own. What ends with the broker is not told. As with
// other messages that nobody publishes nothing waits for room in the queues: if their
// policy is Block, events exceed their limit.
func Events() Option { return func(b *Broker) { b.events = true } }

// event tells what has happened. It may be called with Broker.mu held, but no other
// lock.
func (b *Broker) event(key string, fields Table) {
	if !b.events {
		return
	}
	now := time.Now()
	fields["timestamp_in_ms"] = now.UnixMilli()
	x, _ := b.exchanges.Load(eventExchange)
	m := &Message{Headers: fields, DeliveryMode: Persistent, Timestamp: now.Truncate(time.Second)}
	x.published.Add(1)
	if !b.passOn(x, &item{m, x, key}, nil, (*queue).accept) {
		x.unroutable.Add(1)
	}
}

// nobody is the user who does what follows from something else.
const nobody = "rmq-internal"

func (b *Broker) exchangeCreated(x *exchange, user string) {
	if b.events {
		b.event("exchange.created", Table{
			"name": x.name, "vhost": b.vhost, "type": x.kind, "durable": x.durable, "auto_delete": x.autoDelete,
			"internal": x.internal, "arguments": erlangArguments(x.args), "policy": x.inForce.user.name(),
			"user_who_performed_action": user,
		})
	}
}

func (b *Broker) exchangeDeleted(x *exchange, user string) {
	b.event("exchange.deleted", Table{"name": x.name, "vhost": b.vhost, "user_who_performed_action": user})
}

func (b *Broker) bindingEvent(key string, n *binding, user string) {
	if b.events {
		b.event(key, Table{
			"source_name": n.source.name, "source_kind": "exchange",
			"destination_name": n.to.name(), "destination_kind": n.to.kind(),
			"routing_key": n.key, "arguments": erlangArguments(n.args), "vhost": b.vhost, "user_who_performed_action": user,
		})
	}
}

// tellsOf reports whether there are events of a queue. Reply queues are none to RabbitMQ.
func (b *Broker) tellsOf(q *queue) bool { return b.events && !isReplyQueue(q.name) }

func (b *Broker) queueCreated(q *queue, user string) {
	if !b.tellsOf(q) {
		return
	}
	fields := Table{
		"name": q.name, "vhost": b.vhost, "durable": q.durable, "auto_delete": q.autoDelete,
		"arguments": erlangArguments(q.args), "user_who_performed_action": user,
	}
	switch q.kind() {
	case quorumType:
		fields["type"], fields["exclusive"] = "rabbit_quorum_queue", false
	case streamType:
		fields["type"] = "rabbit_stream_queue"
	default:
		fields["exclusive"], fields["owner_pid"] = q.owner != nil, ""
		if q.owner != nil {
			fields["owner_pid"] = q.owner.pid()
		}
	}
	b.event("queue.created", fields)
}

func (b *Broker) queueDeleted(q *queue, user string) {
	if b.tellsOf(q) {
		b.event("queue.deleted", Table{"name": q.name, "vhost": b.vhost, "user_who_performed_action": user})
	}
}

func (b *Broker) consumerCreated(c *Consumer, cfg *consumeConfig) {
	if !b.tellsOf(c.queue) || c.queue.log != nil { // streams tell only of the end
		return
	}
	prefetch := cfg.prefetch
	if c.queue.quorum && prefetch == 0 {
		prefetch = defaultQuorumPrefetch
	}
	b.event("consumer.created", Table{
		"consumer_tag": c.tag, "exclusive": cfg.exclusive, "ack_required": !c.autoAck, "channel": c.session.pid(),
		"queue": c.queue.name, "vhost": b.vhost, "prefetch_count": int64(prefetch),
		"arguments": erlangArguments(cfg.args), "user_who_performed_action": c.session.who.user,
	})
}

// defaultQuorumPrefetch is what RabbitMQ takes for no limit in quorum queues.
const defaultQuorumPrefetch = 2000

func (b *Broker) consumerDeleted(c *Consumer, why error) {
	if !b.tellsOf(c.queue) {
		return
	}
	fields := Table{
		"consumer_tag": c.tag, "channel": c.session.pid(), "queue": c.queue.name, "vhost": b.vhost,
		"user_who_performed_action": nobody,
	}
	switch {
	case errors.Is(why, ErrQueueDeleted):
		delete(fields, "user_who_performed_action")
	case errors.Is(why, ErrCanceled) && !c.queue.quorum:
		fields["user_who_performed_action"] = c.session.who.user
	case c.queue.log != nil:
		return // streams do not tell when a channel ends
	}
	b.event("consumer.deleted", fields)
}

// policySet tells of a policy or an operator policy.
func (b *Broker) policySet(p Policy) {
	if b.events {
		definition := maps.Clone(p.Definition)
		for key, v := range definition {
			if n, ok := integer(v); ok {
				definition[key] = n
			}
		}
		b.event("policy.set", Table{
			"name": p.Name, "vhost": b.vhost, "user_who_performed_action": inProcess.user, "pattern": p.Pattern,
			"definition": definition, "priority": int64(p.Priority), "apply-to": string(p.ApplyTo),
		})
	}
}

// policyCleared tells of a "policy" or an "operator policy".
func (b *Broker) policyCleared(noun, name string) {
	b.event(strings.ReplaceAll(noun, " ", ".")+".cleared",
		Table{"name": name, "vhost": b.vhost, "user_who_performed_action": inProcess.user})
}

// event tells of a connection or a channel.
func (s *Session) event(key string, headers func() Table) {
	if s.broker.events {
		fields := headers()
		fields["pid"] = s.pid()
		s.broker.event(key, fields)
	}
}

// pid names a session as RabbitMQ names a process.
func (s *Session) pid() string { return fmt.Sprintf("<%s.1.%d.0>", nodeName, s.number) }

// erlangArguments are arguments as RabbitMQ's events have them: as Erlang prints them,
// in the order of their names.
func erlangArguments(args Table) []any {
	all := make([]any, 0, len(args))
	for _, key := range slices.Sorted(maps.Keys(args)) {
		all = append(all, "{"+erlang.Line(key)+","+erlangField(args[key])+"}")
	}
	return all
}

// erlangField is the type and value of a field.
func erlangField(v any) string { return typeName(v) + "," + erlangValue(v) }

func erlangValue(v any) string {
	switch v := v.(type) {
	case string:
		return erlang.Line(v)
	case []byte:
		return erlang.Line(string(v))
	case time.Time:
		return fmt.Sprint(v.Unix())
	case Decimal:
		return fmt.Sprintf("{%d,%d}", v.Scale, v.Value)
	case Table:
		words := erlangArguments(v)
		return "[" + joinWords(words) + "]"
	case []any:
		words := make([]any, len(v))
		for i, e := range v {
			words[i] = "{" + erlangField(e) + "}"
		}
		return "[" + joinWords(words) + "]"
	}
	return erlang.Text(v)
}

func joinWords(words []any) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.(string)
	}
	return strings.Join(all, ",")
}
