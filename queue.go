package pocketmq

import (
	"sync"
	"sync/atomic"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/line"
	"github.com/pocketmq/pocketmq/internal/ring"
	"github.com/pocketmq/pocketmq/internal/stream"
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
// room (waiter.go), and everything that must happen outside the lock. Messages come in
// by push.go, consumers come and go by subscribe.go.
type queue struct {
	name       string
	durable    bool
	autoDelete bool
	quorum     bool
	levels     bool     // messages have priorities
	unbounded  bool     // declared so; RabbitMQDefaults are not meant
	wire       bool     // declared over a connection
	forgotten  bool     // in no table any more; guarded by Broker.mu
	version    version  // of RabbitMQ that it behaves like
	owner      *Session // of an exclusive queue; else nil
	args       Table
	defaults   *settings // of whoever declared it, where its arguments are silent
	broker     *Broker
	self       targets // this queue alone, for the default exchange

	// eager says why settling a message must come to the queue at once, rather
	// than be collected with the next fetch; see (*holder).mustFlush.
	eager atomic.Uint32

	inbound map[*binding]struct{} // guarded by Broker.mu

	_ [64]byte // what follows changes with every message; the above is read by all who publish and settle

	mu        sync.Mutex
	fifo      fifo.Queue[item]  // guarded by mu, and so is all below; that of a stream stays empty
	log       *stream.Log[item] // nil unless it is a stream
	plain     bool              // settings.plain()
	changes   uint32            // how often policies had changed when policies was found; see apply
	settings  *settings         // what is in force; see apply
	policies  inForce
	consumers line.Line[*Consumer] // in the order in which they subscribed
	waiters   []*waiter            // publishers that wait for room, in order
	rejected  uint64               // messages refused because the queue was full
	full      *Error               // what their publishers are told; nil until it is needed
	source    *exchange            // of the messages that sourced counts
	sourced   uint64               // messages of source that its counter lacks; see countSource
	gone      error                // errGone or errBrokerClosed; nil while the queue exists

	outbox  *outbox     // of dead letters; nil until there is one
	leaving []*Consumer // of a quorum queue: ended, and perhaps holding messages still; see consumerCount
	timers  *timers     // nil until one is needed
}

// store is where a queue keeps its messages, as the consumers see it.
type store interface {
	Ready() int
	Unacked() int
	Counts() fifo.Counts
	Pending() bool
	Consumers() int
	Unsubscribe(c *fifo.Consumer[item], fetched *ring.Ring[entry])
	Fetch(c *fifo.Consumer[item], acked int, batch *ring.Ring[entry], wake bool)
	Waits(c *fifo.Consumer[item]) bool
	Ack(c *fifo.Consumer[item], n int)
	Reject(c *fifo.Consumer[item], e entry)
	Return(c *fifo.Consumer[item], e entry)
	Lose(c *fifo.Consumer[item], e entry)
	Release(c *fifo.Consumer[item], e entry)
	Restore(c *fifo.Consumer[item], e entry)
	Woken() []*fifo.Consumer[item]
	Purge() int
	Check() error
}

func (q *queue) store() store {
	if q.log != nil {
		return q.log
	}
	return &q.fifo
}

// The reasons in queue.eager.
const (
	eagerShared   = 1 << iota // several consumers: who is served next depends on the moment
	eagerWaiters              // publishers wait for room
	eagerDraining             // Shutdown waits for the queue to run empty
	eagerTimed                // messages expire: one is safe from the moment when there is credit for it
)

// newQueue makes a queue; Broker.mu is held.
func newQueue(b *Broker, name string, c queueConfig, owner *Session) *queue {
	q := &queue{
		name: name, durable: c.durable, autoDelete: c.autoDelete, unbounded: c.unbounded, owner: owner, args: c.args,
		defaults: c.defaultSettings(), quorum: queueTypeOf(c.args) == quorum, wire: c.wire, version: c.version, broker: b,
	}
	q.self.queues = []*queue{q}
	q.settings = settingsOf(q.defaults, q.args)
	q.plain, q.levels = q.settings.plain(), q.settings.maxPriority > 0
	q.fifo = fifo.New(q.settings.limits(), &b.entries)
	if s := q.settings.stream; s != nil {
		q.log = stream.New[item](s.Retention)
	}
	if q.levels {
		q.fifo.SetPrompt()
	}
	if q.settings.retry != nil {
		q.startTime()
	}
	if q.settings.singleActive {
		q.fifo.SetSingle(q.settings.quorum && q.version >= v4_0) // CONS-21, QQ-18
	}
	if b.phase.Load() != open {
		q.setEager(eagerDraining, true) // a handler declares it while Shutdown waits
	}
	return q
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
// sort, but in a stream, where each of them is as good as alone. q.mu is held.
func (q *queue) collect() {
	q.tick()
	if q.consumers.Len() == 1 || q.log != nil {
		for c := range q.consumers.All() {
			c.collect()
		}
		q.fifo.Dispatch()
	}
}

// lock locks the queue and collects, for a look or a step that must see what is
// true at this moment.
func (q *queue) lock() {
	q.mu.Lock()
	q.collect()
}

// lockForOne is lock for a step that concerns one consumer: in a stream no other can
// tell the difference, and there may be many.
func (q *queue) lockForOne() {
	q.mu.Lock()
	if q.log == nil {
		q.collect()
	}
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
	if q.settings.overflow == DropHead && q.fifo.Over() {
		q.dropHead()
	}
	if q.waiters != nil {
		q.tick()
		q.admitWaiters()
	}
	q.watch()
	send := q.collectLetters()
	woken := q.store().Woken()
	if len(woken) == 0 && !send {
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
	if send {
		q.sendLetters()
	}
}

// dropHead drops the oldest messages until no more wait than the limit allows,
// which a requeued message can exceed as well as a new one (LEN-2, LEN-7).
func (q *queue) dropHead() {
	if !q.fifo.Timed() { // what expires at once as well dies of the length
		q.collect() // a lone consumer may be entitled to them (LEN-3)
	}
	q.fifo.Trim()
}

// dropReturned is dropHead for the step that returned messages: as in RabbitMQ
// what is too much is dropped before anybody gets it (LEN-7), but in a quorum queue
// after (QQ-12).
func (q *queue) dropReturned() {
	if q.settings.overflow == DropHead && !q.quorum {
		q.fifo.Trim()
	}
}

// wakeLater has unlock wake c, which may be nil.
func (q *queue) wakeLater(c *fifo.Consumer[item]) {
	if c != nil {
		q.fifo.Wake(c)
	}
}

func wake(c *fifo.Consumer[item]) { c.Owner.(*Consumer).wakeOne() }

// whyGone is what those learn who want to use a queue that ended.
func (q *queue) whyGone() error {
	if q.gone == errGone {
		return q.broker.noQueue(q.name)
	}
	return q.gone
}

// end makes the queue exist no longer: what waits in it is gone, and publishers
// that wait for room learn why. The caller cancels the consumers and removes the
// queue from the broker's tables, without the lock. q.mu is held.
func (q *queue) end(why error) {
	q.gone = why
	q.stopTimers()
	q.dropLetters()
	q.countSource()
	q.store().Purge()
	if why == errGone {
		why = q.deleted()
	}
	q.dropWaiters(func(*waiter) bool { return true }, why)
}

// deleted is what those learn who used a queue when it was deleted.
func (q *queue) deleted() error {
	return newError(ErrQueueDeleted, CodeNotFound, "%v was deleted", q.at())
}

// retries reports whether what comes back because it has failed waits until it is
// delivered again.
func (q *queue) retries() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings.retry != nil && q.settings.retry.failed
}

// delete ends the queue if the conditions of c hold, and returns the number of
// messages that waited in it (QUEUE-24 to QUEUE-27), and of the dead letters that it
// held. In a stream none waits, and there are no conditions (STREAM-15).
func (q *queue) delete(c deleteConfig, why error) (n, held int, err error) {
	q.lock()
	defer q.unlock()
	n, held = q.fifo.Ready()+q.fifo.Delayed(), q.fifo.Held()
	if q.log != nil {
		c = deleteConfig{}
	}
	switch {
	case q.gone != nil:
		return 0, 0, nil
	case c.ifEmpty && n > 0:
		return 0, 0, preconditionFailed("%v not empty", q.at())
	case c.ifUnused && q.consumers.Len() > 0:
		return 0, 0, preconditionFailed("%v in use", q.at())
	}
	q.end(why)
	return n, held, nil
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
	i := QueueInfo{Name: q.name, Messages: q.store().Ready()}
	if q.log == nil { // of those of a stream RabbitMQ does not tell
		i.Consumers = q.consumerCount()
	}
	return i
}

// isBusy reports whether Shutdown waits for the queue: not for what was handed out of
// one that is gone, as settling that means nothing. q.mu is held.
func (q *queue) isBusy() bool {
	if q.outbox != nil && q.outbox.sending {
		return true
	}
	return q.gone == nil && (q.store().Unacked() > 0 || q.store().Pending())
}

// isGone reports whether the queue was deleted.
func (q *queue) isGone() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gone != nil
}
