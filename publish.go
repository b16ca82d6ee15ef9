package pocketmq

import (
	"cmp"
	"context"
)

// publish routes a message and gives it to its queues.
func (b *Broker) publish(ctx context.Context, s *Session, name, key string, m *Message, flags PublishOption) error {
	if err := checkKey("routing key", key); err != nil {
		return err
	}
	x, err := b.publishable(name)
	if err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err // after the above (PUB-1)
	}
	if q := x.onlyQueue(key, m); q != nil && !b.tracing.Load() {
		if err := q.push(ctx, s, &item{m, x, key}, true); err != errGone {
			return err
		}
	}
	x.published.Add(1)
	return b.deliver(ctx, s, x, key, m, flags)
}

// publishable returns the exchange of a name, if a client may publish to it.
func (b *Broker) publishable(name string) (*exchange, error) {
	x, ok := b.exchanges.Load(name)
	switch {
	case !ok:
		return nil, b.noExchange(name)
	case x.internal:
		return nil, accessRefused("cannot publish to internal %v", x.at())
	}
	return x, nil
}

// unrouted is the end of publish for a message that reached no queue.
func (b *Broker) unrouted(x *exchange, key string, flags PublishOption) error {
	x.unroutable.Add(1)
	if b.phase.Load() == closed {
		return errBrokerClosed
	}
	if flags&Mandatory != 0 {
		return newError(ErrUnroutable, CodeNoRoute, "%v leads a message with routing key '%s' to no queue", x.at(), key)
	}
	return nil
}

// deliver gives a message to the queues it is routed to, and to the exchanges that
// delay it.
func (b *Broker) deliver(ctx context.Context, s *Session, x *exchange, key string, m *Message, flags PublishOption) error {
	more, err := m.moreKeys()
	if err != nil {
		return err
	}
	r := routings.Get().(*routing)
	defer r.release()
	r.run(b, x, key, more, m)
	it := &item{m, x, key}
	if b.tracing.Load() {
		s.tracePublish(it, more, namesOf(r.queues))
	}
	return b.handOver(ctx, s, r.queues, r.delays, it, flags)
}

// handOver is the end of publish: a message is where it goes to when it returns.
func (b *Broker) handOver(ctx context.Context, s *Session, queues []*queue, delays []delay, it *item, flags PublishOption) error {
	held, delayErr := delayAll(delays, it)
	routed, err := pushAll(ctx, s, queues, &item{it.msg.withoutBCC(), it.exchange, it.key})
	switch {
	case routed || delayErr != nil:
		return cmp.Or(err, delayErr)
	case held && flags&Mandatory != 0:
		return newError(ErrUnroutable, CodeNoRoute, "%v holds a message with routing key '%s' back: it has reached no queue yet",
			it.exchange.at(), it.key)
	case held:
		return nil
	}
	return b.unrouted(it.exchange, it.key, flags)
}

// release routes a message that was delayed, and can wait for nothing any more.
func (x *exchange) release(it *item) {
	if !x.broker.passOn(x, &item{it.msg.released(), it.exchange, it.key}, it.msg.keysToRepeat(), (*queue).accept) {
		x.unroutable.Add(1)
	}
}

// passOn routes a message from x on that nobody is publishing now, by its key and
// more, to exchanges that delay it and queues. It reports whether that led anywhere.
func (b *Broker) passOn(x *exchange, it *item, more []string, to func(*queue, *item)) (found bool) {
	r := routings.Get().(*routing)
	defer r.release()
	r.run(b, x, it.key, more, it.msg)
	found, _ = delayAll(r.delays, it)
	seen := &item{it.msg.withoutBCC(), it.exchange, it.key}
	for _, q := range r.queues {
		found = true
		to(q, seen)
	}
	return found
}

// tell publishes a message of the broker's own to one of its internal exchanges.
func (b *Broker) tell(exchange, key string, m *Message) {
	x, _ := b.exchanges.Load(exchange)
	x.published.Add(1)
	if !b.passOn(x, &item{m, x, key}, nil, (*queue).accept) {
		x.unroutable.Add(1)
	}
}

// delayAll hands a message to exchanges that delay it. It reports whether any does,
// and the first error.
func delayAll(delays []delay, it *item) (held bool, err error) {
	for _, d := range delays {
		switch e := d.by.add(*it, d.time); e {
		case nil:
			held = true
		case errGone: // deleted since it was looked up: as if it had never been there
		default:
			err = cmp.Or(err, e)
		}
	}
	return held, err
}

func pushAll(ctx context.Context, s *Session, queues []*queue, it *item) (routed bool, err error) {
	for _, q := range queues {
		e := q.push(ctx, s, it, false)
		if e == errGone {
			continue // deleted since it was looked up: as if it had never been there
		}
		routed = true
		if err == nil {
			err = e
		}
	}
	return routed, err
}
