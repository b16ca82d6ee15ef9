package memconn

import (
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// network is what [Addr.Network] says, and the Net of every [net.OpError].
const network = "mem"

// DefaultBuffer is how many bytes a direction holds unless [Buffer] says
// otherwise.
const DefaultBuffer = 64 << 10

// Addr is the address of an end of a connection, or of a [Listener]. Its string
// has the form "host:port" and can be taken apart by [net.SplitHostPort].
type Addr struct {
	Host string
	Port int // no TCP port: after many dials it exceeds 65535
}

// Network returns "mem".
func (Addr) Network() string { return network }

func (a Addr) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// Ports of generated addresses.
const (
	serverPort      = 1
	firstClientPort = 49152
)

// hosts counts generated host names, so that no two in a process are the same.
var hosts atomic.Uint64

// Option changes how [Pipe] and [Listen] make connections.
type Option func(*config)

type config struct {
	buffer int
	server Addr
}

func newConfig(opts []Option) config {
	c := config{buffer: DefaultBuffer}
	for _, o := range opts {
		o(&c)
	}
	if c.server == (Addr{}) {
		c.server = Addr{"mem" + strconv.FormatUint(hosts.Add(1), 10), serverPort}
	}
	return c
}

// Buffer sets how many bytes each direction holds before writes wait for the
// reader. It panics when n is not positive.
func Buffer(n int) Option {
	if n <= 0 {
		panic("memconn: buffer size " + strconv.Itoa(n))
	}
	return func(c *config) { c.buffer = n }
}

// Address sets the server's address; clients get ports on the same host. The
// default is a host name that is unique in this process, with port 1.
func Address(host string, port int) Option {
	return func(c *config) { c.server = Addr{host, port} }
}

// Conn is one end of an in-memory connection. Its methods may be called by any
// number of goroutines at the same time.
//
// Errors are of type [*net.OpError], except for [io.EOF] which is bare. After the
// owner's own Close or Reset they wrap [net.ErrClosed], past a deadline
// [os.ErrDeadlineExceeded], after the peer's Reset [syscall.ECONNRESET], and for
// writes that nobody can read any more [syscall.EPIPE].
type Conn struct {
	in, out       *stream
	local, remote net.Addr
	closed        atomic.Bool // by its owner
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a connection.
func Pipe(opts ...Option) (client, server *Conn) {
	cfg := newConfig(opts)
	return newPair(cfg.buffer, Addr{cfg.server.Host, firstClientPort}, cfg.server)
}

func newPair(buffer int, client, server net.Addr) (c, s *Conn) {
	var pair struct { // one allocation: its parts live and die together
		up, down       stream
		client, server Conn
	}
	pair.up.init(buffer)
	pair.down.init(buffer)
	c, s = &pair.client, &pair.server
	c.in, c.out, c.local, c.remote = &pair.down, &pair.up, client, server
	s.in, s.out, s.local, s.remote = &pair.up, &pair.down, server, client
	return c, s
}

// Read waits for bytes and returns those that are there, at most len(b). When
// the peer has closed or stopped writing, Read returns what is left and then
// [io.EOF].
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	if err != nil {
		err = c.opError("read", err)
	}
	return n, err
}

// Write returns once all of b is in the buffer, which the peer may not have read
// yet. It waits for room if it must. Concurrent writes take turns: the bytes of
// one are never mixed with those of another. With an error, the first n bytes of b
// were written.
func (c *Conn) Write(b []byte) (n int, err error) {
	n, err = c.out.write(b)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close ends both directions. The peer can still read what was written before,
// and its writes fail; what the peer wrote and nobody read is dropped. Every
// call that waits on this end returns. A second Close returns an error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	c.out.closeByWriter()
	c.in.closeByReader()
	return nil
}

// Reset ends both directions as a crash would: what is in the buffers is lost,
// and the peer's calls, those that wait included, fail with
// [syscall.ECONNRESET]. On this end it is like Close, and an error after it.
func (c *Conn) Reset() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	c.out.resetByWriter()
	c.in.resetByReader()
	return nil
}

// CloseWrite ends the direction to the peer, which reads what is left and then
// [io.EOF]. Reading on this end goes on.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	c.out.finish(false)
	return nil
}

// CloseRead ends the direction from the peer: reads on this end return [io.EOF]
// and the peer's writes fail. What was not read is dropped. Writing on this end
// goes on.
func (c *Conn) CloseRead() error {
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	c.in.finish(true)
	return nil
}

// LocalAddr returns the [Addr] of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the [Addr] of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines for reading and for writing. A deadline holds
// for calls that wait already and for all that come; one in the past fails them
// at once, until it is moved. The zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline for reading; see [Conn.SetDeadline].
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline sets the deadline for writing; see [Conn.SetDeadline].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.out.setSendDeadline(t)
	return nil
}

// opError gives err the form that package net gives to a socket's errors.
func (c *Conn) opError(op string, err error) error {
	if err == io.EOF {
		return err
	}
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: network, Source: c.local, Addr: c.remote, Err: err}
}
