package pocketmq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/stream"
)

// StreamFirst lets a consumer of a stream begin at the oldest message there is.
func StreamFirst() ConsumeOption { return streamOffset("first") }

// StreamLast lets a consumer of a stream begin at the youngest message.
func StreamLast() ConsumeOption { return streamOffset("last") }

// StreamNext lets a consumer of a stream begin at the next message that is
// published. It is the default.
func StreamNext() ConsumeOption { return streamOffset("next") }

// StreamOffset lets a consumer of a stream begin at this offset: at the oldest
// message if that is gone, and if it is yet to come when it does.
func StreamOffset(n int64) ConsumeOption { return streamOffset(n) }

// StreamTime lets a consumer of a stream begin at the first message that came in at
// this time or later.
func StreamTime(t time.Time) ConsumeOption { return streamOffset(t) }

func streamOffset(v any) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if other, ok := c.args["x-stream-offset"]; ok && other != v {
			c.err = invalid("a consumer of a stream begins at one place, not at %v and %v", other, v)
		}
		set(&c.args, "x-stream-offset", v)
	})
}

// StreamFilter lets a consumer of a stream get only those messages whose header
// x-stream-filter-value is one of these.
func StreamFilter(values ...string) ConsumeOption {
	return consumeOption(func(c *consumeConfig) {
		if len(values) == 0 {
			c.err = invalid("StreamFilter: needs at least one value")
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		set(&c.args, "x-stream-filter", list)
	})
}

// StreamMatchUnfiltered lets a consumer with a StreamFilter also get the messages
// that have no header x-stream-filter-value.
func StreamMatchUnfiltered() ConsumeOption {
	return consumeOption(func(c *consumeConfig) { set(&c.args, "x-stream-match-unfiltered", true) })
}

// Offset returns the offset of a message that came from a stream: its header
// x-stream-offset.
func (d *Delivery) Offset() (offset int64, ok bool) {
	if d.Message != nil {
		offset, ok = d.Headers["x-stream-offset"].(int64)
	}
	return offset, ok
}

// reading is where a consumer of a stream begins, and what it wants.
type reading struct {
	at     stream.Position
	filter *stream.Filter
}

// checkReader reports why a stream does not have a consumer like this one (STREAM-3,
// STREAM-4), and reads where it begins and what it wants.
func (q *queue) checkReader(c *consumeConfig) error {
	if _, ok := c.args["x-priority"]; ok || c.priority != 0 { // STREAM-14
		return q.at().otherType("x-priority", streamType)
	}
	at, err := q.position(c)
	if err != nil {
		return err
	}
	old := c.version < v4_0
	switch {
	case c.prefetch == 0 && old:
		return preconditionFailed("consumer prefetch count is not set for '%v'", q.at())
	case c.prefetch == 0:
		return preconditionFailed("consumer prefetch count is not set for stream %v", q.at())
	case c.autoAck && old:
		return q.notInStreams("automatic acknowledgement")
	case c.autoAck:
		return notSupported("automatic acknowledgement not supported by stream %v", q.at())
	case c.window != nil:
		return notSupported("%v does not support global qos", q.at())
	}
	c.reading.at = at
	if !old {
		c.reading.filter = filterOf(c.args)
	}
	return nil
}

// notInStreams is the error of a method that streams do not have (STREAM-5 to
// STREAM-7).
func (q *queue) notInStreams(what string) error {
	return notSupported("%s not supported by stream queues %v", what, q.at())
}

// onlyAcks reports whether deliveries must not be settled otherwise.
func (q *queue) onlyAcks() bool { return q.log != nil && q.version < v4_0 }

// filterOf reads the arguments of a filter (STREAM-16). Values that are no strings
// are skipped, as in RabbitMQ.
func filterOf(args Table) *stream.Filter {
	var f stream.Filter
	switch v := args["x-stream-filter"].(type) {
	case string:
		f.Values = []string{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				f.Values = append(f.Values, s)
			}
		}
	default:
		return nil
	}
	f.Unfiltered, _ = args["x-stream-match-unfiltered"].(bool)
	return &f
}

// position reads the argument x-stream-offset (STREAM-8, STREAM-9).
func (q *queue) position(c *consumeConfig) (at stream.Position, err error) {
	fails := c.wire && c.version < v4_3 // RabbitMQ does, then
	offset, given := c.args["x-stream-offset"]
	if !given {
		return stream.Next, nil
	}
	switch v := offset.(type) {
	case time.Time:
		return stream.Since(v), nil
	case []byte:
		if at, ok := namedPositions[string(v)]; ok {
			return at, nil
		}
	case string:
		if at, ok := namedPositions[v]; ok {
			return at, nil
		}
		if age, ok := parseAge(v); ok {
			return stream.Since(time.Now().Add(-age)), nil
		}
		if !fails || !noAge(v) {
			return at, q.at().invalidArgument("x-stream-offset", fmt.Sprintf(`{invalid_stream_offset_arg,{longstr,<<"%s">>}}`, v))
		}
	default:
		if n, ok := integer(v); ok {
			return stream.Offset(n), nil
		}
	}
	if fails {
		return at, errInternal
	}
	return at, q.at().invalidArgument("x-stream-offset", fmt.Sprintf("{invalid_stream_offset_arg,{%s,%v}}", typeName(offset), offset))
}

var namedPositions = map[string]stream.Position{"first": stream.First, "last": stream.Last, "next": stream.Next}

// parseAge reads a number and a unit: Y, M, D, h, m or s.
func parseAge(s string) (age time.Duration, ok bool) {
	const day = 24 * time.Hour
	units := map[string]time.Duration{
		"Y": 365 * day, "M": 30 * day, "D": day, "h": time.Hour, "m": time.Minute, "s": time.Second,
	}
	rest := strings.TrimLeft(s, "0123456789")
	unit, ok := units[rest]
	n, err := strconv.ParseInt(s[:len(s)-len(rest)], 10, 64)
	if !ok || n == 0 || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return min(time.Duration(n), forever/unit) * unit, true
}

// forever is longer than any clock has run.
const forever = 250 * 365 * 24 * time.Hour

// noAge reports whether an age does not begin with a number. RabbitMQ has no answer to
// that before 4.3 (ARGS-19, STREAM-9).
func noAge(s string) bool { return strings.TrimLeft(s, "0123456789") == s }
