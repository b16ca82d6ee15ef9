package wire

import (
	"errors"
	"fmt"
)

var (
	// ErrUnknownMethod says that a method frame has a class or method id that AMQP does not have.
	ErrUnknownMethod = errors.New("wire: unknown method")

	// ErrArguments says that a method's arguments are cut short or followed by further bytes. RabbitMQ answers
	// FRAME_ERROR "cannot decode" with the argument bytes.
	ErrArguments = errors.New("wire: cannot decode arguments")

	// ErrMalformedUTF8 says that a short string that must be UTF-8 is not. RabbitMQ answers FRAME_ERROR "Malformed
	// UTF-8 in shortstr". It checks all short strings of methods without content, and none of those with content.
	ErrMalformedUTF8 = errors.New("wire: malformed UTF-8 in short string")
)

// ID identifies a method: its class id in the upper half, its method id in the lower.
type ID uint32

// Class is the class id.
func (id ID) Class() uint16 { return uint16(id >> 16) }

// Method is the method's id within its class.
func (id ID) Method() uint16 { return uint16(id) }

// String is Name, or the two ids of a method AMQP does not have.
func (id ID) String() string {
	if name := id.Name(); name != "" {
		return name
	}
	return fmt.Sprintf("class %d method %d", id.Class(), id.Method())
}

// Method is a decoded AMQP method: a pointer to one of the generated structs.
//
// A hot path avoids an allocation per method by keeping the struct and using it again, for writing (where the
// interface makes a fresh struct escape to the heap) as for reading.
type Method interface {
	// ID tells which method it is.
	ID() ID

	// AppendTo appends the payload of a method frame to b: the id, then the arguments. Reserved arguments are zero.
	// It fails only for a string or table that has no encoding, and returns b as it was.
	AppendTo(b []byte) ([]byte, error)

	// Decode replaces the method's fields with those in args, the payload of a method frame after the id. Strings
	// and tables are copied, strings by way of in, which may be nil. After an error the fields are meaningless.
	Decode(args []byte, in *Interner) error
}

// SplitMethod splits the payload of a method frame into id and arguments. The id of a payload too short to have one is 0.
func SplitMethod(payload []byte) (id ID, args []byte) {
	if len(payload) < methodIDSize {
		return 0, nil
	}
	return ID(be.Uint32(payload)), payload[methodIDSize:]
}

// DecodeMethod decodes the payload of a method frame into a new struct. See [Method] for in. The error is, or wraps,
// [ErrUnknownMethod], [ErrArguments], [ErrMalformedUTF8] or [ErrTable].
func DecodeMethod(payload []byte, in *Interner) (Method, error) {
	id, args := SplitMethod(payload)
	m := NewMethod(id)
	if m == nil {
		return nil, fmt.Errorf("%w: %v", ErrUnknownMethod, id)
	}
	if err := m.Decode(args, in); err != nil {
		return nil, err
	}
	return m, nil
}

// method opens a method's payload.
func (e *encoder) method(id ID) { e.long(uint32(id)) }

// finishMethod returns what was appended, or what was there before from start on.
func (e *encoder) finishMethod(id ID, start int) ([]byte, error) {
	if e.err != nil {
		return e.b[:start], fmt.Errorf("%v: %w", id, e.err)
	}
	return e.b, nil
}

// finishMethod returns nil if the arguments were well-formed and nothing is left of them.
func (d *decoder) finishMethod(id ID) error {
	if d.ok() && len(d.b) == 0 {
		return nil
	}
	if d.cut || len(d.b) > 0 {
		return fmt.Errorf("%v: %w", id, ErrArguments)
	}
	return fmt.Errorf("%v: %w", id, d.err)
}
