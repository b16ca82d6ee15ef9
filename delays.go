package pocketmq

import (
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"sync"
	"time"
)

// DefaultMaxDelayed is how many messages a DelayedMessage exchange holds back that
// was declared without MaxDelayed.
const DefaultMaxDelayed = 1 << 20

// MaxDelayed bounds the messages that a DelayedMessage exchange holds back. One
// more is refused with ErrQueueFull. The default is DefaultMaxDelayed, and no limit
// in a session with RabbitMQDefaults.
func MaxDelayed(n int) ExchangeOption {
	return exchangeOption(func(c *exchangeConfig) {
		if n < 1 {
			c.err = invalid("MaxDelayed(%d): must be positive", n)
		}
		c.maxDelayed = n
	})
}

// Delayed is a message that an exchange holds back.
type Delayed struct {
	Message    *Message // as it was published; must not be changed
	Exchange   string   // it was published to
	RoutingKey string
	Due        time.Time // when it will be routed
}

// Delayed returns the messages that an exchange of the kind DelayedMessage holds
// back, in the order in which they become due. If there is no such exchange the
// error is ErrNotFound, and ErrPreconditionFailed if it is of another kind.
func (b *Broker) Delayed(exchange string) ([]Delayed, error) {
	d, err := b.delays(exchange)
	if err != nil {
		return nil, err
	}
	return snapshot(d.waiting()), nil
}

// CancelDelayed removes the delayed messages of an exchange for which the function
// returns true, and returns them, in the order in which they would have become due.
// A message that is in the result will not be routed; one that becomes due
// meanwhile may be routed, and is not in the result. Errors are those of Delayed.
func (b *Broker) CancelDelayed(exchange string, which func(Delayed) bool) ([]Delayed, error) {
	d, err := b.delays(exchange)
	if err != nil {
		return nil, err
	}
	if which == nil {
		return nil, invalid("CancelDelayed: the function is nil")
	}
	chosen := slices.DeleteFunc(d.waiting(), func(e *delayed) bool { return !which(e.snapshot()) })
	return snapshot(d.cancel(chosen)), nil
}

func (b *Broker) delays(name string) (*delays, error) {
	if b.root == nil {
		return nil, errNotMade
	}
	x, ok := b.exchanges.Load(name)
	switch {
	case !ok:
		return nil, b.noExchange(name)
	case x.delays == nil:
		return nil, preconditionFailed("%v is of type '%s' and delays no messages", x.at(), x.kind)
	}
	return x.delays, nil
}

func snapshot(all []*delayed) []Delayed {
	var s []Delayed
	for _, e := range all {
		s = append(s, e.snapshot())
	}
	return s
}

// delays are the messages that an exchange holds back. There is one timer, for the
// first of them, and none is set when there are no messages.
type delays struct {
	exchange *exchange
	limit    int // -1 = none

	mu        sync.Mutex // nothing is locked while it is held
	heap      delayHeap
	added     uint64        // messages so far
	timer     *time.Timer   // nil before the first message
	releasing chan struct{} // closed when the goroutine is done that releases messages; nil = there is none
	gone      error         // as queue.gone
}

func newDelays(x *exchange, c exchangeConfig) *delays {
	d := &delays{exchange: x, limit: c.maxDelayed}
	switch {
	case d.limit > 0:
	case c.rabbitMQ:
		d.limit = -1
	default:
		d.limit = DefaultMaxDelayed
	}
	return d
}

func (d *delays) limitText() string {
	if d.limit < 0 {
		return "none"
	}
	return strconv.Itoa(d.limit)
}

// delayed is a message in delays.
type delayed struct {
	item
	at    time.Time
	seq   uint64 // among those due at the same time
	index int    // in the heap; -1 = it is not there any more
}

func (e *delayed) snapshot() Delayed {
	return Delayed{Message: e.msg, Exchange: e.exchange.name, RoutingKey: e.key, Due: e.at}
}

func (e *delayed) compare(f *delayed) int {
	return cmp.Or(e.at.Compare(f.at), cmp.Compare(e.seq, f.seq))
}

// add holds a message back.
func (d *delays) add(it item, delay time.Duration) error {
	at := time.Now().Add(delay)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.gone != nil:
		return d.gone
	case len(d.heap) == d.limit:
		return newError(ErrQueueFull, CodeResourceError, "%v holds %d messages back, as many as it may", d.exchange.at(), d.limit)
	}
	e := &delayed{item: it, at: at, seq: d.added}
	d.added++
	heap.Push(&d.heap, e)
	if e.index == 0 {
		d.setTimer()
	}
	return nil
}

// setTimer sets the timer for the first message. d.mu is held.
func (d *delays) setTimer() {
	switch {
	case d.releasing != nil: // it does when it is done
	case len(d.heap) == 0:
		d.stopTimer()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(d.heap[0].at), d.release)
	default:
		d.timer.Reset(time.Until(d.heap[0].at))
	}
}

func (d *delays) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// release routes what is due. The timer calls it, perhaps in several goroutines;
// the first does all the work, which keeps the messages in order.
func (d *delays) release() {
	if !d.begin() {
		return
	}
	for e := d.next(); e != nil; e = d.next() {
		d.exchange.release(&e.item)
	}
}

func (d *delays) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.releasing != nil {
		return false
	}
	d.releasing = make(chan struct{})
	return true
}

// next takes a message out that is due, or ends releasing.
func (d *delays) next() *delayed {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) > 0 && !d.heap[0].at.After(time.Now()) {
		return heap.Pop(&d.heap).(*delayed)
	}
	close(d.releasing)
	d.releasing = nil
	d.setTimer()
	return nil
}

// waiting returns all messages in order.
func (d *delays) waiting() []*delayed {
	d.mu.Lock()
	all := slices.Clone(d.heap)
	d.mu.Unlock()
	slices.SortFunc(all, (*delayed).compare)
	return all
}

func (d *delays) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.heap)
}

// cancel removes messages, and returns those that were still there.
func (d *delays) cancel(chosen []*delayed) []*delayed {
	d.mu.Lock()
	defer d.mu.Unlock()
	canceled := slices.DeleteFunc(chosen, func(e *delayed) bool { return e.index < 0 })
	for _, e := range canceled {
		heap.Remove(&d.heap, e.index)
	}
	d.setTimer()
	return canceled
}

// end drops all messages, and returns how many there were.
func (d *delays) end(why error) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone != nil {
		return 0
	}
	d.gone = why
	n := len(d.heap)
	for _, e := range d.heap {
		e.index = -1
	}
	d.heap = nil
	d.stopTimer()
	return n
}

// settle waits until what is being released has reached its queues.
func (d *delays) settle() {
	d.mu.Lock()
	releasing := d.releasing
	d.mu.Unlock()
	if releasing != nil {
		<-releasing
	}
}

// delayHeap has the message that is due first at its root.
type delayHeap []*delayed

func (h delayHeap) Len() int           { return len(h) }
func (h delayHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }

func (h delayHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *delayHeap) Push(e any) {
	e.(*delayed).index = len(*h)
	*h = append(*h, e.(*delayed))
}

func (h *delayHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
