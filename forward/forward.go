package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
)

// Option configures Start.
type Option func(*Forwarder)

// Key sets the routing key of the forwarded messages. Without it they keep theirs.
func Key(key string) Option { return func(f *Forwarder) { f.key = &key } }

// InFlight sets how many messages may be on their way at once, 64 by default. To
// a client that is no pocketmq.Sender it is one.
func InFlight(n int) Option { return func(f *Forwarder) { f.inFlight = n } }

// Mandatory makes messages wait that the other side leads to no queue, until it
// does. Without it they are dropped there, as with any publisher. They are on their
// way one by one then.
func Mandatory() Option {
	return func(f *Forwarder) { f.options = []pocketmq.PublishOption{pocketmq.Mandatory} }
}

// Logger sets where failed attempts are reported. The default, also for nil, is silence.
func Logger(l *slog.Logger) Option {
	return func(f *Forwarder) {
		if l != nil {
			f.log = l
		}
	}
}

// Forwarder moves messages. Make it with Start. Its methods may be called from
// any goroutine.
type Forwarder struct {
	to       pocketmq.Client
	exchange string
	key      *string // nil = the message's own
	inFlight int
	options  []pocketmq.PublishOption
	log      *slog.Logger
	consumer *pocketmq.Consumer

	life  context.Context // ends when it must stop at once
	end   context.CancelCauseFunc
	fetch context.Context // ends when no further message is to be taken
	stop  context.CancelFunc
	done  chan struct{}

	forwarded, failures atomic.Uint64
	flying              atomic.Int64

	mu  sync.Mutex
	err error
}

// Stats are a Forwarder's counts.
type Stats struct {
	Forwarded uint64 // messages that the other side has confirmed
	Failures  uint64 // attempts that failed and were repeated
	InFlight  int    // messages on their way now
}

// Start starts a Forwarder, which runs until ctx ends, or Shutdown or Close is
// called, or something happens that waiting does not mend: the queue is deleted,
// a client is closed, or the other side refuses a message for what it is. Then Err
// tells what, and the messages stay in their queue. An exchange that is not there is
// waited for, without an end: Stats counts the attempts, and a Logger is told why
// they fail.
func Start(ctx context.Context, from pocketmq.Client, queue string, to pocketmq.Client, exchange string, opts ...Option) (*Forwarder, error) {
	if from == nil || to == nil {
		return nil, fmt.Errorf("forward: a client is nil: %w", pocketmq.ErrInvalid)
	}
	f := &Forwarder{to: to, exchange: exchange, inFlight: 64, log: slog.New(slog.DiscardHandler), done: make(chan struct{})}
	for _, o := range opts {
		if o != nil {
			o(f)
		}
	}
	if f.inFlight < 1 {
		return nil, fmt.Errorf("forward: InFlight(%d): must be positive: %w", f.inFlight, pocketmq.ErrInvalid)
	}
	if _, ok := to.(pocketmq.Sender); !ok || f.options != nil {
		f.inFlight = 1
	}
	var err error
	if f.consumer, err = from.Consume(ctx, queue, pocketmq.Prefetch(f.inFlight)); err != nil {
		return nil, err
	}
	f.life, f.end = context.WithCancelCause(ctx)
	f.fetch, f.stop = context.WithCancel(f.life)
	go f.run()
	return f, nil
}

// Stats returns the counts.
func (f *Forwarder) Stats() Stats {
	return Stats{Forwarded: f.forwarded.Load(), Failures: f.failures.Load(), InFlight: int(f.flying.Load())}
}

// Done is closed when the Forwarder has ended.
func (f *Forwarder) Done() <-chan struct{} { return f.done }

// Err tells why the Forwarder ended; it is nil while it has not, and after
// Shutdown.
func (f *Forwarder) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Shutdown ends the Forwarder when what is on its way has been confirmed, or when
// ctx ends; then its error is returned.
func (f *Forwarder) Shutdown(ctx context.Context) error {
	f.stop()
	select {
	case <-f.done:
		return f.Err()
	case <-ctx.Done():
		_ = f.Close()
		return ctx.Err()
	}
}

var errClosed = fmt.Errorf("forward: %w", pocketmq.ErrClosed)

// Close ends the Forwarder at once. What is on its way and not confirmed goes
// back to its queue, and may arrive twice therefore.
func (f *Forwarder) Close() error {
	f.end(errClosed)
	<-f.done
	return nil
}

// flight is a message on its way.
type flight struct {
	delivery pocketmq.Delivery
	wait     func(context.Context) error
}

func (f *Forwarder) run() {
	err := f.forward()
	f.consumer.Close() // what is not forwarded goes back
	f.flying.Store(0)
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	f.end(nil)
	close(f.done)
}

