package pocketmq

import (
	"cmp"
	"context"
	"slices"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// What packages of this module may do beyond the exported API.
func init() {
	hook.NewMessage = func(properties []byte) any { return newReceivedMessage(properties) }
	hook.Properties = func(m any) (properties []byte, changed bool) { return m.(*Message).receivedProperties() }
	hook.Route = func(s any, exchange, key string, m any) (func(context.Context, bool) error, error) {
		return s.(*Session).route(exchange, key, m.(*Message))
	}
	hook.IsClosed = func(b any) bool { return b.(*Broker).phase.Load() == closed }
	hook.Queue = func(b any, name string) (kind string, exists bool) {
		q, err := b.(*Broker).findQueue(name)
		if err != nil {
			return "", false
		}
		return q.kind(), true
	}
	hook.EndConsumers = func(s any) { s.(*Session).endConsumers() }
	hook.CloseChannels = func(s any) { s.(*Session).closeChildren() }
	hook.CancelConsumers = func(b any, name string) error {
		q, err := b.(*Broker).findQueue(name)
		if err == nil {
			q.cancelAll()
		}
		return err
	}
	hook.Reserve = func(w any, n int) { w.(*Window).put(-n) }
	hook.QueueCount = func(b any) int { return b.(*Broker).queues.Len() }
	hook.Exchange = func(b any, name string) (kind string, exists bool) {
		x, ok := b.(*Broker).exchanges.Load(name)
		if !ok {
			return "", false
		}
		return x.kind, true
	}
	hook.CheckPublish = func(b any, exchange string) error {
		_, err := b.(*Broker).publishable(exchange)
		return err
	}
	hook.TrimName = trimName
	hook.WithoutBCC = func(m any) any { return m.(*Message).withoutBCC() }
	hook.CheckExpiration = func(s string) error {
		_, err := parseExpiration(s)
		return err
	}
	hook.Connection = func(v int, name, user string) any {
		return SessionOption(func(s *Session) {
			s.rabbitMQ, s.wire, s.version, s.who = true, true, version(v), identity{connection: name, user: user}
		})
	}
	hook.Channel = func(s any, number uint16) any {
		child := s.(*Session).Session()
		child.who.channel = number
		return child
	}
	hook.Event = func(s any, key string, headers func() map[string]any) { s.(*Session).event(key, headers) }
	hook.PID = func(s any) string { return s.(*Session).pid() }
	hook.ErlangArguments = erlangArguments
	hook.Released = released
	hook.ReservedName = func() any { return queueOption(func(c *queueConfig) { c.reserved = true }) }
}

// cancelAll cancels all consumers of the queue.
func (q *queue) cancelAll() {
	q.mu.Lock()
	all := slices.Clone(q.consumers)
	q.mu.Unlock()
	for _, c := range all {
		c.Cancel()
	}
}

// version is a version of RabbitMQ, where they differ in what the core does. The
// Go API follows 4.0, and a connection its server's compatibility level.
type version int8

const (
	noVersion version = iota - 1 // of a binding that was made by the Go API
	v3_10
	v4_0
	v4_3

	onlyHere // no version has it
)

// route is the first part of Publish: it finds the queues that a message goes to.
// The function that it returns is the second. In between, transactions hold
// messages back (TX-3).
func (s *Session) route(name, key string, m *Message) (deliver func(ctx context.Context, mandatory bool) error, err error) {
	b := s.broker
	x, err := b.publishable(name)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	more, err := m.moreKeys()
	if err != nil {
		return nil, err
	}
	to := s.destinations(x, key, more, m)
	if b.tracing.Load() {
		s.tracePublish(&item{m, x, key}, more, to.queueNames())
	}
	return func(ctx context.Context, mandatory bool) error {
		if err := s.check(ctx); err != nil {
			return err
		}
		queues, gone := to.exist(b)
		if gone != nil && len(queues) == 0 {
			return gone
		}
		x.published.Add(1)
		var flags PublishOption
		if mandatory {
			flags = Mandatory
		}
		return cmp.Or(b.handOver(ctx, s, queues, to.delays, &item{m, x, key}, flags), gone)
	}, nil
}

// destinations are where a message goes to that is held back. As in RabbitMQ, what the
// bindings are counts when it is published. Before 4.0 they lead to the queues of these
// names, and the default exchange to any name; later, to queues that exist already.
type destinations struct {
	names  []string // before 4.0
	queues []*queue // from 4.0 on
	delays []delay
}

func (s *Session) destinations(x *exchange, key string, more []string, m *Message) (to destinations) {
	if x.name == "" && s.version < v4_0 {
		names := append([]string{key}, more...)
		slices.Sort(names)
		to.names = slices.Compact(names)
		return to
	}
	r := routings.Get().(*routing)
	defer r.release()
	r.run(s.broker, x, key, more, m)
	to.delays = slices.Clone(r.delays)
	if s.version >= v4_0 {
		to.queues = slices.Clone(r.queues)
		return to
	}
	for _, q := range r.queues {
		to.names = append(to.names, q.name)
	}
	return to
}

// queueNames are those of all queues that it goes to, there or not.
func (to *destinations) queueNames() []string {
	names := slices.Clone(to.names)
	for _, q := range to.queues {
		names = append(names, q.name)
	}
	return names
}

// exist returns the queues that are there now, and an error if one of those that were
// there is not.
func (to *destinations) exist(b *Broker) (queues []*queue, gone error) {
	for _, name := range to.names {
		if q, ok := b.queues.Load(name); ok {
			queues = append(queues, q)
		}
	}
	for _, q := range to.queues {
		if now, _ := b.queues.Load(q.name); now == q {
			queues = append(queues, q)
		} else {
			gone = q.deleted()
		}
	}
	return queues, gone
}

// origin is what a message has beside its fields, which nobody sees.
type origin struct {
	message *Message // that it belongs to; a copy may have been changed
	// The properties as they came over a connection. They are passed on as they are,
	// which keeps also what Message has no place for, such as a property that is
	// present and empty.
	properties []byte
	changed    bool     // of the properties, headers and expiration are others now
	dead       bool     // it is a dead letter
	rerouted   bool     // as one it got a key in place of all that it had: CC means nothing any more
	bcc        []string // the routing keys of BCC, which lead a dead message to the same queues again
}

// own returns m's origin, or nil.
func (m *Message) own() *origin {
	if m.origin == nil || m.origin.message != m {
		return nil
	}
	return m.origin
}

// newReceivedMessage returns a message that came with these properties, of which
// the caller sets the fields.
func newReceivedMessage(properties []byte) *Message {
	m := &struct { // one allocation: they live and die together
		Message
		origin
	}{}
	m.origin = origin{message: &m.Message, properties: properties}
	m.Message.origin = &m.origin
	return &m.Message
}

// receivedProperties returns what m, or the message it is a copy of, came with, and
// whether it is a copy.
func (m *Message) receivedProperties() (properties []byte, changed bool) {
	if m.origin == nil {
		return nil, true
	}
	return m.origin.properties, m.origin.message != m || m.origin.changed
}
