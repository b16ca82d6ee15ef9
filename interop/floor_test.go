package interop

import (
	"bufio"
	"bytes"
	be "encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// floor is no broker: it answers what roundTrip asks, counts the octets of what is
// published and acked without looking at them, and sends as many copies of one delivery.
// What it takes is what the client and the network take; no server can be faster.
type floor struct {
	l net.Listener

	mu        sync.Mutex
	messages  int // of this round
	published int
	acked     int
	delivered int
	to        net.Conn
	canned    []byte // benchPrefetch deliveries
}

// newFloor listens until the test ends.
func newFloor(tb testing.TB) *floor {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { l.Close() })
	f := &floor{l: l}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(nc)
		}
	}()
	return f
}

func (f *floor) url() string { return "amqp://" + f.l.Addr().String() }

// begin prepares for a round of n messages.
func (f *floor) begin(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages, f.published, f.acked, f.delivered, f.to = n, 0, 0, 0, nil
}

// remaining is how many messages of the round a counter has not counted yet.
func (f *floor) remaining(counter *int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.messages - *counter
}

// count adds to one of the counters, which it returns, and sends what may be delivered
// now.
func (f *floor) count(counter *int, n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	*counter += n
	one := len(f.canned) / benchPrefetch
	if n := min(f.published, f.acked+benchPrefetch) - f.delivered; n > 0 {
		f.delivered += n
		_, _ = f.to.Write(f.canned[:n*one])
	}
	return *counter
}

// serve serves a connection until it is closed.
func (f *floor) serve(nc net.Conn) {
	defer nc.Close()
	c := &floorConn{floor: f, Conn: nc, in: bufio.NewReaderSize(nc, 256<<10)}
	if _, err := c.in.Discard(wire.ProtocolHeaderSize); err != nil {
		return
	}
	c.send(&wire.ConnectionStart{VersionMinor: 9, Mechanisms: "PLAIN", Locales: "en_US"})
	for {
		m, size := c.next()
		switch m := m.(type) {
		case nil:
			return
		case *wire.BasicConsume:
			c.consume(m.ConsumerTag) // before the client knows, and lets others publish
			c.send(&wire.BasicConsumeOk{ConsumerTag: m.ConsumerTag})
		case *wire.BasicAck:
			c.acks(size)
		case *wire.BasicPublish:
			c.publishes(size)
		default:
			c.answer(m)
		}
	}
}

// floorConn is one connection to a floor.
type floorConn struct {
	*floor
	net.Conn
	in       *bufio.Reader
	channel  uint16 // of the method that was read last
	confirms bool
}

var floorAnswers = map[wire.ID]wire.Method{
	wire.IDConnectionStartOk: &wire.ConnectionTune{FrameMax: 131072},
	wire.IDConnectionOpen:    &wire.ConnectionOpenOk{},
	wire.IDConnectionClose:   &wire.ConnectionCloseOk{},
	wire.IDChannelOpen:       &wire.ChannelOpenOk{},
	wire.IDConfirmSelect:     &wire.ConfirmSelectOk{},
	wire.IDQueueDeclare:      &wire.QueueDeclareOk{Queue: "floor"},
	wire.IDBasicQos:          &wire.BasicQosOk{},
}

func (c *floorConn) answer(m wire.Method) {
	c.confirms = c.confirms || m.ID() == wire.IDConfirmSelect
	if answer := floorAnswers[m.ID()]; answer != nil {
		c.send(answer)
	}
}

func (c *floorConn) send(m wire.Method) {
	b, _ := wire.AppendMethodFrame(nil, c.channel, m)
	_, _ = c.Write(b) // if it fails, so does the next read
}

const frameHead = 7

// frameSize is how many octets the frame has that is read next, 0 if there is none.
func (c *floorConn) frameSize() int {
	head, err := c.in.Peek(frameHead)
	if err != nil {
		return 0
	}
	return frameHead + int(be.BigEndian.Uint32(head[3:])) + 1
}

// next reads a method, nil if there is none, and tells how many octets its frame has.
func (c *floorConn) next() (m wire.Method, size int) {
	size = c.frameSize()
	frame, err := c.in.Peek(size)
	if size == 0 || err != nil {
		return nil, 0
	}
	c.channel = be.BigEndian.Uint16(frame[1:])
	if m, err = wire.DecodeMethod(frame[frameHead:size-1], nil); err != nil {
		return nil, 0
	}
	_, _ = c.in.Discard(size)
	return m, size
}

// consume cans the deliveries to a consumer.
func (c *floorConn) consume(tag string) {
	b, _ := wire.AppendMethodFrame(nil, c.channel, &wire.BasicDeliver{ConsumerTag: tag, DeliveryTag: 1, RoutingKey: "floor"})
	b, _ = wire.AppendHeaderFrame(b, c.channel, benchBody, &wire.Properties{})
	b = wire.AppendBodyFrames(b, c.channel, make([]byte, benchBody), 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.canned = c.Conn, bytes.Repeat(b, benchPrefetch)
}

// acks counts the acks of a round, of the first of which the frame was read.
func (c *floorConn) acks(size int) {
	c.count(&c.acked, 1)
	c.repeats(size, c.remaining(&c.acked), func(n int) { c.count(&c.acked, n) })
}

// publishes counts and confirms the messages of a round, of the first of which the
// method was read.
func (c *floorConn) publishes(method int) {
	rest := c.frameSize() + frameHead + benchBody + 1
	if _, err := c.in.Discard(rest); err != nil {
		return
	}
	published := func(n int) {
		n = c.count(&c.published, n)
		if c.confirms {
			c.send(&wire.BasicAck{DeliveryTag: uint64(n), Multiple: true})
		}
	}
	published(1)
	c.repeats(method+rest, c.remaining(&c.published), published)
}

// repeats reads due things of the same size, as many at once as there are.
func (c *floorConn) repeats(size, due int, counted func(n int)) {
	part := 0 // octets of the next one that were read
	for due > 0 {
		if _, err := c.in.Peek(1); err != nil {
			return
		}
		octets, _ := c.in.Discard(min(c.in.Buffered(), due*size-part))
		n := (part + octets) / size
		part = (part + octets) % size
		due -= n
		if n > 0 {
			counted(n)
		}
	}
}
