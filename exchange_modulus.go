package pocketmq

import (
	"cmp"
	"slices"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// modulusHashRouter sends a message to the one of its bindings that a hash of the
// routing keys says, modulo their number (XPLUG-8). When a binding comes or goes,
// most keys lead elsewhere.
type modulusHashRouter struct{ bindingList }

// add keeps the bindings in RabbitMQ's order, by key, kind and name, so that with
// its hash the same one is picked.
func (r *modulusHashRouter) add(b *binding) {
	all := append(slices.Clone(r.list()), b)
	slices.SortFunc(all, func(a, b *binding) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.to.kind(), b.to.kind()), cmp.Compare(a.to.name(), b.to.name()),
			cmp.Compare(canonical(a.args), canonical(b.args)))
	})
	r.all.Store(&all)
}

func (r *modulusHashRouter) route(to *routing, keys []string, _ *Message) {
	if all := r.list(); len(all) > 0 {
		to.addDestination(all[int(erlang.Hash(keys))%len(all)].to)
	}
}
