package amqpserver

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// conn is a connection. Its reader, the goroutine that calls serve, handles all
// that the client sends; its writer, see write, sends all that the client gets.
type conn struct {
	server      *Server
	nc          net.Conn
	name        string
	connectedAt time.Time
	out         output
	ready       ready
	stall       stall

	ctx    waitContext // ends when the connection is forced to close or dropped
	cancel context.CancelFunc
	forced atomic.Pointer[closeError] // why the server closes the connection
	gone   atomic.Bool                // the network connection is closed

	interrupted atomic.Bool // the goroutine that reads ahead is to return
	wakeUp      wakeUp      // the reader is to look at the channels

	beat      atomic.Int64 // how often the writer sends heartbeats; 0 = never
	state     atomic.Int32
	nchannels atomic.Int32

	// The reader's own.
	in        *wire.Reader
	ahead     ahead
	names     wire.Interner
	scratch   scratch
	channels  map[uint16]*channel
	unchecked int           // bytes published since the memory was looked at
	acking    []*channel    // have confirms to send
	left      []uint16      // channels that the client closed with what was read last
	silence   time.Duration // after which the peer is taken for dead; 0 = never
	tick      time.Time     // when to look at the channels next; zero = never
	deadline  time.Time     // of reading, as source set it; zero = it did not
	began     time.Time     // when the read began that a tick has ended; zero = none has
	closing   bool          // connection.close was sent: the read deadline stays

	admission       *admission // nil = none; server.mu guards it
	certificateUser string     // whose certificate was verified; "" = nobody's

	// Set during the handshake, by the reader; then constant, but for what
	// connection.update-secret renews.
	mu           sync.Mutex // for those who read them meanwhile
	broker       *pocketmq.Broker
	session      *pocketmq.Session
	user         *user
	mechanism    string
	vhost        string
	permissions  permissions
	capabilities capabilities
	properties   pocketmq.Table // the client's
	frameMax     uint32
	channelMax   uint16
	heartbeat    time.Duration
}

// waitContext is a connection's context. Whoever waits for it first asks for
// its channel: a publisher that must wait for room in a queue. Before it does,
// what it published earlier is confirmed; and while it does, somebody else reads.
type waitContext struct {
	context.Context
	conn   *conn
	settle bool // acks are handled meanwhile
}

// Done is called by the reader only.
func (w *waitContext) Done() <-chan struct{} {
	w.conn.sendConfirms()
	w.conn.readAhead(w.settle)
	return w.Context.Done()
}

// scratch holds methods that come often, decoded.
type scratch struct {
	publish wire.BasicPublish
	ack     wire.BasicAck
	nack    wire.BasicNack
	reject  wire.BasicReject
	props   wire.Properties
}

// The values of conn.state.
const (
	stateStarting int32 = iota
	stateRunning
	stateBlocked
	stateClosing
	stateClosed
)

var stateNames = [...]string{"starting", "running", "blocked", "closing", "closed"}

func (c *conn) setState(s int32) { c.state.Store(s) }

// flushTimeout is how long the last frames may take to be sent.
const flushTimeout = 5 * time.Second

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		server: s, nc: nc, name: nc.RemoteAddr().String() + " -> " + nc.LocalAddr().String(), connectedAt: time.Now(),
		channels: map[uint16]*channel{},
	}
	c.ctx.conn, c.ctx.settle = c, true
	c.ctx.Context, c.cancel = context.WithCancel(context.Background())
	c.out.init(c.server.compat)
	c.in = wire.NewReader(source{c})
	return c
}

// serve handles the connection from its first byte to its last.
func (c *conn) serve() error {
	defer c.cancel()
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.handshake()
	if err == nil {
		err = c.run()
	}
	err = c.finish(err)
	c.endSessions()
	_ = c.nc.SetWriteDeadline(time.Now().Add(flushTimeout))
	c.cancel() // the writer may wait in an interceptor
	c.out.finish()
	writer.Wait()
	c.setState(stateClosed)
	_ = c.nc.Close()
	c.tellClosed()
	if err != nil {
		c.server.log.Info("connection ended", logConn(c), "error", err)
	}
	return err
}

// run handles frames until the connection ends.
func (c *conn) run() error {
	for {
		f, err := c.read()
		switch err {
		case nil:
			err = c.frame(f)
		case errTick:
			c.checkTimeouts()
			continue
		}
		if err != nil {
			return c.reason(err)
		}
		if c.mayWait() {
			c.sendConfirms()
			c.left = c.left[:0]
		}
		if c.out.isFull() {
			c.waitForRoom()
		}
	}
}

// waitForRoom waits until the client has taken some of what there is to send, or is gone.
func (c *conn) waitForRoom() {
	c.readAhead(false)
	defer c.stopReadingAhead()
	c.out.waitForRoom()
}

// describe is the connection's entry in Server.Connections.
func (c *conn) describe() ConnectionInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := ConnectionInfo{
		Name: c.name, Peer: c.nc.RemoteAddr().String(), VHost: c.vhost,
		Channels: int(c.nchannels.Load()), State: stateNames[c.state.Load()], ConnectedAt: c.connectedAt,
		Heartbeat: c.heartbeat, FrameMax: c.frameMax, ChannelMax: c.channelMax, ClientProperties: c.properties,
	}
	if c.user != nil {
		info.User = c.user.name
	}
	return info
}
