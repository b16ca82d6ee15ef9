package amqpserver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
)

// ErrServerClosed is returned by Serve and ServeConn after Shutdown or Close.
var ErrServerClosed = errors.New("amqpserver: server closed")

// ErrNoConnection is returned by CloseConnection if there is no connection of
// that name.
var ErrNoConnection = errors.New("amqpserver: no such connection")

var errNotMade = errors.New("amqpserver: the server was not made with New")

// Server serves AMQP connections. Make it with New: one that was not has no users and no
// virtual hosts, and its methods return an error that says so, but for Close, which has
// nothing to do. All methods may be called from any goroutine.
type Server struct {
	*config
	alarms      alarms
	memory      memory
	interceptor atomic.Pointer[func(*Method) error] // nil = none
	background  sync.WaitGroup                      // goroutines of no connection
	stopped     chan struct{}                       // closed with the server

	mu        sync.Mutex // guards the fields below
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	drained   chan struct{} // closed when there is no connection left after closed was set; nil before
}

// New returns a server for b, which it serves as the virtual host "/". The
// broker stays the caller's, to be closed after the server. The error tells which
// option is wrong, and why.
func New(b *pocketmq.Broker, opts ...Option) (*Server, error) {
	if b == nil {
		return nil, errors.New("amqpserver: New: the broker is nil")
	}
	c, err := newConfig(b, opts)
	if err != nil {
		return nil, err
	}
	return &Server{
		config:    c,
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		stopped:   make(chan struct{}),
	}, nil
}

// Serve accepts connections from l until the server or the listener is closed,
// and serves each in goroutines of its own. It returns ErrServerClosed after
// Shutdown or Close, which close l.
func (s *Server) Serve(l net.Listener) error {
	if l == nil {
		return errors.New("amqpserver: Serve: the listener is nil")
	}
	if err := s.addListener(l); err != nil {
		_ = l.Close()
		return err
	}
	defer s.removeListener(l)
	for {
		nc, err := l.Accept()
		if err == nil {
			go s.ServeConn(nc) //nolint:errcheck // what ends a connection is logged
			continue
		}
		if s.isClosed() {
			return ErrServerClosed
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		s.log.Warn("cannot accept a connection", "error", err)
		time.Sleep(acceptPause) // such as: no file descriptors left
	}
}

// acceptPause is how long Serve waits after an error that may pass.
const acceptPause = 50 * time.Millisecond

// ServeConn serves one connection, and returns when it has ended and is closed.
// The error tells why it ended; it is nil if client or server closed it in an
// orderly way.
func (s *Server) ServeConn(nc net.Conn) error {
	if nc == nil {
		return errors.New("amqpserver: ServeConn: the connection is nil")
	}
	if s.config == nil {
		_ = nc.Close()
		return errNotMade
	}
	c := newConn(s, nc)
	if err := s.addConn(c); err != nil {
		_ = nc.Close()
		return err
	}
	defer s.removeConn(c)
	return c.serve()
}

// Shutdown ends the server: it closes the listeners, tells every client that
// the broker is shut down (320 CONNECTION_FORCED), and waits until all
// connections have ended. If ctx ends first it drops those that have not, and
// returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.config == nil {
		return errNotMade
	}
	drained := s.stop(func(c *conn) {
		c.force(errShutdown())
	})
	select {
	case <-drained:
		s.background.Wait()
		return nil
	case <-ctx.Done():
	}
	s.DropConnections()
	<-drained
	s.background.Wait()
	return ctx.Err()
}

// Close is Shutdown without telling the clients.
func (s *Server) Close() error {
	if s.config == nil {
		return nil
	}
	drained := s.stop((*conn).drop)
	<-drained
	s.background.Wait()
	return nil
}

// stop refuses further connections, closes the listeners, and calls f for every
// connection. The channel is closed when all have ended.
func (s *Server) stop(f func(*conn)) <-chan struct{} {
	s.mu.Lock()
	s.closed = true
	if s.drained == nil {
		s.drained = make(chan struct{})
		close(s.stopped)
		if len(s.conns) == 0 {
			close(s.drained)
		}
	}
	listeners, conns, drained := keys(s.listeners), keys(s.conns), s.drained
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		f(c)
	}
	return drained
}

