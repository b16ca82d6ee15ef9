package pocketmq

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Shutdown closes the broker gently: from now on only handlers may publish, with
// the context they were given, and it waits until the queues that have consumers
// are empty and all deliveries are settled. Then, or when ctx ends, it does what
// Close does. Give ctx a time limit: a message that is never acked or always
// fails keeps Shutdown waiting. If that takes long it logs for which queues.
//
// The error is that of ctx if it came first, ErrMessagesLost if messages are lost, or
// both (see errors.Is). Messages are also lost that wait in queues that nobody consumes
// from, or are delayed by an exchange: Shutdown does not wait for these to become due.
func (b *Broker) Shutdown(ctx context.Context) error {
	if b.root == nil {
		return errNotMade
	}
	if ctx == nil {
		return errNilContext
	}
	if err := b.checkNoHandler(ctx); err != nil {
		return err
	}
	b.startDraining()
	err := b.drain(ctx)
	lost := b.close()
	switch {
	case lost == nil:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", lost, ctx.Err())
	}
	return lost
}

// checkNoHandler refuses the context of a handler.
func (b *Broker) checkNoHandler(ctx context.Context) error {
	if ctx.Value(handlerOf{}) == b {
		return newError(ErrNotAllowed, CodeNotAllowed, "a handler cannot wait for the broker to shut down: it would wait for itself")
	}
	return nil
}

// startDraining lets the publishers go that wait for room, but for handlers, and
// makes the queues report what Shutdown waits for.
func (b *Broker) startDraining() {
	b.mu.Lock() // whoever declares a queue afterwards sees the phase
	first := b.phase.CompareAndSwap(open, draining)
	b.mu.Unlock()
	if !first {
		return // another Shutdown did, or Close was called
	}
	close(b.draining)
	for _, q := range b.queues.All() {
		q.mu.Lock()
		q.setEager(eagerDraining, true)
		q.collect()
		q.unlock()
	}
}

// drain waits until no queue is busy any more, or ctx ends.
func (b *Broker) drain(ctx context.Context) error {
	patience := time.NewTimer(closeLogInterval)
	defer patience.Stop()
	for b.phase.Load() == draining && b.busy() {
		select {
		case <-b.drained:
		case <-patience.C: // once: see waitFor
			b.logBusy()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// logBusy says for which queues Shutdown waits.
func (b *Broker) logBusy() {
	for _, q := range b.queues.All() {
		q.lock()
		ready, unacked, delayed, busy := q.store().Ready(), q.store().Unacked(), q.fifo.Delayed(), q.isBusy()
		q.release()
		if busy {
			b.log.Warn("shutting down waits for a queue", "queue", q.name, "ready", ready, "unacked", unacked, "delayed", delayed)
		}
	}
}

// busy reports whether a queue that has consumers still has messages, or any
// queue has deliveries that are not settled. It looks
// until nothing was published between two looks: a handler may have moved a
// message behind its back, from a queue not seen yet to one seen empty.
func (b *Broker) busy() bool {
	before, busy := b.look()
	for !busy {
		var after uint64
		if after, busy = b.look(); before == after {
			break
		}
		before = after
	}
	return busy
}

// look is one look of busy. It also returns how many messages have come into all
// queues.
func (b *Broker) look() (published uint64, busy bool) {
	for _, q := range b.queues.All() {
		q.lock()
		published += q.store().Counts().Published
		busy = busy || q.isBusy()
		q.release()
	}
	return published, busy
}

// signalDrain tells Shutdown to look again.
func (b *Broker) signalDrain() {
	select {
	case b.drained <- struct{}{}:
	default:
	}
}

// Close ends the broker: publishers that wait for room get ErrClosed, consumers
// end, the contexts of running handlers end, and Close returns when the handlers
// have. If that takes long it logs whom it waits for. What still waits in the
// queues, or is delayed, is lost; Shutdown lets it be processed. Close may be called more than
// once, and always returns nil. A handler must not call it: it would wait for
// itself.
func (b *Broker) Close() error {
	if b.root != nil { // else it was not made with New: there is nothing to end
		_ = b.close() // logged
	}
	return nil
}

// close is Close, and returns an ErrMessagesLost if messages are lost.
func (b *Broker) close() error {
	b.phase.Store(closed)
	b.signalDrain() // a Shutdown under way gives up
	b.mu.Lock()
	sessions := slices.AppendSeq([]*Session{b.root}, maps.Keys(b.sessions))
	b.mu.Unlock()
	delayed := b.endDelays() // first: what they have released is in queues then
	lost := cmp.Or(b.endQueues(), delayed)
	b.endSessions(sessions, errBrokerClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.sessions)
	return lost
}

// endQueues makes all queues refuse messages, logs which are lost, and returns
// the first such loss.
func (b *Broker) endQueues() (lost error) {
	for _, q := range b.queues.All() {
		n, held, err := q.delete(deleteConfig{}, errBrokerClosed)
		if n += held; err != nil || n == 0 {
			continue
		}
		b.log.Warn("closing the broker loses messages", "queue", q.name, "messages", n)
		if lost == nil {
			count, are := messages(n)
			lost = newError(ErrMessagesLost, CodeConnectionForced, "%s in queue '%s' %s lost with the broker", count, q.name, are)
		}
	}
	return lost
}

// messages is a number of messages in words, and the verb that goes with it.
func messages(n int) (count, are string) {
	if n == 1 {
		return "1 message", "is"
	}
	return fmt.Sprintf("%d messages", n), "are"
}

// endDelays is endQueues for the messages that exchanges hold back.
func (b *Broker) endDelays() (lost error) {
	for _, x := range b.exchanges.All() {
		if x.delays == nil {
			continue
		}
		n := x.delays.end(errBrokerClosed)
		x.delays.settle()
		if n == 0 {
			continue
		}
		b.log.Warn("closing the broker loses delayed messages", "exchange", x.name, "messages", n)
		if lost == nil {
			count, are := messages(n)
			lost = newError(ErrMessagesLost, CodeConnectionForced, "%s that exchange '%s' delays %s lost with the broker", count, x.name, are)
		}
	}
	return lost
}

// closeLogInterval is how long a Close waits before it says for whom.
const closeLogInterval = 5 * time.Second

// waitFor waits until no handler of these consumers runs. It says once if that
// takes long: in a synctest bubble, a timer set over and over would hide that
// everybody waits for ever.
func (b *Broker) waitFor(consumers []*Consumer) {
	patience := time.NewTimer(closeLogInterval)
	defer patience.Stop()
	for _, c := range consumers {
		select {
		case <-c.done:
			continue
		case <-patience.C:
		}
		for _, c := range consumers {
			if !c.isDone() {
				b.log.Warn("closing waits for a handler", "queue", c.queue.name, "consumer", c.tag)
			}
		}
		<-c.done
	}
}
