package amqpserver

import (
	"strings"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// queueName is the queue that a method is about: the one it names, or the one
// declared last on the channel (QUEUE-6).
func (ch *channel) queueName(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if ch.lastQueue == "" {
		return "", errNoLastQueue()
	}
	return ch.lastQueue, nil
}

func errNoLastQueue() error { return notFound("no previously declared queue") }

// queue.declare: QUEUE-1 … QUEUE-19, RPC-8, PERM-6, PERM-7, PERM-10, PERM-11
func (ch *channel) queueDeclare(m *wire.QueueDeclare) error {
	name := cleanName(m.Queue)
	info, isReply, err := ch.replyQueueInfo(name)
	switch {
	case isReply:
	case m.Passive:
		info, err = ch.queueDeclarePassive(name)
	default:
		info, err = ch.queueDeclareActive(name, m)
	}
	if err != nil {
		return err
	}
	ch.lastQueue = info.Name
	ch.answer(m.NoWait, &wire.QueueDeclareOk{Queue: info.Name, MessageCount: uint32(info.Messages), ConsumerCount: uint32(info.Consumers)})
	return nil
}

func (ch *channel) queueDeclarePassive(name string) (pocketmq.QueueInfo, error) {
	if name == "" { // QUEUE-4
		return pocketmq.QueueInfo{}, ch.noQueue("")
	}
	info, err := ch.session.DeclareQueue(background, name, pocketmq.Passive())
	if err == nil {
		err = ch.mayAny("queue", name)
	}
	return info, err
}

func (ch *channel) queueDeclareActive(name string, m *wire.QueueDeclare) (info pocketmq.QueueInfo, err error) {
	opts := append(make([]pocketmq.QueueOption, 0, 5), pocketmq.Arguments(m.Arguments))
	switch {
	case name == "":
		name = "amq.gen-" + randomName()
		opts = append(opts, reservedName())
	case strings.HasPrefix(name, "amq."): // even if there is one
		return info, accessRefused("queue name '%s' contains reserved prefix 'amq.*'", name)
	}
	if err := ch.mayDeclareQueue(name, m); err != nil {
		return info, err
	}
	if !m.Durable && !m.Exclusive && ch.conn.server.compat >= V4_3 && !queueExists(ch.conn.broker, name) { // QUEUE-20
		return info, failf(wire.CodeInternalError, "%s", deniedFeature("transient_nonexcl_queues"))
	}
	if m.Durable {
		opts = append(opts, pocketmq.Durable())
	}
	if m.AutoDelete {
		opts = append(opts, pocketmq.AutoDelete())
	}
	if m.Exclusive {
		opts = append(opts, pocketmq.Exclusive())
	}
	return ch.session.DeclareQueue(background, name, opts...)
}

// deniedFeature is what RabbitMQ says of a feature that it denies by default, as far
// as it fits a reply text.
func deniedFeature(name string) string {
	return "Feature `" + name + "` is deprecated.\n" +
		"By default, this feature is not permitted anymore.\n" +
		"The feature will be removed from a future major RabbitMQ version, regardless of the configuration; " +
		"actual version to be determined.\n" +
		"To continue using this feature when it is not permitted by default, set the following parameter in your configuration:\n" +
		"    \"deprecated_features.permit." + name + " = true\""
}

func (ch *channel) mayDeclareQueue(name string, m *wire.QueueDeclare) error {
	if err := ch.mayConfigure("queue", name); err != nil {
		return err
	}
	if queueExists(ch.conn.broker, name) {
		return nil
	}
	if err := ch.mayAddQueue(name); err != nil {
		return err
	}
	deadLetters, ok := m.Arguments["x-dead-letter-exchange"].(string)
	if !ok { // DLX-19
		return nil
	}
	if err := ch.mayRead("queue", name); err != nil {
		return err
	}
	return ch.mayWrite("exchange", deadLetters)
}

func (ch *channel) noQueue(name string) error {
	return notFound("no queue '%s' in vhost '%s'", name, ch.conn.vhost)
}

// mayReadQueue checks that messages may be taken out of a queue; from that of a
// direct reply-to nobody but its consumer may.
func (ch *channel) mayReadQueue(name string) error {
	if err := ch.mayRead("queue", name); err != nil {
		return err
	}
	if isReplyName(name) {
		return ch.noQueue(name)
	}
	return nil
}

// mayAny is the permission for a passive declaration since 4.3 (PERM-11).
func (ch *channel) mayAny(noun, name string) error {
	if ch.conn.server.compat < V4_3 || ch.mayRead(noun, name) == nil || ch.mayWrite(noun, name) == nil {
		return nil
	}
	return ch.mayConfigure(noun, name)
}

// queue.bind: EXCH-25, EXCH-26, EXCH-30, RPC-9, PERM-8
func (ch *channel) queueBind(m *wire.QueueBind) error {
	queue, source, key, err := ch.mayBindQueue(m.Queue, m.Exchange, m.RoutingKey)
	if err != nil {
		return err
	}
	if err := ch.session.Bind(background, queue, source, key, pocketmq.Arguments(m.Arguments)); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.QueueBindOk{})
	return nil
}

