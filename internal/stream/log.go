package stream

import (
	"errors"
	"sort"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
	"github.com/pocketmq/pocketmq/internal/line"
)

// Log is the state of one stream. Make it with New.
type Log[T any] struct {
	keep     Retention
	blocks   []*block[T] // hold the messages; the first begins at or before l.first
	segments []segment   // oldest first; the last is being written
	first    int64       // offset of the oldest message there is
	next     int64       // offset that the next message will have
	bytes    int64       // of all segments

	readers    line.Line[*reader[T]] // in the order in which they subscribed
	byConsumer map[*fifo.Consumer[T]]*reader[T]
	unacked    int
	woken      []*fifo.Consumer[T]
	counts     fifo.Counts
}

// Retention says what a Log keeps.
type Retention struct {
	MaxBytes     int64         // of all messages together; negative = no limit
	MaxAge       time.Duration // of a message; 0 = no limit
	SegmentBytes int64         // a segment that has reached this size is full
}

// blockLen is how many messages share an allocation. Blocks have nothing to do with
// segments, so that a short segment costs no memory.
const blockLen = 64

type block[T any] [blockLen]message[T]

type message[T any] struct {
	value  T
	filter string // "" = none
	time   int64  // when it was put in, in nanoseconds since 1970; never falls
}

// segment is what is removed as a whole.
type segment struct {
	first int64 // offset of its first message
	bytes int64
}

// New returns an empty log.
func New[T any](keep Retention) *Log[T] { return &Log[T]{keep: keep} }

// SetRetention changes what is kept, and removes at once what is not any more.
func (l *Log[T]) SetRetention(keep Retention, now time.Time) {
	l.keep = keep
	l.retain(now.UnixNano())
}

// Ready is the number of messages that are there.
func (l *Log[T]) Ready() int { return int(l.next - l.first) }

// Next is the offset that the next message will have; the first has 0.
func (l *Log[T]) Next() int64 { return l.next }

// Bytes is the size of the messages that are there, as Append was told.
func (l *Log[T]) Bytes() int64 { return l.bytes }

// Unacked is the number of messages that were handed to consumers, present or
// gone, and are not settled.
func (l *Log[T]) Unacked() int { return l.unacked }

// Counts returns the running totals. The messages that were removed with their
// segments died of MaxLength or Expired.
func (l *Log[T]) Counts() fifo.Counts {
	n := l.counts
	n.Published = uint64(l.next)
	return n
}

// Append adds a message of a size in bytes, and removes what is to be kept no
// longer. A consumer with a filter gets it only if it asks for this value.
func (l *Log[T]) Append(v *T, size int64, filter string, now time.Time) {
	full := len(l.segments) == 0 || l.segments[len(l.segments)-1].bytes >= l.keep.SegmentBytes
	if full {
		l.segments = append(l.segments, segment{first: l.next})
	}
	at := now.UnixNano()
	if l.Ready() > 0 {
		at = max(at, l.at(l.next-1).time) // clocks may be set back
	}
	if l.block(l.next) == len(l.blocks) {
		l.blocks = append(l.blocks, new(block[T]))
	}
	*l.at(l.next) = message[T]{value: *v, filter: filter, time: at}
	l.next++
	l.segments[len(l.segments)-1].bytes += size
	l.bytes += size
	if full {
		l.retain(at)
	}
	l.wakeFor(filter)
}

// block returns where in l.blocks the message of an offset is.
func (l *Log[T]) block(offset int64) int { return int(offset/blockLen - l.first/blockLen) }

func (l *Log[T]) at(offset int64) *message[T] {
	return &l.blocks[l.block(offset)][offset%blockLen]
}

