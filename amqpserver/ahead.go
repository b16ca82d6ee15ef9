package amqpserver

import (
	"errors"
	"slices"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// ahead is what a connection has read while its reader waited: for room in a
// queue or for answers, or for the end of an alarm. To read on is the only way to
// notice that the peer is gone, and the acks it sends may be what makes room.
//
// A goroutine does it, from readAhead until stopReadingAhead. In between the reader
// touches nothing that is its own, for it waits.
type ahead struct {
	frames []wire.Frame // to be handled, in order
	bytes  int          // that they take
	err    error        // why reading ended; nil = it did not
	lost   bool         // err means that the peer is gone
	tick   bool         // it is time to look at the channels

	tails map[uint16]tail // by channel, where frames has some of it
	done  chan struct{}   // closed when it has; nil = there is none
}

// tail is the state of a channel after the last of the frames that are kept.
type tail struct {
	expect expectation
	due    uint64 // octets of a body
	strict bool   // nothing may be handled before the frames that are kept
}

// maxAhead is how many bytes are read ahead. Then the client is kept from sending,
// and it is no longer noticed if it is gone.
const maxAhead = 64 << 10

// frameCost is what a frame that is kept takes besides its payload.
const frameCost = 64

// readAhead begins to read frames that are handled later. With settle, what settles
// deliveries is handled at once, although messages that were published before it
// wait: nobody can tell the difference, but for the room that it makes.
func (c *conn) readAhead(settle bool) {
	a := &c.ahead
	if a.done != nil || a.err != nil || a.bytes >= maxAhead {
		return
	}
	done := make(chan struct{})
	a.done = done
	go func() {
		defer close(done)
		for a.err == nil && a.bytes < maxAhead {
			f, err := c.in.ReadFrame()
			switch {
			case err == errInterrupted || err == errForced:
				return
			case err == errTick:
				a.tick = true // what waits is not looked at now
			case err != nil:
				a.end(c, err)
			case f.Type == wire.FrameHeartbeat && f.Channel == 0:
			case settle && a.overtakes(c, f):
			default:
				a.keep(c, f)
			}
		}
	}()
}

// stopReadingAhead ends what readAhead began, if it did.
func (c *conn) stopReadingAhead() {
	a := &c.ahead
	if a.done == nil {
		return
	}
	c.interrupted.Store(true)
	_ = c.nc.SetReadDeadline(past)
	<-a.done
	a.done = nil
	c.deadline = time.Time{}
	_ = c.nc.SetReadDeadline(c.deadline) // before c.forced is looked at again
	c.interrupted.Store(false)
}

// end notes why nothing more can be read. A frame that is wrong is for later; a peer
// that is gone ends what it waits for.
func (a *ahead) end(c *conn, err error) {
	var frame *wire.FrameError
	a.err = err
	if a.lost = !errors.As(err, &frame); a.lost {
		c.cancel()
		c.out.release()
	}
}

// read returns the next frame to be handled.
func (c *conn) read() (wire.Frame, error) {
	a := &c.ahead
	if a.tick {
		a.tick = false
		return wire.Frame{}, errTick
	}
	if len(a.frames) > 0 && !a.lost {
		return a.pop(), nil
	}
	if a.err != nil {
		return wire.Frame{}, a.err
	}
	return c.in.ReadFrame()
}

// mayWait reports whether the next read may have to wait for the client.
func (c *conn) mayWait() bool { return len(c.ahead.frames) == 0 && !c.in.HasFrame() }

func (a *ahead) pop() wire.Frame {
	f := a.frames[0]
	a.frames[0] = wire.Frame{}
	a.frames = a.frames[1:]
	a.bytes -= len(f.Payload) + frameCost
	if len(a.frames) == 0 {
		a.frames, a.tails = nil, nil
	}
	return f
}

func (a *ahead) keep(c *conn, f wire.Frame) {
	t := a.tail(c, f.Channel)
	t.add(f)
	if a.tails == nil {
		a.tails = map[uint16]tail{}
	}
	a.tails[f.Channel] = t
	f.Payload = slices.Clone(f.Payload) // it was the Reader's
	a.frames = append(a.frames, f)
	a.bytes += len(f.Payload) + frameCost
}

// tail returns the state in which the next frame of a channel will find it.
func (a *ahead) tail(c *conn, channel uint16) tail {
	if t, ok := a.tails[channel]; ok {
		return t
	}
	ch := c.channels[channel]
	// A message that is being received is not followed any further: it is rare.
	return tail{strict: ch == nil || ch.closing || ch.tx != nil || ch.expect != expectMethod}
}

// add goes on to the state after f. Only messages may be overtaken.
func (t *tail) add(f wire.Frame) {
	switch {
	case t.expect == expectHeader && f.Type == wire.FrameHeader:
		h, err := wire.ParseHeader(f.Payload)
		t.strict = t.strict || err != nil
		t.expect, t.due = expectBody, h.BodySize
	case t.expect == expectBody && f.Type == wire.FrameBody && uint64(len(f.Payload)) <= t.due:
		t.due -= uint64(len(f.Payload))
	case t.expect == expectMethod && isMethod(f, wire.IDBasicPublish):
		t.expect = expectHeader
	default:
		t.strict = true
	}
	if t.expect == expectBody && t.due == 0 {
		t.expect = expectMethod
	}
}

// overtakes handles a frame that settles deliveries, unless something before it
// must be handled first, or it is wrong: then it is so in its turn, too.
func (a *ahead) overtakes(c *conn, f wire.Frame) bool {
	if !isMethod(f, wire.IDBasicAck) && !isMethod(f, wire.IDBasicNack) && !isMethod(f, wire.IDBasicReject) {
		return false
	}
	t := a.tail(c, f.Channel)
	if t.strict || t.expect != expectMethod || c.server.interceptor.Load() != nil {
		return false
	}
	id, args := wire.SplitMethod(f.Payload)
	return c.channels[f.Channel].method(id, args) == nil
}

func isMethod(f wire.Frame, id wire.ID) bool {
	if f.Type != wire.FrameMethod {
		return false
	}
	got, _ := wire.SplitMethod(f.Payload)
	return got == id
}
