package pocketmq

import (
	"errors"
	"fmt"
)

// CheckInvariants reports the first contradiction in the broker's state, or nil.
func (b *Broker) CheckInvariants() error {
	var errs []error
	for name, q := range b.queues.All() {
		errs = append(errs, inQueue(name, q.checkInvariants()))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.exchanges.All() {
		errs = append(errs, x.checkInvariants(b))
	}
	return errors.Join(errs...)
}

func inQueue(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("queue %q: %w", name, err)
}

func (q *queue) checkInvariants() error {
	q.lock()
	defer q.unlock()
	if q.waiters != nil {
		q.admitWaiters() // what was just collected may have made room
	}
	if err := q.store().Check(); err != nil {
		return err
	}
	if q.consumers.Len() != q.store().Consumers() {
		return errors.New("the shell and the store count different consumers")
	}
	if shared := q.eager.Load()&eagerShared != 0; shared != (q.consumers.Len() > 1 && q.log == nil) {
		return errors.New("eagerShared is wrong")
	}
	if waiting := q.eager.Load()&eagerWaiters != 0; waiting != (len(q.waiters) > 0) {
		return errors.New("eagerWaiters is wrong")
	}
	if q.gone == nil && len(q.waiters) > 0 && !q.fifo.Full() {
		return errors.New("a publisher waits although there is room")
	}
	if err := q.checkLetters(); err != nil {
		return err
	}
	if q.gone != nil && q.store().Ready() > 0 {
		return errors.New("messages wait in a queue that is gone")
	}
	return nil
}

func (q *queue) checkLetters() error {
	o := q.outbox
	if o == nil {
		o = new(outbox)
	}
	n := len(o.held)
	for _, l := range o.letters {
		if l.Held {
			n++
		}
	}
	switch {
	case !o.sending && n != q.fifo.Held(): // else some are on their way
		return fmt.Errorf("%d dead letters are held, but %d are counted", n, q.fifo.Held())
	case (o.again != nil) != (len(o.held) > 0):
		return errors.New("the timer for dead letters is wrong")
	}
	return nil
}

// checkInvariants checks that both ends of each binding know it. b.mu is held.
func (x *exchange) checkInvariants(b *Broker) error {
	slots := 0
	for _, n := range x.slots {
		slots += n
	}
	if slots != len(x.bindings) {
		return fmt.Errorf("exchange %q: %d bindings in %d slots", x.name, len(x.bindings), slots)
	}
	for id, n := range x.bindings {
		if _, ok := (*n.to.inbound())[n]; !ok || n.source != x || n.identity() != id {
			return fmt.Errorf("exchange %q: the binding %s is known on one side only", x.name, id)
		}
		if x := n.to.exchange; x != nil {
			if current, _ := b.exchanges.Load(x.name); current != x {
				return fmt.Errorf("exchange %q: the binding %s leads to an exchange that is gone", x.name, id)
			}
		}
	}
	for n := range x.inbound {
		if n.source.bindings[n.identity()] != n {
			return fmt.Errorf("exchange %q: a binding to it is unknown to its source", x.name)
		}
	}
	return nil
}

// Used is the number of units that are taken.
func (w *Window) Used() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used
}

// Waiting is the number of queues that are to be told when there is room.
func (w *Window) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// Remembered is the number of consumers and of queues that the session has not
// forgotten.
func (s *Session) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.consumers) + len(s.ended) + len(s.got) + len(s.owned)
}

// WithPolicies are the arguments of a queue, with these definitions of policies.
func WithPolicies(args, user, operator Table) Table {
	return inForce{&policy{Policy: Policy{Definition: user}}, &policy{Policy: Policy{Definition: operator}}}.merge(args, "x-")
}
