package pocketmq

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
