package pocketmq

import "github.com/pocketmq/pocketmq/internal/topic"

// topicRouter sends a message to the bindings whose pattern matches its routing
// key (ROUTE-4 to ROUTE-10).
type topicRouter struct{ patterns topic.Trie[destination] }

func (r *topicRouter) slot(b *binding) string { return b.key }
func (r *topicRouter) add(b *binding)         { r.patterns.Insert(b.key, b.to) }
func (r *topicRouter) remove(b *binding)      { r.patterns.Remove(b.key, b.to) }

func (r *topicRouter) route(to *routing, keys []string, _ *Message) {
	for _, key := range keys {
		to.match = r.patterns.Match(to.match[:0], key)
		for _, d := range to.match {
			to.addDestination(d)
		}
	}
}
