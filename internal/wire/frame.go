package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// The frame types.
const (
	FrameMethod    uint8 = 1
	FrameHeader    uint8 = 2
	FrameBody      uint8 = 3
	FrameHeartbeat uint8 = 8
)

const (
	// FrameMinSize is the frame-max that holds until tune-ok, and the least that may be negotiated.
	FrameMinSize = 4096

	// FrameOverhead is how many bytes a frame has besides its payload: seven before it and the end octet.
	FrameOverhead = frameHeadSize + 1

	// FrameEnd is the last octet of every frame.
	FrameEnd = 0xCE

	frameHeadSize  = 7  // type, channel, payload size
	methodIDSize   = 4  // class id, method id
	headerHeadSize = 12 // class id, weight, body size
)

// readBufferSize is how much a Reader reads ahead. Frames that fit are used where they lie in the buffer.
const readBufferSize = 16 << 10

var (
	// ErrUnknownFrame says that a frame has a type AMQP does not have, or a payload its type cannot have: too short
	// for a method or a header, not empty for a heartbeat. RabbitMQ answers FRAME_ERROR "unknown_frame".
	ErrUnknownFrame = errors.New("wire: unknown frame")

	// ErrFrameEnd says that a frame does not end in FrameEnd, so that the stream is out of step. RabbitMQ answers
	// FRAME_ERROR "invalid_frame_end_marker" and reads no more.
	ErrFrameEnd = errors.New("wire: invalid frame end marker")

	// ErrFrameTooLarge says that a frame announces more than the Reader's limit. RabbitMQ answers FRAME_ERROR
	// "frame_too_large" and reads no more.
	ErrFrameTooLarge = errors.New("wire: frame too large")
)

// Frame is a frame as it was read. Payload belongs to the Reader and is valid until its next read.
type Frame struct {
	Type    uint8
	Channel uint16
	Payload []byte
}

// FrameError is a frame that cannot be accepted, with what a FRAME_ERROR's text says about it.
type FrameError struct {
	Err     error // ErrUnknownFrame, ErrFrameEnd or ErrFrameTooLarge
	Type    uint8
	Channel uint16
	Size    uint32 // of the payload, as announced
	Limit   uint32 // of the payload, as negotiated; for ErrFrameTooLarge
	End     uint8  // what stands in place of FrameEnd; for ErrFrameEnd
	Octets  []byte // a copy of the payload's first 16 octets; none for ErrFrameTooLarge, which is raised unread
}

// Error describes the frame and what is wrong with it.
func (e *FrameError) Error() string {
	return fmt.Sprintf("%v: type %d, channel %d, size %d, begins % x", e.Err, e.Type, e.Channel, e.Size, e.Octets)
}

// Unwrap returns Err.
func (e *FrameError) Unwrap() error { return e.Err }

// Reader reads frames. It is not for concurrent use.
type Reader struct {
	br    *bufio.Reader
	max   uint32 // frame-max, 0 for none
	lent  int    // bytes of br's buffer that the last frame occupies, to be discarded before the next
	large []byte // payload and end octet of a frame that does not fit br's buffer, as far as they have come
	err   error  // why reading cannot go on

	interrupted bool   // within a large frame
	begun       Frame  // that frame, without its payload
	size        uint32 // of its payload
}

// NewReader returns a Reader of src whose frame-max is FrameMinSize, as before tuning.
func NewReader(src io.Reader) *Reader { return newReader(src, readBufferSize) }

func newReader(src io.Reader, bufferSize int) *Reader {
	return &Reader{br: bufio.NewReaderSize(src, bufferSize), max: FrameMinSize}
}

// SetFrameMax sets the negotiated frame-max, 0 for none. Like RabbitMQ the Reader compares it with the payload alone,
// and so accepts frames that exceed it by up to FrameOverhead.
func (r *Reader) SetFrameMax(n uint32) { r.max = n }

// Buffered is how many bytes have been read ahead, the last frame excluded. At 0 a server does well to flush its
// answers, since the next read may wait.
func (r *Reader) Buffered() int { return r.br.Buffered() - r.lent }

// HasFrame reports whether the next frame can be read without waiting for the source, as far as that can be told: of a
// frame larger than the buffer it is not.
func (r *Reader) HasFrame() bool {
	buffered := r.Buffered()
	if buffered < frameHeadSize {
		return false
	}
	b, err := r.br.Peek(r.lent + frameHeadSize)
	if err != nil {
		return false
	}
	size := be.Uint32(b[r.lent+3:])
	return uint64(buffered) >= uint64(size)+FrameOverhead
}

