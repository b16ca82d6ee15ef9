package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// be is the byte order of everything in AMQP.
var be = binary.BigEndian

const maxShortString = math.MaxUint8

// ErrStringTooLong says that a value does not fit the length prefix of its string type.
var ErrStringTooLong = errors.New("wire: string too long")

// encoder appends primitive values to b. It keeps the first error and goes on, so that callers check once at the end
// and throw the bytes away.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) octet(v uint8)     { e.b = append(e.b, v) }
func (e *encoder) short(v uint16)    { e.b = be.AppendUint16(e.b, v) }
func (e *encoder) long(v uint32)     { e.b = be.AppendUint32(e.b, v) }
func (e *encoder) longlong(v uint64) { e.b = be.AppendUint64(e.b, v) }

func (e *encoder) shortstr(s string) {
	if len(s) > maxShortString {
		e.fail(fmt.Errorf("%w: %d bytes where %d fit", ErrStringTooLong, len(s), maxShortString))
		return
	}
	e.b = append(e.b, byte(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) longstr(s string) {
	if uint64(len(s)) > math.MaxUint32 {
		e.fail(fmt.Errorf("%w: %d bytes", ErrStringTooLong, len(s)))
		return
	}
	e.b = be.AppendUint32(e.b, uint32(len(s)))
	e.b = append(e.b, s...)
}

// utf8str is a shortstr. What we send is not checked: a name that got in has been checked on its way in.
func (e *encoder) utf8str(s string) { e.shortstr(s) }

func (e *encoder) table(t Table) {
	b, err := AppendTable(e.b, t)
	if err != nil {
		e.fail(err)
	}
	e.b = b
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// bit is v as bit n of an octet.
func bit(v bool, n uint) uint8 {
	if v {
		return 1 << n
	}
	return 0
}

// decoder takes primitive values from the front of b. Like RabbitMQ it looks at the shape before the contents: running
// out of bytes sets cut, whereas a bad string or table inside an intact field goes to err, and cut outranks err.
// After either, further values are zero or meaningless, and callers check once at the end.
type decoder struct {
	b     []byte
	names *Interner
	cut   bool
	err   error
}

// take returns the next n bytes, borrowed from b, or nil when there are fewer.
func (d *decoder) take(n uint32) []byte {
	if uint64(n) > uint64(len(d.b)) {
		d.cut, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) octet() uint8 {
	if len(d.b) == 0 {
		d.cut = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) short() uint16 {
	if v := d.take(2); v != nil {
		return be.Uint16(v)
	}
	return 0
}

func (d *decoder) long() uint32 {
	if v := d.take(4); v != nil {
		return be.Uint32(v)
	}
	return 0
}

func (d *decoder) longlong() uint64 {
	if v := d.take(8); v != nil {
		return be.Uint64(v)
	}
	return 0
}

func (d *decoder) shortstr() string { return d.names.String(d.take(uint32(d.octet()))) }

// uniquestr is a shortstr that is expected to be new each time, and would only push others out of the cache.
func (d *decoder) uniquestr() string { return string(d.take(uint32(d.octet()))) }

func (d *decoder) longstr() string { return string(d.take(d.long())) }

func (d *decoder) utf8str() string {
	s := d.shortstr()
	if !utf8.ValidString(s) {
		d.fail(ErrMalformedUTF8)
	}
	return s
}

func (d *decoder) table() Table {
	body := d.take(d.long())
	if len(body) == 0 {
		return nil
	}
	t, err := decodeTable(body, maxTableDepth, d.names)
	if err != nil {
		d.fail(err)
	}
	return t
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// ok reports whether all that was asked for was there and well-formed.
func (d *decoder) ok() bool { return !d.cut && d.err == nil }
