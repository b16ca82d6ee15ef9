package fifo

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pocketmq/pocketmq/internal/ring"
)

// model is the queue as one would explain it on a blackboard: lists that are
// searched and sorted over and over.
type model struct {
	waiting   []Entry[int]
	places    uint64
	limit     int   // of the length
	bytes     int64 // limit of the sum of all that waits; negative = none
	returns   int   // limit of these; negative = none
	now       int64
	levels    byte // of priorities
	delays    bool
	delayed   []delayed[int] // in the order in which they are due
	place     Place
	first     uint64
	turn      int // after so many messages priority 0 has its turn; 0 = it has none
	taken     int
	single    bool // only one consumer gets messages
	active    *modelConsumer
	dead      []Dead[int]
	holds     bool             // what died counts against the limits
	held      []int            // what does
	line      []*modelConsumer // those who may still have credit, in turn
	consumers []*modelConsumer
}

type modelConsumer struct {
	priority  int32
	prefetch  int
	exclusive bool
	inbox     []Entry[int]
	unacked   int
	blocked   bool
}

func (m *model) wait(e Entry[int]) {
	m.waiting = append(m.waiting, e)
	slices.SortFunc(m.waiting, func(a, b Entry[int]) int {
		if inFront := a.Seq < firstPlace; inFront != (b.Seq < firstPlace) {
			return map[bool]int{true: -1, false: 1}[inFront]
		}
		if a.Seq < firstPlace {
			return int(a.Seq) - int(b.Seq)
		}
		return cmp.Or(int(b.Priority)-int(a.Priority), int(a.Seq)-int(b.Seq))
	})
}

// head returns where the next message waits.
func (m *model) head() int {
	if m.turn > 0 && m.taken == m.turn && m.waiting[0].Seq > firstPlace {
		return max(0, slices.IndexFunc(m.waiting, func(e Entry[int]) bool { return e.Priority == 0 }))
	}
	return 0
}

// pop takes the next message.
func (m *model) pop() Entry[int] {
	i := m.head()
	e := m.waiting[i]
	m.waiting = slices.Delete(m.waiting, i, i+1)
	if e.Seq > firstPlace {
		m.taken = (m.taken + 1) % (m.turn + 1)
	}
	return e
}

// next returns whose turn it is: the first in line of the highest priority.
func (m *model) next() *modelConsumer {
	if m.single && !slices.Contains(m.consumers, m.active) {
		m.active = nil
		for _, c := range m.consumers {
			if m.active == nil || c.priority > m.active.priority {
				m.active = c
			}
		}
	}
	var best *modelConsumer
	for _, c := range m.line {
		if m.single && c != m.active {
			continue
		}
		if best == nil || c.priority > best.priority {
			best = c
		}
	}
	return best
}

func (m *model) leaveLine(c *modelConsumer) {
	m.line = slices.DeleteFunc(m.line, func(x *modelConsumer) bool { return x == c })
}

// expire buries what has expired at the head, and nowhere else.
func (m *model) expire() {
	for len(m.waiting) > 0 {
		if e := m.waiting[m.head()]; e.Expires == 0 || e.Expires > m.now {
			return
		}
		m.bury(m.pop(), Expired)
	}
}

func (m *model) bury(e Entry[int], why Reason) {
	m.dead = append(m.dead, Dead[int]{e, why, m.holds})
	if m.holds {
		m.held = append(m.held, e.Value)
	}
}

func (m *model) weight() (n int64) {
	for _, e := range m.waiting {
		n += int64(size(e.Value))
	}
	return n
}

func (m *model) fits(v int) bool {
	n, bytes := len(m.waiting)+len(m.held), m.weight()+int64(size(v))
	for _, v := range m.held {
		bytes += int64(size(v))
	}
	return n < m.limit && (m.bytes < 0 || bytes <= m.bytes)
}

func (m *model) over() bool {
	return len(m.waiting) > m.limit || m.bytes >= 0 && m.weight() > m.bytes
}

func size(v int) int { return v % 4 }

func delay(returns, _ int, _ bool) int64 { return int64(returns - 1) }

func (m *model) dispatch() {
	for m.expire(); len(m.waiting) > 0; m.expire() {
		c := m.next()
		if c == nil {
			return
		}
		m.leaveLine(c)
		if c.prefetch > 0 && c.unacked == c.prefetch {
			c.blocked = true
			continue
		}
		c.inbox = append(c.inbox, m.pop())
		c.unacked++
		m.line = append(m.line, c)
	}
}

