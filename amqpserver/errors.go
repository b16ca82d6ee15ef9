package amqpserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/erlang"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// A closeError ends a channel or a connection, according to its code, and is
// told to the client (CONN-64).
type closeError struct {
	code   uint16
	text   string  // without the code's name
	method wire.ID // the offending one; 0 for errors that no method caused (CONN-63)

	noMethod bool // method stays 0 although one was being handled
	deaf     bool // the stream is out of step: nothing more can be read
}

// Error returns the reply text: the code's name and the explanation, in at most
// 255 bytes (CONN-62).
func (e *closeError) Error() string {
	text := wire.ConstantName(e.code)
	if e.text != "" {
		text += " - " + e.text
	}
	if len(text) > maxReplyText {
		text = text[:maxReplyText-3] + "..."
	}
	return text
}

const maxReplyText = 255

// failf is an error with a reply code; whether it is the channel or the
// connection that ends follows from the code.
func failf(code uint16, format string, args ...any) *closeError {
	return &closeError{code: code, text: fmt.Sprintf(format, args...)}
}

func accessRefused(format string, args ...any) *closeError {
	return failf(wire.CodeAccessRefused, format, args...)
}

func notFound(format string, args ...any) *closeError {
	return failf(wire.CodeNotFound, format, args...)
}

func preconditionFailed(format string, args ...any) *closeError {
	return failf(wire.CodePreconditionFailed, format, args...)
}

func notImplemented(format string, args ...any) *closeError {
	return failf(wire.CodeNotImplemented, format, args...)
}

func channelError(format string, args ...any) *closeError {
	return failf(wire.CodeChannelError, format, args...)
}

// unexpectedFrame is an error of the frames' order.
func unexpectedFrame(format string, args ...any) *closeError {
	return failf(wire.CodeUnexpectedFrame, format, args...)
}

// misplaced is the error of a frame that its channel is not for (CONN-37, CONN-39).
func misplaced(f wire.Frame) *closeError {
	return unexpectedFrame("%s", frameText(f.Type, f.Payload[:min(len(f.Payload), 16)], len(f.Payload)))
}

// internalError is what RabbitMQ answers when it crashes.
func internalError() *closeError {
	e := failf(wire.CodeInternalError, "")
	e.noMethod = true
	return e
}

func connectionForced(format string, args ...any) *closeError {
	e := failf(wire.CodeConnectionForced, format, args...)
	e.noMethod = true
	return e
}

// errShutdown is what clients learn when server or broker are closed (CONN-70).
func errShutdown() *closeError {
	return connectionForced("broker forced connection closure with reason 'shutdown'")
}

// errUnimplemented answers a method that only servers send, or that does not
// belong on this channel (CONN-36, CHAN-12).
func errUnimplemented() *closeError { return failf(wire.CodeCommandInvalid, "unimplemented method") }

// asCloseError makes any error of a handler one that can be told. It returns nil
// for errors after which nobody is left to be told.
func asCloseError(err error) *closeError {
	var c *closeError
	if errors.As(err, &c) {
		return c
	}
	if errors.Is(err, pocketmq.ErrClosed) {
		return errShutdown()
	}
	var e *pocketmq.Error
	if errors.As(err, &e) {
		return &closeError{code: uint16(e.Code), text: e.Text, noMethod: e.Code == pocketmq.CodeInternalError}
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return failf(wire.CodeInternalError, "%v", err)
}

// frameError is the answer to a frame that cannot be accepted (CONN-38, CONN-40,
// CONN-41).
func frameError(e *wire.FrameError) *closeError {
	c := &closeError{code: wire.CodeFrameError, noMethod: true, deaf: true}
	switch {
	case errors.Is(e.Err, wire.ErrFrameEnd):
		c.text = erlang.AppendTuple(frameText(e.Type, e.Octets, int(e.Size))+": ", "invalid_frame_end_marker", int(e.End))
	case errors.Is(e.Err, wire.ErrFrameTooLarge): // of which nothing is read
		c.text = fmt.Sprintf("%s: {frame_too_large,%d,%d}", frameText(e.Type, nil, 0), e.Size, e.Limit)
	default:
		c.text, c.deaf = frameText(e.Type, e.Octets, int(e.Size))+": unknown_frame", false
	}
	return c
}

// frameText describes a frame of size bytes that begins with octets.
func frameText(typ uint8, octets []byte, size int) string {
	which := "all"
	if size > len(octets) {
		which = "first 16"
	}
	return erlang.AppendBinary(fmt.Sprintf("type %d, %s octets = ", typ, which), string(octets))
}

// methodError is the answer to a method that cannot be decoded.
func methodError(err error, args []byte) *closeError {
	switch {
	case errors.Is(err, wire.ErrUnknownMethod): // CONN-43
		return failf(wire.CodeCommandInvalid, "unknown method")
	case errors.Is(err, wire.ErrMalformedUTF8): // CONN-46
		e := failf(wire.CodeFrameError, "Malformed UTF-8 in shortstr")
		e.noMethod = true
		return e
	default: // CONN-44, CONN-45
		return failf(wire.CodeFrameError, "cannot decode %s", erlang.Octets(string(args)))
	}
}
