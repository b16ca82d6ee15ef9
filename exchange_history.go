package pocketmq

import (
	"slices"
	"sync"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// recentHistoryRouter sends a message to all bindings, and keeps the last ones for
// bindings to come (XPLUG-6).
type recentHistoryRouter struct {
	length int

	mu sync.Mutex // a message is either in the backlog of a new binding or routed to it
	bindingList
	last []item // at most length, the oldest at next once there are as many
	next int
}

const defaultHistory = 20 // messages

// newRecentHistoryRouter reads x-recent-history-length, an integer of RabbitMQ's
// signed types (XPLUG-7).
func newRecentHistoryRouter(args Table) (router, error) {
	v, ok := args["x-recent-history-length"]
	if !ok {
		return &recentHistoryRouter{length: defaultHistory}, nil
	}
	switch v.(type) {
	case int8, int16, int32, int64, int:
		if n, _ := integer(v); n > 0 {
			return &recentHistoryRouter{length: int(n)}, nil
		}
	}
	return nil, preconditionFailed("Invalid argument %s, 'x-recent-history-length' must be a positive integer", erlang.Text(v))
}

func (r *recentHistoryRouter) add(b *binding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.backlog = slices.Concat(r.last[r.next:], r.last[:r.next])
	r.bindingList.add(b)
}

func (r *recentHistoryRouter) route(to *routing, keys []string, m *Message) {
	for _, b := range r.remember(item{m, to.visited[0], keys[0]}) {
		to.addDestination(b.to)
	}
}

// remember keeps a message, unless it asks not to be kept, and returns the
// bindings that it goes to.
func (r *recentHistoryRouter) remember(it item) []*binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case it.msg.Headers["x-recent-history-no-store"] == true:
	case len(r.last) < r.length:
		r.last = append(r.last, it)
	default:
		r.last[r.next] = it
		r.next = (r.next + 1) % r.length
	}
	return r.list()
}
