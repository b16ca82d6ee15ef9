package pocketmq

import (
	"math"
	"slices"
	"sync"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// Window is a prefetch limit that several consumers share, of one queue or of
// many: together they never hold more than its size of unsettled messages
// (QOS-3). A consumer with AutoAck takes up no room in it, but gets nothing while
// there is none (QOS-8). It is AMQP's basic.qos with global set. Make it with
// NewWindow and give it to consumers with SharedPrefetch.
type Window struct {
	mu      sync.Mutex
	size    int
	used    int
	waiting []*gate // of queues that were refused; to be told when there is room
	loose   bool    // what is settled may not have been counted; see cover
}

// NewWindow returns a window of n unsettled messages; n must be positive.
func NewWindow(n int) (*Window, error) {
	if n < 1 {
		return nil, invalid("NewWindow(%d): a window needs room for at least one message", n)
	}
	return &Window{size: n}, nil
}

// isMade reports whether w is a window that NewWindow has made, or that has got
// a size since.
func (w *Window) isMade() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size > 0
}

// Resize changes how many unsettled messages the consumers of the window may hold
// together; 0 lifts the limit. If they hold more than that now they get nothing
// until enough is settled (QOS-5, QOS-6).
func (w *Window) Resize(n int) {
	if w == nil {
		return
	}
	if n <= 0 {
		n = math.MaxInt
	}
	w.mu.Lock()
	w.size = n
	w.mu.Unlock()
	w.offer()
}

// Join puts a running consumer under the window, as SharedPrefetch does with one
// that is started. It does nothing to a consumer that is under one already, has
// ended, reads a stream or a quorum queue, or gets its messages from another machine.
func (w *Window) Join(c *Consumer) {
	if w.isMade() && c != nil && c.relay == nil {
		w.take(c, false)
	}
}

// take puts a running consumer under the window, if it is of a queue that knows such
// limits; also one that is under another already, if move is set.
func (w *Window) take(c *Consumer, move bool) (taken bool) {
	q := c.queue
	q.lock()
	c.mu.Lock()
	if taken = c.err == nil && q.log == nil && !q.settings.quorum && (move || c.core.Gate == nil); taken {
		if !c.autoAck {
			c.apply()
			c.eager = true
			c.window.Store(w)
			w.count(c.core.Unacked())
		}
		q.fifo.SetGate(&c.core, q.gate(w))
	}
	c.mu.Unlock()
	c.unlock()
	return taken
}

// cover makes the window, which is a new one, that of a channel with these consumers.
// As in RabbitMQ, all counts that the channel has not settled now, also what was got,
// for which it never has room again; but nothing that a transaction has settled,
// though that makes room when it is committed.
func (w *Window) cover(consumers []*Consumer, unsettled, settled []*Delivery) {
	w.loosen()
	covered := map[*holder]bool{}
	for _, c := range consumers {
		covered[&c.holder] = w.take(c, true)
	}
	for _, d := range unsettled {
		if !covered[d.from] {
			w.count(1)
			w.freedBy(d.from)
		}
	}
	for _, d := range settled {
		if covered[d.from] {
			w.count(-1)
		} else {
			w.freedBy(d.from)
		}
	}
}

func (w *Window) loosen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loose = true
}

// freedBy lets what a holder settles make room, unless it is what was got.
func (w *Window) freedBy(h *holder) {
	if h.core == nil || h.relay != nil {
		return
	}
	h.queue.lock()
	h.mu.Lock()
	h.apply()
	h.eager = true
	h.window.Store(w)
	h.mu.Unlock()
	h.queue.unlock()
}

// gate is a queue's side of a window.
type gate struct {
	fifo.Gate[item]
	window *Window
	queue  *queue
}

// gate returns q's side of a window, which its consumers share; nil if w is. q.mu is
// held.
func (q *queue) gate(w *Window) *fifo.Gate[item] {
	if w == nil {
		return nil
	}
	for c := range q.consumers.All() {
		if c.core.Gate != nil && c.core.Gate.Limit.(*gate).window == w {
			return c.core.Gate
		}
	}
	g := &gate{window: w, queue: q}
	g.Limit = g
	return &g.Gate
}

// Take is called by the queue under its lock.
func (g *gate) Take(counted bool) bool {
	w := g.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used >= w.size {
		w.waiting = append(w.waiting, g)
		return false
	}
	if counted {
		w.used++
	}
	return true
}

// Put is called by the queue under its lock.
func (g *gate) Put() { g.window.put(1) }

// Forget is called by the queue under its lock.
func (g *gate) Forget() {
	w := g.window
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(x *gate) bool { return x == g })
}

// count takes n units, whether there are so many or not.
func (w *Window) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used += n
}

// put gives n units back; if what was settled may not have been counted, then not if
// all are there. Whoever calls it calls offer later, when it holds no queue's lock. A nil
// window is none.
func (w *Window) put(n int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.loose || w.used != 0 {
		w.used -= n
	}
}

// offer lets the queues that were refused try again, one after the other while
// there is room, in the order in which they were: each takes what it can. No queue's
// lock is held: each of them takes its own.
func (w *Window) offer() {
	if w == nil {
		return
	}
	for g := w.next(); g != nil; g = w.next() {
		g.queue.lock()
		g.queue.fifo.Resume(&g.Gate)
		g.queue.fifo.Dispatch()
		g.queue.unlock()
	}
}

// next returns the side of the queue whose turn it is, or nil if there is no room or
// nobody waits.
func (w *Window) next() *gate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used >= w.size || len(w.waiting) == 0 {
		return nil
	}
	g := w.waiting[0]
	w.waiting = slices.Delete(w.waiting, 0, 1)
	return g
}
