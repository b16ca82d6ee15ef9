package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link is a connection to the broker that is opened again whenever it is lost,
// until the link is closed.
type link struct {
	config  *config
	purpose string                  // for the broker's list of connections, and for logs
	restore func(*connection) error // makes a new connection what the last one was; nil = nothing to do

	stop context.CancelFunc
	done chan struct{} // closed when the link has ended

	mu      sync.Mutex
	conn    *connection   // nil while there is none
	changed chan struct{} // closed when conn or closed changes
	closed  bool
}

func newLink(c *config, purpose string, restore func(*connection) error) *link {
	return &link{config: c, purpose: purpose, restore: restore, done: make(chan struct{}), changed: make(chan struct{})}
}

// start keeps the link connected from now on; conn, if it is not nil, is the first
// connection.
func (l *link) start(conn *connection) {
	life, stop := context.WithCancel(context.Background())
	l.stop, l.conn = stop, conn
	go l.run(life, conn)
}

func (l *link) run(life context.Context, conn *connection) {
	defer close(l.done)
	if conn == nil {
		conn = l.reconnect(life)
	}
	for conn != nil {
		l.set(conn)
		select {
		case <-conn.lost:
		case <-life.Done():
			conn.close()
			return
		}
		l.set(nil)
		l.config.log.Warn("connection lost", "purpose", l.purpose, "error", conn.why())
		l.config.pause.sleep(life, 0)
		conn = l.reconnect(life)
	}
}

// reconnect tries until there is a connection, or returns nil when life ends.
func (l *link) reconnect(life context.Context) *connection {
	for n := 0; ; n++ {
		conn, err := l.connect(life)
		if err == nil {
			l.config.log.Info("connected", "purpose", l.purpose)
			return conn
		}
		if life.Err() == nil {
			l.config.log.Warn("connecting failed", "purpose", l.purpose, "error", err)
		}
		if !l.config.pause.sleep(life, n) {
			return nil
		}
	}
}

func (l *link) connect(ctx context.Context) (*connection, error) {
	conn, err := dial(ctx, l.config, l.purpose)
	if err != nil {
		return nil, err
	}
	if l.restore == nil {
		return conn, nil
	}
	if err := await(ctx, func() error { return l.restore(conn) }); err != nil {
		conn.close()
		return nil, err
	}
	return conn, nil
}

func (l *link) set(conn *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	close(l.changed)
	l.changed = make(chan struct{})
}

