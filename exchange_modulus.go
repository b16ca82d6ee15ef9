package pocketmq

import (
	"cmp"
	"slices"
)

// modulusHashRouter sends a message to the one of its bindings that a hash of the
// routing keys says, modulo their number (XPLUG-8). When a binding comes or goes,
// most keys lead elsewhere.
type modulusHashRouter struct{ bindingList }

// add keeps the bindings in order, so that not the order of binding decides.
func (r *modulusHashRouter) add(b *binding) {
	all := append(slices.Clone(r.list()), b)
	slices.SortFunc(all, func(a, b *binding) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.identity(), b.identity()))
	})
	r.all.Store(&all)
}

func (r *modulusHashRouter) route(to *routing, keys []string, _ *Message) {
	all := r.list()
	if len(all) == 0 {
		return
	}
	to.addDestination(all[hashOf(keys...)%uint64(len(all))].to)
}
