package pocketmq

import (
	"context"
	"fmt"
	"slices"
)

// waiter is a publisher that waits for room in a queue.
type waiter struct {
	item item
	done chan error // gets nil once the item is in the queue, or why it will never be
}

// wait queues a publisher up until its message was admitted, or ctx, its session
// or the broker ends. The queue is locked, and is not when wait returns.
func (q *queue) wait(ctx context.Context, s *Session, it *item) error {
	w := &waiter{item: *it, done: make(chan error, 1)}
	q.waiters = append(q.waiters, w)
	// The flag comes first: an ack either is collected here or sees the flag.
	q.setEager(eagerWaiters, true)
	q.collect()
	q.unlock()
	var why error
	for draining := q.broker.draining; why == nil; {
		select {
		case err := <-w.done:
			return err
		case <-ctx.Done():
			why = ctx.Err()
		case <-s.over:
			why = errSessionClosed
		case <-draining:
			why = q.broker.check(ctx)
			draining = nil // a handler goes on waiting
		}
	}
	q.mu.Lock()
	defer q.unlock()
	if !slices.Contains(q.waiters, w) {
		return <-w.done // it was admitted at the last moment
	}
	q.dropWaiters(func(x *waiter) bool { return x == w }, nil)
	return fmt.Errorf("pocketmq: waiting for room in queue '%s': %w", q.name, why)
}

// admit pushes a message if there is room for it, or a consumer takes it at once.
func (q *queue) admit(it *item) bool {
	if !q.fifo.Fits(it) {
		q.fifo.Dispatch() // a lone consumer may be entitled to what waits
	}
	if q.fifo.Fits(it) {
		q.put(it)
		return true
	}
	c, ok := q.fifo.TryPush(it, q.expiry(it.msg), q.settings.priority(it.msg))
	q.wakeLater(c)
	return ok
}

// admitWaiters lets in as many waiting publishers as there is room for now.
func (q *queue) admitWaiters() {
	n := 0
	for n < len(q.waiters) && q.admit(&q.waiters[n].item) {
		q.waiters[n].done <- nil
		n++
	}
	q.keepWaiters(slices.Delete(q.waiters, 0, n))
}

// resolveWaiters lets all waiting publishers go, in a queue that does not make them
// wait any more.
func (q *queue) resolveWaiters() {
	for _, w := range q.waiters {
		w.done <- q.putOrRefuse(&w.item)
	}
	q.keepWaiters(nil)
}

// dropWaiters sends the waiting publishers away for whom which holds. q.mu is
// held.
func (q *queue) dropWaiters(which func(*waiter) bool, why error) {
	q.keepWaiters(slices.DeleteFunc(q.waiters, func(w *waiter) bool {
		if !which(w) {
			return false
		}
		w.done <- why
		return true
	}))
}

// keepWaiters is for a step after which only these wait still.
func (q *queue) keepWaiters(w []*waiter) {
	q.waiters = w
	if len(w) == 0 {
		q.waiters = nil
		q.setEager(eagerWaiters, false)
	}
}
