package pocketmq

import "github.com/pocketmq/pocketmq/internal/smap"

// defaultRouter is a direct exchange whose bindings are the queues' names: it
// reads the broker's table of queues, and has no bindings of its own (ROUTE-2).
type defaultRouter struct{ queues *smap.Map[*queue] }

func (r *defaultRouter) targets(key string) *targets {
	if q, ok := r.queues.Load(key); ok {
		return &q.self
	}
	return nil
}

func (r *defaultRouter) route(to *routing, keys []string, _ *Message) {
	for _, key := range keys {
		to.add(r.targets(key))
	}
}

func (r *defaultRouter) slot(*binding) string { return "" }
func (r *defaultRouter) add(*binding)         {} // binding to it is refused before
func (r *defaultRouter) remove(*binding)      {}
