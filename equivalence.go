package pocketmq

import (
	"fmt"
	"reflect"
)

// where is the exchange or queue that an error text speaks of.
type where struct{ noun, name, vhost string }

func (w where) String() string { return w.noun + " '" + w.name + "' in vhost '" + w.vhost + "'" }

func (b *Broker) at(noun, name string) where { return where{noun, name, b.vhost} }

func (q *queue) at() where { return q.broker.at("queue", q.name) }

func (x *exchange) at() where { return x.broker.at("exchange", x.name) }

// sameExchange compares an exchange with a new declaration of it (EXCH-5).
func (b *Broker) sameExchange(x *exchange, kind string, c exchangeConfig) error {
	at := x.at()
	if kind != x.kind {
		return at.differs("type", kind, x.kind)
	}
	for _, p := range []struct {
		name            string
		received, while bool
	}{
		{"durable", c.durable, x.durable},
		{"auto_delete", c.autoDelete, x.autoDelete},
		{"internal", c.internal, x.internal},
	} {
		if p.received != p.while {
			return at.differs(p.name, p.received, p.while)
		}
	}
	if c.maxDelayed > 0 && c.maxDelayed != x.delays.limit {
		return at.differs("MaxDelayed", c.maxDelayed, x.delays.limitText())
	}
	return at.sameArguments(c.args, x.args, "alternate-exchange")
}

// sameQueue compares a queue with a new declaration of it (QUEUE-12).
func (b *Broker) sameQueue(s *Session, q *queue, c queueConfig) error {
	if err := s.mayUse(q); err != nil || c.passive {
		return err
	}
	if c.exclusive != (q.owner != nil) {
		return b.locked(q)
	}
	at := q.at()
	if durable := c.durable && !c.exclusive; durable != q.durable {
		return at.differs("durable", durable, q.durable)
	}
	if c.autoDelete != q.autoDelete {
		return at.differs("auto_delete", c.autoDelete, q.autoDelete)
	}
	if err := at.sameQueueArguments(c, q); err != nil {
		return err
	}
	declared := settingsOf(q.defaults, q.args)
	switch key, limit, otherwise := declared.bound(); {
	case c.unbounded && limit >= 0:
		return at.differs(key, "none", limit)
	case q.unbounded && !c.unbounded && !c.rabbitMQ:
		return at.differs(key, otherwise, "none")
	}
	return nil
}

// differs is the error of declaring something again with another property.
func (w where) differs(property string, received, current any) error {
	return preconditionFailed("inequivalent arg '%s' for %v: received '%v' but current is '%v'",
		property, w, received, current)
}

// sameArguments compares the arguments of two declarations, of which only those
// named in keys count; RabbitMQ stores others and never compares them (EXCH-6,
// QUEUE-16).
func (w where) sameArguments(received, current Table, keys ...string) error {
	for _, key := range keys {
		r, inReceived := received[key]
		c, inCurrent := current[key]
		switch {
		case inReceived && inCurrent && !reflect.DeepEqual(normal(r), normal(c)):
			return w.differs(key, r, c)
		case inReceived && !inCurrent:
			return w.inequivalent(key, "the value "+valueText(r), "none")
		case !inReceived && inCurrent:
			return w.inequivalent(key, "none", "the value "+valueText(c))
		}
	}
	return nil
}

// sameQueueArguments is sameArguments for those of q's type (QUEUE-16).
func (w where) sameQueueArguments(received queueConfig, q *queue) error {
	for _, a := range compared(queueTypeOf(q.args)) {
		var err error
		switch {
		case received.version < a.since:
		case a.key == "x-queue-type":
			err = w.sameType(received, q)
		case a.isOf(queueTypeOf(q.args), received.version, !received.wire):
			err = w.sameArguments(received.args, q.args, a.key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameType compares the types of two declarations of a queue. Since 4.0 a queue
// without the argument is compared as one with the default (QUEUE-17).
func (w where) sameType(received queueConfig, current *queue) error {
	const key = "x-queue-type"
	r, c := queueTypeName(received.args), current.kind()
	switch {
	case r == c:
		return nil
	case received.version >= v4_0:
		return w.differs(key, r, c)
	}
	return w.sameArguments(received.args, current.args, key)
}

func (w where) inequivalent(key, received, current string) error {
	return preconditionFailed("inequivalent arg '%s' for %v: received %s but current is %s", key, w, received, current)
}

func valueText(v any) string { return fmt.Sprintf("'%v' of type '%s'", v, typeName(v)) }
