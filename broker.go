package pocketmq

import (
	"cmp"
	"context"
	"encoding/base64"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

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
	born   time.Time // see now

	phase    atomic.Int32
	tracing  atomic.Bool
	draining chan struct{} // closed when Shutdown begins
	drained  chan struct{} // gets a token when a queue may have run empty while draining

	// Publishers read the tables without a lock; who changes them holds mu.
	exchanges smap.Map[*exchange]
	queues    smap.Map[*queue]
	entries   entryPool // storage that the queues share

	mu       sync.Mutex // taken before all other locks
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

// publish routes a message and gives it to its queues.
func (b *Broker) publish(ctx context.Context, s *Session, name, key string, m *Message, flags PublishOption) error {
	if err := checkKey("routing key", key); err != nil {
		return err
	}
	x, err := b.publishable(name)
	if err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err // after the above (PUB-1)
	}
	if q := x.onlyQueue(key, m); q != nil && !b.tracing.Load() {
		if err := q.push(ctx, s, &item{m, x, key}, true); err != errGone {
			return err
		}
	}
	x.published.Add(1)
	return b.deliver(ctx, s, x, key, m, flags)
}

// publishable returns the exchange of a name, if a client may publish to it.
func (b *Broker) publishable(name string) (*exchange, error) {
	x, ok := b.exchanges.Load(name)
	switch {
	case !ok:
		return nil, b.noExchange(name)
	case x.internal:
		return nil, accessRefused("cannot publish to internal %v", x.at())
	}
	return x, nil
}

// unrouted is the end of publish for a message that reached no queue.
func (b *Broker) unrouted(x *exchange, key string, flags PublishOption) error {
	x.unroutable.Add(1)
	if b.phase.Load() == closed {
		return errBrokerClosed
	}
	if flags&Mandatory != 0 {
		return newError(ErrUnroutable, CodeNoRoute, "%v leads a message with routing key '%s' to no queue", x.at(), key)
	}
	return nil
}

// deliver gives a message to the queues it is routed to, and to the exchanges that
// delay it.
func (b *Broker) deliver(ctx context.Context, s *Session, x *exchange, key string, m *Message, flags PublishOption) error {
	more, err := m.moreKeys()
	if err != nil {
		return err
	}
	r := routings.Get().(*routing)
	defer r.release()
	r.run(b, x, key, more, m)
	it := &item{m, x, key}
	if b.tracing.Load() {
		s.tracePublish(it, more, s.routedNames(it, r))
	}
	return b.handOver(ctx, s, r.queues, r.delays, it, flags)
}

// handOver is the end of publish: a message is where it goes to when it returns.
func (b *Broker) handOver(ctx context.Context, s *Session, queues []*queue, delays []delay, it *item, flags PublishOption) error {
	held, delayErr := delayAll(delays, it)
	routed, err := pushAll(ctx, s, queues, &item{it.msg.withoutBCC(), it.exchange, it.key})
	switch {
	case routed || delayErr != nil:
		return cmp.Or(err, delayErr)
	case held && flags&Mandatory != 0:
		return newError(ErrUnroutable, CodeNoRoute, "%v holds a message with routing key '%s' back: it has reached no queue yet",
			it.exchange.at(), it.key)
	case held:
		return nil
	}
	return b.unrouted(it.exchange, it.key, flags)
}

// release routes a message that was delayed, and can wait for nothing any more.
func (x *exchange) release(it *item) {
	if !x.broker.passOn(x, &item{it.msg.released(), it.exchange, it.key}, it.msg.keysToRepeat(), (*queue).accept) {
		x.unroutable.Add(1)
	}
}

// catchUp gives the destination of a new binding what came before.
func (b *Broker) catchUp(n *binding) {
	for _, it := range n.backlog {
		if n.to.queue != nil {
			n.to.queue.accept(&item{it.msg.withoutBCC(), it.exchange, it.key})
		}
	}
	for _, it := range slices.Backward(n.backlog) { // as RabbitMQ does
		if n.to.exchange != nil {
			b.passOn(n.to.exchange, &it, it.msg.keysToRepeat(), (*queue).accept)
		}
	}
	n.backlog = nil
}

