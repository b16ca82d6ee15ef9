package pocketmq

import (
	"strings"

	"github.com/pocketmq/pocketmq/internal/topic"
)

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

// checkBinding reports a pattern with more wildcards than 4.3 allows (ROUTE-11).
func (r *topicRouter) checkBinding(b *binding) error {
	const most = 2
	n := 0
	for word := range strings.SplitSeq(b.key, ".") {
		if word == "#" {
			n++
		}
	}
	if b.version < v4_3 || n <= most {
		return nil
	}
	return preconditionFailed("Topic binding key '%s' uses %d '#' wildcards, at most %d are allowed", b.key, n, most)
}
