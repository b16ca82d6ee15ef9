package pocketmq

import (
	"maps"
	"slices"
)

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

func (s *Session) forgetChild(child *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, child)
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
