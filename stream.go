package pocketmq

import (
	"fmt"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/stream"
)

// DefaultStreamBytes is how much memory the messages of a stream take that was
// declared without MaxBytes or Unbounded.
const DefaultStreamBytes = 256 << 20

const (
	// defaultSegmentBytes is the size of a segment in RabbitMQ, and here where nothing
	// limits a stream to less.
	defaultSegmentBytes = 500_000_000
	maxSegmentBytes     = 3_000_000_000 // ARGS-20
)

// Stream makes the queue a stream, which is Durable: a log that keeps its messages
// when they have been read. Each consumer reads all of them, at a position of its
// own; StreamFirst and the others say where it begins. Deliveries have the offset
// of the message, see (*Delivery).Offset: 0 for the first that was ever published,
// and one more for each. A program that remembers the offset of the last message it
// has processed goes on with StreamOffset of the next one.
//
// Acking gives the consumer credit for another message, and so do Nack and Reject:
// a stream does not deliver a message to the same consumer again, nor when a handler
// has failed. A consumer needs a Prefetch, and cannot be AutoAck, have a Priority or
// a SharedPrefetch; Exclusive has no effect on it. Get and PurgeQueue are refused,
// IfUnused and IfEmpty mean nothing, and DeleteQueue returns 0. What is in a stream
// counts as Ready, but not as lost when the broker is closed.
//
// Publishing to a stream never waits. It keeps its messages in segments, of
// SegmentBytes each, and when a segment is full, removes the oldest segments, as
// wholes, that MaxBytes (DefaultStreamBytes, unless it is Unbounded) and MaxAge do
// not cover any more; the one being written stays. MaxBytes means the memory that
// messages take: their contents, and about 800 bytes each. A consumer that has not
// read what is removed goes on with the oldest message there is.
//
// With RabbitMQDefaults a stream is unbounded, segments have 500,000,000 bytes, and
// messages count as many as on the disk of a RabbitMQ.
func Stream() QueueOption {
	return queueOption(func(c *queueConfig) {
		c.durable = true
		c.setType(streamType)
	})
}

// MaxAge bounds how long a stream keeps its messages, in whole seconds. See Stream.
func MaxAge(d time.Duration) QueueOption {
	return queueOption(func(c *queueConfig) {
		if d < time.Second || d%time.Second != 0 {
			c.err = invalid("MaxAge(%v): must be whole seconds, at least one", d)
		}
		set(&c.args, "x-max-age", fmt.Sprintf("%ds", d/time.Second))
	})
}

// SegmentBytes is the size of the segments in which a stream removes messages, up
// to 3,000,000,000; by default an eighth of MaxBytes, and never more than
// 500,000,000, as in RabbitMQ.
func SegmentBytes(n int64) QueueOption {
	return queueOption(func(c *queueConfig) {
		if n < 0 {
			c.err = invalid("SegmentBytes(%d): must not be negative", n)
		}
		set(&c.args, "x-stream-max-segment-size-bytes", n)
	})
}

// checkStream reports what is wrong with the arguments of a new stream alone.
func (w where) checkStream(c queueConfig) error {
	if n, ok := integer(c.args["x-stream-max-segment-size-bytes"]); ok && n > maxSegmentBytes {
		return preconditionFailed("Exceeded max value for x-stream-max-segment-size-bytes")
	}
	if v, ok := c.args["x-stream-filter-size-bytes"]; ok && c.version >= v4_0 { // ARGS-21
		if n, ok := integer(v); !ok || n < 16 || n > 255 {
			return preconditionFailed("Invalid value for  x-stream-filter-size-bytes")
		}
	}
	return nil
}

// streamSettings are what is in force for a stream.
type streamSettings struct {
	stream.Retention
	// overhead is how many bytes a message counts beside its contents: those of
	// memory, or where RabbitMQDefaults hold, those on the disk of a RabbitMQ.
	overhead int64
}

