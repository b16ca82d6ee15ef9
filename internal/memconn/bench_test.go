package memconn_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/pocketmq/pocketmq/internal/memconn"
)

// The peers of every benchmark: what a test would use instead of memconn.
var peers = []struct {
	name string
	pair func(testing.TB) (client, server net.Conn)
}{
	{"memconn", func(testing.TB) (net.Conn, net.Conn) { c, s := memconn.Pipe(); return c, s }},
	{"netpipe", func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }},
	{"tcp", tcpPair},
}

func tcpPair(tb testing.TB) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Skip(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	return client, server
}

// One goroutine writes, the other reads into a buffer of the default size.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 512, 4 << 10, 32 << 10, 256 << 10} {
		for _, p := range peers {
			b.Run(fmt.Sprintf("write=%d/%s", size, p.name), func(b *testing.B) {
				stream(b, p.pair, 1, size)
			})
		}
	}
}

// Several goroutines write to one connection.
func BenchmarkWriters(b *testing.B) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) { stream(b, p.pair, 4, 64) })
	}
}

// stream moves b.N writes of size bytes, divided between writers.
func stream(b *testing.B, pair func(testing.TB) (client, server net.Conn), writers, size int) {
	client, server := pair(b)
	defer client.Close()
	b.SetBytes(int64(size))
	b.ReportAllocs()

	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			msg := make([]byte, size)
			for n := i; n < b.N; n += writers {
				if _, err := server.Write(msg); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		server.Close()
	}()

	buf := make([]byte, memconn.DefaultBuffer)
	total := 0
	for {
		n, err := client.Read(buf)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if total != b.N*size {
		b.Errorf("read %d bytes, want %d", total, b.N*size)
	}
}

// A request and its reply: each side waits for the other.
func BenchmarkRoundTrip(b *testing.B) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			client, server := p.pair(b)
			defer client.Close()
			go func() {
				defer server.Close()
				io.Copy(struct{ io.Writer }{server}, struct{ io.Reader }{server})
			}()
			b.ReportAllocs()
			msg := make([]byte, 64)
			for b.Loop() {
				if _, err := client.Write(msg); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(client, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The floor: the same bytes into a buffer and out of it, on one goroutine.
func BenchmarkCopyTwice(b *testing.B) {
	for _, size := range []int{64, 512, 4 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("write=%d", size), func(b *testing.B) {
			src, mid, dst := make([]byte, size), make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(mid, src)
				copy(dst, mid)
			}
		})
	}
}

// A connection that is opened and closed, unused.
func BenchmarkOpenClose(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c, s := memconn.Pipe()
		c.Close()
		s.Close()
	}
}
