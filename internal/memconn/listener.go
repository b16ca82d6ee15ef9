package memconn

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listener accepts the connections that its own Dial makes. Its methods may be
// called by any number of goroutines at the same time.
type Listener struct {
	cfg  config
	addr net.Addr

	mu      sync.Mutex // guards everything below
	arrived sync.Cond  // pending grew, or closed was set
	pending []*Conn    // server ends that nobody has accepted yet, oldest first
	dialed  int        // connections made so far
	closed  bool
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener that can be dialed at once.
func Listen(opts ...Option) *Listener {
	cfg := newConfig(opts)
	l := &Listener{cfg: cfg, addr: cfg.server}
	l.arrived.L = &l.mu
	return l
}

// Addr returns the [Addr] of the listener, which is the local address of all
// connections it accepts.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept waits for a connection and returns its server end, a [*Conn]. After
// Close it returns an error that wraps [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, l.opError("accept", net.ErrClosed)
	}
	c := l.pending[0]
	l.pending[0] = nil // the queue's array must not keep it alive
	l.pending = l.pending[1:]
	return c, nil
}

// Dial makes a connection to this listener and returns its client end, a
// [*Conn]. It does not wait for Accept: like a socket's backlog, but without a
// bound, the listener keeps connections until they are accepted. Network and
// address are ignored, so that Dial fits wherever a dial function is asked for.
//
// After Close the error wraps [syscall.ECONNREFUSED].
func (l *Listener) Dial(network, addr string) (net.Conn, error) {
	return l.DialContext(context.Background(), network, addr)
}

// DialContext is like [Listener.Dial], but fails when ctx is done already.
func (l *Listener) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.opError("dial", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.opError("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	local := Addr{l.cfg.server.Host, firstClientPort + l.dialed}
	l.dialed++
	client, server := newPair(l.cfg.buffer, local, l.addr)
	l.pending = append(l.pending, server)
	l.arrived.Signal()
	return client, nil
}

// Close makes Accept and Dial fail from now on, calls that wait included, and
// resets the connections that nobody has accepted. Those that were accepted go
// on. A second Close returns an error.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.closed = true
	for _, c := range l.pending {
		_ = c.Reset() // it fails only if it was closed before
	}
	l.pending = nil
	l.arrived.Broadcast()
	return nil
}

// ResetPending resets the connections that were dialled and not accepted yet, as
// (*Conn).Reset does, and returns their number. The listener goes on.
func (l *Listener) ResetPending() int {
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	for _, c := range pending {
		_ = c.Reset() // it fails only if it was closed before
	}
	return len(pending)
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: l.addr, Err: err}
}
