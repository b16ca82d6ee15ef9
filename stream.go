package pocketmq

import (
	"fmt"
	"maps"
	"time"

	"github.com/pocketmq/pocketmq/internal/stream"
)

// DefaultStreamBytes is how much memory the messages of a stream take that was
// declared without MaxBytes or Unbounded.
const DefaultStreamBytes = 256 << 20

// maxSegmentBytes is the size of a segment in RabbitMQ, and the default here where
// nothing limits a stream to less.
const maxSegmentBytes = 500_000_000

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
// a SharedPrefetch; Exclusive has no effect on it. Get and PurgeQueue are refused.
//
// Publishing to a stream never waits. It keeps its messages in segments, of
// SegmentBytes each, and when a segment is full, removes the oldest segments, as
// wholes, that MaxBytes and MaxAge do not cover any more; the one being written
// stays. MaxBytes means the memory that a message takes: its contents, and about
// 700 bytes. A consumer that has not read what is removed goes on with the oldest
// message there is.
func Stream() QueueOption {
	return queueOption(func(c *queueConfig) {
		c.durable = true
		set(&c.args, "x-queue-type", streamType)
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

// checkStream reports what is wrong with the properties of a new stream (STREAM-1).
func (w where) checkStream(c queueConfig) error {
	for _, p := range []struct {
		name string
		set  bool
	}{{"auto-delete", c.autoDelete}, {"exclusive-owner", c.exclusive}, {"non-durable", !c.durable}} {
		if p.set {
			return preconditionFailed("invalid property '%s' for queue '%s' in vhost '%s'", p.name, w.name, w.vhost)
		}
	}
	if n, ok := integerIn(c.args, "x-stream-max-segment-size-bytes"); ok && n > 3_000_000_000 { // ARGS-20
		return preconditionFailed("Exceeded max value for x-stream-max-segment-size-bytes")
	}
	if n, ok := integerIn(c.args, "x-stream-filter-size-bytes"); ok && c.version >= v4_0 && (n < 16 || n > 255) { // ARGS-21
		return preconditionFailed("Invalid value for  x-stream-filter-size-bytes")
	}
	return nil
}

// kind is the type of the queue.
func (q *queue) kind() string {
	name, _ := typeOf(q.args)
	return name
}

// retentionOf returns what a stream keeps.
func retentionOf(defaults *stream.Retention, maxBytes int64, args Table) *stream.Retention {
	keep := &stream.Retention{MaxBytes: maxBytes, SegmentBytes: defaults.SegmentBytes}
	if age, ok := args["x-max-age"].(string); ok {
		keep.MaxAge, _ = parseAge(age)
	}
	if n, ok := integerIn(args, "x-stream-max-segment-size-bytes"); ok {
		keep.SegmentBytes = n
	} else if keep.SegmentBytes == 0 {
		keep.SegmentBytes = maxSegmentBytes
		if maxBytes >= 0 {
			keep.SegmentBytes = min(maxBytes/8, maxSegmentBytes)
		}
	}
	return keep
}

// append puts a message into a stream. What it stores is what all consumers get.
func (q *queue) append(it *item) {
	seen := *it.msg
	seen.origin = nil
	seen.Headers = make(Table, len(it.msg.Headers)+1)
	maps.Copy(seen.Headers, it.msg.Headers)
	seen.Headers["x-stream-offset"] = q.log.Next() // STREAM-10
	filter, _ := seen.Headers["x-stream-filter-value"].(string)
	q.log.Append(&item{&seen, it.exchange, it.key}, seen.weight()+int64(len(it.key)), filter, time.Now())
}

// weight is about how many bytes of memory a message in a stream takes.
func (m *Message) weight() int64 {
	const empty = 700
	return empty + tableWeight(m.Headers) + int64(len(m.Body)+len(m.ContentType)+len(m.ContentEncoding)+len(m.CorrelationID)+
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
