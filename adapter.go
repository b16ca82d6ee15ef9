package pocketmq

import "github.com/pocketmq/pocketmq/internal/hook"

// What packages of this module may do beyond the exported API.
func init() {
	hook.NewMessage = func(properties []byte) any { return newReceivedMessage(properties) }
	hook.Properties = func(m any) []byte { return m.(*Message).receivedProperties() }
	hook.CheckMessage = func(m any) error {
		if err := m.(*Message).check(); err != nil {
			return err
		}
		_, err := m.(*Message).moreKeys()
		return err
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
	hook.Integer = integerArgument
	hook.ReservedName = func() any { return queueOption(func(c *queueConfig) { c.reserved = true }) }
}

// received are the properties of a message as they came over a connection. They
// are passed on as they are, which keeps also what Message has no place for,
// such as a property that is present and empty.
type received struct {
	message    *Message // that they belong to; a copy may have been changed
	properties []byte
}

// newReceivedMessage returns a message that came with these properties, of which
// the caller sets the fields.
func newReceivedMessage(properties []byte) *Message {
	m := &struct { // one allocation: they live and die together
		Message
		received
	}{}
	m.received = received{&m.Message, properties}
	m.Message.received = &m.received
	return &m.Message
}

func (m *Message) receivedProperties() []byte {
	if m.received == nil || m.received.message != m {
		return nil
	}
	return m.received.properties
}
