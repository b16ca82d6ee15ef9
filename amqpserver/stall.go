package amqpserver

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"
)

// pieceSize is how much is written at once: what a client must take within the send
// timeout.
const pieceSize = 64 << 10

// errStalled ends a connection whose client does not read.
var errStalled = errors.New("the client did not take what was sent to it for as long as the send timeout")

// stall is what ends a connection to which nothing can be sent any more. A deadline of
// writing would not do: after it has passed TLS writes nothing more, whatever was said
// meanwhile.
type stall struct {
	began atomic.Int64 // when the connection began to write what it is writing, by writingTime; 0 = it does not write
	timer *time.Timer  // the writer's own; nil until it is needed
	over  atomic.Bool  // the connection was dropped for it
}

// transmit writes to the network. If the client takes none of it for too long the
// connection is dropped.
func (c *conn) transmit(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pieceSize)
		c.watchWriting()
		_, err := c.nc.Write(b[:n])
		c.stall.began.Store(0)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// watchWriting has checkWriting look at what is written now when it has taken as long as
// it may.
func (c *conn) watchWriting() {
	limit := c.server.sendTimeout
	if limit == 0 {
		return
	}
	c.stall.began.Store(c.writingTime())
	if c.stall.timer == nil {
		c.stall.timer = time.AfterFunc(limit, c.checkWriting)
	} else {
		c.stall.timer.Reset(limit)
	}
}

// writingTime is the connection's age, but never 0.
func (c *conn) writingTime() int64 { return int64(c.age()) + 1 }

func (c *conn) checkWriting() {
	began := c.stall.began.Load()
	if began == 0 || time.Duration(c.writingTime()-began) < c.server.sendTimeout {
		return // it was written, and perhaps something else is being written
	}
	c.stall.over.Store(true)
	c.reset()
}

// reset is drop for a connection whose client does not take what was sent: the system
// forgets that, too, rather than trying on to send it.
func (c *conn) reset() {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0) // fails if it is closed already
	}
	c.drop()
}

// stopWatching is called by the writer, at its end.
func (s *stall) stopWatching() {
	if s.timer != nil {
		s.timer.Stop()
	}
}
