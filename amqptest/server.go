package amqptest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
)

// TB is the part of testing.TB that a Server needs.
type TB interface {
	Helper()
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server is an AMQP server with a broker of its own. Make it with NewServer. All
// methods may be called from any goroutine.
type Server struct {
	tb     TB // nil = none
	broker *pocketmq.Broker
	server *amqpserver.Server
	mem    *memconn.Listener
	conns  connections
	faults faults
	refuse atomic.Int64 // dials to be refused
	bubble string       // that it was made in; "" = none

	serving sync.WaitGroup // one for each listener
	close   sync.Once
	closed  atomic.Bool
}

// servers counts the servers, for host names that differ.
var servers atomic.Uint64

// NewServer returns a server that can be connected to with Dial at once. It is
// closed when the test ends; and what it would log, such as why it closed a
// connection, goes to the test's log. There is one user, guest with the password
// guest, and one virtual host, "/", unless options say otherwise.
//
// If an option is wrong the test ends, with an error that names it. If tb is nil, as in
// a TestMain, the caller must call Close, and NewServer panics.
func NewServer(tb TB, opts ...amqpserver.Option) *Server {
	s := &Server{tb: tb, bubble: bubble()}
	var log *slog.Logger
	if tb != nil {
		tb.Helper()
		log = newLogger(tb)
	}
	s.broker = pocketmq.New(pocketmq.Logger(log))
	server, err := amqpserver.New(s.broker, append([]amqpserver.Option{amqpserver.Logger(log)}, opts...)...)
	if err != nil {
		s.fatal("%s", strings.TrimPrefix(err.Error(), "amqpserver: "))
	}
	s.server = server
	// The reserved domain makes it plain what is missing when a client was not given Dial.
	s.mem = memconn.Listen(memconn.Address(fmt.Sprintf("pocketmq%d.invalid", servers.Add(1)), 5672))
	s.serve(s.mem)
	if tb != nil {
		tb.Cleanup(s.Close)
	}
	return s
}

// fatal ends the test, or without one panics.
func (s *Server) fatal(format string, args ...any) {
	if s.tb == nil {
		panic("amqptest: " + fmt.Sprintf(format, args...))
	}
	s.tb.Helper()
	s.tb.Fatalf("amqptest: "+format, args...)
}

// serve serves what l accepts until the server is closed.
func (s *Server) serve(l net.Listener) {
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		err := s.server.Serve(&listener{l, &s.conns})
		if err != amqpserver.ErrServerClosed && s.tb != nil {
			s.tb.Errorf("amqptest: the server at %v stopped: %v", l.Addr(), err)
		}
	}()
}

// URL returns the URL to connect to with Dial as the user guest, such as
// "amqp://guest:guest@pocketmq1.invalid:5672/".
func (s *Server) URL() string { return s.URLFor("guest", "guest", "/") }

// URLFor is URL for another user or virtual host, which the server must have
// been given as options. A wrong password is refused after three seconds, as by a
// RabbitMQ; in a bubble they take no time.
func (s *Server) URLFor(user, password, vhost string) string {
	return amqpURL(s.mem.Addr().String(), user, password, vhost)
}

func amqpURL(addr, user, password, vhost string) string {
	path := "/"
	if vhost != "/" {
		path += url.PathEscape(vhost)
	}
	return "amqp://" + url.UserPassword(user, password).String() + "@" + addr + path
}

// Dial connects to the server, without a network. It is meant for amqp091-go's
// Config.Dial; any network and address will do. The connection is buffered, as
// TCP is. After the server was closed the error wraps syscall.ECONNREFUSED. A server
// that was made outside the bubble of testing/synctest that Dial is called in, or in
// another one, cannot be connected to.
func (s *Server) Dial(network, addr string) (net.Conn, error) {
	if bubble() != s.bubble {
		return nil, errOtherBubble
	}
	if s.refuses() {
		return nil, s.errRefused()
	}
	return s.mem.Dial(network, addr)
}

// Listen makes the server listen on a free TCP port of 127.0.0.1, too, and
// returns the URL to connect to as the user guest. In a bubble of testing/synctest,
// where a network would stop the clock, after Close, and if there is no port to be had,
// it ends the test; without one it panics.
func (s *Server) Listen() string {
	if s.tb != nil {
		s.tb.Helper()
	}
	switch {
	case bubble() != "":
		s.fatal("Listen: there is no network in a bubble of testing/synctest; connect with URL and Dial")
	case s.closed.Load():
		s.fatal("Listen: the server is closed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.fatal("Listen: %v", err)
	}
	s.serve(&refusing{l, s})
	return amqpURL(l.Addr().String(), "guest", "guest", "/")
}

// errOtherBubble is instead of the runtime's fatal error, which does not say what to do.
var errOtherBubble = errors.New("amqptest: Dial: a bubble of testing/synctest needs a server of its own: " +
	"call NewServer inside the bubble that connects")

// bubble returns the name of the bubble of testing/synctest that it is called in, such
// as "synctest bubble 7", or "" outside. Only the head of a stack trace tells.
func bubble() string {
	head := make([]byte, 100)
	head = head[:runtime.Stack(head, false)]
	line, _, _ := strings.Cut(string(head), "\n")
	_, name, in := strings.Cut(line, "synctest bubble")
	if !in {
		return ""
	}
	name, _, _ = strings.Cut(name, "]")
	return "synctest bubble" + name
}

// Broker returns the broker that the server serves as the virtual host "/".
func (s *Server) Broker() *pocketmq.Broker { return s.broker }

// Server returns the AMQP server, to list or close connections, or to raise
// alarms.
func (s *Server) Server() *amqpserver.Server { return s.server }

// KillConnections resets every connection, without a word to the clients: what
// is on its way is lost, as when a machine crashes or a network fails. It returns
// how many there were. Clients can connect again at once. The broker notices as
// RabbitMQ would: exclusive queues go, messages that were not acked are
// redelivered.
func (s *Server) KillConnections() int {
	n := s.mem.ResetPending() + s.conns.kill()
	s.server.DropConnections() // also those that wait for room or memory, and have read all they may
	return n
}

// Close closes connections and broker, and waits until nothing of them is left.
// It may be called more than once. When the test ends it is called anyway.
func (s *Server) Close() {
	s.close.Do(func() {
		s.closed.Store(true)
		if s.tb != nil {
			s.tb.Helper()
			explain := time.AfterFunc(slowClose, s.explain)
			defer explain.Stop()
		}
		_ = s.server.Close() // cannot fail
		s.serving.Wait()
		if err := s.broker.Close(); err != nil && s.tb != nil {
			s.tb.Errorf("amqptest: closing the broker: %v", err)
		}
	})
}

// slowClose is when Close begins to tell what it waits for.
const slowClose = 5 * time.Second

func (s *Server) explain() {
	var names []string
	for _, c := range s.server.Connections() {
		names = append(names, c.Name+" ("+c.State+")")
	}
	s.tb.Logf("amqptest: Close still waits; connections: [%s]", strings.Join(names, ", "))
}
