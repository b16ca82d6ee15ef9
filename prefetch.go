package pocketmq

import (
	"math"
	"slices"
	"sync"
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
	waiting []*gate // of consumers that were refused; to be told when there is room
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
// ended, reads a stream, or gets its messages from another machine.
func (w *Window) Join(c *Consumer) {
	if !w.isMade() || c == nil || c.relay != nil {
		return
	}
	q := c.queue
	q.lock()
	c.mu.Lock()
	if c.core.Gate == nil && c.err == nil && q.log == nil {
		if !c.autoAck {
			c.apply()
			c.eager = true
			c.window.Store(w)
			w.put(-c.core.Unacked())
		}
		q.fifo.SetGate(&c.core, &gate{window: w, consumer: c})
	}
	c.mu.Unlock()
	c.unlock()
}

// gate is a consumer's side of its window.
type gate struct {
	window   *Window
	consumer *Consumer
	offered  bool // it is this consumer's turn; guarded by window.mu
}

// Take is called by the consumer's queue under its lock. Those who wait go first,
// in the order in which they were refused. Otherwise a queue whose consumer
// settles would always be the first to take what that frees, and consumers of
// other queues would never get anything.
func (g *gate) Take() bool {
	w := g.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.consumer.autoAck && w.used < w.size {
		g.offered = false
		return true
	}
	first := g.offered || len(w.waiting) == 0
	g.offered = false
	if first && w.used < w.size {
		w.used++
		return true
	}
	if !slices.Contains(w.waiting, g) {
		w.waiting = append(w.waiting, g)
	}
	return false
}

// Put is called by the consumer's queue under its lock.
func (g *gate) Put() {
	if !g.consumer.autoAck {
		g.window.put(1)
	}
}

// put gives n units back. Whoever calls it calls offer later, when it holds no
// queue's lock. A nil window is none.
func (w *Window) put(n int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= n
}

// offer lets the consumers that were refused try again, one after the other
// while there is room. No queue's lock is held: each of them takes its own
// queue's.
func (w *Window) offer() {
	if w == nil {
		return
	}
	for turn := w.next(); turn != nil; turn = w.next() {
		q := turn[0].consumer.queue
		q.lock()
		for _, g := range turn {
			q.fifo.Unblock(&g.consumer.core)
		}
		q.fifo.Dispatch()
		q.unlock()
	}
}

// next returns the sides of the consumers whose turn it is: all that wait for the queue
// of the first of them, which serves them by turns. It returns nil if there is no room
// or nobody waits.
func (w *Window) next() (turn []*gate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used >= w.size || len(w.waiting) == 0 {
		return nil
	}
	q := w.waiting[0].consumer.queue
	w.waiting = slices.DeleteFunc(w.waiting, func(g *gate) bool {
		g.offered = g.consumer.queue == q
		if g.offered {
			turn = append(turn, g)
		}
		return g.offered
	})
	return turn
}