// passOn routes a message from x on that nobody is publishing now, by its key and
// more, to exchanges that delay it and queues. It reports whether that led anywhere.
func (b *Broker) passOn(x *exchange, it *item, more []string, to func(*queue, *item)) (found bool) {
	r := routings.Get().(*routing)
	defer r.release()
	r.run(b, x, it.key, more, it.msg)
	found, _ = delayAll(r.delays, it)
	seen := &item{it.msg.withoutBCC(), it.exchange, it.key}
	for _, q := range r.queues {
		found = true
		to(q, seen)
	}
	return found
}

// delayAll hands a message to exchanges that delay it. It reports whether any does,
// and the first error.
func delayAll(delays []delay, it *item) (held bool, err error) {
	for _, d := range delays {
		switch e := d.by.add(*it, d.time); e {
		case nil:
			held = true
		case errGone: // deleted since it was looked up: as if it had never been there
		default:
			err = cmp.Or(err, e)
		}
	}
	return held, err
}

func pushAll(ctx context.Context, s *Session, queues []*queue, it *item) (routed bool, err error) {
	for _, q := range queues {
		e := q.push(ctx, s, it, false)
		if e == errGone {
			continue // deleted since it was looked up: as if it had never been there
		}
		routed = true
		if err == nil {
			err = e
		}
	}
	return routed, err
}

