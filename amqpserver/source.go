package amqpserver

import (
	"errors"
	"os"
	"sync"
	"time"
)

// source is what the reader reads from. It takes a peer for dead that is silent
// for too long (CONN-74, CONN-75).
type source struct{ c *conn }

var (
	errForced      = errors.New("amqpserver: closed by the server")
	errInterrupted = errors.New("amqpserver: reading ahead is over")
	errTick        = errors.New("amqpserver: time to look at the channels")
)

func (s source) Read(b []byte) (int, error) {
	c := s.c
	if c.closing {
		return c.nc.Read(b)
	}
	now := time.Now()
	began := now
	if !c.began.IsZero() {
		began = c.began
	}
	c.began = time.Time{}
	for ; ; now = time.Now() {
		c.setDeadline(began, now)
		// Whoever wants the reader to return sets its deadline after the reason, so one
		// of the two is seen.
		if why := c.mustReturn(began); why != nil {
			return 0, why
		}
		n, err := c.nc.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if why := c.mustReturn(began); why != nil {
			return 0, why
		}
		switch now = time.Now(); {
		case c.deadline.IsZero(), c.silence > 0 && now.Sub(began) >= c.silence:
			return 0, err
		case !c.tick.IsZero() && !now.Before(c.tick):
			c.began, c.tick = began, now.Add(tickInterval)
			return 0, errTick
		}
	}
}

// past is a deadline that is over, which makes a read return.
var past = time.Unix(1, 0)

// setDeadline makes a read that began some time ago return when the peer has been
// silent for too long, or at the next tick; or earlier: a deadline that is not over
// stays, since to move it for every read would cost more than the read.
func (c *conn) setDeadline(began, now time.Time) {
	if c.silence == 0 && c.tick.IsZero() || c.deadline.After(now) {
		return
	}
	c.deadline = c.tick
	if dead := began.Add(c.silence); c.silence > 0 && (c.tick.IsZero() || dead.Before(c.tick)) {
		c.deadline = dead
	}
	_ = c.nc.SetReadDeadline(c.deadline)
}

// wakeUp is a call to the reader. Its lock keeps the deadline by which the reader is
// woken from coming later than the call is seen.
type wakeUp struct {
	mu    sync.Mutex
	asked bool
}

// wakeReader has the reader look at the channels now.
func (c *conn) wakeReader() {
	c.wakeUp.mu.Lock()
	defer c.wakeUp.mu.Unlock()
	c.wakeUp.asked = true
	_ = c.nc.SetReadDeadline(past)
}

// woken reports whether wakeReader was called, once.
func (c *conn) woken() bool {
	c.wakeUp.mu.Lock()
	defer c.wakeUp.mu.Unlock()
	if !c.wakeUp.asked {
		return false
	}
	c.wakeUp.asked, c.deadline = false, time.Time{}
	_ = c.nc.SetReadDeadline(c.deadline)
	return true
}

// mustReturn reports why a read that began some time ago is to return although the client
// may send more. After errTick the next one goes on with it.
func (c *conn) mustReturn(began time.Time) error {
	switch {
	case c.forced.Load() != nil:
		return errForced
	case c.interrupted.Load():
		return errInterrupted
	case c.woken():
		c.began = began
		return errTick
	}
	return nil
}
