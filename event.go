package pocketmq

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq/internal/erlang"
	"github.com/pocketmq/pocketmq/internal/hook"
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
// Events are in the order in which they happened. Each is published before the method
// that causes it returns, unless another goroutine is publishing one just then: that does
// it next. docs/COMPAT.md has the headers. RabbitMQ has one such exchange, for all its virtual
// hosts; here each Broker has its own. What ends with the broker is not told. As with
// other messages that nobody publishes nothing waits for room in the queues: if their
// policy is Block, events exceed their limit.
func Events() Option { return func(b *Broker) { b.events = true } }

// news are the events that were noted and are still to be published, in order.
type news struct {
	mu      sync.Mutex // nothing is locked while it is held
	waiting []event
	telling bool // a goroutine publishes them
}

type event struct {
	key string
	msg *Message
}

func (n *news) add(e event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting, e)
}

// begin reports whether the caller is to publish what waits: nobody else does.
func (n *news) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.telling || len(n.waiting) == 0 {
		return false
	}
	n.telling = true
	return true
}

// next takes an event out, or ends telling.
func (n *news) next() (e event, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		n.telling, n.waiting = false, nil
		return event{}, false
	}
	e = n.waiting[0]
	n.waiting = n.waiting[1:]
	return e, true
}

// tellNews publishes the events that were noted. That runs the functions of users, such
// as those of Notify, so no lock may be held: what happens under Broker.mu is told by
// Broker.unlock. One goroutine tells all there is, also what others note meanwhile, so
// that events are in the order in which they happened.
func (b *Broker) tellNews() {
	if !b.events || !b.news.begin() {
		return
	}
	for e, ok := b.news.next(); ok; e, ok = b.news.next() {
		b.tell(eventExchange, e.key, e.msg)
	}
}

// unlock unlocks Broker.mu where something may have happened that is told.
func (b *Broker) unlock() {
	b.mu.Unlock()
	b.tellNews()
}

// note keeps what a user has done in the broker, or nobody in particular if user is "",
// until tellNews publishes it.
func (b *Broker) note(key, user string, fields Table) {
	fields["vhost"] = b.vhost
	if user != "" {
		fields["user_who_performed_action"] = user
	}
	b.noteFields(key, fields)
}

// noteFields may be called with locks held, and only if there are events.
func (b *Broker) noteFields(key string, fields Table) {
	now := time.Now()
	fields["timestamp_in_ms"] = now.UnixMilli()
	b.news.add(event{key, &Message{Headers: fields, DeliveryMode: Persistent, Timestamp: now.Truncate(time.Second)}})
}

func (b *Broker) exchangeCreated(x *exchange, user string) {
	if b.events {
		b.note("exchange.created", user, Table{
			"name": x.name, "type": x.kind, "durable": x.durable, "auto_delete": x.autoDelete, "internal": x.internal,
			"arguments": erlangArguments(x.args), "policy": x.inForce.user.name(),
		})
	}
}

func (b *Broker) exchangeDeleted(x *exchange, user string) {
	if b.events {
		b.note("exchange.deleted", user, Table{"name": x.name})
	}
}

func (b *Broker) bindingCreated(n *binding, user string) { b.bindingEvent("binding.created", n, user) }

func (b *Broker) bindingDeleted(n *binding, user string) { b.bindingEvent("binding.deleted", n, user) }

func (b *Broker) bindingEvent(key string, n *binding, user string) {
	if b.events {
		b.note(key, user, Table{
			"source_name": n.source.name, "source_kind": "exchange",
			"destination_name": n.to.name(), "destination_kind": n.to.kind(),
			"routing_key": n.key, "arguments": erlangArguments(n.args),
		})
	}
}

// tellsOf reports whether there are events of a queue. Reply queues are none to RabbitMQ.
func (b *Broker) tellsOf(q *queue) bool { return b.events && !isReplyQueue(q.name) }

func (b *Broker) queueCreated(q *queue, user string) {
	if !b.tellsOf(q) {
		return
	}
	isClassic, args := q.kind() == classicType, q.args
	fields := Table{"name": q.name, "durable": q.durable, "auto_delete": q.autoDelete}
	if isClassic {
		fields["owner_pid"] = ""
		if q.owner != nil {
			fields["owner_pid"] = q.owner.pid()
		}
	}
	if q.kind() != streamType {
		fields["exclusive"] = q.owner != nil
	}
	if q.version >= v4_0 {
		args = maps.Clone(args)
		set(&args, "x-queue-type", q.kind())
	}
	if q.version >= v4_0 || !isClassic {
		fields["type"] = q.module()
	}
	if q.version >= v4_0 && isClassic {
		fields["leader"], fields["members"] = hook.NodeName, []any{hook.NodeName}
	}
	fields["arguments"] = erlangArguments(args)
	b.note("queue.created", user, fields)
}

