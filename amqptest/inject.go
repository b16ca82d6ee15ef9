package amqptest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pocketmq/pocketmq/amqpserver"
)

// Method is a method of AMQP on its way between a client and the server, as it is
// shown to the functions given to Inject.
type Method = amqpserver.Method

// What a function given to Inject may return to make a method go wrong. It may also
// return a *pocketmq.Error, to close the channel or the connection with its reply
// code and text. Any other error, a bare pocketmq.ErrNotFound among them, closes the
// connection with 541 INTERNAL_ERROR.
const (
	// Drop ends the connection without a word, as a network that fails does.
	Drop = amqpserver.Drop

	// Ignore loses the method: nothing is done, and nothing is answered or sent.
	Ignore = amqpserver.Ignore

	// Nack makes the server answer basic.nack to a message that is published on a
	// channel with confirms. Without confirms the message is lost. For any other
	// method Next and After panic, and from a function of your own it is Ignore.
	Nack = amqpserver.Nack
)

// Inject has fault see every method that clients send after the handshake, before
// the server handles it, and every method that the server sends, until the function
// that it returns is called. With nil a method goes its way; what else fault may do
// is described at amqpserver's Server.Intercept, which this is for several faults:
// they see a method in the order in which they were injected, and the first error
// counts. They see those of all connections, also of those to come. Heartbeats are
// no methods. A nil fault panics.
func (s *Server) Inject(fault func(*Method) error) (remove func()) {
	if fault == nil {
		panic("amqptest: Inject: the fault is nil")
	}
	s.faults.add(s, &fault)
	return func() { s.faults.remove(s, &fault) }
}

// faults are what was injected, in order.
type faults struct {
	mu  sync.Mutex
	all []*func(*Method) error // guarded by mu; never changed, but replaced
}

func (f *faults) add(s *Server, fault *func(*Method) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(s, append(slices.Clone(f.all), fault))
}

func (f *faults) remove(s *Server, fault *func(*Method) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(s, slices.DeleteFunc(slices.Clone(f.all), func(x *func(*Method) error) bool { return x == fault }))
}

// set replaces the faults; f.mu is held.
func (f *faults) set(s *Server, all []*func(*Method) error) {
	f.all = all
	if len(all) == 0 {
		s.server.Intercept(nil)
		return
	}
	s.server.Intercept(func(m *Method) error {
		for _, fault := range all {
			if err := (*fault)(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Next returns a fault for the next n methods of this name, such as "queue.declare".
// Like all that make faults it panics if nothing could ever go wrong by it: if AMQP
// has no such method or it belongs to the handshake, err is nil or n is negative.
func Next(n int, name string, err error) func(*Method) error {
	checkFault("Next", n, name, err)
	var seen atomic.Int64
	return named(name, func(*Method) error {
		if seen.Add(1) > int64(n) {
			return nil
		}
		return err
	})
}

// After returns a fault for all methods of this name but the next n.
func After(n int, name string, err error) func(*Method) error {
	checkFault("After", n, name, err)
	var seen atomic.Int64
	return named(name, func(*Method) error {
		if seen.Add(1) <= int64(n) {
			return nil
		}
		return err
	})
}

// Delay returns a fault that keeps every method of this name for some time, and with
// it all that follows it in the same direction of the connection. "basic.deliver"
// makes a slow broker for consumers; confirms are "basic.ack" with FromServer. What
// follows are also heartbeats: a server kept longer than the client waits for them is
// a dead one to it.
func Delay(d time.Duration, name string) func(*Method) error {
	if d < 0 {
		panic(fmt.Sprintf("amqptest: Delay(%v): must not be negative; Hold keeps methods for any time", d))
	}
	return named(name, func(m *Method) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-m.Context.Done():
		}
		return nil
	})
}

// Hold returns a fault that keeps every method of this name until release is called,
// and with it all that follows it in the same direction of the connection: a stalled
// broker, which sends no heartbeats either (see Delay). What was kept then goes its
// way. In a bubble of testing/synctest it must be called inside.
func Hold(name string) (fault func(*Method) error, release func()) {
	released := make(chan struct{})
	fault = named(name, func(m *Method) error {
		select {
		case <-released:
		case <-m.Context.Done():
		}
		return nil
	})
	return fault, sync.OnceFunc(func() { close(released) })
}

// checkFault panics if err would never be returned, or mean something else.
func checkFault(by string, n int, name string, err error) {
	switch {
	case n < 0:
		panic(fmt.Sprintf("amqptest: %s(%d): must not be negative", by, n))
	case err == nil:
		panic("amqptest: " + by + ": the error is nil, by which nothing goes wrong; there are Drop, Ignore and Nack")
	case err == Nack && name != "basic.publish":
		checkName(name)
		panic(fmt.Sprintf("amqptest: %s: Nack is for basic.publish; there is Ignore to lose a %s, and Drop", by, name))
	}
}

// FromServer limits a fault to methods that the server sends, and FromClient to
// those that clients send, for names that both may send, such as "basic.ack". They
// panic if the fault is one of Next, After, Delay or Hold for a method that never comes
// from there.
func FromServer(fault func(*Method) error) func(*Method) error {
	return only("FromServer", fault, true)
}

// FromClient is described at FromServer.
func FromClient(fault func(*Method) error) func(*Method) error {
	return only("FromClient", fault, false)
}

func only(by string, fault func(*Method) error, fromServer bool) func(*Method) error {
	if fault == nil {
		panic("amqptest: " + by + ": the fault is nil")
	}
	if name, ok := nameOf(fault); ok && !mayCome(name, fromServer) {
		who := "clients never send"
		if fromServer {
			who = "the server never sends"
		}
		panic(fmt.Sprintf("amqptest: %s: the fault is for %s, which %s; it would meet none", by, name, who))
	}
	return func(m *Method) error {
		if m.FromServer != fromServer {
			return nil
		}
		return fault(m)
	}
}

// RefuseDials makes the next n attempts to connect fail: Dial returns an error that
// wraps syscall.ECONNREFUSED, and connections to a port of Listen are reset before
// the first byte. It replaces what an earlier call left over, so 0 ends it; a negative
// n panics, for it does not mean for ever.
func (s *Server) RefuseDials(n int) {
	if n < 0 {
		panic(fmt.Sprintf("amqptest: RefuseDials(%d): must not be negative", n))
	}
	s.refuse.Store(int64(n))
}

// refuses reports whether a connection is one to be refused.
func (s *Server) refuses() bool {
	for {
		n := s.refuse.Load()
		if n <= 0 {
			return false
		}
		if s.refuse.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// errRefused is what a dial to a port without a listener returns.
func (s *Server) errRefused() error {
	return &net.OpError{Op: "dial", Net: s.mem.Addr().Network(), Addr: s.mem.Addr(), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// CancelConsumers cancels all consumers of a queue of the virtual host "/": clients
// get basic.cancel, as from a RabbitMQ that loses the queue's node. What was delivered
// may still be settled. The error wraps pocketmq.ErrNotFound if there is no such
// queue.
func (s *Server) CancelConsumers(queue string) error { return s.server.CancelConsumers("/", queue) }
