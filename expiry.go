package pocketmq

import "time"

// now is the time by which messages expire, in nanoseconds since the broker was
// made; it is never 0, which means never.
func (b *Broker) now() int64 { return int64(time.Since(b.born)) + 1 }

// ttl returns how long a message may wait in q (TTL-1), and false if for ever.
func (q *queue) ttl(m *Message) (ttl time.Duration, ok bool) {
	ttl = q.settings.messageTTL
	if m.Expiration != "" {
		if ms, err := parseExpiration(m.Expiration); err == nil && (ttl < 0 || ms < ttl) {
			ttl = ms
		}
	}
	return ttl, ttl >= 0
}

// expiry returns when a message that comes in now expires, or 0, and lets the
// queue know the time. q.mu is held.
func (q *queue) expiry(m *Message) int64 {
	ttl, ok := q.ttl(m)
	if !ok {
		return 0
	}
	return q.startTime() + int64(ttl)
}

// startTime lets the queue know the time, and from now on at the beginning of each
// step. q.mu is held.
func (q *queue) startTime() (now int64) {
	if !q.fifo.Timed() {
		q.setEager(eagerTimed, true) // before it collects, as in wait
		q.collect()
		q.fifo.SetPrompt()
	}
	now = q.broker.now()
	q.fifo.At(now)
	return now
}

// tick lets a queue whose messages expire know the time. Every step that may hand
// out or count messages begins with it. q.mu is held.
func (q *queue) tick() {
	if q.fifo.Timed() {
		q.fifo.At(q.broker.now())
	}
}

// timers are those of a queue in which something expires.
type timers struct {
	watch       *time.Timer // fires when a message expires or has waited; nil until it is needed
	watchAt     int64       // when it fires; 0 = it is not set
	end         *time.Timer // fires when the queue expires; nil until it is needed
	unusedUntil int64       // when that is
}

// needTimers returns the queue's timers; q.mu is held.
func (q *queue) needTimers() *timers {
	if q.timers == nil {
		q.timers = new(timers)
	}
	return q.timers
}

// watch makes sure that the queue hears when the message at its head expires, or
// one has waited that was delayed. There is one timer, and only in a queue that has
// such a message. q.mu is held.
func (q *queue) watch() {
	at := q.fifo.Next()
	if at == 0 {
		return
	}
	t := q.needTimers()
	if t.watchAt != 0 && t.watchAt <= at {
		return // if that message is gone when the timer fires, it is set again then
	}
	t.watchAt = at
	after := time.Duration(at - q.broker.now())
	if t.watch == nil {
		t.watch = time.AfterFunc(after, q.timeIsUp)
	} else {
		t.watch.Reset(after)
	}
}

func (q *queue) timeIsUp() {
	q.mu.Lock()
	q.timers.watchAt = 0
	q.collect()
	q.unlock()
}

// use reports whether the queue exists, and if so counts as its use (TTL-9).
func (q *queue) use() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.restartExpiry()
	return q.gone == nil
}

// restartExpiry makes the queue end if nobody uses it for as long as x-expires
// says. While it has consumers it is in use (TTL-10). q.mu is held.
func (q *queue) restartExpiry() {
	after := q.settings.expires
	if after == 0 || q.consumers.Len() > 0 || q.gone != nil {
		return
	}
	t := q.needTimers()
	t.unusedUntil = q.broker.now() + int64(after)
	if t.end == nil {
		t.end = time.AfterFunc(after, q.endUnused)
	} else {
		t.end.Reset(after)
	}
}

// endUnused deletes the queue if it has expired. What waits in it is gone
// (TTL-11).
func (q *queue) endUnused() {
	q.mu.Lock()
	expired := q.gone == nil && q.settings.expires > 0 && q.consumers.Len() == 0 && q.broker.now() >= q.timers.unusedUntil
	if expired {
		q.end(errGone)
	}
	q.unlock() // Shutdown may have waited for it
	if expired {
		q.broker.forgetQueue(q, nobody)
	}
}

// stopTimers is for a queue that ends. q.mu is held.
func (q *queue) stopTimers() {
	if q.timers == nil {
		return
	}
	for _, t := range [...]*time.Timer{q.timers.watch, q.timers.end} {
		if t != nil {
			t.Stop()
		}
	}
}
