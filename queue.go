package pocketmq

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// item is what a queue stores for a message.
type item struct {
	msg      *Message
	exchange *exchange // it was published to
	key      string
}

type (
	entry     = fifo.Entry[item]
	entryPool = ring.Pool[entry]
)

// queue is the shell around fifo.Queue: the lock, the publishers that wait for
// room, and everything that must happen outside the lock.
type queue struct {
	name       string
	durable    bool
	autoDelete bool
	unbounded  bool     // declared so; RabbitMQDefaults are not meant
	owner      *Session // of an exclusive queue; else nil
	args       Table
	overflow   OverflowPolicy
	broker     *Broker
	self       targets // this queue alone, for the default exchange

	// eager says why settling a message must come to the queue at once, rather
	// than be collected with the next fetch; see (*holder).mustFlush.
	eager atomic.Uint32

	inbound map[*binding]struct{} // guarded by Broker.mu

	_ [64]byte // what follows changes with every message; the above is read by all who publish and settle

	mu        sync.Mutex
	fifo      fifo.Queue[item] // guarded by mu, and so is all below
	consumers []*Consumer
	waiters   []*waiter // publishers that wait for room, in order
	rejected  uint64    // messages refused because the queue was full
	full      *Error    // what their publishers are told; nil until it is needed
	source    *exchange // of the messages that sourced counts
	sourced   uint64    // messages of source that its counter lacks; see countSource
	gone      error     // errGone or errBrokerClosed; nil while the queue exists
}

// The reasons in queue.eager.
const (
	eagerShared   = 1 << iota // several consumers: who is served next depends on the moment
	eagerWaiters              // publishers wait for room
	eagerDraining             // Shutdown waits for the queue to run empty
)

// waiter is a publisher that waits for room in a queue.
type waiter struct {
	item item
	done chan error // gets nil once the item is in the queue
}

func newQueue(b *Broker, name string, c queueConfig, owner *Session) *queue {
	q := &queue{name: name, durable: c.durable, autoDelete: c.autoDelete, unbounded: c.unbounded, owner: owner, args: c.args, broker: b}
	q.self.queues = []*queue{q}
	limit := DefaultMaxLength
	if c.unbounded || c.rabbitMQ {
		limit = -1
	}
	if c.rabbitMQ {
		q.overflow = DropHead
	}
	if n, why := integerArgument(c.args["x-max-length"]); why == "" {
		limit = int(n)
	}
	for p, name := range overflowNames {
		if name == c.args["x-overflow"] {
			q.overflow = p
		}
	}
	q.fifo = fifo.New(limit, &b.entries)
	if b.phase.Load() != open {
		q.eager.Store(eagerDraining) // a handler declares it while Shutdown waits
	}
	return q
}

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
	if q.fifo.Full() {
		return q.pushFull(ctx, s, it)
	}
	c := q.fifo.Push(it)
	q.mu.Unlock()
	if c != nil {
		wake(c)
	}
	return nil
}

