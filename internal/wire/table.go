package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/decimal"
)

// maxTableDepth bounds how far tables and arrays nest, so that neither a hostile peer nor a table that contains itself
// exhausts the stack.
const maxTableDepth = 64

// ErrTable says that the bytes of a field table are malformed: cut short, of an unknown type, or nested too deeply.
var ErrTable = errors.New("wire: malformed table")

// Table is an AMQP field table. The Go type of a value tells its type on the wire, and survives a round trip:
//
//	t bool      b int8     s int16    I int32    l int64 (and int)   f float32   S string   T time.Time   F Table
//	V nil       B uint8    u uint16   i uint32   D Decimal           d float64   x []byte   A []any
//
// L is read as l: RabbitMQ takes both for a signed 64-bit integer. Times have whole seconds and are read as UTC. For
// writing, F may also be a [Tabler] or [Ordered].
type Table = map[string]any

// Decimal is the number Value / 10^Scale.
type Decimal = decimal.Decimal

// Tabler is a table type of another package, which can be a value in a table that is written.
type Tabler interface {
	AMQPTable() map[string]any
}

// Ordered is a table, as a value in a table that is written, of which some fields come before the others.
type Ordered struct {
	Table Table
	First []string // their keys, in order; they need not be there
}

// FieldError says which value of a table cannot be written.
type FieldError struct {
	Path   string // such as x-options.list[2]
	Reason string
}

// Error describes the value and what is wrong with it.
func (e *FieldError) Error() string { return "wire: table field " + e.Path + ": " + e.Reason }

// within prefixes the path with the key or index that leads to it.
func (e *FieldError) within(step string) *FieldError {
	e.Path = step + e.Path
	return e
}

func reject(format string, args ...any) *FieldError {
	return &FieldError{Reason: fmt.Sprintf(format, args...)}
}

// AppendTable appends t with its length, its keys in order, so that equal tables have equal bytes. The error is a
// [*FieldError].
func AppendTable(b []byte, t map[string]any) ([]byte, error) {
	out, err := appendTable(b, t, nil, maxTableDepth)
	if err != nil {
		err.Path = strings.TrimPrefix(err.Path, ".")
		return b, err
	}
	return out, nil
}

