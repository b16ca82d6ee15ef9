package amqpserver

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// Method is a method of AMQP on its way between a client and the server.
type Method struct {
	Name       string // such as "basic.publish"
	FromServer bool   // the server sends it
	Connection string // the connection's name, as Server.Connections lists it
	User       string
	VHost      string
	Channel    uint16 // 0 for the methods of connections

	// What it is about; "" if the method has no such field.
	Exchange, RoutingKey, Queue, ConsumerTag string

	// Context ends when the connection does: for functions that wait.
	Context context.Context
}

// Fault is what a function given to Intercept may return, besides nil and errors
// that the client is told.
type Fault string

const (
	// Drop ends the connection without a word, as a network that fails does.
	Drop Fault = "drop the connection"

	// Ignore loses the method, with its message if it has one: nothing is done, and
	// nothing is answered or sent.
	Ignore Fault = "ignore the method"

	// Nack refuses a message that a client publishes, as a full queue does: on a
	// channel with confirms there is a basic.nack. For other methods it is Ignore.
	Nack Fault = "nack the message"
)

// Error says what becomes of the method.
func (f Fault) Error() string { return "amqpserver: " + string(f) }

// Intercept has f see every method after the handshake, before the server handles
// or sends it: for tests of what clients do when something goes wrong. A nil f ends
// that. If f returns nil the method goes its way. Besides Drop, Ignore and Nack it may
// return a *pocketmq.Error, to close the channel or, if its code is one of those,
// the connection; any other error, also one with a code that AMQP does not have,
// closes the connection as 541 INTERNAL_ERROR. For a method that the server sends it
// is always the connection that is closed.
//
// While f runs nothing else happens in this direction of the connection, so f may
// wait, to be a slow server or a stalled one, as long as the method's Context has
// not ended. It may be called by several goroutines at once. A method that is
// malformed is not shown. While there is an interceptor, acks that come after a
// message that waits for room in a queue of this process's wait, too.
func (s *Server) Intercept(f func(*Method) error) {
	if f == nil {
		s.interceptor.Store(nil)
		return
	}
	s.interceptor.Store(&f)
}

// intercept shows a method of the client. It reports whether the method is lost,
// and why, or what to close the channel or connection for.
func (c *conn) intercept(f wire.Frame) (lost, why error) {
	see := c.server.interceptor.Load()
	if see == nil {
		return nil, nil
	}
	m := c.describeMethod(f.Channel, f.Payload)
	if m == nil {
		return nil, nil
	}
	m.Context = &waitContext{c.ctx.Context, c, false}
	err := (*see)(m)
	c.stopReadingAhead()
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, Drop):
		c.drop()
		return nil, context.Canceled
	case errors.Is(err, Ignore), errors.Is(err, Nack):
		return err, nil
	}
	id, _ := wire.SplitMethod(f.Payload)
	return nil, withMethod(asFault(err), id)
}

// asFault makes an error of an interceptor one that can be told.
func asFault(err error) *closeError {
	var given *pocketmq.Error
	if errors.As(err, &given) && (given.Code < 0 || given.Code > math.MaxUint16 || wire.ConstantName(uint16(given.Code)) == "") {
		return failf(wire.CodeInternalError, "there is no reply code %d: %s", given.Code, given.Text)
	}
	if e := asCloseError(err); e != nil {
		return e
	}
	return failf(wire.CodeInternalError, "%v", err)
}

// sendFrames sends whole frames.
func (c *conn) sendFrames(frames []byte) error {
	if see := c.server.interceptor.Load(); see != nil && frames[0] <= wire.FrameHeartbeat {
		return c.sendIntercepted(*see, frames)
	}
	return c.transmit(frames)
}

// sendIntercepted sends frames method by method, each after it was shown.
func (c *conn) sendIntercepted(see func(*Method) error, frames []byte) error {
	for len(frames) > 0 {
		unit := frames[:unitSize(frames)]
		frames = frames[len(unit):]
		var err error
		if m := c.outgoing(unit); m != nil {
			err = see(m)
		}
		switch {
		case err == nil:
			if err := c.transmit(unit); err != nil {
				return err
			}
		case errors.Is(err, Drop):
			return err
		case !errors.Is(err, Ignore) && !errors.Is(err, Nack):
			e := *asFault(err)
			e.noMethod = true
			c.force(&e)
		}
	}
	return nil
}

