package amqpserver

import (
	"strings"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// Direct reply-to: a client consumes from replyName, publishes requests with
// replyName as their reply-to, and gets the replies without declaring a queue.
// Here there is one, exclusively the client's and deleted with its consumer,
// whose name the requests carry. So whoever answers, over a connection or in this
// process, publishes to it as to any other.
const (
	replyName   = "amq.rabbitmq.reply-to"
	replyPrefix = replyName + "."
)

// isReplyName reports whether a name belongs to direct reply-to.
func isReplyName(name string) bool {
	return name == replyName || strings.HasPrefix(name, replyPrefix)
}

// maxReplies is how many replies may wait for a client that does not read them.
// Replies beyond it push out the oldest: nobody promised to keep them (RPC-10).
const maxReplies = 10000

// consumeReplies is basic.consume on replyName: RPC-1 … RPC-3.
func (ch *channel) consumeReplies(m *wire.BasicConsume) error {
	switch {
	case ch.hasConsumer(m.ConsumerTag):
		return errTagInUse(m.ConsumerTag)
	case ch.hasReplyConsumer():
		return preconditionFailed("reply consumer already set")
	case !m.NoAck:
		return preconditionFailed("reply consumer cannot acknowledge")
	}
	name := replyPrefix + randomName() + "." + randomName() + "==" // RabbitMQ's end with the padding of their base64
	_, err := ch.session.DeclareQueue(background, name, reservedName(), pocketmq.Exclusive(), pocketmq.AutoDelete(), pocketmq.MaxLength(maxReplies))
	if err != nil {
		return err
	}
	ch.replyTo = name
	return ch.consume(m, name, pocketmq.AutoAck())
}

// hasReplyConsumer reports whether the channel's reply consumer is there still.
func (ch *channel) hasReplyConsumer() bool {
	return ch.replyTo != "" && queueExists(ch.conn.broker, ch.replyTo)
}

// replyQueueInfo answers queue.declare for the names of direct reply-to (RPC-8).
func (ch *channel) replyQueueInfo(name string) (info pocketmq.QueueInfo, isReply bool, err error) {
	if !isReplyName(name) {
		return info, false, nil
	}
	if name != replyName && !queueExists(ch.conn.broker, name) {
		return info, true, ch.noQueue(name)
	}
	return pocketmq.QueueInfo{Name: name, Consumers: 1}, true, nil
}

// noReplyBinding is the error of binding such a name (RPC-9).
func (ch *channel) noReplyBinding(name string) error {
	if ch.conn.server.compat >= V4_3 {
		return accessRefused("cannot bind or unbind to a volatile (direct reply-to) queue")
	}
	return ch.noQueue(name)
}
