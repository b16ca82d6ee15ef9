package pocketmq

import "sync/atomic"

// fanoutRouter sends a message to all bindings.
type fanoutRouter struct{ all atomic.Pointer[targets] }

func (r *fanoutRouter) slot(*binding) string { return "" }

func (r *fanoutRouter) add(b *binding)    { r.all.Store(r.all.Load().with(b.to)) }
func (r *fanoutRouter) remove(b *binding) { r.all.Store(r.all.Load().without(b.to)) }

func (r *fanoutRouter) targets(string) *targets { return r.all.Load() }

func (r *fanoutRouter) route(to *routing, _ []string, _ *Message) { to.add(r.all.Load()) }