func (m *model) credit(c *modelConsumer, n int) {
	if c == nil {
		return
	}
	c.unacked -= n
	if c.blocked && n > 0 {
		c.blocked = false
		m.line = append(m.line, c)
	}
}

// pair drives the queue and the model side by side.
type pair struct {
	q       Queue[int]
	m       model
	both    []*both // consumers, those gone included
	got     []Entry[int]
	value   int
	history []string
}

type both struct {
	c       *Consumer[int]
	m       *modelConsumer
	batch   ring.Ring[Entry[int]] // fetched, not handed out
	unacked []Entry[int]          // handed out
	gone    bool
	mayWake bool // asked to be woken
}

// newPair returns an empty queue with limits that depend on kind.
func newPair(kind byte) *pair {
	m := model{limit: 3, bytes: int64(kind%8) - 1, returns: int(kind/8%4) - 1, levels: kind / 32 % 4, single: kind >= 200,
		place: Place(kind % 3), delays: kind%5 == 0, places: firstPlace, turn: int(kind % 4), holds: kind%7 < 3}
	limits := Limits[int]{Length: m.limit, Bytes: m.bytes, Size: size, Failures: m.returns, Place: m.place, Weight: m.turn,
		KeepDead: true, HoldDead: m.holds}
	if m.delays {
		limits.Delay = delay
	}
	p := &pair{q: New[int](limits, nil), m: m}
	if m.levels > 0 || m.delays {
		p.q.SetPrompt()
	}
	if m.delays {
		p.q.At(0)
	}
	if m.single {
		p.q.SetSingle(HighestNext)
	}
	return p
}

func (p *pair) step(op, arg byte) {
	p.history = append(p.history, fmt.Sprintf("%d(%d)", op%12, arg))
	switch op % 12 {
	case 0, 1:
		p.push(0, arg)
	case 2:
		p.push(arg, arg/8)
	case 11:
		p.m.now += int64(arg % 8)
		for len(p.m.delayed) > 0 && p.m.delayed[0].due <= p.m.now {
			p.m.replace(p.m.delayed[0].entry)
			p.m.delayed = p.m.delayed[1:]
		}
		if p.q.Timed() {
			p.q.At(p.m.now)
		}
		p.m.dispatch()
		p.q.Dispatch()
	case 3:
		p.subscribe(arg)
	case 4, 5:
		p.take(arg)
	case 6, 7:
		p.settle(arg)
	case 8:
		p.get(arg)
	case 9:
		p.unsubscribe(arg)
	case 10:
		p.rare(arg)
	}
	for _, c := range p.q.Woken() {
		p.woken(c)
	}
}

func (p *pair) woken(c *Consumer[int]) {
	b := c.Owner.(*both)
	if !b.mayWake {
		panic("woken without being asked, or twice")
	}
	b.mayWake = false
}

// push publishes a message that expires soon, or never.
func (p *pair) push(soon, priority byte) {
	p.value++
	if !p.q.Fits(&p.value) {
		p.q.Dispatch()
	}
	if p.q.Fits(&p.value) != p.m.fits(p.value) {
		panic("Fits differs")
	}
	p.m.places++
	e := Entry[int]{Value: p.value, Seq: p.m.places}
	if p.m.levels > 0 {
		e.Priority = priority % p.m.levels * 85
	}
	if soon > 0 {
		e.Expires = p.m.now + int64(soon%8)
	}
	if e.Expires != 0 {
		p.q.SetPrompt()
		p.q.At(p.m.now)
	}
	if c := p.q.Push(&p.value, e.Expires, e.Priority); c != nil {
		p.woken(c)
	}
	// With a consumer that can take it at once a message does not expire (TTL-6).
	if now := p.m.now; len(p.m.waiting) == 0 {
		p.m.now = 0
		p.m.wait(e)
		p.m.dispatch()
		p.m.now = now
	} else {
		p.m.wait(e)
	}
	if now := p.m.now; e.Expires != 0 && p.m.over() { // the step ends with Trim, which says what died of what
		p.m.now = 0
		p.m.dispatch()
		p.m.now = now
		p.q.Trim()
		for p.m.over() {
			p.m.bury(p.m.pop(), MaxLength)
		}
		p.m.expire()
		return
	}
	p.m.dispatch()
}

