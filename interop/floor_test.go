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
	left      int // messages that are not published yet
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
	f.left, f.published, f.acked, f.delivered, f.to = n, 0, 0, 0, nil
}

// serve serves a connection until it is closed.
func (f *floor) serve(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 256<<10)
	var confirms bool
	if _, err := in.Discard(wire.ProtocolHeaderSize); err != nil {
		return
	}
	send(nc, 0, &wire.ConnectionStart{VersionMinor: 9, Mechanisms: "PLAIN", Locales: "en_US"})
	for {
		channel, m, size := next(in)
		switch m := m.(type) {
		case nil:
			return
		case *wire.ConfirmSelect:
			confirms = true
		case *wire.BasicConsume:
			send(nc, channel, &wire.BasicConsumeOk{ConsumerTag: m.ConsumerTag})
			f.consume(nc, channel, m.ConsumerTag)
			continue
		case *wire.BasicAck:
			f.acks(in, size)
			continue
		case *wire.BasicPublish:
			f.publishes(in, nc, size, channel, confirms)
			continue
		}
		if answer := answers[m.ID()]; answer != nil {
			send(nc, channel, answer)
		}
	}
}

var answers = map[wire.ID]wire.Method{
	wire.IDConnectionStartOk: &wire.ConnectionTune{FrameMax: 131072},
	wire.IDConnectionOpen:    &wire.ConnectionOpenOk{},
	wire.IDConnectionClose:   &wire.ConnectionCloseOk{},
	wire.IDChannelOpen:       &wire.ChannelOpenOk{},
	wire.IDConfirmSelect:     &wire.ConfirmSelectOk{},
	wire.IDQueueDeclare:      &wire.QueueDeclareOk{Queue: "floor"},
	wire.IDBasicQos:          &wire.BasicQosOk{},
}

func send(nc net.Conn, channel uint16, m wire.Method) {
	b, _ := wire.AppendMethodFrame(nil, channel, m)
	_, _ = nc.Write(b) // if it fails, so does the next read
}

// next reads a method, nil if there is none, and tells how many octets its frame has.
func next(in *bufio.Reader) (channel uint16, m wire.Method, size int) {
	head, err := in.Peek(frameHead)
	if err != nil {
		return 0, nil, 0
	}
	channel, size = be.BigEndian.Uint16(head[1:]), frameHead+int(be.BigEndian.Uint32(head[3:]))+1
	frame, err := in.Peek(size)
	if err != nil {
		return 0, nil, 0
	}
	m, err = wire.DecodeMethod(frame[frameHead:size-1], nil)
	if err != nil {
		return 0, nil, 0
	}
	_, _ = in.Discard(size)
	return channel, m, size
}

const frameHead = 7

// consume cans the deliveries to a consumer.
func (f *floor) consume(nc net.Conn, channel uint16, tag string) {
	b, _ := wire.AppendMethodFrame(nil, channel, &wire.BasicDeliver{ConsumerTag: tag, DeliveryTag: 1, RoutingKey: "floor"})
	b, _ = wire.AppendHeaderFrame(b, channel, benchBody, &wire.Properties{})
	b = wire.AppendBodyFrames(b, channel, make([]byte, benchBody), 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to, f.canned = nc, bytes.Repeat(b, benchPrefetch)
}

// acks counts acks, the first of which was read, to the last message of the round.
func (f *floor) acks(in *bufio.Reader, size int) {
	f.mu.Lock()
	due := f.published + f.left - f.acked - 1
	f.mu.Unlock()
	f.count(&f.acked, 1)
	discard(in, size, due, func(n int) { f.count(&f.acked, n) })
}

// publishes counts messages, of the first of which the method was read.
func (f *floor) publishes(in *bufio.Reader, nc net.Conn, method int, channel uint16, confirms bool) {
	f.mu.Lock()
	due := f.left
	f.mu.Unlock()
	header := frameHead + 14 + 1 // without properties
	if head, err := in.Peek(frameHead); err == nil {
		header = frameHead + int(be.BigEndian.Uint32(head[3:])) + 1
	}
	size := method + header + frameHead + benchBody + 1
	if _, err := in.Discard(size - method); err != nil {
		return
	}
	done := 0
	counted := func(n int) {
		done += n
		f.count(&f.published, n)
		if confirms {
			send(nc, channel, &wire.BasicAck{DeliveryTag: uint64(done), Multiple: true})
		}
	}
	counted(1)
	discard(in, size, due-1, counted)
}

// discard reads due things of the same size, as many at once as there are.
func discard(in *bufio.Reader, size, due int, counted func(n int)) {
	part := 0 // octets of the next one that were read
	for due > 0 {
		if _, err := in.Peek(1); err != nil {
			return
		}
		octets, _ := in.Discard(min(in.Buffered(), due*size-part))
		n := (part + octets) / size
		part = (part + octets) % size
		due -= n
		if n > 0 {
			counted(n)
		}
	}
}

// count adds to one of the counters, and sends what may be delivered now.
func (f *floor) count(counter *int, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*counter += n
	if counter == &f.published {
		f.left -= n
	}
	one := len(f.canned) / benchPrefetch
	if n := min(f.published, f.acked+benchPrefetch) - f.delivered; n > 0 {
		f.delivered += n
		_, _ = f.to.Write(f.canned[:n*one])
	}
}
