package amqpserver

import (
	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// The types of what the core offers to this package only.

// newMessage returns a message that was received with these properties. The
// fields are to be set from them.
func newMessage(properties []byte) *pocketmq.Message {
	return hook.NewMessage(properties).(*pocketmq.Message)
}

// rawProperties returns the properties that a message was received with, nil if it
// was published in this process, and whether it is a copy, which may differ.
func rawProperties(m *pocketmq.Message) (properties []byte, changed bool) { return hook.Properties(m) }

// newSession returns a session that behaves as a connection to this version of
// RabbitMQ.
func (c *conn) newSession(b *pocketmq.Broker) *pocketmq.Session {
	return b.Session(hook.Connection(hook.Version(c.server.compat), c.name, c.user.name).(pocketmq.SessionOption))
}

// newChannel returns a session for a channel.
func (c *conn) newChannel(number uint16) *pocketmq.Session {
	return hook.Channel(c.session, number).(*pocketmq.Session)
}

// given has f called, with the queue's lock held, for each message that a queue gives to
// this consumer and not to another one.
func given(f func()) pocketmq.ConsumeOption { return hook.Given(f).(pocketmq.ConsumeOption) }

// released is the outcome of a delivery that goes back without counting against the
// delivery limit.
var released = hook.Released.(pocketmq.Outcome)

func isClosed(b *pocketmq.Broker) bool { return hook.IsClosed(b) }

func queueExists(b *pocketmq.Broker, name string) bool {
	_, exists := hook.Queue(b, name)
	return exists
}

func queueCount(b *pocketmq.Broker) int { return hook.QueueCount(b) }

func cancelConsumers(b *pocketmq.Broker, queue string) error { return hook.CancelConsumers(b, queue) }

func exchangeExists(b *pocketmq.Broker, name string) bool {
	_, exists := hook.Exchange(b, name)
	return exists
}

// isTopic reports whether there is a topic exchange of this name.
func (ch *channel) isTopic(exchange string) bool {
	kind, _ := hook.Exchange(ch.conn.broker, exchange)
	return kind == pocketmq.Topic
}

// reservedName allows a queue's name to begin with "amq.".
func reservedName() pocketmq.QueueOption { return hook.ReservedName().(pocketmq.QueueOption) }

// randomName returns the 22 characters with which names end that are made up.
func randomName() string { return hook.RandomName() }
