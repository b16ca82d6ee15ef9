package stream

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/ring"
)

var start = time.Unix(1e9, 0)

// filled returns a log of n messages, one a second, of 10 bytes each.
func filled(keep Retention, n int) *Log[int] {
	l := New[int](keep)
	for i := range n {
		l.Append(&i, 10, "", start.Add(time.Duration(i)*time.Second))
	}
	return l
}

var everything = Retention{MaxBytes: -1, SegmentBytes: 100}

// offsets fetches all that a reader may have now.
func offsets(l *Log[int], c *fifo.Consumer[int]) (all []uint64) {
	var batch ring.Ring[fifo.Entry[int]]
	l.Fetch(c, 0, &batch, false)
	for e := range batch.All() {
		all = append(all, e.Seq)
	}
	return all
}

func expect(t *testing.T, what string, got []uint64, want ...uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// STREAM-8, STREAM-12
func TestPositions(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   Position
		want []uint64
	}{
		{"first", First, []uint64{0, 1, 2, 3, 4}},
		{"last", Last, []uint64{4, 5}},
		{"next", Next, []uint64{5}},
		{"an offset", Offset(3), []uint64{3, 4, 5}},
		{"a negative offset", Offset(-3), []uint64{0, 1, 2, 3, 4}},
		{"an offset beyond the end", Offset(6), []uint64{6}},
		{"a time between two messages", Since(start.Add(2500 * time.Millisecond)), []uint64{3, 4, 5}},
		{"the time of a message", Since(start.Add(3 * time.Second)), []uint64{3, 4, 5}},
		{"the past", Since(time.Unix(0, 0)), []uint64{0, 1, 2, 3, 4}},
		{"the future", Since(start.Add(1000 * time.Hour)), []uint64{5}},
		{"a time that no int64 holds", Since(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), []uint64{5}},
	} {
		l := filled(everything, 5)
		c := &fifo.Consumer[int]{Prefetch: 5}
		l.Subscribe(c, tc.at, nil)
		got := offsets(l, c)
		for i := 5; len(got) < len(tc.want); i++ {
			l.Append(&i, 10, "", start)
			got = append(got, offsets(l, c)...)
		}
		expect(t, tc.name, got, tc.want...)
	}
}

// STREAM-17
func TestRetentionByBytesRemovesWholeSegments(t *testing.T) {
	keep := Retention{MaxBytes: 250, SegmentBytes: 100}
	if l := filled(keep, 30); l.Ready() != 30 || l.Bytes() != 300 {
		t.Errorf("%d messages are left before the third segment is full", l.Ready())
	}
	l := filled(keep, 31)
	if l.Ready() != 21 || l.Bytes() != 210 || l.Counts().Dead[fifo.MaxLength] != 10 {
		t.Errorf("%d messages of %d bytes are left, %d dropped", l.Ready(), l.Bytes(), l.Counts().Dead[fifo.MaxLength])
	}
}

// STREAM-17
func TestRetentionByAgeRemovesWholeSegments(t *testing.T) {
	l := filled(Retention{MaxBytes: -1, MaxAge: 15 * time.Second, SegmentBytes: 100}, 10)
	for i, wait := range []time.Duration{0, time.Hour} {
		l.Append(&i, 10, "", start.Add(24*time.Second+wait))
	}
	if l.Ready() != 12 { // it is looked at when a segment begins: then 9 s was young
		t.Errorf("%d messages are left", l.Ready())
	}
	for i := range 9 {
		l.Append(&i, 10, "", start.Add(2*time.Hour))
	}
	if l.Ready() != 11 { // the youngest of the second segment is young
		t.Errorf("%d messages are left, want those of the second and third segment", l.Ready())
	}
}

func TestReaderLeftBehindGoesOnAtTheFirst(t *testing.T) {
	l := filled(Retention{MaxBytes: 20, SegmentBytes: 10}, 2)
	c := &fifo.Consumer[int]{Prefetch: 1}
	l.Subscribe(c, First, nil)
	expect(t, "at first", offsets(l, c), 0)
	for i := range 10 {
		l.Append(&i, 10, "", start)
	}
	l.Ack(c, 1)
	expect(t, "later", offsets(l, c), 10)
}

