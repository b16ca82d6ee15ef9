package pocketmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Handler processes one delivery. What it returns settles the delivery, unless
// the handler did so itself:
//
//   - nil acks it.
//   - an error made by Discard rejects it: the message leaves the queue.
//   - any other error, and a panic, returns it to its place in the queue (but not in
//     a Stream, whose consumers go on to the next message), after a
//     pause of 10 ms that doubles with every time this message came back, up to
//     a second. Meanwhile the goroutine takes no other message, so that order is
//     kept and a failing dependency is not run down. If the queue has a Retry
//     policy, the message waits as that says, in the queue, and others go on.
//
// Errors and panics are logged; a panic does not go further.
//
// The context ends with the one given to Handle, and when the broker or session
// is closed; not with Cancel, which lets running handlers finish.
type Handler func(ctx context.Context, d *Delivery) error

// Discard marks an error as final: a handler that returns it does not want to see
// the message again. Discard(nil) is an error too.
func Discard(err error) error { return &discardError{err} }

type discardError struct{ err error }

func (e *discardError) Error() string {
	if e.err == nil {
		return "discarded"
	}
	return "discarded: " + e.err.Error()
}

func (e *discardError) Unwrap() error { return e.err }

// handlerOf is the context key under which a handler's context holds its Broker.
type handlerOf struct{}

// start runs h in n goroutines.
func (c *Consumer) start(ctx context.Context, h Handler, n int) {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, handlerOf{}, c.queue.broker))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		cancel()
		return
	}
	c.stopHandlers = cancel
	c.running += n
	for range n {
		go c.work(ctx, h)
	}
}

// stop ends the context of the handlers, and reports whether there are any.
func (c *Consumer) stop() bool {
	c.mu.Lock()
	stop := c.stopHandlers
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	return stop != nil
}

// isDone reports whether the consumer has ended and its goroutines have returned.
func (c *Consumer) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// isOver reports whether the consumer has ended, its goroutines have returned,
// and everything it received is settled.
func (c *Consumer) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running == 0 && c.unacked.Len() == 0
}

// work runs a handler for the messages of c until it ends.
func (c *Consumer) work(ctx context.Context, h Handler) {
	returned := false
	defer func() {
		if !returned { // the handler called runtime.Goexit, as t.FailNow does
			go c.work(ctx, h)
			return
		}
		c.leave()
	}()
	for {
		var d Delivery
		if err := c.receive(ctx, c.autoAck, &d); err != nil {
			returned = true
			return
		}
		c.handle(ctx, h, &d)
	}
}

var errGoexit = errors.New("the handler ended its goroutine")

// handle runs the handler once and settles the delivery as it returns.
func (c *Consumer) handle(ctx context.Context, h Handler, d *Delivery) {
	// The handler gets a copy of its own: it may keep it, while a Delivery that
	// is used again for the next message could settle that by mistake.
	own := *d
	err := errGoexit
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		c.conclude(d, err)
	}()
	err = h(ctx, &own)
}

// conclude is the rule in the comment of Handler.
func (c *Consumer) conclude(d *Delivery, err error) {
	if err == nil {
		if d.tag != 0 {
			_ = d.Ack() // ErrSettled: the handler did it itself
		}
		return
	}
	final, text := describe(err)
	final = final || c.queue.log != nil // what a stream gets back it does not deliver again
	settled := !c.holds(d.tag)
	c.queue.broker.log.LogAttrs(context.Background(), slog.LevelWarn, "handler failed",
		slog.String("queue", c.queue.name), slog.String("consumer", c.tag), slog.Bool("requeue", !final && !settled),
		slog.Uint64("returns", uint64(d.returns)), slog.String("error", text))
	switch {
	case settled:
	case final:
		_ = d.Reject()
	default:
		if !c.queue.retries() {
			c.pause(d)
		}
		_ = d.Nack(true)
	}
}

// describe reads a handler's error, which like the handler may panic: a nil
// pointer in an error does.
func describe(err error) (final bool, text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("an error of type %T that panics: %v", err, p)
		}
	}()
	var discard *discardError
	final = errors.As(err, &discard)
	return final, err.Error()
}

// pause holds a failed delivery back, unless the consumer ends.
func (c *Consumer) pause(d *Delivery) {
	t := time.NewTimer(retryPause(d.returns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.over:
	}
}

func retryPause(returns uint32) time.Duration {
	return min(10*time.Millisecond<<min(returns, 10), time.Second)
}
