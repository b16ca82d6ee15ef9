package pocketmq

import "github.com/pocketmq/pocketmq/internal/smap"

// directRouter sends a message to the bindings whose key equals its routing key,
// byte for byte (ROUTE-3).
type directRouter struct{ keys smap.Map[*targets] }

func (r *directRouter) slot(b *binding) string { return b.key }

func (r *directRouter) add(b *binding) { r.keys.Store(b.key, r.targets(b.key).with(b.to)) }

func (r *directRouter) remove(b *binding) {
	if left := r.targets(b.key).without(b.to); left != nil {
		r.keys.Store(b.key, left)
	} else {
		r.keys.Delete(b.key)
	}
}

func (r *directRouter) targets(key string) *targets {
	t, _ := r.keys.Load(key)
	return t
}

func (r *directRouter) route(to *routing, keys []string, _ *Message) {
	for _, key := range keys {
		to.add(r.targets(key))
	}
}
