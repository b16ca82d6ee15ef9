// Package nettest_test runs the conformance suite of golang.org/x/net against
// memconn. It is a module of its own so that the main one need not require
// golang.org/x/net.
package nettest_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/pocketmq/pocketmq/internal/memconn"
)

func TestPipe(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		client, server := memconn.Pipe()
		return client, server, closeBoth(client, server), nil
	})
}

// A buffer of a few bytes makes nearly every write wait for room.
func TestTinyBuffer(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		client, server := memconn.Pipe(memconn.Buffer(7))
		return client, server, closeBoth(client, server), nil
	})
}

func TestListener(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		l := memconn.Listen()
		defer l.Close()
		client, err := l.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		server, err := l.Accept()
		return client, server, closeBoth(client, server), err
	})
}

func closeBoth(a, b net.Conn) func() {
	return func() {
		a.Close()
		b.Close()
	}
}