// DropConnections ends all connections without a word to the clients, as a network
// that fails does, also those that wait for room or memory. The server goes on.
func (s *Server) DropConnections() {
	s.mu.Lock()
	conns := keys(s.conns)
	s.mu.Unlock()
	for _, c := range conns {
		c.drop()
	}
}

func keys[K comparable](m map[K]struct{}) []K {
	all := make([]K, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) addListener(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayServe(); err != nil {
		return err
	}
	s.listeners[l] = struct{}{}
	return nil
}

// mayServe reports whether the server takes listeners and connections; s.mu is held.
func (s *Server) mayServe() error {
	switch {
	case s.config == nil:
		return errNotMade
	case s.closed:
		return ErrServerClosed
	}
	return nil
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) addConn(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayServe(); err != nil {
		return err
	}
	s.conns[c] = struct{}{}
	return nil
}

func (s *Server) removeConn(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closed && len(s.conns) == 0 {
		close(s.drained)
	}
}

// ConnectionInfo describes a connection, as a management page lists it.
type ConnectionInfo struct {
	Name             string // "peer -> local", unique among the connections there are
	Peer             string // the client's address
	User             string // "" before it has logged in
	VHost            string // "" before it was opened
	Channels         int
	State            string // "starting", "running", "blocked", "closing" or "closed"
	ConnectedAt      time.Time
	Heartbeat        time.Duration
	FrameMax         uint32
	ChannelMax       uint16
	ClientProperties pocketmq.Table // must not be changed
}

// Connections lists the connections, by name.
func (s *Server) Connections() []ConnectionInfo {
	s.mu.Lock()
	conns := keys(s.conns)
	s.mu.Unlock()
	all := make([]ConnectionInfo, 0, len(conns))
	for _, c := range conns {
		all = append(all, c.describe())
	}
	slices.SortFunc(all, func(a, b ConnectionInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// CloseConnection closes a connection with 320 CONNECTION_FORCED and the reason
// as its text. It does not wait for the client to answer.
func (s *Server) CloseConnection(name, reason string) error {
	s.mu.Lock()
	conns := keys(s.conns)
	s.mu.Unlock()
	for _, c := range conns {
		if c.name == name {
			c.force(connectionForced("%s", reason))
			return nil
		}
	}
	return ErrNoConnection
}

// RaiseAlarm blocks the connections that publish, from their next publish on,
// until ClearAlarm is called with the same reason; RabbitMQ's reasons are "low
// on memory" and "low on disk". It is what happens when MemoryLimit is exceeded,
// for tests of what clients do then.
func (s *Server) RaiseAlarm(reason string) { s.alarms.raise(reason) }

// ClearAlarm ends what RaiseAlarm began.
func (s *Server) ClearAlarm(reason string) { s.alarms.clear(reason) }

// serverCapabilities are what the server can beyond 0-9-1 (CONN-10).
var serverCapabilities = [...]string{
	"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
	"consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
}

// serverProperties are what connection.start tells of the server (CONN-9). To those
// who speak 0-8 none of its capabilities are mentioned.
func (s *Server) serverProperties(major uint8) pocketmq.Table {
	capabilities := pocketmq.Table{}
	if major == 0 {
		for _, name := range serverCapabilities {
			capabilities[name] = true
		}
	}
	return pocketmq.Table{
		"capabilities": capabilities,
		"cluster_name": "pocketmq",
		"copyright":    "Copyright (c) the pocketmq authors.",
		"information":  "Licensed under the MIT License. Website: https://github.com/pocketmq/pocketmq",
		"platform":     "pocketmq " + version(),
		"product":      "RabbitMQ",
		"version":      s.compat.String(),
	}
}

// version is that of this module in the program it is a part of.
var version = sync.OnceValue(func() string {
	const module = "github.com/pocketmq/pocketmq"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
})

// logConn is the attribute that names a connection in the log.
func logConn(c *conn) slog.Attr { return slog.String("connection", c.name) }
