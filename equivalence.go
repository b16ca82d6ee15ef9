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
