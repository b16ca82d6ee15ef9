package pocketmq

import (
	"slices"
	"sync"
)

// Window is a prefetch limit that several consumers share, of one queue or of
// many: together they never hold more than its size of unsettled messages
// (QOS-3). It is AMQP's basic.qos with global set. Make it with NewWindow and
// give it to consumers with SharedPrefetch.
type Window struct {
	mu      sync.Mutex
	size    int
	used    int
	waiting []*Consumer // were refused; to be told when there is room
}

// NewWindow returns a window of n unsettled messages; n must be positive.
func NewWindow(n int) (*Window, error) {
	if n < 1 {
		return nil, invalid("NewWindow(%d): a window needs room for at least one message", n)
	}
	return &Window{size: n}, nil
}

// gate is a consumer's side of its window.
type gate struct {
	window   *Window
	consumer *Consumer
}

// Take is called by the consumer's queue under its lock.
func (g *gate) Take() bool {
	w := g.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used < w.size {
		w.used++
		return true
	}
	if !slices.Contains(w.waiting, g.consumer) {
		w.waiting = append(w.waiting, g.consumer)
	}
	return false
}

// Put is called by the consumer's queue under its lock.
func (g *gate) Put() { g.window.put(1) }

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

// offer lets the consumers that were refused try again, in the order in which
// they were. No queue's lock is held: each of them takes its own queue's.
func (w *Window) offer() {
	if w == nil {
		return
	}
	w.mu.Lock()
	waiting := w.waiting
	if w.used < w.size {
		w.waiting = nil
	} else {
		waiting = nil
	}
	w.mu.Unlock()
	for _, c := range waiting {
		c.queue.lock()
		c.queue.fifo.Unblock(&c.core)
		c.queue.unlock()
	}
}
