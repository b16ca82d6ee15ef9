package pocketmq

import (
	"fmt"
	"reflect"
)

// where is the exchange or queue that an error text speaks of.
type where struct{ noun, name, vhost string }

// differs is the error of declaring something again with another property.
func (w where) differs(property string, received, current any) error {
	return preconditionFailed("inequivalent arg '%s' for %s '%s' in vhost '%s': received '%v' but current is '%v'",
		property, w.noun, w.name, w.vhost, received, current)
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

func (w where) inequivalent(key, received, current string) error {
	return preconditionFailed("inequivalent arg '%s' for %s '%s' in vhost '%s': received %s but current is %s",
		key, w.noun, w.name, w.vhost, received, current)
}

func valueText(v any) string { return fmt.Sprintf("'%v' of type '%s'", v, typeName(v)) }