// forward moves messages until it may not any more.
func (f *Forwarder) forward() error {
	var flying []flight // in the order of their queue
	for {
		d, ok, err := f.next(flying)
		switch {
		case err != nil:
			return f.finish(flying, err)
		case ok:
			flying = append(flying, f.send(d))
		default:
			if flying, err = f.land(flying); err != nil {
				return err
			}
		}
		f.flying.Store(int64(len(flying)))
	}
}

// next returns the next message to be sent. It waits for one only if nothing is
// on its way that could be waited for instead.
func (f *Forwarder) next(flying []flight) (d pocketmq.Delivery, ok bool, err error) {
	switch {
	case f.fetch.Err() != nil:
		return d, false, f.fetch.Err()
	case len(flying) == 0:
		d, err = f.consumer.Receive(f.fetch)
		return d, err == nil, err
	case len(flying) < f.inFlight:
		return f.consumer.TryReceive()
	}
	return d, false, nil
}

// finish waits for what is on its way when there will be no more messages.
func (f *Forwarder) finish(flying []flight, why error) (err error) {
	for len(flying) > 0 && err == nil {
		flying, err = f.land(flying)
		f.flying.Store(int64(len(flying)))
	}
	switch {
	case err != nil:
		return err
	case f.life.Err() != nil:
		return context.Cause(f.life)
	case f.fetch.Err() != nil:
		return nil // Shutdown
	}
	return why
}

// send sends a message on its way.
func (f *Forwarder) send(d pocketmq.Delivery) flight {
	sender, ok := f.to.(pocketmq.Sender)
	if !ok || f.options != nil {
		return flight{d, func(ctx context.Context) error { return f.publish(ctx, &d) }}
	}
	wait, err := sender.Send(f.life, f.exchange, f.keyOf(&d), d.Message)
	if err != nil {
		wait = func(context.Context) error { return err }
	}
	return flight{d, wait}
}

func (f *Forwarder) publish(ctx context.Context, d *pocketmq.Delivery) error {
	return f.to.Publish(ctx, f.exchange, f.keyOf(d), d.Message, f.options...)
}

func (f *Forwarder) keyOf(d *pocketmq.Delivery) string {
	if f.key != nil {
		return *f.key
	}
	return d.RoutingKey
}

// land waits for the first message on its way. If it has not arrived, no new ones
// are sent until it has, and those behind it that have not, one after the other: so
// they keep their order.
func (f *Forwarder) land(flying []flight) ([]flight, error) {
	err := flying[0].wait(f.life)
	if err == nil {
		f.arrived(&flying[0].delivery)
		return flying[1:], nil
	}
	var lost []*pocketmq.Delivery
	for i := range flying {
		x := &flying[i]
		if i > 0 && x.wait(f.life) == nil {
			f.arrived(&x.delivery)
		} else {
			lost = append(lost, &x.delivery)
		}
	}
	for _, d := range lost {
		if err := f.insist(d, err); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// insist publishes a message, for which an attempt has failed, until it has
// arrived.
func (f *Forwarder) insist(d *pocketmq.Delivery, err error) error {
	for n := 0; err != nil; n++ {
		if f.life.Err() != nil {
			return context.Cause(f.life)
		}
		if isFinal(err) {
			return err
		}
		f.failures.Add(1)
		f.log.Warn("a message could not be forwarded yet", "error", err)
		if !f.pause(n) {
			return context.Cause(f.life)
		}
		err = f.publish(f.life, d)
	}
	f.arrived(d)
	return nil
}

// isFinal reports whether an error will be the same next time: it is about the
// message, or permissions, or the client is closed. What else is missing, such as
// the exchange, may come.
func isFinal(err error) bool {
	for _, kind := range []error{
		pocketmq.ErrInvalid, pocketmq.ErrPreconditionFailed, pocketmq.ErrAccessRefused, pocketmq.ErrNotSupported, pocketmq.ErrClosed,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// pause waits before the next attempt, 100 ms at first and twice as long each
// time, up to 10 s. It reports false if the Forwarder must end.
func (f *Forwarder) pause(n int) bool {
	t := time.NewTimer(min(100*time.Millisecond<<min(n, 10), 10*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.life.Done():
		return false
	}
}

// arrived settles a message that the other side has. If it cannot, because the
// connection to its queue is lost, it will come again.
func (f *Forwarder) arrived(d *pocketmq.Delivery) {
	f.forwarded.Add(1)
	if err := d.Ack(); err != nil {
		f.log.Warn("a forwarded message will be forwarded again", "error", err)
	}
}
