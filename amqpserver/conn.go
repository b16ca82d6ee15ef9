package amqpserver

import (
	"context"
	"errors"
	"net"
	"os"
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
		if why := c.mustReturn(); why != nil {
			return 0, why
		}
		if c.woken() {
			c.began = began
			return 0, errTick
		}
		n, err := c.nc.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if why := c.mustReturn(); why != nil {
			return 0, why
		}
		switch now = time.Now(); {
		case c.woken():
			c.began = began
			return 0, errTick
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

// mustReturn reports why the reader is to return although the client may send more.
func (c *conn) mustReturn() error {
	switch {
	case c.forced.Load() != nil:
		return errForced
	case c.interrupted.Load():
		return errInterrupted
	}
	return nil
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
