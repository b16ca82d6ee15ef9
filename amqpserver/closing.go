package amqpserver

import (
	"context"
	"errors"
	"time"

	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// silentDelay is how long a client waits that is not told why it is dropped.
const silentDelay = 3 * time.Second

// maxCloseTimeout is the longest closeTimeout.
const maxCloseTimeout = 30 * time.Second

// reason is why the connection ends, of which err may be a consequence: the peer does
// not read, or it is gone, and what waited for its sake was told so.
func (c *conn) reason(err error) error {
	switch {
	case c.stall.over.Load():
		return errStalled
	case c.ahead.lost && errors.Is(err, context.Canceled):
		return c.ahead.err
	}
	return err
}

// errOrderly ends a connection that the client closed.
var errOrderly = errors.New("closed by the client")

// finish does what remains to be done with the peer after err, and returns the
// error that ServeConn returns.
func (c *conn) finish(err error) error {
	var frame *wire.FrameError
	var told *closeError
	switch {
	case c.forced.Load() != nil && c.state.Load() == stateStarting:
		return c.forced.Load() // who has not logged in is told nothing, and not waited for
	case c.forced.Load() != nil: // err is a consequence, or came too late
		told = c.forced.Load()
	case err == errOrderly:
		c.linger()
		return nil
	case err == errSilent:
		c.pause(silentDelay)
		return err
	case errors.As(err, &frame):
		told = frameError(frame)
	default:
		errors.As(err, &told)
	}
	if told == nil || c.dropped() {
		return err // the network failed, or the client is gone
	}
	c.tell(told)
	if told.code == wire.CodeConnectionForced {
		return nil
	}
	return told
}

// tell closes the connection for a reason that the client is told, and waits for
// its answer (CONN-65 to CONN-67).
func (c *conn) tell(e *closeError) {
	c.setState(stateClosing)
	c.handOut()
	c.endSessions()
	id := e.method
	if e.noMethod {
		id = 0
	}
	c.out.send(0, &wire.ConnectionClose{ReplyCode: e.code, ReplyText: e.Error(), ClassID: id.Class(), MethodID: id.Method()})
	if e.deaf {
		c.pause(silentDelay)
		return
	}
	c.readUntil(c.closeTimeout(), func(id wire.ID) bool {
		if id == wire.IDConnectionClose {
			c.out.send(0, &wire.ConnectionCloseOk{})
		}
		return id == wire.IDConnectionCloseOk
	})
}

// linger leaves the network connection open until the client closes it
// (CONN-68).
func (c *conn) linger() {
	c.setState(stateClosing)
	c.readUntil(c.closeTimeout(), func(wire.ID) bool { return false })
}

// closeTimeout is how long the server waits for the client to answer
// connection.close, or to close the network connection (CONN-66, CONN-68).
func (c *conn) closeTimeout() time.Duration {
	if c.heartbeat > 0 {
		return min(maxCloseTimeout, c.heartbeat)
	}
	return maxCloseTimeout
}

// readUntil reads and ignores frames, for at most the time given, until done
// says so of a method on channel 0.
func (c *conn) readUntil(wait time.Duration, done func(wire.ID) bool) {
	c.closing = true
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	for {
		f, err := c.read()
		var frame *wire.FrameError
		switch {
		case errors.As(err, &frame) && errors.Is(err, wire.ErrUnknownFrame):
			continue
		case err != nil:
			return
		}
		if f.Type != wire.FrameMethod || f.Channel != 0 {
			continue
		}
		if id, _ := wire.SplitMethod(f.Payload); done(id) {
			return
		}
	}
}

// pause lets time pass in which nothing is read, and the client may leave.
func (c *conn) pause(d time.Duration) {
	c.setState(stateClosing)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Context.Done():
	}
}

// force closes the connection for the server's own reasons, from any goroutine.
func (c *conn) force(why *closeError) {
	if !c.forced.CompareAndSwap(nil, why) {
		return
	}
	c.cancel()
	_ = c.nc.SetReadDeadline(past) // wakes the reader
	c.out.release()
}

// drop ends the connection without a word, from any goroutine.
func (c *conn) drop() {
	c.gone.Store(true)
	c.cancel()
	_ = c.nc.Close()
	c.out.fail()
}

func (c *conn) dropped() bool { return c.gone.Load() }

// brokerMayBeClosed is called when a consumer ended because its session or its
// broker did. In the latter case the connection is of no use any more.
func (c *conn) brokerMayBeClosed() {
	if isClosed(c.broker) {
		c.force(errShutdown())
	}
}

// endSessions ends the channels and what belongs to the connection (CONN-68,
// CONN-69). The channels end together: what one gives back would be lost on another
// that does without acks.
func (c *conn) endSessions() {
	for _, ch := range c.channels {
		ch.stop()
	}
	if c.session != nil {
		hook.CloseChannels(c.session)
	}
	for _, ch := range c.channels {
		ch.tellClosed()
	}
	clear(c.channels)
	c.nchannels.Store(0)
	if c.session != nil {
		_ = c.session.Close() // never fails
	}
	c.server.leave(c)
}