// ReadProtocolHeader reads the eight bytes that open a connection.
func (r *Reader) ReadProtocolHeader() (header [ProtocolHeaderSize]byte, err error) {
	_, err = io.ReadFull(r.br, header[:])
	return header, err
}

// ReadFrame reads the next frame. The error is io.EOF if the stream ends between frames, io.ErrUnexpectedEOF if it
// ends within one, a [*FrameError], or what the source returned. After ErrUnknownFrame, and after an error of the
// source, such as a timeout, reading can go on where it was.
func (r *Reader) ReadFrame() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	r.release()
	f, size, err := r.head()
	if err != nil {
		return Frame{}, err
	}
	if size > r.sizeLimit() {
		return Frame{}, r.tooLarge(f, size)
	}
	tail, err := r.tail(f, size)
	if err != nil {
		return Frame{}, err
	}
	f.Payload = tail[:size:size]
	return r.check(f, tail[size])
}

// head returns the next frame without its payload, and the size of that.
func (r *Reader) head() (f Frame, size uint32, err error) {
	if r.interrupted {
		return r.begun, r.size, nil
	}
	head, err := r.peek(frameHeadSize)
	if err != nil {
		return Frame{}, 0, err
	}
	return Frame{Type: head[0], Channel: be.Uint16(head[1:])}, be.Uint32(head[3:]), nil
}

// release gives the last frame's bytes back to the buffer.
func (r *Reader) release() {
	_, _ = r.br.Discard(r.lent) // cannot fail: they are in the buffer
	r.lent = 0
}

// sizeLimit is the largest payload to accept. Even without a frame-max it must leave room in an int32 for the rest of
// the frame.
func (r *Reader) sizeLimit() uint32 {
	if r.max == 0 {
		return math.MaxInt32 - FrameOverhead
	}
	return min(r.max, math.MaxInt32-FrameOverhead)
}

// tooLarge keeps to the negotiated limit in what it reports, although the Reader has been more lenient.
func (r *Reader) tooLarge(f Frame, size uint32) error {
	fault := f.fault(ErrFrameTooLarge)
	fault.Size, fault.Limit = size, r.sizeLimit()-FrameOverhead
	r.err = fault
	return fault
}

// peek returns the next n bytes, which stay in the buffer.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.br.Peek(n)
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// tail returns what follows the head of a frame: its payload and the end octet.
func (r *Reader) tail(f Frame, size uint32) ([]byte, error) {
	n := int(size) + 1
	if frameHeadSize+n > r.br.Size() {
		return r.largeTail(f, size)
	}
	b, err := r.peek(frameHeadSize + n)
	if err != nil {
		return nil, err
	}
	r.lent = len(b)
	return b[frameHeadSize:], nil
}

// largeTail is tail for a frame larger than the buffer. Its memory grows with what has arrived, not with what the
// frame's head claims.
func (r *Reader) largeTail(f Frame, size uint32) ([]byte, error) {
	if !r.interrupted {
		_, _ = r.br.Discard(frameHeadSize) // cannot fail: it has been peeked at
		r.large = r.large[:0]
	}
	r.interrupted = false
	for n := int(size) + 1; len(r.large) < n; {
		have := len(r.large)
		chunk := min(n-have, max(have, r.br.Size()))
		r.large = slices.Grow(r.large, chunk)
		got, err := io.ReadFull(r.br, r.large[have:have+chunk])
		r.large = r.large[:have+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			r.interrupted, r.begun, r.size = true, f, size
			return nil, err
		}
	}
	return r.large, nil
}

// check returns f if it is whole and of a known kind. The end octet comes first: without it nothing else in the frame
// can be trusted.
func (r *Reader) check(f Frame, end byte) (Frame, error) {
	if end != FrameEnd {
		fault := f.fault(ErrFrameEnd)
		fault.End = end
		r.err = fault
		return Frame{}, fault
	}
	if !f.known() {
		return Frame{}, f.fault(ErrUnknownFrame)
	}
	return f, nil
}

func (f Frame) fault(err error) *FrameError {
	octets := slices.Clone(f.Payload[:min(len(f.Payload), 16)])
	return &FrameError{Err: err, Type: f.Type, Channel: f.Channel, Size: uint32(len(f.Payload)), Octets: octets}
}

// known reports whether f has a type of AMQP's and a payload that the type allows.
func (f Frame) known() bool {
	switch f.Type {
	case FrameMethod:
		return len(f.Payload) >= methodIDSize
	case FrameHeader:
		return len(f.Payload) >= headerHeadSize
	case FrameBody:
		return true
	case FrameHeartbeat:
		return len(f.Payload) == 0
	}
	return false
}