// declareExchange is described at Client.DeclareExchange.
func (b *Broker) declareExchange(name, kind string, c exchangeConfig) error {
	name = trimName(name)
	if err := checkName("exchange", name); err != nil {
		return err
	}
	if name == "" {
		return b.defaultExchange()
	}
	if c.err != nil {
		return c.err
	}
	if c.maxDelayed > 0 && kind != DelayedMessage {
		return invalid("MaxDelayed is for exchanges of the type '%s'", DelayedMessage)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	x, exists := b.exchanges.Load(name)
	switch {
	case c.passive && exists:
		return nil
	case c.passive:
		return b.noExchange(name)
	case kinds[kind] == nil:
		return unknownKind(kind)
	case exists:
		return b.sameExchange(x, kind, c)
	case strings.HasPrefix(name, "amq."):
		return accessRefused("exchange name '%s' contains reserved prefix 'amq.*'", name)
	}
	if err := b.at("exchange", name).checkExchangeArguments(c.args); err != nil {
		return err
	}
	x, err := newExchange(b, name, kind, c)
	if err != nil {
		return err
	}
	b.exchanges.Store(name, x)
	b.exchangeCreated(x, c.user)
	return nil
}

func unknownKind(kind string) error {
	problem := "unknown"
	if kind == "" { // RabbitMQ says so of all words that it has any other use for
		problem = "invalid"
	}
	return newError(ErrInvalid, CodeCommandInvalid, "%s exchange type '%s'", problem, kind)
}

// sameExchange compares an exchange with a new declaration of it (EXCH-5).
func (b *Broker) sameExchange(x *exchange, kind string, c exchangeConfig) error {
	at := x.at()
	if kind != x.kind {
		return at.differs("type", kind, x.kind)
	}
	for _, p := range []struct {
		name            string
		received, while bool
	}{
		{"durable", c.durable, x.durable},
		{"auto_delete", c.autoDelete, x.autoDelete},
		{"internal", c.internal, x.internal},
	} {
		if p.received != p.while {
			return at.differs(p.name, p.received, p.while)
		}
	}
	if c.maxDelayed > 0 && c.maxDelayed != x.delays.limit {
		return at.differs("MaxDelayed", c.maxDelayed, x.delays.limitText())
	}
	return at.sameArguments(c.args, x.args, "alternate-exchange")
}

// deleteExchange is described at Client.DeleteExchange.
func (b *Broker) deleteExchange(name string, c deleteConfig) error {
	name = trimName(name)
	if err := checkName("exchange", name); err != nil {
		return err
	}
	if name == "" {
		return b.defaultExchange()
	}
	if strings.HasPrefix(name, "amq.") {
		return accessRefused("deletion of system %v not allowed", b.at("exchange", name))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	x, ok := b.exchanges.Load(name)
	if !ok {
		return nil
	}
	if c.ifUnused && len(x.bindings) > 0 {
		return preconditionFailed("%v in use", x.at())
	}
	b.removeExchange(x, c.user)
	return nil
}

// removeExchange takes an exchange and its bindings out, for a user; b.mu is held.
func (b *Broker) removeExchange(x *exchange, user string) {
	b.exchanges.Delete(x.name)
	b.exchangeDeleted(x, user)
	if x.delays != nil {
		x.delays.end(errGone)
	}
	for _, out := range x.bindings {
		b.removeBinding(out, user)
	}
	b.removeInbound(destination{exchange: x}, user)
}

// removeBinding takes a binding out; b.mu is held.
func (b *Broker) removeBinding(n *binding, user string) {
	n.source.unbind(n)
	b.bindingEvent("binding.deleted", n, user)
}

// removeInbound removes the bindings that lead to d, and with them auto-delete
// exchanges that led nowhere else (EXCH-24); b.mu is held.
func (b *Broker) removeInbound(d destination, user string) {
	for in := range maps.Clone(*d.inbound()) {
		b.removeBinding(in, user)
		b.removeIfUnused(in.source, user)
	}
}

// removeIfUnused removes an auto-delete exchange that has just lost a binding,
// if that was its last; b.mu is held.
func (b *Broker) removeIfUnused(x *exchange, user string) {
	current, _ := b.exchanges.Load(x.name)
	if x.autoDelete && len(x.bindings) == 0 && current == x {
		b.removeExchange(x, user)
	}
}

// declareQueue is described at Client.DeclareQueue.
func (b *Broker) declareQueue(s *Session, name string, c queueConfig) (*queue, error) {
	name = trimName(name)
	if err := checkName("queue", name); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.withoutNoType()
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.findQueue(name)
	switch {
	case err == nil && q.use():
		return q, b.sameQueue(s, q, c)
	case c.passive:
		return nil, b.noQueue(name)
	}
	serverNamed := name == "" || c.reserved
	switch {
	case name == "":
		name = "amq.gen-" + randomName()
	case strings.HasPrefix(name, "amq.") && !c.reserved:
		return nil, accessRefused("queue name '%s' contains reserved prefix 'amq.*'", name)
	}
	at := b.at("queue", name)
	if err := at.checkQueueArguments(c); err != nil {
		return nil, err
	}
	if err := at.checkQueueType(c, serverNamed); err != nil {
		return nil, err
	}
	var owner *Session
	if c.exclusive {
		owner = s.owner()
		c.durable = false // its end is its session's (QUEUE-19)
	}
	q = newQueue(b, name, c, owner)
	q.apply(b.policies.match(q.subject()))
	if owner != nil && !owner.own(q) {
		return nil, errSessionClosed // meanwhile: nobody would delete the queue
	}
	if stale, ok := b.queues.Load(name); ok {
		b.removeInbound(destination{queue: stale}, nobody) // it is gone, and about to be removed
	}
	b.queues.Store(name, q)
	b.queueCreated(q, s.who.user)
	q.use() // from now on it may expire
	return q, nil
}

// sameQueue compares a queue with a new declaration of it (QUEUE-12).
func (b *Broker) sameQueue(s *Session, q *queue, c queueConfig) error {
	if err := s.mayUse(q); err != nil || c.passive {
		return err
	}
	if c.exclusive != (q.owner != nil) {
		return b.locked(q)
	}
	at := q.at()
	if durable := c.durable && !c.exclusive; durable != q.durable {
		return at.differs("durable", durable, q.durable)
	}
	if c.autoDelete != q.autoDelete {
		return at.differs("auto_delete", c.autoDelete, q.autoDelete)
	}
	if err := at.sameQueueArguments(c, q); err != nil {
		return err
	}
	declared := settingsOf(q.defaults, q.args)
	switch key, limit, otherwise := declared.bound(); {
	case c.unbounded && limit >= 0:
		return at.differs(key, "none", limit)
	case q.unbounded && !c.unbounded && !c.rabbitMQ:
		return at.differs(key, otherwise, "none")
	}
	return nil
}

// deleteQueue is described at Client.DeleteQueue.
func (b *Broker) deleteQueue(s *Session, name string, c deleteConfig) (int, error) {
	name = trimName(name)
	if err := checkName("queue", name); err != nil {
		return 0, err
	}
	q, err := b.findQueue(name)
	if err != nil {
		return 0, nil
	}
	if err := s.mayUse(q); err != nil {
		return 0, err
	}
	if err := q.checkDelete(c); err != nil {
		return 0, err
	}
	return b.removeQueue(q, c)
}

// removeQueue ends a queue, its consumers and bindings.
func (b *Broker) removeQueue(q *queue, c deleteConfig) (int, error) {
	n, err := q.delete(c, errGone)
	if err != nil {
		return 0, err
	}
	b.forgetQueue(q, c.user)
	q.cancelConsumers(q.deleted())
	return n, nil
}

// forgetQueue takes a queue that a user has ended out of the tables.
func (b *Broker) forgetQueue(q *queue, user string) {
	if q.owner != nil {
		q.owner.disown(q)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if current, _ := b.queues.Load(q.name); current == q {
		b.queues.Delete(q.name)
	}
	b.removeInbound(destination{queue: q}, nobody)
	b.queueDeleted(q, user)
}

// bindRequest is a binding to be made or undone, by names.
type bindRequest struct {
	source, queue, exchange, key string
	toExchange                   bool
	args                         Table
	version                      version
	undo                         bool
}

func (b *Broker) bind(s *Session, r bindRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.source == "" || r.toExchange && r.exchange == "" {
		return b.defaultExchange()
	}
	if r.undo {
		return b.unbind(s, r)
	}
	n, err := b.addBinding(s, r)
	if err != nil {
		return err
	}
	b.catchUp(n)
	return nil
}

// addBinding is bind, up to what the destination gets at once.
func (b *Broker) addBinding(s *Session, r bindRequest) (*binding, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.resolve(r)
	if err != nil {
		return nil, err
	}
	if c, ok := n.source.router.(bindingChecker); ok {
		if err := c.checkBinding(n); err != nil {
			return nil, err
		}
	}
	if err := s.mayUse(n.to.queue); err != nil {
		return nil, err
	}
	n.args = maps.Clone(n.args)
	if n.source.bind(n) {
		b.bindingEvent("binding.created", n, s.who.user)
	}
	return n, nil
}

func (b *Broker) unbind(s *Session, r bindRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.resolve(r)
	if err != nil || !n.source.has(n) {
		return nil // it is not bound (EXCH-28, QUEUE-15)
	}
	if err := s.mayUse(n.to.queue); err != nil {
		return err
	}
	b.removeBinding(n, s.who.user)
	b.removeIfUnused(n.source, s.who.user)
	return nil
}

func (r *bindRequest) check() error {
	r.source, r.queue, r.exchange = trimName(r.source), trimName(r.queue), trimName(r.exchange)
	for _, n := range [...][2]string{{"exchange", r.source}, {"queue", r.queue}, {"destination exchange", r.exchange}} {
		if err := checkName(n[0], n[1]); err != nil {
			return err
		}
	}
	if err := checkKey("binding key", r.key); err != nil {
		return err
	}
	return checkTable("arguments", r.args, 0)
}

// resolve finds the parties of a binding, the source first (EXCH-26).
func (b *Broker) resolve(r bindRequest) (*binding, error) {
	n := &binding{key: r.key, args: r.args, version: r.version}
	var ok bool
	if n.source, ok = b.exchanges.Load(r.source); !ok {
		return nil, b.noExchange(r.source)
	}
	var err error
	if r.toExchange {
		if n.to.exchange, ok = b.exchanges.Load(r.exchange); !ok {
			err = b.noExchange(r.exchange)
		}
	} else {
		n.to.queue, err = b.findQueue(r.queue)
	}
	return n, err
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

// Shutdown closes the broker gently: from now on only handlers may publish, with
// the context they were given, and it waits until the queues that have consumers
// are empty and all deliveries are settled. Then, or when ctx ends, it does what
// Close does. Give ctx a time limit: a message that is never acked or always
// fails keeps Shutdown waiting. If that takes long it logs for which queues.
//
// The error is that of ctx if it came first, or ErrMessagesLost if messages wait
// in queues that nobody consumes from, or are delayed by an exchange: Shutdown does
// not wait for these to become due.
func (b *Broker) Shutdown(ctx context.Context) error {
	if b.root == nil {
		return errNotMade
	}
	if ctx == nil {
		return errNilContext
	}
	if err := b.checkNoHandler(ctx); err != nil {
		return err
	}
	b.startDraining()
	err := b.drain(ctx)
	lost := b.close()
	if err == nil {
		err = lost
	}
	return err
}

// checkNoHandler refuses the context of a handler.
func (b *Broker) checkNoHandler(ctx context.Context) error {
	if ctx.Value(handlerOf{}) == b {
		return newError(ErrNotAllowed, CodeNotAllowed, "a handler cannot wait for the broker to shut down: it would wait for itself")
	}
	return nil
}

// drain waits until no queue is busy any more, or ctx ends.
func (b *Broker) drain(ctx context.Context) error {
	patience := time.NewTimer(closeLogInterval)
	defer patience.Stop()
	for b.phase.Load() == draining && b.busy() {
		select {
		case <-b.drained:
		case <-patience.C: // once: see waitFor
			b.logBusy()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// logBusy says for which queues Shutdown waits.
func (b *Broker) logBusy() {
	for _, q := range b.queues.All() {
		q.lock()
		ready, unacked, delayed, busy := q.store().Ready(), q.store().Unacked(), q.fifo.Delayed(), q.isBusy()
		q.release()
		if busy {
			b.log.Warn("shutting down waits for a queue", "queue", q.name, "ready", ready, "unacked", unacked, "delayed", delayed)
		}
	}
}

// startDraining lets the publishers go that wait for room, but for handlers, and
// makes the queues report what Shutdown waits for.
func (b *Broker) startDraining() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.phase.CompareAndSwap(open, draining) {
		return // another Shutdown did, or Close was called
	}
	close(b.draining)
	for _, q := range b.queues.All() {
		q.mu.Lock()
		q.setEager(eagerDraining, true)
		q.collect()
		q.unlock()
	}
}

// busy reports whether a queue that has consumers still has messages, or any
// queue has deliveries that are not settled. It looks
// until nothing was published between two looks: a handler may have moved a
// message behind its back, from a queue not seen yet to one seen empty.
func (b *Broker) busy() bool {
	before, busy := b.look()
	for !busy {
		var after uint64
		if after, busy = b.look(); before == after {
			break
		}
		before = after
	}
	return busy
}

// look is one look of busy. It also returns how many messages have come into all
// queues.
func (b *Broker) look() (published uint64, busy bool) {
	for _, q := range b.queues.All() {
		q.lock()
		published += q.store().Counts().Published
		busy = busy || q.isBusy()
		q.release()
	}
	return published, busy
}

// signalDrain tells Shutdown to look again.
func (b *Broker) signalDrain() {
	select {
	case b.drained <- struct{}{}:
	default:
	}
}

// Close ends the broker: publishers that wait for room get ErrClosed, consumers
// end, the contexts of running handlers end, and Close returns when the handlers
// have. If that takes long it logs whom it waits for. What still waits in the
// queues, or is delayed, is lost; Shutdown lets it be processed. Close may be called more than
// once, and always returns nil. A handler must not call it: it would wait for
// itself.
func (b *Broker) Close() error {
	if b.root != nil { // else it was not made with New: there is nothing to end
		_ = b.close() // logged
	}
	return nil
}

// close is Close, and returns an ErrMessagesLost if messages are lost.
func (b *Broker) close() error {
	b.phase.Store(closed)
	b.signalDrain() // a Shutdown under way gives up
	b.mu.Lock()
	sessions := slices.AppendSeq([]*Session{b.root}, maps.Keys(b.sessions))
	b.mu.Unlock()
	delayed := b.endDelays() // first: what they have released is in queues then
	lost := cmp.Or(b.endQueues(), delayed)
	b.endSessions(sessions, errBrokerClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.sessions)
	return lost
}

func (b *Broker) forgetSession(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
}

// endQueues makes all queues refuse messages, logs which are lost, and returns
// the first such loss.
func (b *Broker) endQueues() (lost error) {
	for _, q := range b.queues.All() {
		n, err := q.delete(deleteConfig{}, errBrokerClosed)
		if err != nil || n == 0 {
			continue
		}
		b.log.Warn("closing the broker loses messages", "queue", q.name, "messages", n)
		if lost == nil {
			lost = newError(ErrMessagesLost, CodeConnectionForced, "%d messages in queue '%s' are lost with the broker", n, q.name)
		}
	}
	return lost
}

// endDelays is endQueues for the messages that exchanges hold back.
func (b *Broker) endDelays() (lost error) {
	for _, x := range b.exchanges.All() {
		if x.delays == nil {
			continue
		}
		n := x.delays.end(errBrokerClosed)
		x.delays.settle()
		if n == 0 {
			continue
		}
		b.log.Warn("closing the broker loses delayed messages", "exchange", x.name, "messages", n)
		lost = cmp.Or(lost, error(newError(ErrMessagesLost, CodeConnectionForced, "%d messages that exchange '%s' delays are lost with the broker", n, x.name)))
	}
	return lost
}

// closeLogInterval is how long a Close waits before it says for whom.
const closeLogInterval = 5 * time.Second

// waitFor waits until no handler of these consumers runs. It says once if that
// takes long: in a synctest bubble, a timer set over and over would hide that
// everybody waits for ever.
func (b *Broker) waitFor(consumers []*Consumer) {
	patience := time.NewTimer(closeLogInterval)
	defer patience.Stop()
	for _, c := range consumers {
		select {
		case <-c.done:
			continue
		case <-patience.C:
		}
		for _, c := range consumers {
			if !c.isDone() {
				b.log.Warn("closing waits for a handler", "queue", c.queue.name, "consumer", c.tag)
			}
		}
		<-c.done
	}
}

// trimName removes what RabbitMQ removes from names (EXCH-16).
func trimName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}

func checkName(what, name string) error {
	switch {
	case len(name) > maxShortString:
		return invalid("the %s name '%.20s...' has %d bytes; AMQP allows %d", what, name, len(name), maxShortString)
	case !utf8.ValidString(name):
		return invalid("the %s name %q is not valid UTF-8", what, name)
	}
	return nil
}

func checkKey(what, key string) error {
	if len(key) > maxShortString {
		return invalid("the %s has %d bytes; AMQP allows %d", what, len(key), maxShortString)
	}
	return nil
}

// randomName returns the 22 characters with which names end that the broker makes up.
func randomName() string {
	id := uuid.New()
	return base64.RawURLEncoding.EncodeToString(id[:])
}