// streamSettings changes the settings of a queue without arguments to those of a
// stream. What it keeps in bytes stands in maxBytes, and its segments depend on that,
// unless their size is given.
func (c *queueConfig) streamSettings(s settings) *settings {
	if c.rabbitMQ {
		s.stream = &streamSettings{stream.Retention{SegmentBytes: defaultSegmentBytes}, 140}
		return &s
	}
	s.stream = &streamSettings{stream.Retention{SegmentBytes: -1}, 800}
	if !c.unbounded {
		s.maxBytes = DefaultStreamBytes
	}
	return &s
}

// with returns the settings as changed by arguments, which are valid.
func (s streamSettings) with(maxBytes int64, args Table) *streamSettings {
	s.MaxBytes = maxBytes
	if age, ok := args["x-max-age"].(string); ok {
		s.MaxAge, _ = parseAge(age)
	}
	if n, ok := integer(args["x-stream-max-segment-size-bytes"]); ok {
		s.SegmentBytes = n
	}
	if s.SegmentBytes < 0 {
		s.SegmentBytes = defaultSegmentBytes
		if maxBytes >= 0 {
			s.SegmentBytes = min(maxBytes/8, defaultSegmentBytes)
		}
	}
	return &s
}

// append puts a message into a stream. What it stores is what all consumers get.
func (q *queue) append(it *item) {
	seen := it.msg.withHeaders()
	if q.wire {
		seen.Headers = translated(seen.Headers, q.version)
		seen.origin.properties = withoutClusterID(seen.origin.properties)
	}
	seen.Headers["x-stream-offset"] = q.log.Next()             // STREAM-10
	if q.wire && q.version >= v4_0 && seen.DeliveryMode == 0 { // it keeps a boolean
		seen.DeliveryMode = Transient
	}
	filter, _ := it.msg.Headers["x-stream-filter-value"].(string)
	size := q.settings.stream.overhead + it.weight()
	q.log.Append(&item{seen, it.exchange, it.key}, size, filter, time.Now())
}

// translated are headers after RabbitMQ has made a message of AMQP 1.0 of theirs, and one
// of 0-9-1 of that again (STREAM-10): without arrays and tables, and from 4.0 on with those
// of CC and x-…, and with texts for octets.
func translated(headers Table, v version) Table {
	kept := Table{}
	for key, value := range headers {
		switch value.(type) {
		case []any, Table:
			if v < v4_0 || key != "CC" && !strings.HasPrefix(key, "x-") {
				continue
			}
		}
		if v >= v4_0 {
			value = withoutOctets(value)
		}
		kept[key] = value
	}
	return kept
}

func withoutOctets(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case []any:
		texts := make([]any, len(v))
		for i, e := range v {
			texts[i] = withoutOctets(e)
		}
		return texts
	case Table:
		texts := make(Table, len(v))
		for key, e := range v {
			texts[key] = withoutOctets(e)
		}
		return texts
	}
	return v
}

// weight is about how many bytes the contents of a message take.
func (it *item) weight() int64 {
	m := it.msg
	return tableWeight(m.Headers) + int64(len(it.key)+len(m.Body)+len(m.ContentType)+len(m.ContentEncoding)+len(m.CorrelationID)+
		len(m.ReplyTo)+len(m.Expiration)+len(m.MessageID)+len(m.Type)+len(m.UserID)+len(m.AppID))
}

func tableWeight(t Table) (n int64) {
	for key, v := range t {
		n += int64(len(key)) + valueWeight(v)
	}
	return n
}

func valueWeight(v any) int64 {
	const plain = 40 // the interface, what it points to, and the room that a map keeps
	switch v := v.(type) {
	case string:
		return plain + int64(len(v))
	case []byte:
		return plain + int64(len(v))
	case Table:
		return plain + tableWeight(v)
	case []any:
		n := int64(plain)
		for _, e := range v {
			n += valueWeight(e)
		}
		return n
	}
	return plain
}
