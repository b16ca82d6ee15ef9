package pocketmq

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
)

// The errors to compare with, using errors.Is. What is wrong in detail stands in
// the *Error that wraps them.
var (
	// Declaring, binding, deleting.

	// ErrInvalid: a name, number, option or header that can never be right.
	ErrInvalid = errors.New("invalid argument")
	// ErrNotFound: no such exchange or queue.
	ErrNotFound = errors.New("not found")
	// ErrAccessRefused: a reserved name, the default exchange, an internal
	// exchange, or a queue that another consumer uses exclusively.
	ErrAccessRefused = errors.New("access refused")
	// ErrPreconditionFailed: declared before with other properties, in use, or
	// not empty.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrResourceLocked: the exclusive queue of another session.
	ErrResourceLocked = errors.New("resource locked")
	// ErrNotSupported: RabbitMQ has it, pocketmq does not (yet).
	ErrNotSupported = errors.New("not supported")

	// Publishing.

	// ErrUnroutable: a mandatory message reached no queue.
	ErrUnroutable = errors.New("unroutable")
	// ErrQueueFull: a queue that rejects when full did so.
	ErrQueueFull = errors.New("queue full")

	// Consuming and settling.

	// ErrNotAllowed: the consumer tag is in use.
	ErrNotAllowed = errors.New("not allowed")
	// ErrCanceled: the consumer was cancelled, or its context ended.
	ErrCanceled = errors.New("consumer canceled")
	// ErrQueueDeleted: the consumer ended, or a Publish that waited for room was
	// in vain, because the queue went away.
	ErrQueueDeleted = errors.New("queue deleted")
	// ErrSettled: the delivery was acked, nacked or rejected before, needed no
	// ack, or went back to its queue when its consumer was closed.
	ErrSettled = errors.New("already settled")

	// ErrConnectionLost: the connection to the broker that a delivery came over
	// is gone, and the message is back in its queue; or that a message was sent
	// over, and whether it has arrived is unknown. Of a Broker in this process
	// there is no such error.
	ErrConnectionLost = errors.New("connection lost")

	// Any time.

	// ErrMessagesLost: Shutdown found messages that nobody will receive.
	ErrMessagesLost = errors.New("messages lost")
	// ErrClosed: the broker or the session is closed.
	ErrClosed = errors.New("closed")
)

// The reply codes of AMQP 0-9-1 that an Error can carry.
const (
	CodeNoRoute            = 312
	CodeConnectionForced   = 320
	CodeAccessRefused      = 403
	CodeNotFound           = 404
	CodeResourceLocked     = 405
	CodePreconditionFailed = 406
	CodeSyntaxError        = 502
	CodeCommandInvalid     = 503
	CodeResourceError      = 506
	CodeNotAllowed         = 530
	CodeNotImplemented     = 540
	CodeInternalError      = 541
)

var codeNames = map[int]string{
	CodeNoRoute:            "NO_ROUTE",
	CodeConnectionForced:   "CONNECTION_FORCED",
	CodeAccessRefused:      "ACCESS_REFUSED",
	CodeNotFound:           "NOT_FOUND",
	CodeResourceLocked:     "RESOURCE_LOCKED",
	CodePreconditionFailed: "PRECONDITION_FAILED",
	CodeSyntaxError:        "SYNTAX_ERROR",
	CodeCommandInvalid:     "COMMAND_INVALID",
	CodeResourceError:      "RESOURCE_ERROR",
	CodeNotAllowed:         "NOT_ALLOWED",
	CodeNotImplemented:     "NOT_IMPLEMENTED",
	CodeInternalError:      "INTERNAL_ERROR",
}

// Error says what went wrong as an AMQP server would: with a reply code and,
// where RabbitMQ has the same case, RabbitMQ's words.
type Error struct {
	Code int    // an AMQP 0-9-1 reply code
	Text string // for people; without the code's name
	is   error  // the sentinel
}

// Error returns the reply text that a RabbitMQ client would see. A code that is none of
// the above has no name: its number stands there.
func (e *Error) Error() string {
	return cmp.Or(codeNames[e.Code], strconv.Itoa(e.Code)) + " - " + e.Text
}

// Unwrap returns the sentinel that errors.Is compares with.
func (e *Error) Unwrap() error { return e.is }

func newError(is error, code int, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...), is: is}
}

func invalid(format string, args ...any) *Error {
	return newError(ErrInvalid, CodeSyntaxError, format, args...)
}

func notFound(format string, args ...any) *Error {
	return newError(ErrNotFound, CodeNotFound, format, args...)
}

func accessRefused(format string, args ...any) *Error {
	return newError(ErrAccessRefused, CodeAccessRefused, format, args...)
}

func preconditionFailed(format string, args ...any) *Error {
	return newError(ErrPreconditionFailed, CodePreconditionFailed, format, args...)
}

func notSupported(format string, args ...any) *Error {
	return newError(ErrNotSupported, CodeNotImplemented, format, args...)
}

var (
	errBrokerClosed  = newError(ErrClosed, CodeConnectionForced, "the broker is closed")
	errSessionClosed = newError(ErrClosed, CodeConnectionForced, "the session is closed")
	errNotMade       = invalid("this is a zero value: make a Broker with pocketmq.New, and a Session with its method")
	errNilContext    = invalid("the context is nil; use context.Background()")
	errGone          = errors.New("the queue is gone") // never leaves the package
	errDraining      = newError(ErrClosed, CodeConnectionForced, "the broker is shutting down: only handlers may use it, with the context they were given")
	errInternal      = newError(ErrInvalid, CodeInternalError, "") // where RabbitMQ 3.10 crashes
	errSettled       = newError(ErrSettled, CodePreconditionFailed, "the delivery is settled already")
	errNoSettling    = newError(ErrSettled, CodePreconditionFailed, "the delivery needs no settling: it came with AutoAck, or from no broker")
)
