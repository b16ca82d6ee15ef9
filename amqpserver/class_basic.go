package amqpserver

import (
	"errors"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// basic.qos: QOS-1 … QOS-9
func (ch *channel) basicQos(m *wire.BasicQos) error {
	if m.PrefetchSize != 0 {
		return notImplemented("prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	ch.mu.Lock() // the writer waits: what the limit lets through is sent after the answer, as in RabbitMQ
	defer ch.mu.Unlock()
	switch {
	case ch.conn.server.compat >= V4_3: // QOS-9
		ch.prefetch = int(m.PrefetchCount)
	case m.Global:
		ch.setWindow(int(m.PrefetchCount))
	default:
		ch.prefetch = int(m.PrefetchCount)
		ch.setWindow(0) // as in RabbitMQ: both limits hold only if this one comes first
	}
	ch.answer(false, &wire.BasicQosOk{})
	return nil
}

// setWindow changes the limit that the channel's consumers share, also those
// that are running (QOS-3, QOS-6). ch.mu is held.
func (ch *channel) setWindow(n int) {
	switch {
	case ch.window == nil && n > 0:
		ch.openWindow(n)
	case ch.window != nil:
		ch.window.Resize(n)
		if n == 0 {
			ch.window = nil // another limit counts from the beginning
		}
	}
}

// openWindow begins a limit. Until all is counted the window has no room.
func (ch *channel) openWindow(n int) {
	ch.window = new(pocketmq.Window)
	running := make([]any, 0, len(ch.consumers))
	for _, k := range ch.consumers {
		if !k.replies { // no queue of RabbitMQ's holds them back
			running = append(running, k.core)
		}
	}
	hook.Cover(ch.window, running, ch.unacked.deliveries(), ch.tx.taken())
	ch.window.Resize(n)
}

// basic.consume: CONS-1 … CONS-13, STREAM-3, STREAM-4, RPC-1 … RPC-3, PERM-9
func (ch *channel) basicConsume(m *wire.BasicConsume) error {
	if m.Queue == replyName {
		return ch.consumeReplies(m)
	}
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if ch.hasConsumer(m.ConsumerTag) {
		return errTagInUse(m.ConsumerTag)
	}
	if err := ch.mayReadQueue(name); err != nil {
		return err
	}
	return ch.consume(m, name, ch.consumeOptions(m)...)
}

func (ch *channel) hasConsumer(tag string) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.consumers[tag] != nil
}

func errTagInUse(tag string) error {
	return failf(wire.CodeNotAllowed, "attempt to reuse consumer tag '%s'", tag)
}

func (ch *channel) consumeOptions(m *wire.BasicConsume) []pocketmq.ConsumeOption {
	opts := append(make([]pocketmq.ConsumeOption, 0, 8), pocketmq.Arguments(m.Arguments))
	if m.Exclusive {
		opts = append(opts, pocketmq.Exclusive())
	}
	if ch.window != nil {
		opts = append(opts, pocketmq.SharedPrefetch(ch.window))
	}
	if m.NoAck {
		opts = append(opts, pocketmq.AutoAck())
	}
	return append(opts, pocketmq.Prefetch(ch.prefetch))
}

// consume starts a consumer.
func (ch *channel) consume(m *wire.BasicConsume, queue string, opts ...pocketmq.ConsumeOption) error {
	tag := m.ConsumerTag
	if tag == "" {
		tag = "amq.ctag-" + randomName()
	}
	k := &consumer{channel: ch, tag: tag, queue: queue, noAck: m.NoAck, replies: isReplyName(queue)}
	k.timeout = ch.timeoutOf(queue, m.Arguments)
	core, err := ch.session.Consume(background, queue, append(opts, pocketmq.ConsumerTag(tag), pocketmq.Notify(k.notify))...)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	k.core = core
	if ch.consumers == nil {
		ch.consumers = map[string]*consumer{}
	}
	ch.consumers[tag] = k
	ch.mu.Unlock()
	ch.answer(m.NoWait, &wire.BasicConsumeOk{ConsumerTag: tag})
	k.start()
	return nil
}

// basic.cancel: CONS-14, CONS-15, CONS-17
func (ch *channel) basicCancel(m *wire.BasicCancel) error {
	if ch.hasConsumer(m.ConsumerTag) {
		ch.conn.handOut()
	}
	ch.mu.Lock()
	k := ch.consumers[m.ConsumerTag]
	if k != nil {
		k.gone = true
		delete(ch.consumers, k.tag)
	}
	ch.mu.Unlock()
	if k != nil {
		k.core.Cancel()
	}
	ch.answer(m.NoWait, &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag})
	return nil
}

// basic.cancel-ok: CONS-16
func (ch *channel) basicCancelOk(*wire.BasicCancelOk) error {
	if ch.conn.server.compat < V4_3 {
		return errUnimplemented()
	}
	return nil
}

// basic.publish: PUB-1 … PUB-17. The message follows in further frames.
func (ch *channel) basicPublish(m *wire.BasicPublish) error {
	ch.content = content{exchange: m.Exchange, key: m.RoutingKey, mandatory: m.Mandatory, immediate: m.Immediate}
	ch.expect = expectHeader
	return nil
}

// basic.get: GET-1 … GET-5, RPC-9, PERM-9
func (ch *channel) basicGet(m *wire.BasicGet) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.mayReadQueue(name); err != nil {
		return err
	}
	var opts []pocketmq.GetOption
	if m.NoAck {
		opts = append(opts, pocketmq.AutoAck())
	}
	d, ok, err := ch.session.Get(background, name, opts...)
	if err != nil {
		return err
	}
	if !ok {
		ch.answer(false, &wire.BasicGetEmpty{})
		return nil
	}
	ch.sendGot(&d, m.NoAck, ch.timeoutOf(name, nil))
	return nil
}