func appendTable(b []byte, t map[string]any, first []string, depth int) ([]byte, *FieldError) {
	if depth == 0 {
		return b, reject("nested more than %d deep", maxTableDepth)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	var few [16]string // keeps the keys of usual tables off the heap
	var err *FieldError
	for _, key := range sortedKeys(few[:0], t, first) {
		if len(key) > maxShortString {
			return b, reject("key of %d bytes, where %d fit", len(key), maxShortString).within("." + key[:16] + "...")
		}
		b = append(b, byte(len(key)))
		b = append(b, key...)
		if b, err = appendValue(b, t[key], depth); err != nil {
			return b, err.within("." + key)
		}
	}
	return patchLength(b, start)
}

func sortedKeys(keys []string, t map[string]any, first []string) []string {
	for _, key := range first {
		if _, ok := t[key]; ok {
			keys = append(keys, key)
		}
	}
	n := len(keys)
	for key := range t {
		if !slices.Contains(first, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys[n:])
	return keys
}

func appendArray(b []byte, values []any, depth int) ([]byte, *FieldError) {
	if depth == 0 {
		return b, reject("nested more than %d deep", maxTableDepth)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	var err *FieldError
	for i, v := range values {
		if b, err = appendValue(b, v, depth); err != nil {
			return b, err.within(fmt.Sprintf("[%d]", i))
		}
	}
	return patchLength(b, start)
}

// patchLength fills in the four bytes at start with the number of bytes that follow them.
func patchLength(b []byte, start int) ([]byte, *FieldError) {
	size := uint64(len(b) - start - 4)
	if size > math.MaxUint32 {
		return b, reject("%d bytes long", size)
	}
	be.PutUint32(b[start:], uint32(size))
	return b, nil
}

func appendValue(b []byte, value any, depth int) ([]byte, *FieldError) {
	switch v := value.(type) {
	case nil:
		return append(b, 'V'), nil
	case bool:
		return append(b, 't', bit(v, 0)), nil
	case int8:
		return append(b, 'b', uint8(v)), nil
	case uint8:
		return append(b, 'B', v), nil
	case int16:
		return be.AppendUint16(append(b, 's'), uint16(v)), nil
	case uint16:
		return be.AppendUint16(append(b, 'u'), v), nil
	case int32:
		return be.AppendUint32(append(b, 'I'), uint32(v)), nil
	case uint32:
		return be.AppendUint32(append(b, 'i'), v), nil
	case int64:
		return be.AppendUint64(append(b, 'l'), uint64(v)), nil
	case int:
		return be.AppendUint64(append(b, 'l'), uint64(v)), nil
	case float32:
		return be.AppendUint32(append(b, 'f'), math.Float32bits(v)), nil
	case float64:
		return be.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case Decimal:
		return be.AppendUint32(append(b, 'D', v.Scale), uint32(v.Value)), nil
	case time.Time:
		return be.AppendUint64(append(b, 'T'), uint64(v.Unix())), nil
	case string:
		return appendLong(append(b, 'S'), v)
	case []byte:
		return appendLong(append(b, 'x'), v)
	case []any:
		return appendArray(append(b, 'A'), v, depth-1)
	case Table:
		return appendTable(append(b, 'F'), v, nil, depth-1)
	case Ordered:
		return appendTable(append(b, 'F'), v.Table, v.First, depth-1)
	case Tabler:
		return appendTable(append(b, 'F'), v.AMQPTable(), nil, depth-1)
	}
	return b, reject("type %T has no AMQP field type", value)
}

func appendLong[T string | []byte](b []byte, v T) ([]byte, *FieldError) {
	if uint64(len(v)) > math.MaxUint32 {
		return b, reject("%d bytes long", len(v))
	}
	b = be.AppendUint32(b, uint32(len(v)))
	return append(b, v...), nil
}

// ReadTable reads a table with its length from the front of b and returns what follows it. Nothing in the table refers
// to b. A table without entries is nil. Of a key that occurs twice the last value counts.
func ReadTable(b []byte) (t Table, rest []byte, err error) {
	d := decoder{b: b}
	t = d.table()
	if d.cut {
		return nil, b, fmt.Errorf("%w: cut short", ErrTable)
	}
	if d.err != nil {
		return nil, b, d.err
	}
	return t, d.b, nil
}

// ReadTableBody reads a table that lacks its length and takes up all of body, as in an AMQPLAIN login.
func ReadTableBody(body []byte) (Table, error) { return decodeTable(body, maxTableDepth, nil) }

func decodeTable(body []byte, depth int, names *Interner) (Table, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: nested more than %d deep", ErrTable, maxTableDepth)
	}
	t := make(Table)
	d := decoder{b: body, names: names}
	for len(d.b) > 0 {
		key := d.shortstr()
		value := d.value(depth)
		if !d.ok() {
			return nil, d.tableError()
		}
		t[key] = value
	}
	return t, nil
}

// decodeArray grows the array as values turn up, since its length in bytes says little about their number.
func decodeArray(body []byte, depth int, names *Interner) ([]any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: nested more than %d deep", ErrTable, maxTableDepth)
	}
	values := []any{}
	d := decoder{b: body, names: names}
	for len(d.b) > 0 {
		value := d.value(depth)
		if !d.ok() {
			return nil, d.tableError()
		}
		values = append(values, value)
	}
	return values, nil
}

func (d *decoder) tableError() error {
	if d.cut {
		return fmt.Errorf("%w: cut short", ErrTable)
	}
	return d.err
}

// value takes a value with its type letter.
func (d *decoder) value(depth int) any {
	switch letter := d.octet(); letter {
	case 'V':
		return nil
	case 't':
		return d.octet() != 0
	case 'b':
		return int8(d.octet())
	case 'B':
		return d.octet()
	case 's':
		return int16(d.short())
	case 'u':
		return d.short()
	case 'I':
		return int32(d.long())
	case 'i':
		return d.long()
	case 'l', 'L':
		return int64(d.longlong())
	case 'f':
		return math.Float32frombits(d.long())
	case 'd':
		return math.Float64frombits(d.longlong())
	case 'D':
		return Decimal{Scale: d.octet(), Value: int32(d.long())}
	case 'T':
		return d.time()
	case 'S':
		return d.longstr()
	case 'x':
		return append([]byte{}, d.take(d.long())...)
	case 'A':
		return nested(d, decodeArray, depth)
	case 'F':
		return nested(d, decodeTable, depth)
	default:
		d.fail(fmt.Errorf("%w: unknown field type %q", ErrTable, letter))
		return nil
	}
}

// nested takes a table or an array within another.
func nested[T Table | []any](d *decoder, decode func([]byte, int, *Interner) (T, error), depth int) any {
	body := d.take(d.long())
	if d.cut {
		return nil
	}
	v, err := decode(body, depth-1, d.names)
	if err != nil {
		d.fail(err)
	}
	return v
}

func (d *decoder) time() time.Time { return time.Unix(int64(d.longlong()), 0).UTC() }