// module is what RabbitMQ implements the queue's type with, by which events name it.
func (q *queue) module() string { return "rabbit_" + q.kind() + "_queue" }

func (b *Broker) queueDeleted(q *queue, user string) {
	if !b.tellsOf(q) {
		return
	}
	if q.kind() == classicType { // it tells of its consumers, and then their channels do
		for _, c := range q.subscribed() {
			if c.session.wire {
				b.note("consumer.deleted", user, c.eventFields())
			}
		}
	}
	fields := Table{"name": q.name}
	if q.version >= v4_0 {
		fields["type"] = q.module()
	}
	b.note("queue.deleted", user, fields)
}

// consumerCreated, as consumerDeleted, is called under the queue's lock, so that the one comes
// before the other and before the queue's end. The caller calls tellNews later.
func (b *Broker) consumerCreated(c *Consumer, cfg *consumeConfig) {
	if !b.tellsOf(c.queue) || c.queue.log != nil { // streams tell only of the end
		return
	}
	prefetch := cfg.prefetch
	if c.queue.quorum && prefetch == 0 && c.queue.version < v4_0 {
		prefetch = defaultQuorumPrefetch
	}
	b.note("consumer.created", c.session.who.user, Table{
		"consumer_tag": c.tag, "exclusive": cfg.exclusive, "ack_required": !c.autoAck, "channel": c.session.pid(),
		"queue": c.queue.name, "prefetch_count": int64(prefetch), "arguments": erlangArguments(cfg.args),
	})
}

// defaultQuorumPrefetch is what RabbitMQ took for no limit in quorum queues before 4.0.
const defaultQuorumPrefetch = 2000

func (b *Broker) consumerDeleted(c *Consumer, why error) {
	if !b.tellsOf(c.queue) {
		return
	}
	user := nobody
	switch {
	case errors.Is(why, ErrQueueDeleted):
		user = ""
	case c.queue.quorum:
	case errors.Is(why, ErrCanceled):
		user = c.session.who.user
	case c.queue.log != nil || c.session.wire && c.session.version >= v4_0:
		return // of those that end with a channel only quorum queues tell, and before 4.0 classic ones
	}
	b.note("consumer.deleted", user, c.eventFields())
}

func (c *Consumer) eventFields() Table {
	return Table{"consumer_tag": c.tag, "channel": c.session.pid(), "queue": c.queue.name}
}

// policySet tells of a policy or an operator policy.
func (b *Broker) policySet(p Policy) {
	if !b.events {
		return
	}
	definition := maps.Clone(p.Definition)
	for key, v := range definition {
		if n, ok := integer(v); ok {
			definition[key] = n
		}
	}
	b.note("policy.set", inProcess.user, Table{
		"name": p.Name, "pattern": p.Pattern, "definition": definition, "priority": int64(p.Priority), "apply-to": string(p.ApplyTo),
	})
}

// policyCleared tells of a "policy" or an "operator policy".
func (b *Broker) policyCleared(noun, name string) {
	if b.events {
		b.note(strings.ReplaceAll(noun, " ", ".")+".cleared", inProcess.user, Table{"name": name})
	}
}

// event tells of a connection or a channel.
func (s *Session) event(key string, headers func() Table) {
	if s.broker.events {
		fields := headers()
		fields["pid"] = s.pid()
		s.broker.noteFields(key, fields)
		s.broker.tellNews()
	}
}

// erlangArguments are arguments as RabbitMQ's events have them: as Erlang prints them,
// in the order of their names.
func erlangArguments(args Table) []any { return array(erlangPairs(args)) }

func erlangPairs(args Table) []string {
	all := make([]string, 0, len(args))
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
		return "[" + strings.Join(erlangPairs(v), ",") + "]"
	case []any:
		all := make([]string, len(v))
		for i, e := range v {
			all[i] = "{" + erlangField(e) + "}"
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	return erlang.Text(v)
}