// unitSize is the length of the first frame in frames, with the message that
// follows it if there is one.
func unitSize(frames []byte) int {
	n := frameSize(frames)
	for n < len(frames) && (frames[n] == wire.FrameHeader || frames[n] == wire.FrameBody) {
		n += frameSize(frames[n:])
	}
	return n
}

func frameSize(frame []byte) int {
	return int(binary.BigEndian.Uint32(frame[3:])) + wire.FrameOverhead
}

// outgoing describes the method that the server sends in unit; nil if that is none,
// or one of the handshake.
func (c *conn) outgoing(unit []byte) *Method {
	if unit[0] != wire.FrameMethod {
		return nil
	}
	payload := unit[wire.FrameOverhead-1 : frameSize(unit)-1]
	switch id, _ := wire.SplitMethod(payload); id {
	case wire.IDConnectionStart, wire.IDConnectionSecure, wire.IDConnectionTune, wire.IDConnectionOpenOk:
		return nil
	}
	m := c.describeMethod(binary.BigEndian.Uint16(unit[1:]), payload)
	if m != nil {
		m.FromServer, m.Context = true, c.ctx.Context
	}
	return m
}

// describeMethod returns what Intercept shows of a method; nil if it is malformed.
func (c *conn) describeMethod(channel uint16, payload []byte) *Method {
	decoded, err := wire.DecodeMethod(payload, nil)
	if err != nil {
		return nil
	}
	info := c.describe()
	m := &Method{Name: decoded.ID().String(), Connection: c.name, User: info.User, VHost: info.VHost, Channel: channel}
	switch d := decoded.(type) {
	case *wire.ExchangeDeclare:
		m.Exchange = d.Exchange
	case *wire.ExchangeDelete:
		m.Exchange = d.Exchange
	case *wire.QueueDeclare:
		m.Queue = d.Queue
	case *wire.QueueDeclareOk:
		m.Queue = d.Queue
	case *wire.QueueBind:
		m.Queue, m.Exchange, m.RoutingKey = d.Queue, d.Exchange, d.RoutingKey
	case *wire.QueueUnbind:
		m.Queue, m.Exchange, m.RoutingKey = d.Queue, d.Exchange, d.RoutingKey
	case *wire.QueuePurge:
		m.Queue = d.Queue
	case *wire.QueueDelete:
		m.Queue = d.Queue
	case *wire.BasicPublish:
		m.Exchange, m.RoutingKey = d.Exchange, d.RoutingKey
	case *wire.BasicReturn:
		m.Exchange, m.RoutingKey = d.Exchange, d.RoutingKey
	case *wire.BasicGet:
		m.Queue = d.Queue
	case *wire.BasicGetOk:
		m.Exchange, m.RoutingKey = d.Exchange, d.RoutingKey
	case *wire.BasicConsume:
		m.Queue, m.ConsumerTag = d.Queue, d.ConsumerTag
	case *wire.BasicConsumeOk:
		m.ConsumerTag = d.ConsumerTag
	case *wire.BasicCancel:
		m.ConsumerTag = d.ConsumerTag
	case *wire.BasicCancelOk:
		m.ConsumerTag = d.ConsumerTag
	case *wire.BasicDeliver:
		m.Exchange, m.RoutingKey, m.ConsumerTag = d.Exchange, d.RoutingKey, d.ConsumerTag
	}
	return m
}

// CancelConsumers cancels all consumers of a queue, also those of this process: their
// clients get basic.cancel, as from a RabbitMQ that loses the queue's node. What was
// delivered may still be settled. The error is ErrNoVHost, or a pocketmq.ErrNotFound
// if there is no such queue.
func (s *Server) CancelConsumers(vhost, queue string) error {
	if s.config == nil {
		return errNotMade
	}
	s.mu.Lock()
	b := s.vhosts[vhost]
	s.mu.Unlock()
	if b == nil {
		return ErrNoVHost
	}
	return cancelConsumers(b, queue)
}
