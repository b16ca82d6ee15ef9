package pocketmq

import (
	"context"
	"maps"
	"slices"
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
	c := exchangeConfigOf(opts)
	c.rabbitMQ, c.user = s.rabbitMQ, s.who.user
	return s.broker.declareExchange(name, kind, c)
}

func exchangeConfigOf(opts []ExchangeOption) (c exchangeConfig) {
	for _, o := range opts {
		if o != nil {
			o.exchange(&c)
		}
	}
	return c
}

// DeleteExchange is described at Client.
func (s *Session) DeleteExchange(ctx context.Context, name string, opts ...DeleteOption) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	c := deleteConfigOf(opts)
	c.user = s.who.user
	return s.broker.deleteExchange(name, c)
}

// DeclareQueue is described at Client.
func (s *Session) DeclareQueue(ctx context.Context, name string, opts ...QueueOption) (QueueInfo, error) {
	if err := s.check(ctx); err != nil {
		return QueueInfo{}, err
	}
	c := queueConfigOf(opts)
	c.rabbitMQ, c.wire, c.version = s.rabbitMQ, s.wire, s.version
	q, err := s.broker.declareQueue(s, name, c)
	if err != nil {
		return QueueInfo{}, err
	}
	return q.info(), nil
}

func queueConfigOf(opts []QueueOption) (c queueConfig) {
	for _, o := range opts {
		if o != nil {
			o.queue(&c)
		}
	}
	return c
}

// DeleteQueue is described at Client.
func (s *Session) DeleteQueue(ctx context.Context, name string, opts ...DeleteOption) (int, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	c := deleteConfigOf(opts)
	c.user = s.who.user
	return s.broker.deleteQueue(s, name, c)
}

func deleteConfigOf(opts []DeleteOption) (c deleteConfig) {
	for _, o := range opts {
		if o != nil {
			o.delete(&c)
		}
	}
	return c
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
	c := bindConfigOf(opts)
	r.args, r.version = c.args, noVersion
	if s.wire {
		r.version = s.version
	}
	return s.broker.bind(s, r)
}

func bindConfigOf(opts []BindOption) (c bindConfig) {
	for _, o := range opts {
		if o != nil {
			o.bind(&c)
		}
	}
	return c
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

// Consume is described at Client.
func (s *Session) Consume(ctx context.Context, queue string, opts ...ConsumeOption) (*Consumer, error) {
	return consumeWith(opts, func(cfg consumeConfig) (*Consumer, error) { return s.consume(ctx, queue, cfg) })
}

// consumeWith is Consume for what consume consumes from.
func consumeWith(opts []ConsumeOption, consume func(consumeConfig) (*Consumer, error)) (*Consumer, error) {
	cfg, err := consumeConfigOf(opts)
	if err != nil {
		return nil, err
	}
	if cfg.concurrency != 0 {
		return nil, invalid("Concurrency is for Handle: the goroutines that fetch are yours")
	}
	if !cfg.prefetchSet {
		cfg.prefetch = DefaultPrefetch
	}
	return consume(cfg)
}

// Handle is described at Client.
func (s *Session) Handle(ctx context.Context, queue string, h Handler, opts ...ConsumeOption) (*Consumer, error) {
	return handleWith(ctx, h, opts, func(cfg consumeConfig) (*Consumer, error) { return s.consume(ctx, queue, cfg) })
}

// handleWith is Handle for what consume consumes from.
func handleWith(ctx context.Context, h Handler, opts []ConsumeOption, consume func(consumeConfig) (*Consumer, error)) (*Consumer, error) {
	if h == nil {
		return nil, invalid("Handle: the handler is nil; to fetch messages yourself, use Consume")
	}
	cfg, err := consumeConfigOf(opts)
	if err != nil {
		return nil, err
	}
	cfg.concurrency = max(cfg.concurrency, 1)
	if !cfg.prefetchSet {
		cfg.prefetch = cfg.concurrency
	}
	c, err := consume(cfg)
	if err != nil {
		return nil, err
	}
	c.start(ctx, h, cfg.concurrency)
	return c, nil
}

func consumeConfigOf(opts []ConsumeOption) (c consumeConfig, err error) {
	for _, o := range opts {
		if o != nil {
			o.consume(&c)
		}
	}
	return c, c.err
}

func (s *Session) consume(ctx context.Context, name string, cfg consumeConfig) (*Consumer, error) {
	q, err := s.queue(ctx, name)
	if err != nil {
		return nil, err
	}
	cfg.wire, cfg.version = s.wire, s.version
	if err := q.readArguments(&cfg); err != nil {
		return nil, err
	}
	c := newConsumer(s, q, cfg)
	if err := s.remember(c); err != nil {
		return nil, err
	}
	if err := q.subscribe(c, &cfg); err != nil {
		s.release(c)
		return nil, err
	}
	s.broker.tellNews()
	c.endWith(ctx)
	return c, nil
}

// remember enters c under its tag, making one up if it has none.
func (s *Session) remember(c *Consumer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errSessionClosed // meanwhile: nobody would end the consumer
	}
	if c.tag == "" {
		c.tag = "amq.ctag-" + randomName()
	}
	switch other := s.consumers[c.tag]; {
	case other == nil:
	case other.isEnding(): // its end is known already, and soon it is forgotten
		s.ended[other] = struct{}{}
	default:
		return newError(ErrNotAllowed, CodeNotAllowed, "attempt to reuse consumer tag '%s'", c.tag)
	}
	s.consumers[c.tag] = c
	return nil
}

