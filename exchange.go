package pocketmq

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of exchanges.
const (
	Direct  = "direct"  // to the bindings whose key equals the routing key
	Fanout  = "fanout"  // to all bindings
	Topic   = "topic"   // to the bindings whose pattern matches the routing key: * is one word, # any number
	Headers = "headers" // to the bindings whose arguments match the headers

	// Those of RabbitMQ's plug-ins. The first four pick one binding for each
	// message.
	ConsistentHash = "x-consistent-hash" // by a hash of the routing key; the binding keys are weights
	ModulusHash    = "x-modulus-hash"    // by a hash of the routing key
	Random         = "x-random"          // by chance
	LocalRandom    = "x-local-random"    // by chance, for classic queues only
	RecentHistory  = "x-recent-history"  // as Fanout; a new binding gets the last messages at once
	DelayedMessage = "x-delayed-message" // as DelayedType says, after a delay
)

// A router decides where an exchange's messages go. There is one per kind of
// exchange. Bindings are added and removed under Broker.mu; messages are routed
// meanwhile, without a lock.
type router interface {
	// slot returns what distinguishes this kind's bindings to one destination:
	// add and remove are called for the first and the last binding of a slot.
	slot(b *binding) string
	add(b *binding)
	remove(b *binding)
	// route finds the destinations of a message by its routing keys: the one it was
	// published with, and those of CC and BCC. It reports the same one twice only in
	// different calls of r.add.
	route(r *routing, keys []string, m *Message)
}

// A bindingChecker refuses bindings that mean nothing to its kind.
type bindingChecker interface{ checkBinding(b *binding) error }

// An exact router knows the destinations of a key beforehand, whatever the
// message, which spares it the general path.
type exactRouter interface{ targets(key string) *targets }

// kinds makes a router for each kind of exchange, from the arguments of its
// declaration, or says what is wrong with them. To add a kind, add a file
// exchange_KIND.go with its router, and an entry here.
var kinds = map[string]func(args Table) (router, error){
	Direct:         func(Table) (router, error) { return &directRouter{}, nil },
	Fanout:         func(Table) (router, error) { return &fanoutRouter{}, nil },
	Topic:          func(Table) (router, error) { return &topicRouter{}, nil },
	Headers:        func(Table) (router, error) { return &headersRouter{}, nil },
	ConsistentHash: newConsistentHashRouter,
	ModulusHash:    func(Table) (router, error) { return &modulusHashRouter{}, nil },
	Random:         func(Table) (router, error) { return &randomRouter{}, nil },
	LocalRandom:    func(Table) (router, error) { return &localRandomRouter{}, nil },
	RecentHistory:  newRecentHistoryRouter,
}

// targets are destinations, each once, and never changed once they are seen by
// a reader.
type targets struct {
	queues    []*queue
	exchanges []*exchange
}

// with returns t and d. It may share its memory with t, so that adding n
// destinations is not quadratic: readers of t don't look behind its length.
func (t *targets) with(d destination) *targets {
	if t == nil {
		t = &targets{}
	}
	if d.queue != nil {
		return &targets{append(t.queues, d.queue), t.exchanges}
	}
	return &targets{t.queues, append(t.exchanges, d.exchange)}
}

// without returns t less d, or nil if nothing is left.
func (t *targets) without(d destination) *targets {
	n := &targets{t.queues, t.exchanges}
	if d.queue != nil {
		n.queues = remove(t.queues, d.queue)
	} else {
		n.exchanges = remove(t.exchanges, d.exchange)
	}
	if len(n.queues)+len(n.exchanges) == 0 {
		return nil
	}
	return n
}

func remove[T comparable](from []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(from), func(x T) bool { return x == v })
}

type exchange struct {
	broker     *Broker
	name       string
	kind       string
	durable    bool
	autoDelete bool
	internal   bool
	args       Table
	alternate  atomic.Pointer[string] // nil or "" = none; a policy may change it
	router     router
	exact      exactRouter // the router, if it is one; else nil
	delays     *delays     // the router's, if it delays messages; else nil

	// Guarded by Broker.mu.
	bindings map[string]*binding   // by identity, with this exchange as the source
	slots    map[slot]int          // how many of them are in a slot
	inbound  map[*binding]struct{} // with this exchange as the destination
	inForce  inForce

	_          [64]byte // what follows changes with every message; the above is read by all publishers
	published  atomic.Uint64
	unroutable atomic.Uint64
}

// slot is a key of the router and a destination.
type slot struct {
	key string
	to  destination
}

func newExchange(b *Broker, name, kind string, c exchangeConfig) (*exchange, error) {
	r, err := kinds[kind](c.args)
	if err != nil {
		return nil, err
	}
	x := &exchange{
		broker: b, name: name, kind: kind, durable: c.durable, autoDelete: c.autoDelete, internal: c.internal,
		args: maps.Clone(c.args), router: r,
	}
	x.apply(b.policies.match(x.subject()))
	x.exact, _ = r.(exactRouter)
	if r, ok := r.(*delayedRouter); ok {
		x.delays = newDelays(x, c)
		r.delays = x.delays
	}
	return x, nil
}

func (x *exchange) subject() subject { return subject{name: x.name, groups: exchangeGroups} }

var exchangeGroups = []ApplyTo{ApplyToExchanges}

