package pocketmq

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/smap"
)

// Broker holds exchanges and queues for the goroutines of one process. It is a
// Client; Session makes more of them. All methods may be called from any
// goroutine. Make it with New, and Close it to end its goroutines.
type Broker struct {
	vhost  string
	log    *slog.Logger
	events bool      // see Events
	news   news      // events to be published
	born   time.Time // see now

	phase    atomic.Int32
	tracing  atomic.Bool
	draining chan struct{} // closed when Shutdown begins
	drained  chan struct{} // gets a token when a queue may have run empty while draining

	// Publishers read the tables without a lock; who changes them holds mu.
	exchanges smap.Map[*exchange]
	queues    smap.Map[*queue]
	entries   entryPool // storage that the queues share

	mu       sync.Mutex // taken before all other locks; see unlock
	root     *Session
	sessions map[*Session]struct{} // without root
	policies policies
}

// The phases of a broker's life.
const (
	open     int32 = iota
	draining       // only handlers may publish; nothing new is started
	closed
)

// New returns a broker with the exchanges that AMQP predeclares: "", amq.direct,
// amq.fanout, amq.topic, amq.headers and amq.match, and amq.rabbitmq.trace, for
// SetTracing.
func New(opts ...Option) *Broker {
	b := &Broker{
		vhost: "/", log: slog.New(slog.DiscardHandler), born: time.Now(),
		draining: make(chan struct{}), drained: make(chan struct{}, 1), sessions: map[*Session]struct{}{},
	}
	for _, o := range opts {
		if o != nil {
			o(b)
		}
	}
	b.root = newSession(b)
	b.root.root = true
	byName := &defaultRouter{&b.queues}
	b.exchanges.Store("", &exchange{broker: b, kind: Direct, durable: true, router: byName, exact: byName})
	predeclared := map[string]string{
		"amq.direct": Direct, "amq.fanout": Fanout, "amq.topic": Topic, "amq.headers": Headers, "amq.match": Headers, traceExchange: Topic,
	}
	if b.events {
		predeclared[eventExchange] = Topic
	}
	for name, kind := range predeclared {
		x, err := newExchange(b, name, kind, exchangeConfig{durable: true, internal: name == traceExchange || name == eventExchange})
		invariant.Check(err == nil, "a predeclared exchange without arguments")
		b.exchanges.Store(name, x)
	}
	return b
}

// Session returns a new session.
func (b *Broker) Session(opts ...SessionOption) *Session {
	s := newSession(b)
	for _, o := range opts {
		if o != nil {
			o(s)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase.Load() == closed || b.root == nil {
		s.shut()
	} else {
		b.sessions[s] = struct{}{}
	}
	return s
}

func (b *Broker) forgetSession(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
}

// check reports whether work may begin: while draining only what handlers do is
// let through, so that they can finish.
func (b *Broker) check(ctx context.Context) error {
	switch b.phase.Load() {
	case open:
		return nil
	case draining:
		if ctx.Value(handlerOf{}) == b {
			return nil
		}
		return errDraining
	}
	return errBrokerClosed
}

// findQueue returns the queue of a name.
func (b *Broker) findQueue(name string) (*queue, error) {
	if q, ok := b.queues.Load(name); ok && !q.isGone() {
		return q, nil
	}
	return nil, b.noQueue(name)
}

func (b *Broker) noQueue(name string) error {
	return notFound("no %v", b.at("queue", name))
}

func (b *Broker) noExchange(name string) error {
	return notFound("no %v", b.at("exchange", name))
}

func (b *Broker) defaultExchange() error {
	return accessRefused("operation not permitted on the default exchange")
}

func (b *Broker) locked(q *queue) error {
	return newError(ErrResourceLocked, CodeResourceLocked, "cannot obtain exclusive access to locked %v. It could be originally declared "+
		"on another connection or the exclusive property value does not match that of the original declaration.", q.at())
}
