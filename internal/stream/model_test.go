package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/ring"
)

// model is the stream as one would explain it on a blackboard: all messages ever,
// and a note in which segment each is.
type model struct {
	all      []modelMessage
	segments int // begun so far
	gone     int // segments removed so far
	keep     Retention
}

type modelMessage struct {
	value, segment int
	size           int64
	filter         string
	time           time.Time
}

func (m *model) append(v modelMessage) {
	if n := len(m.all); n > 0 {
		v.time = latest(v.time, m.all[n-1].time)
	}
	full := m.segments == 0 || m.size(m.segments) >= m.keep.SegmentBytes
	if full {
		m.segments++
	}
	v.segment = m.segments
	m.all = append(m.all, v)
	for full && m.gone+1 < m.segments && m.mustGo(m.gone+1, v.time) {
		m.gone++
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// size is the size of a segment, or of all that are left if it is 0.
func (m *model) size(segment int) (n int64) {
	for _, v := range m.all {
		if v.segment == segment || segment == 0 && v.segment > m.gone {
			n += v.size
		}
	}
	return n
}

func (m *model) mustGo(segment int, now time.Time) bool {
	if m.keep.MaxBytes >= 0 && m.size(0) > m.keep.MaxBytes {
		return true
	}
	var youngest time.Time
	for _, v := range m.all {
		if v.segment == segment {
			youngest = v.time
		}
	}
	return m.keep.MaxAge > 0 && youngest.Before(now.Add(-m.keep.MaxAge))
}

// first is the offset of the oldest message that is left.
func (m *model) first() int {
	for i, v := range m.all {
		if v.segment > m.gone {
			return i
		}
	}
	return len(m.all)
}

// pair drives the log and the model side by side.
type pair struct {
	l       *Log[int]
	m       model
	now     time.Time
	readers []*both
	gone    []*both
	history []string
}

type both struct {
	c       *fifo.Consumer[int]
	next    int // the model's
	filter  *Filter
	held    int
	mayWake bool // asked to be woken
}

var filters = []string{"", "a", "b"}

func (p *pair) step(op, arg byte) {
	p.history = append(p.history, fmt.Sprintf("%d(%d)", op%8, arg))
	switch op % 8 {
	case 0, 1, 2:
		p.append(arg)
	case 3:
		p.subscribe(arg)
	case 4, 5:
		p.fetch(arg)
	case 6:
		p.settle(arg)
	case 7:
		if arg%4 == 0 {
			p.unsubscribe(arg)
			return
		}
		p.now = p.now.Add(time.Duration(arg)*time.Second - 40*time.Second) // clocks may be set back
	}
}

func (p *pair) append(arg byte) {
	v := modelMessage{value: len(p.m.all) + 1000, size: int64(arg / 3), filter: filters[arg%3], time: p.now}
	if p.l.Next() != int64(len(p.m.all)) {
		panic("Next differs")
	}
	p.l.Append(&v.value, v.size, v.filter, v.time)
	p.m.append(v)
	p.woken(func(b *both) bool { return b.wants(v) && b.next <= len(p.m.all)-1 })
}

// woken checks that those readers are woken that asked for it and for which it holds.
func (p *pair) woken(must func(*both) bool) {
	woken := p.l.Woken()
	for _, b := range p.readers {
		want := b.mayWake && b.held < b.c.Prefetch && must(b)
		if want != slices.Contains(woken, b.c) {
			panic(fmt.Sprintf("woken %v, want %v", !want, want))
		}
		if want {
			b.mayWake = false
		}
	}
}

func (b *both) wants(v modelMessage) bool {
	f := b.filter
	return f == nil || v.filter == "" && f.Unfiltered || v.filter != "" && slices.Contains(f.Values, v.filter)
}

// read returns what a reader gets next, up to n messages.
func (p *pair) read(b *both, n int) (offsets []int) {
	for i := max(b.next, p.m.first()); i < len(p.m.all) && len(offsets) < n; i++ {
		if b.wants(p.m.all[i]) {
			offsets = append(offsets, i)
		}
	}
	return offsets
}

func (p *pair) subscribe(arg byte) {
	if len(p.readers) == 5 {
		return
	}
	b := &both{c: &fifo.Consumer[int]{Prefetch: 1 + int(arg%4)}}
	b.c.Owner = b
	switch arg / 4 % 4 {
	case 0:
		b.filter = &Filter{Values: []string{"a"}, Unfiltered: arg%8 == 0}
	case 1:
		b.filter = &Filter{Values: []string{"b", "a"}}
	}
	first, end := p.m.first(), len(p.m.all)
	at := Next
	b.next = end
	switch n := int(arg/16) - 3; arg % 5 {
	case 1:
		at, b.next = First, first
	case 2:
		at, b.next = Last, max(first, end-1)
	case 3:
		at, b.next = Offset(int64(first+n)), max(first, first+n)
	case 4:
		since := p.now.Add(time.Duration(-10*n) * time.Second)
		at = Since(since)
		b.next = first
		for b.next < end && p.m.all[b.next].time.Before(since) {
			b.next++
		}
	}
	p.l.Subscribe(b.c, at, b.filter)
	p.readers = append(p.readers, b)
}

func (p *pair) fetch(arg byte) {
	if len(p.readers) == 0 {
		return
	}
	b := p.readers[int(arg)%len(p.readers)]
	acked := min(b.held, int(arg/8%4))
	b.held -= acked
	want := p.read(b, b.c.Prefetch-b.held)
	b.held += len(want)
	if len(want) > 0 {
		b.next = want[len(want)-1] + 1
	}
	var batch ring.Ring[fifo.Entry[int]]
	p.l.Fetch(b.c, acked, &batch, arg%2 == 0)
	b.mayWake = arg%2 == 0 || len(want) == 0
	var got []int
	for e := range batch.All() {
		got = append(got, int(e.Seq))
		if e.Value != p.m.all[e.Seq].value {
			panic("an entry has the wrong value")
		}
	}
	if !slices.Equal(got, want) {
		panic(fmt.Sprintf("fetched %v, want %v", got, want))
	}
	p.woken(func(*both) bool { return false })
}

func (p *pair) settle(arg byte) {
	all := append(slices.Clone(p.readers), p.gone...)
	if len(all) == 0 {
		return
	}
	b := all[int(arg)%len(all)]
	n := min(b.held, 1+int(arg/64))
	b.held -= n
	switch arg / 8 % 3 {
	case 0:
		p.l.Ack(b.c, n)
	case 1:
		for range n {
			p.l.Reject(b.c, fifo.Entry[int]{})
		}
	case 2:
		for range n {
			p.l.Return(b.c, fifo.Entry[int]{})
		}
	}
	p.woken(func(x *both) bool { return x == b && n > 0 && len(p.read(b, 1)) > 0 })
}

func (p *pair) unsubscribe(arg byte) {
	if len(p.readers) == 0 {
		return
	}
	i := int(arg/4) % len(p.readers)
	b := p.readers[i]
	unseen := min(b.held, int(arg/32%3))
	b.held -= unseen
	b.mayWake = false
	var batch ring.Ring[fifo.Entry[int]]
	for range unseen {
		batch.PushBack()
	}
	p.l.Unsubscribe(b.c, &batch)
	p.woken(func(*both) bool { return false })
	p.readers = slices.Delete(p.readers, i, i+1)
	p.gone = append(p.gone, b)
}

func (p *pair) compare() {
	if err := p.l.Check(); err != nil {
		panic(err)
	}
	held, behind := 0, false
	for _, b := range append(slices.Clone(p.readers), p.gone...) {
		held += b.held
		if b.c.Unacked() != b.held || b.c.OutOfCredit() != (b.held == b.c.Prefetch) {
			panic("the numbers of messages that a reader holds differ")
		}
	}
	for _, b := range p.readers {
		left := len(p.read(b, 1)) > 0
		behind = behind || left
		if p.l.Waits(b.c) != (left && b.held < b.c.Prefetch) {
			panic("Waits differs")
		}
	}
	switch {
	case p.l.Ready() != len(p.m.all)-p.m.first():
		panic(fmt.Sprintf("%d messages are left, want %d", p.l.Ready(), len(p.m.all)-p.m.first()))
	case p.l.Bytes() != p.m.size(0):
		panic("Bytes differs")
	case p.l.Unacked() != held:
		panic("Unacked differs")
	case p.l.Pending() != behind:
		panic("Pending differs")
	}
}

// FuzzLog compares the log with the model after every step.
func FuzzLog(f *testing.F) {
	f.Add([]byte{3, 1, 0, 100, 0, 101, 0, 102, 4, 0, 6, 0, 4, 1, 7, 0})
	f.Add([]byte{0, 255, 0, 255, 7, 255, 3, 4, 3, 19, 0, 255, 0, 254, 5, 0, 5, 1, 6, 0, 7, 4, 6, 0})
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		program := make([]byte, 1200) // long enough to fill blocks
		for i := range program {
			program[i] = byte(random.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) == 0 {
			return
		}
		keep := Retention{MaxBytes: 300, MaxAge: time.Minute, SegmentBytes: int64(program[0]) / 2}
		if program[0]%3 == 0 {
			keep.MaxBytes = -1
		}
		if program[0]%5 == 0 {
			keep.MaxAge = 0
		}
		p := &pair{l: New[int](keep), m: model{keep: keep}, now: time.Unix(1e9, 0)}
		defer func() {
			if r := recover(); r != nil {
				t.Fatalf("%v\nafter %v", r, p.history)
			}
		}()
		for i := 1; i+1 < len(program) && i < 1200; i += 2 {
			p.step(program[i], program[i+1])
			p.compare()
		}
	})
}