// queue.unbind: EXCH-28 … EXCH-30, RPC-9, PERM-8. It has no nowait.
func (ch *channel) queueUnbind(m *wire.QueueUnbind) error {
	queue, source, key, err := ch.mayBindQueue(m.Queue, m.Exchange, m.RoutingKey)
	if err != nil {
		return err
	}
	if err := ch.session.Unbind(background, queue, source, key, pocketmq.Arguments(m.Arguments)); err != nil {
		return err
	}
	ch.answer(false, &wire.QueueUnbindOk{})
	return nil
}

// mayBindQueue finds the parties of a binding and checks access to them.
func (ch *channel) mayBindQueue(queue, exchange, key string) (q, x, k string, err error) {
	q, err = ch.queueName(queue)
	if err != nil {
		return "", "", "", err
	}
	q = cleanName(q)
	if queue == "" && key == "" {
		key = q // EXCH-30
	}
	x = cleanName(exchange)
	if x == "" {
		return "", "", "", errDefaultExchange()
	}
	if err := ch.mayWrite("queue", q); err != nil {
		return "", "", "", err
	}
	if err := ch.mayBindFrom(x, key); err != nil {
		return "", "", "", err
	}
	if isReplyName(q) {
		return "", "", "", ch.noReplyBinding(q)
	}
	return q, x, key, nil
}

// queue.purge: QUEUE-29, QUEUE-30, PERM-9
func (ch *channel) queuePurge(m *wire.QueuePurge) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.mayReadQueue(name); err != nil {
		return err
	}
	n, err := ch.session.PurgeQueue(background, name)
	if err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.QueuePurgeOk{MessageCount: uint32(n)})
	return nil
}

// queue.delete: QUEUE-24 … QUEUE-28, RPC-9, PERM-6
func (ch *channel) queueDelete(m *wire.QueueDelete) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	name = cleanName(name)
	if err := ch.mayConfigure("queue", name); err != nil {
		return err
	}
	if isReplyName(name) {
		ch.answer(m.NoWait, &wire.QueueDeleteOk{})
		return nil
	}
	var opts []pocketmq.DeleteOption
	if m.IfUnused {
		opts = append(opts, pocketmq.IfUnused())
	}
	if m.IfEmpty {
		opts = append(opts, pocketmq.IfEmpty())
	}
	ch.conn.handOut()
	// With the lock the writer cannot tell of the cancelled consumers of this
	// channel before delete-ok is sent (QUEUE-28).
	ch.mu.Lock()
	defer ch.mu.Unlock()
	n, err := ch.session.DeleteQueue(background, name, opts...)
	if err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.QueueDeleteOk{MessageCount: uint32(n)})
	return nil
}
