package amqpserver_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// The tests speak in frames. Those made with compare also run against a
// RabbitMQ 3.10, if its address is given.
var (
	rabbitMQ = flag.String("rabbitmq", "", "address of a RabbitMQ 3.10 to run the comparable tests against")
)

var ctx = context.Background()

func withTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// pipe is a connection to nobody.
func (s *server) pipe() net.Conn {
	_, nc := memconn.Pipe()
	return nc
}

// server is a Server with a broker and an in-memory network.
type server struct {
	*amqpserver.Server
	broker *pocketmq.Broker
	dial   func() net.Conn
}

// bubble runs a test with a server in virtual time, and ends both.
func bubble(t *testing.T, test func(t *testing.T, s *server), opts ...amqpserver.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := pocketmq.New()
		s, err := amqpserver.New(b, opts...)
		require.NoError(t, err)
		l := memconn.Listen()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		t.Cleanup(func() {
			require.NoError(t, s.Close())
			require.ErrorIs(t, <-served, amqpserver.ErrServerClosed)
			require.NoError(t, b.Close())
			require.Empty(t, s.Connections())
		})
		test(t, &server{s, b, func() net.Conn {
			nc, err := l.Dial("", "")
			require.NoError(t, err)
			return nc
		}})
	})
}

// compare runs a test in a bubble with a server that behaves like RabbitMQ 3.10,
// and against one.
func compare(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("pocketmq", func(t *testing.T) { bubble(t, test, amqpserver.Compat(amqpserver.V3_10)) })
	if *rabbitMQ == "" {
		return
	}
	t.Run("rabbitmq", func(t *testing.T) {
		test(t, &server{dial: func() net.Conn {
			nc, err := net.Dial("tcp", *rabbitMQ)
			require.NoError(t, err)
			return nc
		}})
	})
}

// client is a connection to a server, in frames.
type client struct {
	t  *testing.T
	nc net.Conn
	r  *wire.Reader

	capabilities wire.Table // to be announced
	tune         func(*wire.ConnectionTuneOk)
}

// connect returns a client that has not sent anything yet.
func (s *server) connect(t *testing.T) *client {
	nc := s.dial()
	t.Cleanup(func() { nc.Close() })
	c := &client{t: t, nc: nc, r: wire.NewReader(nc), capabilities: wire.Table{
		"authentication_failure_close": true, "consumer_cancel_notify": true, "connection.blocked": true,
	}}
	c.r.SetFrameMax(0)
	return c
}

// open returns a client with an open connection.
func (s *server) open(t *testing.T) *client {
	t.Helper()
	c := s.connect(t)
	c.handshake()
	return c
}

// channel returns a client with channel 1 open.
func (s *server) channel(t *testing.T) *client {
	t.Helper()
	c := s.open(t)
	c.openChannel(1)
	return c
}

func (c *client) handshake() {
	c.t.Helper()
	c.start("guest", "guest")
	c.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	expect[*wire.ConnectionOpenOk](c, 0)
}

// start does the handshake up to tune-ok.
func (c *client) start(user, password string) {
	c.t.Helper()
	c.startOk("PLAIN", "\x00"+user+"\x00"+password)
	tune := expect[*wire.ConnectionTune](c, 0)
	ok := &wire.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: tune.FrameMax}
	if c.tune != nil {
		c.tune(ok)
	}
	c.send(0, ok)
}

func (c *client) startOk(mechanism, response string) {
	c.t.Helper()
	c.write([]byte(wire.ProtocolHeader))
	expect[*wire.ConnectionStart](c, 0)
	c.send(0, &wire.ConnectionStartOk{
		ClientProperties: wire.Table{"capabilities": c.capabilities}, Mechanism: mechanism, Response: response, Locale: "en_US",
	})
}

func (c *client) openChannel(n uint16) {
	c.t.Helper()
	c.send(n, &wire.ChannelOpen{})
	expect[*wire.ChannelOpenOk](c, n)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_, err := c.nc.Write(b)
	require.NoError(c.t, err)
}

func (c *client) send(channel uint16, methods ...wire.Method) {
	c.t.Helper()
	var b []byte
	for _, m := range methods {
		var err error
		b, err = wire.AppendMethodFrame(b, channel, m)
		require.NoError(c.t, err)
	}
	c.write(b)
}

func (c *client) frame(typ uint8, channel uint16, payload string) {
	c.t.Helper()
	c.write(wire.AppendFrame(nil, typ, channel, []byte(payload)))
}

// publishFrames are the frames of a message.
func publishFrames(channel uint16, m *wire.BasicPublish, p *wire.Properties, body string) []byte {
	b, err := wire.AppendMethodFrame(nil, channel, m)
	if err == nil {
		b, err = wire.AppendHeaderFrame(b, channel, uint64(len(body)), p)
	}
	if err != nil {
		panic(err)
	}
	return wire.AppendBodyFrames(b, channel, []byte(body), 4096)
}