// retain removes the oldest segments as far as Retention says. The one that is
// being written stays.
func (l *Log[T]) retain(now int64) {
	for len(l.segments) > 1 {
		end := l.segments[1].first
		tooLarge := l.keep.MaxBytes >= 0 && l.bytes > l.keep.MaxBytes
		tooOld := l.keep.MaxAge > 0 && l.at(end-1).time < now-int64(l.keep.MaxAge)
		switch {
		case tooLarge:
			l.counts.Dead[fifo.MaxLength] += uint64(end - l.first)
		case tooOld:
			l.counts.Dead[fifo.Expired] += uint64(end - l.first)
		default:
			return
		}
		l.bytes -= l.segments[0].bytes
		l.segments = l.segments[1:]
		l.truncate(end)
	}
}

// truncate forgets the messages before an offset.
func (l *Log[T]) truncate(end int64) {
	whole := l.block(end)
	clear(l.blocks[:whole])
	l.blocks = l.blocks[whole:]
	if whole > 0 {
		l.first = end &^ (blockLen - 1)
	}
	if l.first < end {
		clear(l.blocks[0][l.first%blockLen : end%blockLen])
	}
	l.first = end
}

// Position is where a consumer begins to read.
type Position struct {
	from   from
	offset int64
	time   time.Time
}

type from uint8

const (
	fromNext from = iota
	fromFirst
	fromLast
	fromOffset
	fromTime
)

// The positions (STREAM-8).
var (
	// Next is behind the last message.
	Next = Position{}
	// First is the oldest message there is.
	First = Position{from: fromFirst}
	// Last is the youngest message, or the first to come.
	Last = Position{from: fromLast}
)

// Offset is the message of this offset, for which a consumer waits if it is yet to
// come, or the first if it is gone or the offset is negative.
func Offset(n int64) Position { return Position{from: fromOffset, offset: n} }

// Since is the first message that was put in at this time or later.
func Since(t time.Time) Position { return Position{from: fromTime, time: t} }

// find returns the offset of a position.
func (l *Log[T]) find(p Position) int64 {
	switch p.from {
	case fromFirst:
		return l.first
	case fromLast:
		return max(l.next-1, l.first)
	case fromOffset:
		return max(p.offset, l.first)
	case fromTime:
		return l.first + int64(sort.Search(l.Ready(), func(i int) bool {
			return !time.Unix(0, l.at(l.first+int64(i)).time).Before(p.time)
		}))
	default:
		return l.next
	}
}

// Purge removes all messages, when the stream is deleted, and returns their number.
func (l *Log[T]) Purge() int {
	n := l.Ready()
	l.counts.Purged += uint64(n)
	l.blocks, l.segments, l.first, l.bytes = nil, nil, l.next, 0
	return n
}

// Check reports the first contradiction in the state, or nil. It is for tests,
// and looks at every segment and consumer.
func (l *Log[T]) Check() error {
	switch {
	case len(l.segments) == 0 && l.Ready() > 0, len(l.segments) > 0 && l.segments[0].first != l.first:
		return errors.New("the first segment does not begin with the first message")
	case l.Ready() > 0 && l.block(l.next-1) != len(l.blocks)-1:
		return errors.New("there are more or fewer blocks than messages need")
	case uint64(l.next)-l.counts.Dead[fifo.MaxLength]-l.counts.Dead[fifo.Expired]-l.counts.Purged != uint64(l.Ready()):
		return errors.New("messages got lost")
	case l.counts.Delivered-l.counts.Acked-l.counts.Returned != uint64(l.unacked):
		return errors.New("deliveries got lost")
	}
	for i := range l.first % blockLen {
		if len(l.blocks) > 0 && l.blocks[0][i].time != 0 {
			return errors.New("a message that is gone is kept alive")
		}
	}
	bytes := int64(0)
	for _, s := range l.segments {
		bytes += s.bytes
	}
	if bytes != l.bytes {
		return errors.New("the segments' sizes do not add up")
	}
	for r := range l.readers.All() {
		if r.Unacked() > r.Prefetch {
			return errors.New("a consumer holds more than its prefetch allows")
		}
	}
	return nil
}
