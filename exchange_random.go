package pocketmq

import (
	"math/rand/v2"
	"sync/atomic"
)

// bindingList holds bindings one by one, for the kinds that pick one of them: a
// destination that is bound twice is picked twice as often.
type bindingList struct{ all atomic.Pointer[[]*binding] }

func (l *bindingList) slot(b *binding) string { return b.identity() }

func (l *bindingList) list() []*binding {
	if p := l.all.Load(); p != nil {
		return *p
	}
	return nil
}

func (l *bindingList) add(b *binding) {
	all := append(l.list(), b)
	l.all.Store(&all)
}

func (l *bindingList) remove(b *binding) {
	all := remove(l.list(), b)
	l.all.Store(&all)
}

// randomRouter sends a message to one of its bindings, each as likely as any other
// (XPLUG-4).
type randomRouter struct{ bindingList }

func (r *randomRouter) route(to *routing, _ []string, _ *Message) {
	if all := r.list(); len(all) > 0 {
		to.addDestination(all[rand.IntN(len(all))].to)
	}
}

// localRandomRouter is a randomRouter for classic queues of this node, as all are
// (XPLUG-5).
type localRandomRouter struct{ randomRouter }

func (r *localRandomRouter) checkBinding(b *binding) error {
	switch {
	case b.key != "":
		return preconditionFailed("Non empty binding '%s' key not permitted", b.key)
	case b.to.queue == nil:
		return preconditionFailed("Destination not found")
	case b.to.queue.kind() != classicType:
		return preconditionFailed("Queue type rabbit_%s_queue not valid for this exchange type", b.to.queue.kind())
	}
	return nil
}