// pushNow adds a message without waiting, for one that nobody is publishing: there
// may be more of them than a queue with Block allows. It reports whether the queue
// is still there.
func (q *queue) pushNow(it *item) bool {
	q.lock()
	defer q.unlock()
	switch {
	case q.gone != nil:
		return false
	case q.overflow == RejectPublish && q.fifo.Full():
		q.rejected++
	default:
		q.wakeLater(q.fifo.Push(it))
	}
	return true
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

// pushFull goes on with push, and unlocks the queue.
func (q *queue) pushFull(ctx context.Context, s *Session, it *item) error {
	q.collect()
	var err error
	switch q.overflow {
	case DropHead:
		q.wakeLater(q.fifo.Push(it)) // unlock drops what is too much
	case RejectPublish:
		if q.fifo.Full() {
			q.rejected++
			err = q.fullError()
			break
		}
		q.wakeLater(q.fifo.Push(it))
	default:
		if len(q.waiters) > 0 || !q.admit(it) {
			return q.wait(ctx, s, it)
		}
	}
	q.unlock()
	return err
}

// fullError is the error of a full queue, made once: those who refuse, refuse many.
func (q *queue) fullError() error {
	if q.full == nil {
		q.full = newError(ErrQueueFull, CodeResourceError, "queue '%s' in vhost '%s' is full", q.name, q.broker.vhost)
	}
	return q.full
}

// admit pushes a message if there is room for it, or a consumer takes it at once.
func (q *queue) admit(it *item) bool {
	if q.fifo.Full() {
		q.fifo.Dispatch() // a lone consumer may be entitled to what waits
	}
	if !q.fifo.Full() {
		q.wakeLater(q.fifo.Push(it))
		return true
	}
	c, ok := q.fifo.TryPush(it)
	q.wakeLater(c)
	return ok
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

// admitWaiters lets in as many waiting publishers as there is room for now.
func (q *queue) admitWaiters() {
	n := 0
	for n < len(q.waiters) && q.admit(&q.waiters[n].item) {
		q.waiters[n].done <- nil
		n++
	}
	q.waiters = slices.Delete(q.waiters, 0, n)
	if len(q.waiters) == 0 {
		q.waiters = nil
		q.setEager(eagerWaiters, false)
	}
}

// setEager changes q.eager; q.mu is held.
func (q *queue) setEager(reason uint32, on bool) {
	flags := q.eager.Load()
	if on {
		q.eager.Store(flags | reason)
	} else if flags&reason != 0 {
		q.eager.Store(flags &^ reason)
	}
}

// collect applies the acks that a lone consumer has not handed in, and assigns
// it what it has not fetched. With several consumers there is nothing of the
// sort. q.mu is held.
func (q *queue) collect() {
	if len(q.consumers) == 1 {
		q.consumers[0].collect()
		q.fifo.Dispatch()
	}
}

// lock locks the queue and collects, for a look or a step that must see what is
// true at this moment.
func (q *queue) lock() {
	q.mu.Lock()
	q.collect()
}

// unlock ends a step: it drops what is too much, lets waiting publishers in,
// unlocks, and does what must be done outside the lock.
func (q *queue) unlock() {
	if q.eager.Load()&eagerDraining != 0 {
		q.broker.signalDrain()
	}
	q.release()
}

// release is unlock for Shutdown itself, which must not wake itself.
func (q *queue) release() {
	if q.overflow == DropHead && q.fifo.Over() {
		q.dropHead()
	}
	if q.waiters != nil {
		q.admitWaiters()
	}
	woken := q.fifo.Woken()
	if len(woken) == 0 {
		q.mu.Unlock()
		return
	}
	var few [4]*fifo.Consumer[item]
	wakes := append(few[:0], woken...)
	clear(woken)
	q.mu.Unlock()
	for _, c := range wakes {
		wake(c)
	}
}

// dropHead drops the oldest messages until no more wait than the limit allows,
// which a requeued message can exceed as well as a new one (LEN-2, LEN-7).
func (q *queue) dropHead() {
	q.collect() // a lone consumer may be entitled to them (LEN-3)
	for q.fifo.Over() {
		q.fifo.DropHead()
	}
}

// dropReturned is dropHead for the step that returned messages: as in RabbitMQ
// what is too much is dropped before anybody gets it (LEN-7).
func (q *queue) dropReturned() {
	for q.overflow == DropHead && q.fifo.Over() {
		q.fifo.DropHead()
	}
}

// wakeLater has unlock wake c, which may be nil.
func (q *queue) wakeLater(c *fifo.Consumer[item]) {
	if c != nil {
		q.fifo.Wake(c)
	}
}

func wake(c *fifo.Consumer[item]) { c.Owner.(*Consumer).wakeOne() }

// subscribe adds a consumer.
func (q *queue) subscribe(c *Consumer) error {
	q.lock()
	defer q.unlock()
	if q.gone != nil {
		return q.whyGone()
	}
	if err := c.Err(); err != nil {
		return err // its session was closed meanwhile
	}
	if len(q.consumers) > 0 {
		q.setEager(eagerShared, true)
		q.collect()
	}
	if err := q.fifo.Subscribe(&c.core); err != nil {
		q.updateShared()
		return accessRefused("queue '%s' in vhost '%s' in exclusive use", q.name, q.broker.vhost)
	}
	q.consumers = append(q.consumers, c)
	return nil
}

// endTogether ends consumers, and returns what back holds, in one step: nothing
// is delivered in between, so that all comes back in order.
func (q *queue) endTogether(consumers []*Consumer, back []*holder, why error) {
	var ended []*Consumer
	queueEnded := false
	q.lock()
	for _, c := range consumers {
		first, last := c.detach(why)
		if first {
			ended = append(ended, c)
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
		q.broker.forgetQueue(q)
	}
}

// unsubscribe removes a consumer, and reports whether the queue ends with it.
// q.mu and c.mu are held.
func (q *queue) unsubscribe(c *Consumer) (ended bool) {
	if !slices.Contains(q.consumers, c) {
		return false // ended before it began
	}
	q.fifo.Unsubscribe(&c.core, &c.batch)
	if q.gone != nil {
		q.fifo.Purge()
	}
	q.consumers = slices.DeleteFunc(q.consumers, func(x *Consumer) bool { return x == c })
	q.updateShared()
	if q.autoDelete && len(q.consumers) == 0 && q.gone == nil {
		q.end(errGone)
		return true
	}
	return false
}

func (q *queue) updateShared() { q.setEager(eagerShared, len(q.consumers) > 1) }

// whyGone is what those learn who want to use a queue that ended.
func (q *queue) whyGone() error {
	if q.gone == errGone {
		return notFound("no queue '%s' in vhost '%s'", q.name, q.broker.vhost)
	}
	return q.gone
}

// end makes the queue exist no longer: what waits in it is gone, and publishers
// that wait for room learn why. The caller cancels the consumers and removes the
// queue from the broker's tables, without the lock. q.mu is held.
func (q *queue) end(why error) {
	q.gone = why
	q.countSource()
	q.fifo.Purge()
	if why == errGone {
		why = q.deleted()
	}
	q.dropWaiters(func(*waiter) bool { return true }, why)
}

// deleted is what those learn who used a queue when it was deleted.
func (q *queue) deleted() error {
	return newError(ErrQueueDeleted, CodeNotFound, "queue '%s' in vhost '%s' was deleted", q.name, q.broker.vhost)
}

// dropWaiters sends the waiting publishers away for whom which holds. q.mu is
// held.
func (q *queue) dropWaiters(which func(*waiter) bool, why error) {
	q.waiters = slices.DeleteFunc(q.waiters, func(w *waiter) bool {
		if !which(w) {
			return false
		}
		w.done <- why
		return true
	})
	if len(q.waiters) == 0 {
		q.waiters = nil
		q.setEager(eagerWaiters, false)
	}
}

// delete ends the queue if the conditions of c hold, and returns the number of
// messages that waited in it (QUEUE-24 to QUEUE-27).
func (q *queue) delete(c deleteConfig, why error) (int, error) {
	q.lock()
	defer q.unlock()
	n := q.fifo.Ready()
	switch {
	case q.gone != nil:
		return 0, nil
	case c.ifEmpty && n > 0:
		return 0, preconditionFailed("queue '%s' in vhost '%s' not empty", q.name, q.broker.vhost)
	case c.ifUnused && len(q.consumers) > 0:
		return 0, preconditionFailed("queue '%s' in vhost '%s' in use", q.name, q.broker.vhost)
	}
	q.end(why)
	return n, nil
}

// cancelConsumers ends all consumers; q.mu is not held.
func (q *queue) cancelConsumers(why error) {
	q.mu.Lock()
	all := slices.Clone(q.consumers)
	q.mu.Unlock()
	for _, c := range all {
		c.end(why)
	}
}

func (q *queue) purge() int {
	q.lock()
	defer q.unlock()
	return q.fifo.Purge()
}

// info returns what a declaration answers.
func (q *queue) info() QueueInfo {
	q.lock()
	defer q.unlock()
	return QueueInfo{Name: q.name, Messages: q.fifo.Ready(), Consumers: len(q.consumers)}
}

// isGone reports whether the queue was deleted.
func (q *queue) isGone() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gone != nil
}