// get returns the connection, waiting for it if need be.
func (l *link) get(ctx context.Context) (*connection, error) {
	for {
		l.mu.Lock()
		conn, changed, closed := l.conn, l.changed, l.closed
		l.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		if conn != nil && !conn.isLost() {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refuse makes get fail from now on. What is under way goes on.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// close ends the connection, and waits until it has.
func (l *link) close() {
	l.refuse()
	l.stop()
	<-l.done
}

// connection is one connection's life.
type connection struct {
	*amqp.Connection
	config *config
	lost   chan struct{} // closed when it is lost, or closed
	reason *amqp.Error   // set before lost is closed; nil if we closed it
	broken atomic.Bool   // writing has failed

	mu      sync.Mutex
	blocked chan struct{} // closed when the broker takes messages again; nil while it does
	idle    []*amqp.Channel
	shared  map[string]*sharedOutlet // by exchange
	spare   []*outlet

	calls chan struct{} // holds a token for each call under way
	alone chan struct{} // holds a token for each outlet of one message
}

// The time for what the other side must answer at once.
const (
	handshakeTimeout = 30 * time.Second
	closeTimeout     = 5 * time.Second
)

// dial opens a connection.
func dial(ctx context.Context, c *config, purpose string) (*connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(c.name + " " + purpose)
	config := amqp.Config{Heartbeat: c.heartbeat, Properties: properties, TLSClientConfig: c.tls.Clone()}
	// amqp091 knows no context: when it ends, the handshake loses its connection.
	release := func() bool { return true }
	config.Dial = func(network, addr string) (net.Conn, error) {
		conn, err := c.open(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		release = context.AfterFunc(ctx, func() { _ = conn.Close() })
		return conn, conn.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	conn, err := amqp.DialConfig(c.url, config)
	if !release() && err == nil {
		_ = conn.Close()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, dialError(err)
	}
	return watch(conn, c), nil
}

func (c *config) open(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.dialer != nil {
		return c.dialer(network, addr)
	}
	return (&net.Dialer{Timeout: handshakeTimeout}).DialContext(ctx, network, addr)
}

// watch follows what amqp091 tells of the connection.
func watch(conn *amqp.Connection, config *config) *connection {
	c := &connection{Connection: conn, config: config, lost: make(chan struct{}), shared: map[string]*sharedOutlet{}, alone: make(chan struct{}, maxAlone), calls: make(chan struct{}, maxCalls)}
	ended := conn.NotifyClose(make(chan *amqp.Error, 1))
	blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() {
		c.reason = <-ended
		close(c.lost)
	}()
	go func() {
		for b := range blocks {
			c.setBlocked(b.Active, b.Reason)
		}
		c.setBlocked(false, "") // whoever waits learns that the connection is gone
	}()
	return c
}

// olderThan reports whether the broker says that it is a RabbitMQ of a version before
// this one, and which. Of others nobody knows.
func (c *connection) olderThan(major, minor int) (version string, older bool) {
	version, _ = c.Properties["version"].(string)
	var is [2]int
	_, err := fmt.Sscanf(version, "%d.%d", &is[0], &is[1])
	return version, err == nil && c.Properties["product"] == "RabbitMQ" && slices.Compare(is[:], []int{major, minor}) < 0
}

func (c *connection) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return c.IsClosed() || c.broken.Load()
	}
}

// endedBy reports whether err only says that the connection, or the channel that
// was used, is gone. What was tried may be tried again on another.
func (c *connection) endedBy(err error) bool {
	if c.isLost() || errors.Is(err, amqp.ErrClosed) {
		return true
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		if !c.broken.Swap(true) {
			go func() { _ = c.CloseDeadline(time.Now()) }() // amqp091 may not have noticed
		}
		return true
	}
	return false
}

func (c *connection) why() error {
	if c.reason == nil {
		return errors.New("closed")
	}
	return c.reason
}

// close closes the connection in an orderly way, if the broker answers soon.
func (c *connection) close() {
	_ = c.CloseDeadline(time.Now().Add(closeTimeout)) // it is closed in any case
	<-c.lost
}

// setBlocked notes whether the broker takes messages: while it is short of memory
// or disk it does not read what we send.
func (c *connection) setBlocked(blocked bool, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case blocked && c.blocked == nil:
		c.blocked = make(chan struct{})
		c.config.log.Warn("the broker takes no messages for now", slog.String("reason", reason))
	case !blocked && c.blocked != nil:
		close(c.blocked)
		c.blocked = nil
	}
}

// waitUnblocked waits until the broker takes messages.
func (c *connection) waitUnblocked(ctx context.Context) error {
	c.mu.Lock()
	blocked := c.blocked
	c.mu.Unlock()
	if blocked == nil {
		return nil
	}
	select {
	case <-blocked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// channel returns a channel for methods that are answered at once. It comes back
// with giveChannel.
func (c *connection) channel() (*amqp.Channel, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		ch := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return ch, nil
	}
	c.mu.Unlock()
	return c.Channel()
}

const (
	maxCalls = 64 // methods that are called at once
	maxIdle  = 8  // of their channels, kept for later
)

func (c *connection) giveChannel(ch *amqp.Channel) {
	if ch.IsClosed() {
		return
	}
	c.mu.Lock()
	keep := len(c.idle) < maxIdle
	if keep {
		c.idle = append(c.idle, ch)
	}
	c.mu.Unlock()
	if !keep {
		_ = ch.Close()
	}
}

// pause is the time between attempts.
type pause struct{ least, most time.Duration }

// sleep waits before attempt n, and reports false if ctx ended.
func (p pause) sleep(ctx context.Context, n int) bool {
	t := time.NewTimer(p.before(n))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p pause) before(n int) time.Duration {
	d := min(p.least<<min(n, 20), p.most)
	return d - d/4 + rand.N(d/2+1)
}

// await runs f, which knows no context, until ctx ends. Then f goes on by itself,
// and nobody hears of its result.
func await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
