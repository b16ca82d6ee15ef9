package pocketmq

import (
	"context"
	"sync"
	"sync/atomic"
)

// Session is a part of an application that uses the broker, as a connection is
// in AMQP: it alone may use the queues it declared Exclusive, and when it is
// closed they are deleted, its consumers end, and what it had not settled goes
// back to the queues. Make it with (*Broker).Session. Its methods are those of
// Client.
type Session struct {
	broker   *Broker
	parent   *Session // nil = none
	root     bool     // the broker's own, for what is done without a session
	rabbitMQ bool     // see RabbitMQDefaults
	wire     bool     // it is a connection's
	version  version  // of RabbitMQ that it behaves like
	who      actor
	number   int64 // of all in the process

	mu        sync.Mutex             // taken after all other locks; guards the fields below
	consumers map[string]*Consumer   // by tag
	ended     map[*Consumer]struct{} // ended, but a handler of it may run, or a delivery not be settled
	got       map[*queue]*holder     // what Get handed out
	owned     map[*queue]struct{}    // exclusive queues
	children  map[*Session]struct{}
	closed    atomic.Bool   // set under mu
	over      chan struct{} // closed when closed is set
	tidyAt    int           // how large ended and got may grow before tidy
}

// sessionCount is how many sessions were ever made.
var sessionCount atomic.Int64

func newSession(b *Broker) *Session {
	return &Session{
		broker: b, consumers: map[string]*Consumer{}, ended: map[*Consumer]struct{}{}, got: map[*queue]*holder{}, tidyAt: tidyStep,
		over: make(chan struct{}), version: v4_0, who: inProcess, number: sessionCount.Add(1),
	}
}

// Session returns a session that is a part of s, as a channel is of a connection
// in AMQP. It may use what is exclusively s's, and what it declares Exclusive is
// s's. Its consumers, their tags and its unsettled deliveries are its own, and
// end when it or s is closed. Closing it deletes no queue.
func (s *Session) Session() *Session {
	child := newSession(s.broker)
	child.parent, child.rabbitMQ, child.wire, child.version, child.who = s, s.rabbitMQ, s.wire, s.version, s.who
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		child.shut()
		return child
	}
	if s.children == nil {
		s.children = map[*Session]struct{}{}
	}
	s.children[child] = struct{}{}
	return child
}

// owner is the session that exclusive queues of s belong to.
func (s *Session) owner() *Session {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

// check reports whether work may begin.
func (s *Session) check(ctx context.Context) error {
	if s == nil || s.broker == nil {
		return errNotMade
	}
	if ctx == nil {
		return errNilContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.broker.phase.Load() != open {
		if err := s.broker.check(ctx); err != nil {
			return err
		}
	}
	if s.closed.Load() {
		return errSessionClosed
	}
	return nil
}

// DeclareExchange is described at Client.
func (s *Session) DeclareExchange(ctx context.Context, name, kind string, opts ...ExchangeOption) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	c := configOf(opts, ExchangeOption.exchange)
	c.rabbitMQ, c.user = s.rabbitMQ, s.who.user
	return s.broker.declareExchange(name, kind, c)
}

// DeleteExchange is described at Client.
func (s *Session) DeleteExchange(ctx context.Context, name string, opts ...DeleteOption) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	c := configOf(opts, DeleteOption.delete)
	c.user = s.who.user
	return s.broker.deleteExchange(name, c)
}

// DeclareQueue is described at Client.
func (s *Session) DeclareQueue(ctx context.Context, name string, opts ...QueueOption) (QueueInfo, error) {
	if err := s.check(ctx); err != nil {
		return QueueInfo{}, err
	}
	c := configOf(opts, QueueOption.queue)
	c.rabbitMQ, c.wire, c.version = s.rabbitMQ, s.wire, s.version
	q, err := s.broker.declareQueue(s, name, c)
	if err != nil {
		return QueueInfo{}, err
	}
	return q.info(), nil
}

// DeleteQueue is described at Client.
func (s *Session) DeleteQueue(ctx context.Context, name string, opts ...DeleteOption) (int, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	c := configOf(opts, DeleteOption.delete)
	c.user = s.who.user
	return s.broker.deleteQueue(s, name, c)
}

