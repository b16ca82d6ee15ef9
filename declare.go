package pocketmq

import "strings"

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
	defer b.unlock()
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
	defer b.unlock()
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
	defer b.unlock()
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
	q.apply(b.policies.match(q.subject()), b.policies.changes)
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
	n, _, err := q.delete(c, errGone)
	if err != nil {
		return 0, err
	}
	b.forgetQueue(q, c.user)
	q.endConsumers(q.deleted())
	return n, nil
}

// forgetQueue takes a queue that a user has ended out of the tables. Of several who
// deleted it at the same time one does it.
func (b *Broker) forgetQueue(q *queue, user string) {
	if q.owner != nil {
		q.owner.disown(q)
	}
	b.mu.Lock()
	defer b.unlock()
	if q.forgotten {
		return
	}
	q.forgotten = true
	if current, _ := b.queues.Load(q.name); current == q {
		b.queues.Delete(q.name)
	}
	b.removeInbound(destination{queue: q}, nobody)
	b.queueDeleted(q, user)
}
