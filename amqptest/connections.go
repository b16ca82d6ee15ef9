package amqptest

import (
	"net"
	"sync"
)

// connections is a set of the server's ends of connections.
type connections struct {
	mu  sync.Mutex
	all map[*conn]struct{} // guarded by mu
}

// add returns c as one that is in the set until it is closed.
func (s *connections) add(c net.Conn) *conn {
	t := &conn{c, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*conn]struct{}{}
	}
	s.all[t] = struct{}{}
	return t
}

func (s *connections) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// kill resets the connections in the set and returns their number.
func (s *connections) kill() int {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for c := range all {
		c.reset()
	}
	return len(all)
}

// conn is a connection that can be reset, and leaves its set when closed.
type conn struct {
	net.Conn
	set *connections
}

func (c *conn) Close() error {
	c.set.remove(c)
	return c.Conn.Close()
}

// reset drops the connection and what it has buffered. Errors mean that it has
// been closed meanwhile.
func (c *conn) reset() {
	switch c := c.Conn.(type) {
	case interface{ Reset() error }:
		_ = c.Reset()
		return
	case *net.TCPConn:
		_ = c.SetLinger(0) // a reset instead of an orderly end
	}
	_ = c.Conn.Close()
}

// refusing resets connections that are to be refused.
type refusing struct {
	net.Listener
	server *Server
}

func (l *refusing) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !l.server.refuses() {
			return c, err
		}
		(&conn{Conn: c}).reset()
	}
}

// listener enters what it accepts into a set.
type listener struct {
	net.Listener
	conns *connections
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.conns.add(c), nil
}
