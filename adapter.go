package pocketmq

import (
	"context"
	"slices"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// What packages of this module may do beyond the exported API.
func init() {
	hook.NewMessage = func(properties []byte) any { return newReceivedMessage(properties) }
	hook.Properties = func(m any) ([]byte, bool) { return m.(*Message).receivedProperties() }
	hook.Route = func(s any, exchange, key string, m any) (func(context.Context, bool) error, error) {
		return s.(*Session).route(exchange, key, m.(*Message))
	}
	hook.IsClosed = func(b any) bool { return b.(*Broker).phase.Load() == closed }
	hook.QueueExists = func(b any, name string) bool {
		_, err := b.(*Broker).findQueue(name)
		return err == nil
	}
	hook.Exchange = func(b any, name string) (kind string, internal, exists bool) {
		x, ok := b.(*Broker).exchanges.Load(name)
		if !ok {
			return "", false, false
		}
		return x.kind, x.internal, true
	}
	hook.Connection = func(v int) any {
		return SessionOption(func(s *Session) { s.rabbitMQ, s.wire, s.version = true, true, version(v) })
	}
	hook.Released = released
	hook.Integer = integerArgument
	hook.ReservedName = func() any { return queueOption(func(c *queueConfig) { c.reserved = true }) }
}

// version is a version of RabbitMQ, where they differ in what the core does. The
// Go API follows 4.0, and a connection its server's compatibility level.
type version int

const (
	_ version = iota // 3.10
	v4_0
	v4_3

	onlyHere // no version has it
)

// route is the first part of Publish: it finds the queues that a message goes to.
// The function that it returns is the second. In between, transactions hold
// messages back (TX-3).
func (s *Session) route(name, key string, m *Message) (deliver func(ctx context.Context, mandatory bool) error, err error) {
	b := s.broker
	x, ok := b.exchanges.Load(name)
	switch {
	case !ok:
		return nil, b.noExchange(name)
	case x.internal:
		return nil, accessRefused("cannot publish to internal exchange '%s' in vhost '%s'", name, b.vhost)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	more, err := m.moreKeys()
	if err != nil {
		return nil, err
	}
	names := b.routedNames(x, key, more, m)
	it := item{m.withoutBCC(), x, key}
	return func(ctx context.Context, mandatory bool) error {
		if err := s.check(ctx); err != nil {
			return err
		}
		var queues []*queue
		for _, name := range names {
			if q, ok := b.queues.Load(name); ok {
				queues = append(queues, q)
			}
		}
		x.published.Add(1)
		if routed, err := pushAll(ctx, s, queues, &it); routed {
			return err
		}
		var flags PublishOption
		if mandatory {
			flags = Mandatory
		}
		return b.unrouted(x, key, flags)
	}, nil
}

// routedNames returns the names of the queues that a message goes to. As in
// RabbitMQ, what the bindings are counts now, but which queues exist when they are
// looked up: the default exchange leads to any name.
func (b *Broker) routedNames(x *exchange, key string, more []string, m *Message) (names []string) {
	if x.name == "" {
		names = append(append(names, key), more...)
		slices.Sort(names)
		return slices.Compact(names)
	}
	r := routings.Get().(*routing)
	defer r.release()
	r.run(b, x, key, more, m)
	for _, q := range r.queues {
		names = append(names, q.name)
	}
	return names
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

func (m *Message) receivedProperties() (properties []byte, changed bool) {
	if o := m.own(); o != nil {
		return o.properties, o.changed
	}
	return nil, false
}