// apply puts policies into force, of which only the alternate exchange concerns an
// exchange, and not the default one (ROUTE-31). Broker.mu is held.
func (x *exchange) apply(f inForce) {
	x.inForce = f
	if alternate, _ := f.merge(x.args, "")["alternate-exchange"].(string); x.name != "" {
		x.alternate.Store(&alternate)
	}
}

// alternateName is that of the alternate exchange, or "".
func (x *exchange) alternateName() string {
	if name := x.alternate.Load(); name != nil {
		return *name
	}
	return ""
}

// bind adds a binding, and reports whether it is new; binding again changes nothing.
// Broker.mu is held.
func (x *exchange) bind(b *binding) (added bool) {
	id := b.identity()
	if _, ok := x.bindings[id]; ok {
		return false
	}
	if x.bindings == nil {
		x.bindings, x.slots = map[string]*binding{}, map[slot]int{}
	}
	x.bindings[id] = b
	s := slot{x.router.slot(b), b.to}
	if x.slots[s]++; x.slots[s] == 1 {
		x.router.add(b)
	}
	b.to.addInbound(b)
	return true
}

// has reports whether there is a binding that is equal to b. Broker.mu is held.
func (x *exchange) has(b *binding) bool {
	_, ok := x.bindings[b.identity()]
	return ok
}

// unbind removes a binding that is equal to b, if there is one, and reports
// whether there was. Broker.mu is held.
func (x *exchange) unbind(b *binding) bool {
	id := b.identity()
	b, ok := x.bindings[id]
	if !ok {
		return false
	}
	delete(x.bindings, id)
	s := slot{x.router.slot(b), b.to}
	if x.slots[s]--; x.slots[s] == 0 {
		delete(x.slots, s)
		x.router.remove(b)
	}
	delete(*b.to.inbound(), b)
	return true
}

// onlyQueue returns the one queue that a message goes to, if that is known
// without a closer look. That is so for most messages, and for them it pays to
// know it.
func (x *exchange) onlyQueue(key string, m *Message) *queue {
	if x.exact == nil || m.Headers != nil {
		return nil
	}
	if t := x.exact.targets(key); t != nil && len(t.queues) == 1 && len(t.exchanges) == 0 {
		return t.queues[0]
	}
	return nil
}

// routing is one message's way through the exchanges.
type routing struct {
	queues  []*queue
	visited []*exchange
	keys    []string
	delays  []delay             // what holds the message back
	seen    map[*queue]struct{} // the queues, once there are many
	match   []destination       // for routers that collect first
	found   bool                // whether the current exchange led anywhere
}

var routings = sync.Pool{New: func() any { return new(routing) }}

func (r *routing) release() {
	clear(r.queues)
	clear(r.visited)
	clear(r.keys)
	clear(r.match)
	clear(r.seen)
	clear(r.delays)
	*r = routing{
		queues: r.queues[:0], visited: r.visited[:0], keys: r.keys[:0], delays: r.delays[:0], match: r.match[:0], seen: r.seen,
	}
	routings.Put(r)
}

// add records destinations of the current exchange, each at most once per
// message (ROUTE-1, ROUTE-32).
func (r *routing) add(t *targets) {
	if t == nil {
		return
	}
	for _, q := range t.queues {
		r.addQueue(q)
	}
	for _, x := range t.exchanges {
		r.addExchange(x)
	}
}

func (r *routing) addDestination(d destination) {
	if d.queue != nil {
		r.addQueue(d.queue)
	} else {
		r.addExchange(d.exchange)
	}
}

// many is the number of queues from which on a map is quicker than looking
// through the list.
const many = 16

func (r *routing) addQueue(q *queue) {
	r.found = true
	switch {
	case len(r.queues) < many:
		if slices.Contains(r.queues, q) {
			return
		}
	case len(r.seen) == 0:
		if r.seen == nil {
			r.seen = make(map[*queue]struct{}, 4*many)
		}
		for _, known := range r.queues {
			r.seen[known] = struct{}{}
		}
		fallthrough
	default:
		if _, ok := r.seen[q]; ok {
			return
		}
		r.seen[q] = struct{}{}
	}
	r.queues = append(r.queues, q)
}

func (r *routing) addExchange(x *exchange) {
	r.found = true
	if !slices.Contains(r.visited, x) {
		r.visited = append(r.visited, x)
	}
}

// delay is that of a message by an exchange.
type delay struct {
	by   *delays
	time time.Duration
}

// addDelay records that the current exchange holds the message back.
func (r *routing) addDelay(d delay) {
	r.found = true
	r.delays = append(r.delays, d)
}

// run routes a message from exchange x on, which fills r.queues. An exchange
// that leads nowhere at all passes the message to its alternate exchange
// (ROUTE-27, ROUTE-29).
func (r *routing) run(b *Broker, x *exchange, key string, more []string, m *Message) {
	r.keys = append(append(r.keys, key), more...)
	r.addExchange(x)
	for i := 0; i < len(r.visited); i++ { // visited grows meanwhile
		at := r.visited[i]
		r.found = false
		at.router.route(r, r.keys, m)
		// The default exchange leads an alternate message nowhere: its bindings are not
		// real ones. It is so in RabbitMQ too.
		if name := at.alternateName(); !r.found && name != "" {
			if alternate, ok := b.exchanges.Load(name); ok {
				r.addExchange(alternate)
			}
		}
	}
}