func (c *client) publish(channel uint16, exchange, key, body string) {
	c.t.Helper()
	c.write(publishFrames(channel, &wire.BasicPublish{Exchange: exchange, RoutingKey: key}, &wire.Properties{}, body))
}

func (c *client) publishWith(channel uint16, m *wire.BasicPublish, p *wire.Properties, body string) {
	c.t.Helper()
	p.Flags |= p.NonZero()
	c.write(publishFrames(channel, m, p, body))
}

// patience is how long a client waits for what must come.
const patience = 40 * time.Second

// read returns the next frame that is no heartbeat.
func (c *client) read() (wire.Frame, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := c.r.ReadFrame()
		if err != nil || f.Type != wire.FrameHeartbeat {
			return f, err
		}
	}
}

// next returns the next method, and its channel.
func (c *client) next() (uint16, wire.Method) {
	c.t.Helper()
	f, err := c.read()
	require.NoError(c.t, err)
	require.Equal(c.t, wire.FrameMethod, f.Type)
	m, err := wire.DecodeMethod(f.Payload, nil)
	require.NoError(c.t, err)
	return f.Channel, m
}

// expect returns the next method, which must be this one on this channel.
func expect[M wire.Method](c *client, channel uint16) M {
	c.t.Helper()
	ch, m := c.next()
	want, ok := m.(M)
	require.True(c.t, ok, "got %v %+v", m.ID(), m)
	require.Equal(c.t, channel, ch)
	return want
}

// content returns the message that follows a method.
func (c *client) content() (p wire.Properties, body string) {
	c.t.Helper()
	f, err := c.read()
	require.NoError(c.t, err)
	require.Equal(c.t, wire.FrameHeader, f.Type)
	h, err := wire.ParseHeader(f.Payload)
	require.NoError(c.t, err)
	require.NoError(c.t, p.Decode(h.Properties, nil))
	for uint64(len(body)) < h.BodySize {
		f, err := c.read()
		require.NoError(c.t, err)
		require.Equal(c.t, wire.FrameBody, f.Type)
		body += string(f.Payload)
	}
	return p, body
}

// delivered expects a delivery and returns it with its body.
func (c *client) delivered(channel uint16) (*wire.BasicDeliver, string) {
	c.t.Helper()
	d := expect[*wire.BasicDeliver](c, channel)
	_, body := c.content()
	return d, body
}

// got expects get-ok.
func (c *client) got(channel uint16) (*wire.BasicGetOk, string) {
	c.t.Helper()
	d := expect[*wire.BasicGetOk](c, channel)
	_, body := c.content()
	return d, body
}

// silent expects that nothing comes for a while.
func (c *client) silent(d time.Duration) {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(d))
	f, err := c.r.ReadFrame()
	require.ErrorIs(c.t, err, os.ErrDeadlineExceeded, "got %+v", f)
}

// closed expects connection.close.
func (c *client) closed(code uint16, text string, id wire.ID) {
	c.t.Helper()
	m := expect[*wire.ConnectionClose](c, 0)
	require.Equal(c.t, text, m.ReplyText)
	require.Equal(c.t, code, m.ReplyCode)
	require.Equal(c.t, id, wire.ID(uint32(m.ClassID)<<16|uint32(m.MethodID)))
	c.send(0, &wire.ConnectionCloseOk{})
	c.dropped(0, time.Second)
}

// channelClosed expects channel.close, and answers it.
func (c *client) channelClosed(channel, code uint16, text string, id wire.ID) {
	c.t.Helper()
	m := expect[*wire.ChannelClose](c, channel)
	require.Equal(c.t, text, m.ReplyText)
	require.Equal(c.t, code, m.ReplyCode)
	require.Equal(c.t, id, wire.ID(uint32(m.ClassID)<<16|uint32(m.MethodID)))
	c.send(channel, &wire.ChannelCloseOk{})
}

// dropped expects that the server closes the network connection without another
// word, not before and not after these times.
func (c *client) dropped(after, before time.Duration) {
	c.t.Helper()
	start := time.Now()
	f, err := c.read()
	require.Error(c.t, err, "got %+v", f)
	require.False(c.t, errors.Is(err, os.ErrDeadlineExceeded), "not dropped")
	took := time.Since(start)
	require.GreaterOrEqual(c.t, took, after)
	require.LessOrEqual(c.t, took, before)
}

// readAll returns all bytes until the server closes the network connection.
func (c *client) readAll() string {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.nc)
	if !errors.Is(err, syscall.ECONNRESET) {
		require.NoError(c.t, err)
	}
	return string(b)
}

// call sends a method and expects its answer.
func call[M wire.Method](c *client, channel uint16, m wire.Method) M {
	c.t.Helper()
	c.send(channel, m)
	return expect[M](c, channel)
}

// declare makes a queue that goes away with the connection, and returns its name.
func (c *client) declare() string {
	c.t.Helper()
	return call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Exclusive: true}).Queue
}

func (c *client) consume(queue, tag string) {
	c.t.Helper()
	call[*wire.BasicConsumeOk](c, 1, &wire.BasicConsume{Queue: queue, ConsumerTag: tag})
}