// PurgeQueue is described at Client.
func (s *Session) PurgeQueue(ctx context.Context, name string) (int, error) {
	q, err := s.queue(ctx, name)
	if err != nil {
		return 0, err
	}
	if q.log != nil {
		return 0, q.notInStreams("queue.purge") // STREAM-6
	}
	return q.purge(), nil
}

// Bind is described at Client.
func (s *Session) Bind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error {
	return s.bind(ctx, bindRequest{source: exchange, queue: queue, key: key}, opts)
}

// Unbind is described at Client.
func (s *Session) Unbind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error {
	return s.bind(ctx, bindRequest{source: exchange, queue: queue, key: key, undo: true}, opts)
}

// BindExchange is described at Client.
func (s *Session) BindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error {
	return s.bind(ctx, bindRequest{source: source, exchange: destination, toExchange: true, key: key}, opts)
}

// UnbindExchange is described at Client.
func (s *Session) UnbindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error {
	return s.bind(ctx, bindRequest{source: source, exchange: destination, toExchange: true, key: key, undo: true}, opts)
}

func (s *Session) bind(ctx context.Context, r bindRequest, opts []BindOption) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	c := configOf(opts, BindOption.bind)
	r.args, r.version = c.args, noVersion
	if s.wire {
		r.version = s.version
	}
	return s.broker.bind(s, r)
}

// Publish is described at Client.
func (s *Session) Publish(ctx context.Context, exchange, key string, m *Message, opts ...PublishOption) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	flags, err := publishFlagsOf(opts)
	if err != nil {
		return err
	}
	return s.broker.publish(ctx, s, exchange, key, m, flags)
}

func publishFlagsOf(opts []PublishOption) (flags PublishOption, err error) {
	for _, o := range opts {
		flags |= o
	}
	if flags&^Mandatory != 0 {
		return 0, invalid("PublishOption %#x: no such flag", uint8(flags))
	}
	return flags, nil
}

// Get is described at Client.
func (s *Session) Get(ctx context.Context, queue string, opts ...GetOption) (Delivery, bool, error) {
	q, err := s.queue(ctx, queue)
	if err != nil {
		return Delivery{}, false, err
	}
	if q.log != nil {
		return Delivery{}, false, q.notInStreams("basic.get") // STREAM-5
	}
	h := s.holderOf(q, nil)
	if h == nil {
		return Delivery{}, false, errSessionClosed // meanwhile: nobody would return the message
	}
	d, ok, err := h.get(configOf(opts, GetOption.get).autoAck)
	if ok && s.broker.tracing.Load() {
		s.traceDelivery(q, &d)
	}
	return d, ok, err
}

// holderOf returns what holds the messages got from q, or nil if the session is
// closed.
func (s *Session) holderOf(q *queue, r *relay) *holder {
	s.mu.Lock()
	h, known := s.got[q]
	if !known && !s.closed.Load() {
		h = &holder{queue: q, eager: true, relay: r}
		s.got[q] = h
	}
	s.mu.Unlock()
	if !known {
		s.tidy()
	}
	return h
}

// queue finds a queue that this session may use.
func (s *Session) queue(ctx context.Context, name string) (*queue, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	q, err := s.broker.findQueue(name)
	if err != nil {
		return nil, err
	}
	return q, s.mayUse(q)
}

// mayUse reports whether q, which may be nil, is another session's (QUEUE-14).
func (s *Session) mayUse(q *queue) error {
	if q == nil || q.owner == nil || q.owner == s.owner() {
		return nil
	}
	return s.broker.locked(q)
}

// own enters an exclusive queue, unless the session was closed, and disown takes
// it out.
func (s *Session) own(q *queue) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	if s.owned == nil {
		s.owned = map[*queue]struct{}{}
	}
	s.owned[q] = struct{}{}
	return true
}

func (s *Session) disown(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.owned, q)
}

func (s *Session) takeOwned() map[*queue]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	owned := s.owned
	s.owned = nil
	return owned
}
