package pocketmq

import "context"

// push adds a message, waiting for room if need be. With count, it also counts
// it for its exchange.
func (q *queue) push(ctx context.Context, s *Session, it *item, count bool) error {
	q.mu.Lock()
	if q.gone != nil {
		defer q.mu.Unlock()
		return q.gone
	}
	if count {
		if q.source != it.exchange {
			q.countSource()
			q.source = it.exchange
		}
		q.sourced++
	}
	var priority uint8
	if q.levels {
		priority = q.settings.priority(it.msg)
	}
	if !q.plain || it.msg.Expiration != "" || q.fifo.Full() || q.levels && q.fifo.Overtakes(priority) {
		return q.pushCarefully(ctx, s, it)
	}
	c := q.fifo.Push(it, 0, priority)
	q.mu.Unlock()
	if c != nil {
		wake(c)
	}
	return nil
}

// countSource adds what was counted here to the exchange's counter. Messages that
// go to one queue are counted under that queue's lock, which they take anyway:
// a counter that all publishers write would slow all of them down.
func (q *queue) countSource() {
	if q.sourced > 0 {
		q.source.published.Add(q.sourced)
		q.sourced = 0
	}
}

// pushCarefully goes on with push, and unlocks the queue.
func (q *queue) pushCarefully(ctx context.Context, s *Session, it *item) error {
	q.tick()
	if !q.fifo.Fits(it) {
		return q.pushFull(ctx, s, it)
	}
	q.put(it)
	q.unlock()
	return nil
}

// put adds a message; unlock drops what is too much.
func (q *queue) put(it *item) {
	if q.log != nil {
		q.append(it)
		return
	}
	priority := q.settings.priority(it.msg)
	if q.fifo.Overtakes(priority) {
		q.consumers.First().hear() // nothing that a consumer has credit for is overtaken (PRIO-5)
	}
	q.wakeLater(q.fifo.Push(it, q.expiry(it.msg), priority))
}

// pushFull goes on with pushCarefully if there is no room.
func (q *queue) pushFull(ctx context.Context, s *Session, it *item) error {
	q.collect()
	var err error
	switch {
	case q.settings.overflow != Block:
		err = q.putOrRefuse(it)
	case len(q.waiters) > 0 || !q.admit(it):
		if n := len(it.msg.Body); q.settings.maxBytes >= 0 && int64(n) > q.settings.maxBytes {
			q.rejected++
			err = newError(ErrQueueFull, CodeResourceError, "%v has room for %d bytes, and never for a message of %d",
				q.at(), q.settings.maxBytes, n)
			break
		}
		return q.wait(ctx, s, it)
	}
	q.unlock()
	return err
}

// putOrRefuse adds a message that cannot wait for room, even beyond the limit, unless
// the queue refuses what is too much.
func (q *queue) putOrRefuse(it *item) error {
	if q.settings.overflow.refuses() && !q.fifo.Fits(it) {
		return q.refuse(it)
	}
	q.put(it)
	return nil
}

// refuse turns a message away from a full queue (DLX-20).
func (q *queue) refuse(it *item) error {
	q.rejected++
	if q.settings.overflow == RejectPublishDLX {
		q.fifo.Refuse(it)
	}
	return q.fullError()
}

// fullError is the error of a full queue, made once: those who refuse, refuse many.
func (q *queue) fullError() error {
	if q.full == nil {
		q.full = newError(ErrQueueFull, CodeResourceError, "%v is full", q.at())
	}
	return q.full
}