func (p *pair) subscribe(arg byte) {
	b := &both{m: &modelConsumer{priority: int32(arg % 3), prefetch: int(arg / 3 % 5), exclusive: arg >= 240}}
	b.c = &Consumer[int]{Owner: b, Priority: b.m.priority, Prefetch: b.m.prefetch, Exclusive: b.m.exclusive}
	p.q.Dispatch()
	alone := slices.ContainsFunc(p.m.consumers, func(c *modelConsumer) bool { return c.exclusive })
	refused := len(p.m.consumers) > 0 && (alone || b.m.exclusive)
	if err := p.q.Subscribe(b.c); (err != nil) != refused {
		panic("exclusive use differs")
	}
	if refused {
		return
	}
	p.both = append(p.both, b)
	p.m.consumers = append(p.m.consumers, b.m)
	p.m.next() // of a single active consumer there is one at once
	p.m.line = append(p.m.line, b.m)
	p.m.dispatch()
}

func (p *pair) pick(arg byte, ok func(*both) bool) *both {
	var fit []*both
	for _, b := range p.both {
		if ok(b) {
			fit = append(fit, b)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[int(arg)%len(fit)]
}

// take fetches what is assigned to a consumer, hands a part of it out, and may
// ack something in the same step.
func (p *pair) take(arg byte) {
	b := p.pick(arg, func(b *both) bool { return !b.gone })
	if b == nil {
		return
	}
	if b.batch.Len() == 0 {
		acked := min(len(b.unacked), int(arg/8%3))
		b.unacked = b.unacked[acked:]
		p.m.credit(b.m, acked)
		p.m.dispatch()
		p.q.Fetch(b.c, acked, &b.batch, arg%2 == 0)
		got := entries(&b.batch)
		if n := len(got); n > len(b.m.inbox) || n == 0 && len(b.m.inbox) > 0 || !slices.Equal(got, b.m.inbox[:n]) {
			panic(fmt.Sprintf("fetched %v, want %v", got, b.m.inbox))
		}
		b.m.inbox = b.m.inbox[len(got):]
		b.mayWake = arg%2 == 0 || len(got) == 0
	}
	for range min(b.batch.Len(), 1+int(arg%4)) {
		b.unacked = append(b.unacked, b.batch.PopFront())
	}
}

func entries(r *ring.Ring[Entry[int]]) (all []Entry[int]) {
	for e := range r.All() {
		all = append(all, *e)
	}
	return all
}

// settle acks, rejects or returns some of what a consumer, perhaps one that is
// gone, was handed.
func (p *pair) settle(arg byte) {
	b := p.pick(arg, func(b *both) bool { return len(b.unacked) > 0 })
	if b == nil {
		return
	}
	n := min(len(b.unacked), 1+int(arg/4%3))
	from := int(arg/16) % (len(b.unacked) - n + 1)
	some := slices.Clone(b.unacked[from : from+n])
	b.unacked = slices.Delete(b.unacked, from, from+n)
	p.m.credit(b.m, n)
	switch arg % 4 {
	case 0, 1:
		p.q.Ack(b.c, n)
		p.q.Dispatch()
	case 2:
		for _, e := range some {
			p.q.Reject(b.c, e)
			p.m.bury(e, Rejected)
		}
		p.q.Dispatch()
	case 3:
		slices.Reverse(some) // the order in which they come back is of no account, if they go to their places
		p.q.Dispatch()
		for _, e := range some {
			p.q.Return(b.c, e)
		}
		p.q.Dispatch()
		p.back(some)
	}
	p.m.dispatch()
}

func (p *pair) back(entries []Entry[int]) {
	for _, e := range entries {
		e.Returns++
		if p.m.returns >= 0 && int(e.Returns) > p.m.returns {
			p.m.bury(e, DeliveryLimit)
			continue
		}
		if by := delay(int(e.Returns), 0, false); p.m.delays && by > 0 {
			p.m.delayed = append(p.m.delayed, delayed[int]{entry: e, due: p.m.now + by})
			slices.SortStableFunc(p.m.delayed, func(a, b delayed[int]) int { return int(a.due - b.due) })
			continue
		}
		p.m.replace(e)
	}
}

func (m *model) replace(e Entry[int]) {
	switch m.place {
	case ReturnOrder:
		m.first++
		e.Seq = m.first
	case Back:
		m.places++
		e.Seq = m.places
	}
	m.wait(e)
}

func (p *pair) get(arg byte) {
	if arg%2 == 0 && len(p.got) > 0 {
		p.q.Dispatch()
		for _, e := range p.got {
			p.q.Return(nil, e)
		}
		p.q.Dispatch()
		p.back(p.got)
		p.got = nil
		p.m.dispatch()
		return
	}
	p.q.Dispatch() // a lone consumer may not have fetched what it is entitled to
	e, ok := p.q.Get()
	if ok != (len(p.m.waiting) > 0) || ok && e != p.m.pop() {
		panic("Get differs")
	}
	if ok {
		p.got = append(p.got, e)
		p.m.expire()
	}
}

func (p *pair) unsubscribe(arg byte) {
	b := p.pick(arg, func(b *both) bool { return !b.gone })
	if b == nil {
		return
	}
	for _, unseen := range [][]Entry[int]{entries(&b.batch), b.m.inbox} {
		b.m.unacked -= len(unseen)
		for _, e := range unseen {
			p.m.wait(e)
		}
	}
	p.q.Dispatch()
	p.q.Unsubscribe(b.c, &b.batch)
	p.q.Dispatch()
	p.m.leaveLine(b.m)
	p.m.consumers = slices.DeleteFunc(p.m.consumers, func(c *modelConsumer) bool { return c == b.m })
	b.m.inbox, b.gone, b.m.blocked = nil, true, false
	p.m.next()
	p.m.dispatch()
}

func (p *pair) rare(arg byte) {
	p.q.Dispatch()
	switch {
	case arg%4 == 0:
		if n := p.q.Purge(); n != len(p.m.waiting)+len(p.m.delayed) {
			panic("Purge differs")
		}
		p.m.waiting, p.m.delayed = nil, nil
	case arg%4 == 1 && len(p.m.held) > 0:
		p.q.Forget(&p.m.held[0])
		p.m.held = p.m.held[1:]
	default:
		p.q.Trim()
		for len(p.m.waiting) > p.m.limit || p.m.bytes >= 0 && p.m.weight() > p.m.bytes {
			p.m.bury(p.m.pop(), MaxLength)
		}
		p.m.dispatch()
		p.q.Dispatch()
	}
}

// compare compares everything that can be seen, or, if look is false, only that
// which a lone consumer's laziness does not hide.
func (p *pair) compare(look bool) {
	if look {
		p.q.Dispatch()
		for _, c := range p.q.Woken() {
			p.woken(c)
		}
	}
	if err := p.q.Check(); err != nil {
		panic(err)
	}
	if len(p.m.consumers) == 1 && !look {
		return
	}
	if dead := p.q.Dead(); !slices.Equal(dead, p.m.dead) {
		panic(fmt.Sprintf("dead %v, want %v", dead, p.m.dead))
	}
	p.m.dead = nil
	if p.q.Ready() != len(p.m.waiting) || p.q.Delayed() != len(p.m.delayed) || p.q.Held() != len(p.m.held) || p.q.consumers.Len() != len(p.m.consumers) {
		panic("the numbers of messages or consumers differ")
	}
	for _, b := range p.both {
		if !slices.Equal(entries(&b.c.inbox), b.m.inbox) || b.c.Unacked() != b.m.unacked {
			panic(fmt.Sprintf("inbox %v with %d unacked, want %v with %d", entries(&b.c.inbox), b.c.Unacked(), b.m.inbox, b.m.unacked))
		}
	}
}

// FuzzQueue compares the queue with the model after every step.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 3, 6, 0, 0, 0, 0, 4, 1, 6, 0, 9, 0})
	f.Add([]byte{0, 0, 0, 3, 4, 3, 5, 0, 0, 4, 0, 6, 3, 6, 3, 10, 1, 8, 1, 8, 0})
	f.Fuzz(compareAll)
}

// TestQueueDoesWhatTheModelDoes is FuzzQueue with programs that are long, which a
// fuzzer does not come to by itself in a short time.
func TestQueueDoesWhatTheModelDoes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		program := make([]byte, 1+2*rnd.IntN(150))
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		compareAll(t, program)
	}
}

func compareAll(t *testing.T, program []byte) {
	if len(program) == 0 {
		return
	}
	p := newPair(program[0])
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%v\nkind %d, after %v", r, program[0], p.history)
		}
	}()
	for i := 1; i+1 < len(program) && i < 2000; i += 2 {
		p.step(program[i], program[i+1])
		p.compare(program[i]%36 > 11)
	}
}
