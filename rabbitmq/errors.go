package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

var (
	errClosed         = hook.Error(pocketmq.ErrClosed, pocketmq.CodeConnectionForced, "the client is closed")
	errNilContext     = hook.Error(pocketmq.ErrInvalid, pocketmq.CodeSyntaxError, "the context is nil; use context.Background()")
	errConnectionLost = hook.Error(pocketmq.ErrConnectionLost, pocketmq.CodeConnectionForced,
		"the connection that the delivery came over is lost; the message is back in its queue")
	errUnknown = hook.Error(pocketmq.ErrConnectionLost, pocketmq.CodeConnectionForced,
		"the connection that the message was sent over is lost; whether it has arrived is unknown")
)

func notSupported(format string, args ...any) error {
	return hook.Error(pocketmq.ErrNotSupported, pocketmq.CodeNotImplemented, fmt.Sprintf(format, args...))
}

// sentinels are the errors that the broker's reply codes mean.
var sentinels = map[int]error{
	pocketmq.CodeNoRoute:            pocketmq.ErrUnroutable,
	pocketmq.CodeAccessRefused:      pocketmq.ErrAccessRefused,
	pocketmq.CodeNotFound:           pocketmq.ErrNotFound,
	pocketmq.CodeResourceLocked:     pocketmq.ErrResourceLocked,
	pocketmq.CodePreconditionFailed: pocketmq.ErrPreconditionFailed,
	pocketmq.CodeSyntaxError:        pocketmq.ErrInvalid,
	pocketmq.CodeCommandInvalid:     pocketmq.ErrInvalid,
	pocketmq.CodeNotAllowed:         pocketmq.ErrNotAllowed,
	pocketmq.CodeNotImplemented:     pocketmq.ErrNotSupported,
	pocketmq.CodeInternalError:      pocketmq.ErrNotSupported, // RabbitMQ 4 says so of what it does not allow any more
}

// verdict returns what the broker refused to do as a pocketmq.Error, and reports
// false if err is not the broker's word but the end of a connection.
func verdict(err error) (error, bool) {
	var e *amqp.Error
	if !errors.As(err, &e) || !e.Server {
		return err, false
	}
	is, ok := sentinels[e.Code]
	if !ok {
		return err, false
	}
	return hook.Error(is, e.Code, reason(e)), true
}

// isHard reports whether the broker closed a connection with err, which all who
// used it get, whoever was to blame.
func isHard(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Server && e.Code > 500
}

// reason is the reply text without the code's name.
func reason(e *amqp.Error) string {
	if _, text, ok := strings.Cut(e.Reason, " - "); ok {
		return text
	}
	return e.Reason
}

// dialError says why there is no first connection.
func dialError(err error) error {
	if e, ok := verdict(err); ok {
		return e
	}
	if errors.Is(err, amqp.ErrCredentials) {
		return hook.Error(pocketmq.ErrAccessRefused, pocketmq.CodeAccessRefused, "the broker does not accept this user and password")
	}
	return fmt.Errorf("pocketmq: connecting to RabbitMQ: %w", err)
}

// interrupted is the error of a method whose context ended while it waited.
func interrupted(doing string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("pocketmq: %s: %w", doing, err)
	}
	return err
}
