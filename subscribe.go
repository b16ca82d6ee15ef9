package pocketmq

import "slices"

// subscribe adds a consumer.
func (q *queue) subscribe(c *Consumer, cfg *consumeConfig) error {
	q.lockForOne()
	defer q.unlock()
	if q.gone != nil {
		return q.whyGone()
	}
	if err := c.Err(); err != nil {
		return err // its session was closed meanwhile
	}
	if q.log != nil {
		q.log.Subscribe(&c.core, c.reading.at, c.reading.filter)
		q.consumers.Join(&c.place, c)
		return nil
	}
	switch {
	case q.settings.quorum && cfg.window != nil: // QQ-14
		return notSupported("%v does not support global qos", q.at())
	case q.settings.quorum:
		c.core.Exclusive = false // QQ-16
	case q.settings.singleActive && c.core.Exclusive: // CONS-6
		return q.exclusiveUse()
	}
	if q.consumers.Len() > 0 {
		q.setEager(eagerShared, true)
		q.collect()
	}
	c.core.Gate = q.gate(cfg.window)
	if err := q.fifo.Subscribe(&c.core); err != nil {
		q.updateShared()
		return q.exclusiveUse()
	}
	q.consumers.Join(&c.place, c)
	q.broker.consumerCreated(c, cfg)
	return nil
}

func (q *queue) exclusiveUse() error {
	return accessRefused("%v in exclusive use", q.at())
}

// unsubscribe removes a consumer, and reports whether the queue ends with it.
// q.mu and c.mu are held.
func (q *queue) unsubscribe(c *Consumer) (ended bool) {
	if !c.place.In() {
		return false // ended before it began
	}
	q.store().Unsubscribe(&c.core, &c.batch)
	if q.gone != nil {
		q.store().Purge()
	}
	q.consumers.Leave(&c.place)
	if q.quorum {
		q.leaving = append(q.stillLeaving(), c)
	}
	q.updateShared()
	if q.autoDelete && q.consumers.Len() == 0 && q.gone == nil {
		q.end(errGone)
		return true
	}
	q.restartExpiry()
	return false
}

func (q *queue) updateShared() { q.setEager(eagerShared, q.consumers.Len() > 1 && q.log == nil) }

// endTogether ends consumers, and returns what back holds, in one step: nothing
// is delivered in between, so that all comes back in order.
func (q *queue) endTogether(consumers []*Consumer, back []*holder, why error) {
	var ended []*Consumer
	queueEnded := false
	q.lockForOne()
	for _, c := range consumers {
		begun := c.place.In()
		first, last := c.detach(why)
		if first {
			ended = append(ended, c)
		}
		if first && begun {
			q.broker.consumerDeleted(c, why)
		}
		queueEnded = queueEnded || last
	}
	for _, h := range back {
		h.giveBack()
	}
	q.dropReturned()
	q.fifo.Dispatch()
	q.unlock()
	for _, c := range ended {
		c.ended(why)
	}
	for _, h := range back {
		h.window.Load().offer()
		h.relay.returnAll()
	}
	if queueEnded {
		q.broker.forgetQueue(q, nobody)
	}
}

// endConsumers ends all consumers; q.mu is not held.
func (q *queue) endConsumers(why error) {
	for _, c := range q.subscribed() {
		c.end(why)
	}
}

// cancelConsumers cancels all consumers, as those who have them could; q.mu is not held.
func (q *queue) cancelConsumers() {
	for _, c := range q.subscribed() {
		c.Cancel()
	}
}

// subscribed returns the consumers that there are now; q.mu is not held.
func (q *queue) subscribed() []*Consumer {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(q.consumers.All())
}
