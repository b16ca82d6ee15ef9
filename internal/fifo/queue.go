package fifo

import (
	"slices"

	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/line"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// Queue is the state of one queue. Make it with New.
type Queue[T any] struct {
	lane[T]           // what waits with priority 0
	above   *lanes[T] // and with higher ones; nil = never any
	taken   int       // messages taken since priority 0 had its turn; see Limits.Weight
	seq     uint64    // the last place that was given away
	limits  Limits[T]
	bytes   int64 // of the messages that wait, if they are limited
	held    held  // died, and still count against the limits
	unacked int
	pool    *ring.Pool[Entry[T]]

	now    int64 // the time of this step, if timed is set
	timed  bool  // entries expire or are delayed
	prompt bool  // a lone consumer is no exception any more; see SetPrompt

	consumers line.Line[*Consumer[T]] // in the order in which they subscribed
	lone      *Consumer[T]            // the only consumer, if there is one, it has no gate, and the queue is not prompt
	turns     turns[T]
	single    *single[T] // nil = all consumers get messages
	woken     []*Consumer[T]

	counts Counts
	rare   *rare[T] // nil = never needed; see rarely
}

// rare is what most queues never need.
type rare[T any] struct {
	front   heap[Entry[T], *Entry[T]]     // came back in ReturnOrder
	first   uint64                        // the last place that was given away in ReturnOrder
	moved   uint64                        // how many places were given away for Back
	delayed heap[delayed[T], *delayed[T]] // came back, and not ready yet
	dead    []Dead[T]
}

// rarely returns q.rare, for a change of it.
func (q *Queue[T]) rarely() *rare[T] {
	if q.rare == nil {
		q.rare = new(rare[T])
	}
	return q.rare
}

// Limits bound what a queue holds. Entries that come back may exceed them, as
// may those that are pushed: nothing is lost to a limit here, the caller looks at
// Fits and Over, and decides.
type Limits[T any] struct {
	Length int   // most messages waiting for a consumer; negative = any number
	Bytes  int64 // most bytes of these; negative = any number

	// Size is the number of bytes of a message; nil will do without Bytes and HoldDead.
	Size func(T) int

	// Failures is how often a message may come back by Return; the next time it is
	// dead. Negative = any number.
	Failures int

	// Place is where messages go that come back.
	Place Place

	// Weight is how many messages are taken before it is the turn of priority 0, though
	// one of a higher priority waits, too; 0 = it has none. What came back in
	// ReturnOrder takes no part in this.
	Weight int

	// Delay is for how long a message is not ready that comes back; nil = never. It is
	// given what the message's Entry says, and whether it comes by Release. Before
	// there is one the caller calls SetPrompt, and At.
	Delay func(returns, failures int, released bool) int64

	// KeepDead lets Dead return what died; else it is gone at once.
	KeepDead bool

	// HoldDead has what died count against the limits until Forget is called (QQ-19).
	HoldDead bool

	// TrimmedFirst makes what Trim drops come before what else died since Dead was
	// called, and the last of it first.
	TrimmedFirst bool
}

// held is what counts against the limits besides the messages that wait.
type held struct {
	n     int
	bytes int64
}

// Place is where a message goes that comes back after somebody saw it.
type Place uint8

// The places.
const (
	Original    Place = iota // before everything that was put in later (ACK-9)
	ReturnOrder              // before all that never left, whatever its priority, in the order in which they come back (QQ-9)
	Back                     // behind all others (QQ-9)
)

// firstPlace is that of the first message. Those below are for ReturnOrder.
const firstPlace = 1 << 62

// Unlimited are the limits of a queue without any.
func Unlimited[T any]() Limits[T] { return Limits[T]{Length: -1, Bytes: -1, Failures: -1} }

// Counts are a queue's running totals. What came in has left, or is ready, or
// is unacked; Check checks the balance.
type Counts struct {
	Published   uint64 // entries pushed
	Delivered   uint64 // entries assigned to a consumer or got, redeliveries included
	Redelivered uint64 // of these, entries that had been delivered before
	Acked       uint64 // entries settled for good by an ack
	Returned    uint64 // entries that came back, whether anybody saw them or not
	Purged      uint64 // entries removed by Purge

	Dead [reasons]uint64 // entries that left otherwise, by reason
}

// New returns an empty queue with these limits and its storage from pool.
func New[T any](limits Limits[T], pool *ring.Pool[Entry[T]]) Queue[T] {
	return Queue[T]{limits: limits, pool: pool, lane: lane[T]{ready: ring.New(pool)}, seq: firstPlace}
}

// SetLimits changes the limits. What waits may then exceed them.
func (q *Queue[T]) SetLimits(limits Limits[T]) {
	q.limits = limits
	q.bytes = q.weighAll()
}

// weighAll is what bytes has to be.
func (q *Queue[T]) weighAll() (n int64) {
	if q.limits.Bytes < 0 {
		return 0
	}
	for _, l := range q.lanes() {
		for e := range l.ready.All() {
			n += int64(q.limits.Size(e.Value))
		}
		for i := range l.returned {
			n += int64(q.limits.Size(l.returned[i].Value))
		}
	}
	for i := range q.inFront() {
		n += int64(q.limits.Size(q.rare.front[i].Value))
	}
	return n
}

// weigh counts a message that begins to wait, by 1, or does no longer, by -1.
func (q *Queue[T]) weigh(v *T, by int64) {
	if q.limits.Bytes >= 0 {
		q.bytes += by * int64(q.limits.Size(*v))
	}
}

// Ready is the number of messages that wait for a consumer, as AMQP counts
// them: unacked ones are not ready.
func (q *Queue[T]) Ready() int {
	n := q.lane.len() + q.inFront()
	if q.above != nil {
		n += q.above.len
	}
	return n
}

// Unacked is the number of messages that were assigned to a consumer, present
// or gone, or handed out by Get, and are not settled.
func (q *Queue[T]) Unacked() int { return q.unacked }

// Full reports whether a further message that no consumer takes at once would
// exceed the limit of the length.
func (q *Queue[T]) Full() bool { return q.limits.Length >= 0 && q.held.n+q.Ready() >= q.limits.Length }

// Fits reports whether a message could wait without exceeding a limit.
func (q *Queue[T]) Fits(v *T) bool {
	return !q.Full() && (q.limits.Bytes < 0 || q.bytes+q.held.bytes+int64(q.limits.Size(*v)) <= q.limits.Bytes)
}

// Over reports whether more is waiting than the limits allow.
func (q *Queue[T]) Over() bool {
	return q.limits.Length >= 0 && q.Ready() > q.limits.Length || q.limits.Bytes >= 0 && q.bytes > q.limits.Bytes
}

// Counts returns the running totals.
func (q *Queue[T]) Counts() Counts {
	n := q.counts
	n.Published = q.seq - firstPlace
	if q.rare != nil {
		n.Published -= q.rare.moved
	}
	return n
}

// Push adds a message at the tail of its priority and, if nothing else is waiting,
// assigns it to the consumer whose turn it is. It returns a consumer to be woken, or
// nil.
//
// A lone consumer is only told that there is something; it fetches as much as
// its credit allows. Nobody can tell that from an assignment now, and fetching
// many costs little more than fetching one. Who wants to see the queue as if each
// had been assigned calls Dispatch.
//
// The message expires at the time expires, if that is not 0; the caller has called
// At in this step. Before the first with an expiry or a priority it has called
// SetPrompt.
func (q *Queue[T]) Push(v *T, expires int64, priority uint8) *Consumer[T] {
	q.seq++
	c := q.lone
	if c == nil && q.consumers.Len() > 0 && q.Ready() == 0 {
		if c := q.turns.pick(); c != nil {
			q.take()
			*c.inbox.PushBack() = Entry[T]{Value: *v, Seq: q.seq, Expires: expires, Priority: priority}
			return q.assigned(c, 0)
		}
	}
	l := &q.lane
	if priority > 0 {
		l = q.laneOf(priority)
	}
	e := l.ready.PushBack()
	e.Value, e.Seq, e.Priority = *v, q.seq, priority
	q.weigh(v, 1)
	if expires != 0 {
		e.Expires = expires
		if !q.Over() { // or Trim comes first, and says what it died of
			q.expire()
		}
	}
	if c == nil || !c.idle || c.OutOfCredit() {
		return nil
	}
	c.idle = false
	return c
}

// Overtakes reports whether a message of this priority, if it is pushed now, may get
// before one that a lone consumer has earned by acks of which the queue has not heard.
func (q *Queue[T]) Overtakes(priority uint8) bool {
	if q.consumers.Len() != 1 || q.Ready() == 0 {
		return false
	}
	if q.limits.Weight > 0 {
		return true // also one of priority 0 may have its turn earlier
	}
	c := q.consumers.First()
	earned := c.unacked - c.inbox.Len() // at most
	return priority > 0 && (q.lane.len() > 0 || q.above.anyBelow(priority)) && !q.above.before(priority, earned)
}

// TryPush is Push for a message that must not wait: it adds the message only if
// a consumer can take it at once, and reports whether one did.
func (q *Queue[T]) TryPush(v *T, expires int64, priority uint8) (wake *Consumer[T], ok bool) {
	if q.Ready() > 0 {
		return nil, false
	}
	c := q.turns.pick()
	if c == nil {
		return nil, false
	}
	q.seq++
	q.take()
	*c.inbox.PushBack() = Entry[T]{Value: *v, Seq: q.seq, Expires: expires, Priority: priority}
	return q.assigned(c, 0), true
}

// assigned counts an entry that was put into the inbox of a consumer that has paid
// for it, and returns the consumer if it must be woken.
func (q *Queue[T]) assigned(c *Consumer[T], returns uint32) *Consumer[T] {
	q.delivered(returns)
	if c.Given != nil && q.consumers.Len() > 1 {
		c.Given()
	}
	if !c.idle {
		return nil
	}
	c.idle = false
	return c
}

func (q *Queue[T]) delivered(returns uint32) {
	q.unacked++
	q.counts.Delivered++
	if returns > 0 {
		q.counts.Redelivered++
	}
}

// Dispatch assigns waiting messages while a consumer has credit. Every step does
// so, but for those that only concern a lone consumer: Push and Fetch.
func (q *Queue[T]) Dispatch() {
	for {
		q.expire()
		if q.Ready() == 0 {
			return
		}
		c := q.turns.pick()
		if c == nil {
			return
		}
		e := c.inbox.PushBack()
		q.popTo(e)
		if c = q.assigned(c, e.Returns); c != nil {
			q.woken = append(q.woken, c)
		}
	}
}

// head returns the entry at the head, or nil.
func (q *Queue[T]) head() *Entry[T] {
	switch {
	case q.inFront() > 0:
		return &q.rare.front[0]
	case q.isAbove():
		top, _ := q.above.top()
		return top.head()
	}
	return q.lane.head()
}

// isAbove reports whether the next message that is not in front is one of a
// priority above 0.
func (q *Queue[T]) isAbove() bool {
	if q.above == nil || q.above.len == 0 {
		return false
	}
	return q.limits.Weight == 0 || q.taken < q.limits.Weight || q.lane.len() == 0
}

// popTo removes the entry at the head, and sets e to it.
func (q *Queue[T]) popTo(e *Entry[T]) {
	switch {
	case q.inFront() > 0:
		*e = q.rare.front.pop()
	case q.isAbove():
		q.above.popTo(e)
		q.take()
	default:
		q.lane.popTo(e)
		q.take()
	}
	q.weigh(&e.Value, -1)
}

// pop is popTo for those who do not know yet what to do with it.
func (q *Queue[T]) pop() (e Entry[T]) {
	q.popTo(&e)
	return e
}

// inFront is the number of messages that came back in ReturnOrder.
func (q *Queue[T]) inFront() int {
	if q.rare == nil {
		return 0
	}
	return len(q.rare.front)
}

// take counts a message that is taken, for Limits.Weight.
func (q *Queue[T]) take() {
	if q.taken++; q.taken > q.limits.Weight {
		q.taken = 0
	}
}

// SetPrompt makes the queue assign messages to a lone consumer as it does to
// several: at once. It is for queues in which who has what depends on the moment:
// one that is assigned does not expire any more (TTL-3), and is not overtaken by
// one of a higher priority (PRIO-5).
func (q *Queue[T]) SetPrompt() {
	q.Dispatch()
	q.prompt = true
	q.findLone()
}

// Timed reports whether entries of the queue may expire or be delayed. If so, each
// step begins with At.
func (q *Queue[T]) Timed() bool { return q.timed }

// At tells the queue the time, which never goes back. It makes ready what was
// delayed until now, and removes what has expired at the head. Only there, as in
// RabbitMQ: what has expired behind a message that has not is still there, but nobody
// gets it (TTL-4).
func (q *Queue[T]) At(now int64) {
	q.now, q.timed = now, true
	if next := q.nextDelayed(); next == nil || next.due > now {
		q.expire()
		return
	}
	for next := q.nextDelayed(); next != nil && next.due <= now; next = q.nextDelayed() {
		q.replace(q.rare.delayed.pop().entry, q.limits.Place)
	}
	q.Dispatch()
}

// expire is the last thing that a step does which took the head away.
func (q *Queue[T]) expire() {
	if !q.timed {
		return
	}
	for e := q.head(); e != nil && e.Expires != 0 && e.Expires <= q.now; e = q.head() {
		q.bury(q.pop(), Expired)
	}
}

// Next is when At is to be called next: when the message at the head expires, or
// one is ready that was delayed. 0 is never.
func (q *Queue[T]) Next() (at int64) {
	if !q.timed {
		return 0
	}
	if e := q.head(); e != nil {
		at = e.Expires
	}
	if next := q.nextDelayed(); next != nil && (at == 0 || next.due < at) {
		at = next.due
	}
	return at
}

// Delayed is the number of messages that came back and are not ready yet.
func (q *Queue[T]) Delayed() int {
	if q.rare == nil {
		return 0
	}
	return len(q.rare.delayed)
}

// nextDelayed returns the one of these that is ready first, or nil.
func (q *Queue[T]) nextDelayed() *delayed[T] {
	if q.Delayed() == 0 {
		return nil
	}
	return &q.rare.delayed[0]
}

// bury ends a message that is not in the queue any more.
func (q *Queue[T]) bury(e Entry[T], why Reason) {
	q.counts.Dead[why]++
	if !q.limits.KeepDead {
		return
	}
	if q.limits.HoldDead {
		q.hold(&e.Value, 1)
	}
	r := q.rarely()
	r.dead = append(r.dead, Dead[T]{e, why, q.limits.HoldDead})
}

// hold counts a message against the limits that died, by 1, or does no longer, by -1.
func (q *Queue[T]) hold(v *T, by int) {
	q.held.n += by
	q.held.bytes += int64(by) * int64(q.limits.Size(*v))
	invariant.Check(q.held.n >= 0 && q.held.bytes >= 0, "fifo: forgotten what was not held: %+v", q.held)
}

// Forget ends what HoldDead began for a message that died.
func (q *Queue[T]) Forget(v *T) { q.hold(v, -1) }

// Held is the number of messages that died and still count against the limits.
func (q *Queue[T]) Held() int { return q.held.n }

// Dead returns the messages that died since it was called last, in the order in
// which they did. They are the caller's.
func (q *Queue[T]) Dead() []Dead[T] {
	if q.rare == nil {
		return nil
	}
	d := q.rare.dead
	q.rare.dead = nil
	return d
}

// Woken returns the consumers that must be woken since it was called last. The
// slice is good until the next step.
func (q *Queue[T]) Woken() []*Consumer[T] {
	w := q.woken
	q.woken = q.woken[:0]
	return w
}

// Wake puts c, which Push returned, into Woken, for a caller that wakes later.
func (q *Queue[T]) Wake(c *Consumer[T]) { q.woken = append(q.woken, c) }

// Trim drops messages from the head until no more wait than the limits allow.
func (q *Queue[T]) Trim() {
	before := q.Dead()
	for q.Over() {
		q.bury(q.pop(), MaxLength)
	}
	q.trimmed(before)
	q.expire()
}

// trimmed says in which order Trim drops; before is what had died already.
func (q *Queue[T]) trimmed(before []Dead[T]) {
	switch {
	case q.rare == nil:
	case q.limits.TrimmedFirst:
		slices.Reverse(q.rare.dead)
		q.rare.dead = append(q.rare.dead, before...)
	case before != nil:
		q.rare.dead = append(before, q.rare.dead...)
	}
}

// Refuse lets a message die that is not let in, which no counter counts.
func (q *Queue[T]) Refuse(v *T) {
	if q.limits.KeepDead {
		r := q.rarely()
		r.dead = append(r.dead, Dead[T]{Entry[T]{Value: *v}, MaxLength, false})
	}
}

// Purge removes all messages that wait and returns their number (QUEUE-29).
func (q *Queue[T]) Purge() int {
	n := q.Ready() + q.Delayed()
	q.counts.Purged += uint64(n)
	if q.rare != nil {
		q.rare.delayed, q.rare.front = nil, nil
	}
	q.ready.Clear()
	q.returned = nil
	q.above = nil
	q.bytes = 0
	return n
}