// STREAM-2, STREAM-11
func TestReadersAreIndependent(t *testing.T) {
	l := filled(everything, 4)
	fast, slow := &fifo.Consumer[int]{Prefetch: 3}, &fifo.Consumer[int]{Prefetch: 1}
	l.Subscribe(fast, First, nil)
	l.Subscribe(slow, Offset(2), nil)
	expect(t, "fast", offsets(l, fast), 0, 1, 2)
	expect(t, "slow", offsets(l, slow), 2)
	expect(t, "without credit", offsets(l, slow))
	l.Ack(fast, 1)
	l.Return(slow, fifo.Entry[int]{})
	expect(t, "fast", offsets(l, fast), 3)
	expect(t, "slow", offsets(l, slow), 3)
	if l.Ready() != 4 {
		t.Errorf("%d of 4 messages are left", l.Ready())
	}
}

// STREAM-16
func TestFilters(t *testing.T) {
	l := New[int](everything)
	for i, value := range []string{"a", "", "b", "c", "a", ""} {
		l.Append(&i, 1, value, start)
	}
	for _, tc := range []struct {
		filter *Filter
		want   []uint64
	}{
		{nil, []uint64{0, 1, 2, 3, 4, 5}},
		{&Filter{Values: []string{"a"}}, []uint64{0, 4}},
		{&Filter{Values: []string{"b", "c"}}, []uint64{2, 3}},
		{&Filter{Values: []string{"b"}, Unfiltered: true}, []uint64{1, 2, 5}},
		{&Filter{Values: []string{"d", ""}}, nil},
	} {
		c := &fifo.Consumer[int]{Prefetch: 9}
		l.Subscribe(c, First, tc.filter)
		expect(t, "filtered", offsets(l, c), tc.want...)
	}
}

// What a reader has fetched stays in memory; so it fetches in portions.
func TestFetchTakesPortions(t *testing.T) {
	l := filled(everything, 1000)
	c := &fifo.Consumer[int]{Prefetch: 1000}
	l.Subscribe(c, First, nil)
	if got := offsets(l, c); len(got) != batchLen || !l.Waits(c) {
		t.Errorf("fetched %d", len(got))
	}
}

// Three readers follow ten million messages, and one never reads at all.
func TestMemoryStaysWithinRetention(t *testing.T) {
	const size = 100
	messages := 10_000_000
	if invariant.Enabled {
		messages /= 10 // under the race detector
	}
	l := New[[]byte](Retention{MaxBytes: 1 << 20, SegmentBytes: 1 << 16})
	var readers [4]fifo.Consumer[[]byte]
	for i := range readers {
		readers[i].Prefetch = 100
		l.Subscribe(&readers[i], First, nil)
	}
	before := heap()
	read := 0
	for i := range messages {
		v := make([]byte, size)
		l.Append(&v, size, "", start)
		if i%64 > 0 {
			continue
		}
		for j := range readers[:3] {
			var batch ring.Ring[fifo.Entry[[]byte]]
			c := &readers[j]
			l.Fetch(c, c.Unacked(), &batch, false)
			read += batch.Len()
		}
	}
	if grown := heap() - before; grown > 3<<20 { // an entry is about as large as these messages
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if read < 3*(messages-64) {
		t.Errorf("only %d messages were read", read)
	}
	runtime.KeepAlive(l)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkAppend(b *testing.B) {
	l := New[int](Retention{MaxBytes: 1 << 20, SegmentBytes: 1 << 16})
	for i := range b.N {
		l.Append(&i, 100, "", start)
	}
}

func BenchmarkFetch(b *testing.B) {
	for name, filter := range map[string]*Filter{"all": nil, "one of a million": {Values: []string{"rare"}}} {
		b.Run(name, func(b *testing.B) {
			l := New[int](everything)
			for i := range 1_000_000 {
				value := "frequent"
				if i == 999_999 {
					value = "rare"
				}
				l.Append(&i, 100, value, start)
			}
			c := &fifo.Consumer[int]{Prefetch: 100}
			l.Subscribe(c, First, filter)
			b.ResetTimer()
			for range b.N {
				var batch ring.Ring[fifo.Entry[int]]
				if l.Fetch(c, c.Unacked(), &batch, false); batch.Len() == 0 || filter != nil {
					l.readers.First().next = 0
				}
			}
		})
	}
}
