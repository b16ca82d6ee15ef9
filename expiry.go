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
		q.setPrompt()
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

// watch makes sure that the queue hears when the message at its head expires, or
// one has waited that was delayed. There is one timer, and only in a queue that has
// such a message. q.mu is held.
func (q *queue) watch() {
	at := q.fifo.Next()
	if at == 0 || q.timerAt != 0 && q.timerAt <= at {
		return // if that message is gone when the timer fires, it is set again then
	}
	q.timerAt = at
	after := time.Duration(at - q.broker.now())
	if q.timer == nil {
		q.timer = time.AfterFunc(after, q.timeIsUp)
	} else {
		q.timer.Reset(after)
	}
}

func (q *queue) timeIsUp() {
	q.mu.Lock()
	q.timerAt = 0
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
	if after == 0 || len(q.consumers) > 0 || q.gone != nil {
		return
	}
	q.unusedUntil = q.broker.now() + int64(after)
	if q.endTimer == nil {
		q.endTimer = time.AfterFunc(after, q.endUnused)
	} else {
		q.endTimer.Reset(after)
	}
}

// endUnused deletes the queue if it has expired. What waits in it is gone
// (TTL-11).
func (q *queue) endUnused() {
	q.mu.Lock()
	expired := q.gone == nil && q.settings.expires > 0 && len(q.consumers) == 0 && q.broker.now() >= q.unusedUntil
	if expired {
		q.end(errGone)
	}
	q.unlock() // Shutdown may have waited for it
	if expired {
		q.broker.forgetQueue(q)
	}
}

// stopTimers is for a queue that ends. q.mu is held.
func (q *queue) stopTimers() {
	for _, t := range [...]*time.Timer{q.timer, q.endTimer} {
		if t != nil {
			t.Stop()
		}
	}
}