// release makes c's tag free again.
func (s *Session) release(c *Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.consumers[c.tag] == c {
		delete(s.consumers, c.tag)
	}
}

// forget is release for a consumer that ended. Close must still wait for its
// handlers, and return what it has not settled.
func (s *Session) forget(c *Consumer) {
	s.mu.Lock()
	if s.consumers[c.tag] == c {
		delete(s.consumers, c.tag)
	}
	s.ended[c] = struct{}{}
	s.mu.Unlock()
	s.tidy()
}

// tidyStep is how many entries the session keeps for nothing, at least.
const tidyStep = 32

// tidy forgets the consumers of which nothing is left, and what was got from
// queues that were deleted. It looks at all of them only after their number has
// doubled, so that it costs each of them little.
func (s *Session) tidy() {
	s.mu.Lock()
	if len(s.ended)+len(s.got) < s.tidyAt {
		s.mu.Unlock()
		return
	}
	ended, queues := slices.Collect(maps.Keys(s.ended)), slices.Collect(maps.Keys(s.got))
	s.mu.Unlock()
	ended = slices.DeleteFunc(ended, func(c *Consumer) bool { return !c.isOver() })
	queues = slices.DeleteFunc(queues, func(q *queue) bool { return !q.isGone() })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range ended {
		delete(s.ended, c)
	}
	for _, q := range queues {
		delete(s.got, q)
	}
	s.tidyAt = 2*(len(s.ended)+len(s.got)) + tidyStep
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
	d, ok, err := h.get(getConfigOf(opts).autoAck)
	if ok && s.broker.tracing.Load() {
		s.traceDelivery(q, &d)
	}
	return d, ok, err
}

func getConfigOf(opts []GetOption) (c getConfig) {
	for _, o := range opts {
		if o != nil {
			o.get(&c)
		}
	}
	return c
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

// Close is described at Client.
func (s *Session) Close() error {
	if s.broker == nil {
		return nil // it was not made by a Broker: there is nothing to end
	}
	if s.root {
		return s.broker.Close()
	}
	s.broker.endSessions([]*Session{s}, errSessionClosed)
	if s.parent != nil {
		s.parent.forgetChild(s)
		return nil
	}
	s.broker.forgetSession(s)
	for q := range s.takeOwned() {
		_, _ = s.broker.removeQueue(q, deleteConfig{user: nobody}) // without conditions it cannot fail
	}
	return nil
}

func (s *Session) forgetChild(child *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, child)
}

// closeChildren closes what is a part of s, in one step: what one gives back does not
// go to another.
func (s *Session) closeChildren() {
	s.mu.Lock()
	children := slices.Collect(maps.Keys(s.children))
	s.mu.Unlock()
	s.broker.endSessions(children, errSessionClosed)
	for _, child := range children {
		s.forgetChild(child)
	}
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

// endConsumers ends the consumers of s, and returns all that s holds of their
// queues. What it holds of others it keeps.
func (s *Session) endConsumers() {
	s.mu.Lock()
	consumers := slices.Collect(maps.Values(s.consumers))
	queues := map[*queue]bool{}
	for _, c := range consumers {
		queues[c.queue] = true
	}
	for c := range s.ended {
		if queues[c.queue] {
			consumers = append(consumers, c)
		}
	}
	var got []*holder
	for q, h := range s.got {
		if queues[q] {
			got = append(got, h)
		}
	}
	s.mu.Unlock()
	s.broker.giveUp(consumers, got, errSessionClosed)
}

// endSessions closes sessions and their children: first all of them refuse new
// work, then all their consumers end, and then it waits for running handlers.
func (b *Broker) endSessions(sessions []*Session, why error) {
	var consumers []*Consumer
	var got []*holder
	for i := 0; i < len(sessions); i++ { // sessions grows meanwhile
		s := sessions[i]
		s.shut()
		s.mu.Lock()
		consumers = slices.AppendSeq(slices.AppendSeq(consumers, maps.Values(s.consumers)), maps.Keys(s.ended))
		got = slices.AppendSeq(got, maps.Values(s.got))
		sessions = slices.AppendSeq(sessions, maps.Keys(s.children))
		s.mu.Unlock()
	}
	b.giveUp(consumers, got, why)
	for _, s := range sessions {
		s.mu.Lock()
		clear(s.ended)
		clear(s.got)
		clear(s.children)
		s.mu.Unlock()
	}
}

// shut marks the session as closed, and lets its publishers go that wait for room.
func (s *Session) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.closed.Store(true)
		close(s.over)
	}
}

// giveUp ends consumers, and returns what they hold and what was got: for each
// queue in one step, but for what handlers are working on, and what is on its way
// into a channel, for which it waits.
func (b *Broker) giveUp(consumers []*Consumer, got []*holder, why error) {
	leaving, back := map[*queue][]*Consumer{}, map[*queue][]*holder{}
	var handlers []*Consumer
	for _, c := range consumers {
		leaving[c.queue] = append(leaving[c.queue], c)
		if c.stop(); c.handled || c.onItsWay() != nil {
			handlers = append(handlers, c)
		} else {
			back[c.queue] = append(back[c.queue], &c.holder)
		}
	}
	for _, h := range got {
		back[h.queue] = append(back[h.queue], h)
	}
	for q, together := range leaving {
		q.endTogether(together, back[q], why)
		delete(back, q)
	}
	for q, held := range back { // where there is no consumer
		q.endTogether(nil, held, why)
	}
	b.waitFor(handlers)
	for _, c := range handlers {
		c.queue.endTogether(nil, []*holder{&c.holder}, why)
	}
}