func (ch *channel) sendGot(d *pocketmq.Delivery, noAck bool, timeout time.Duration) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.lastTag++
	if !noAck {
		now := ch.conn.age()
		ch.unacked.add(ch.lastTag, now, timeout, d)
		ch.watch(now, timeout)
	}
	ch.conn.out.sendContent(ch.id, &wire.BasicGetOk{
		DeliveryTag: ch.lastTag, Redelivered: d.Redelivered, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
		MessageCount: uint32(d.MessageCount),
	}, d.Message)
}

// basic.ack: ACK-2 … ACK-7
func (ch *channel) basicAck(m *wire.BasicAck) error {
	return ch.settle(m.DeliveryTag, m.Multiple, pocketmq.Acked)
}

// basic.nack: ACK-2 … ACK-11, DLX-18, QQ-6
func (ch *channel) basicNack(m *wire.BasicNack) error {
	if m.Requeue && ch.conn.server.compat >= V4_3 { // QQ-6
		return ch.settle(m.DeliveryTag, m.Multiple, released)
	}
	return ch.settle(m.DeliveryTag, m.Multiple, outcomeOf(m.Requeue))
}

// basic.reject: ACK-2, ACK-8 … ACK-11
func (ch *channel) basicReject(m *wire.BasicReject) error {
	return ch.settle(m.DeliveryTag, false, outcomeOf(m.Requeue))
}

func outcomeOf(requeue bool) pocketmq.Outcome {
	if requeue {
		return pocketmq.Requeued
	}
	return pocketmq.Rejected
}

// settle settles one delivery, or all up to a tag.
func (ch *channel) settle(tag uint64, multiple bool, o pocketmq.Outcome) error {
	if !multiple && ch.tx == nil && o == pocketmq.Acked {
		ch.mu.Lock()
		d, ok := ch.unacked.take(tag)
		ch.mu.Unlock()
		if !ok {
			return unknownTag(tag)
		}
		_ = d.Ack() // fails only if its consumer was closed, which the client cannot know
		return nil
	}
	taken, ok := ch.take(tag, multiple)
	if !ok {
		return unknownTag(tag)
	}
	if ch.tx != nil {
		ch.tx.settle(taken, o)
		return nil
	}
	return settleAll(taken, o)
}

func unknownTag(tag uint64) error { return preconditionFailed("unknown delivery tag %d", tag) }

// take removes one delivery, or all up to a tag, from those not settled.
func (ch *channel) take(tag uint64, multiple bool) ([]unackedDelivery, bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if multiple {
		return ch.unacked.takeThrough(tag, nil)
	}
	return ch.unacked.takeOne(tag)
}

// settleAll settles deliveries in one step per queue.
func settleAll(taken []unackedDelivery, o pocketmq.Outcome) error {
	all := make([]*pocketmq.Delivery, len(taken))
	for i := range taken {
		all[i] = &taken[i].delivery
	}
	if err := pocketmq.SettleAll(o, all...); !errors.Is(err, pocketmq.ErrSettled) { // that is as with Ack
		return err
	}
	return nil
}

// basic.recover: ACK-13, ACK-15, ACK-16
func (ch *channel) basicRecover(m *wire.BasicRecover) error {
	return ch.recover(m.Requeue, func() { ch.answer(false, &wire.BasicRecoverOk{}) })
}

// basic.recover-async: ACK-14 … ACK-16
func (ch *channel) basicRecoverAsync(m *wire.BasicRecoverAsync) error {
	return ch.recover(m.Requeue, func() {})
}

func (ch *channel) recover(requeue bool, answer func()) error {
	if !requeue {
		return notImplemented("requeue=false")
	}
	taken, _ := ch.take(0, true)
	answer() // it precedes the redeliveries
	if err := settleAll(taken, pocketmq.Requeued); err != nil {
		e := failf(wire.CodeInternalError, "") // some are a stream's: RabbitMQ 3.10 has no answer to that
		e.noMethod = true
		return e
	}
	return nil
}
