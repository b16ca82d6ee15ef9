package memconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pocketmq/pocketmq/internal/memconn"
)

// result is what a Read or Write returned, and when.
type result struct {
	n   int
	err error
	at  time.Time
}

// start calls f on a goroutine of its own.
func start(f func([]byte) (int, error), b []byte) <-chan result {
	done := make(chan result, 1)
	go func() {
		n, err := f(b)
		done <- result{n, err, time.Now()}
	}()
	return done
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Fatalf("Write = %d, %v; want %d bytes", n, err, len(b))
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want)+1)
	if n, err := c.Read(b); string(b[:n]) != want || err != nil {
		t.Fatalf("Read = %q, %v; want %q", b[:n], err, want)
	}
}

// wantErr checks that a call failed with target, in the form net gives it.
func wantErr(t *testing.T, what string, err, target error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, target) || target != io.EOF && !errors.As(err, &op) {
		t.Errorf("%s: error %v, want %v", what, err, target)
	}
	var ne net.Error
	if timeout := errors.As(err, &ne) && ne.Timeout(); timeout != (target == os.ErrDeadlineExceeded) {
		t.Errorf("%s: Timeout() = %v of %v", what, timeout, err)
	}
}

func wantReadErr(t *testing.T, c net.Conn, target error) {
	t.Helper()
	n, err := c.Read(make([]byte, 10))
	wantErr(t, "Read", err, target)
	if n != 0 {
		t.Errorf("Read: %d bytes", n)
	}
}

func wantWriteErr(t *testing.T, c net.Conn, target error) {
	t.Helper()
	n, err := c.Write(make([]byte, 10))
	wantErr(t, "Write", err, target)
	if n != 0 {
		t.Errorf("Write: %d bytes", n)
	}
}

func TestWriteDoesNotWaitForRead(t *testing.T) {
	client, server := memconn.Pipe()
	write(t, client, []byte("ping"))
	write(t, server, []byte("pong"))
	wantRead(t, client, "pong")
	wantRead(t, server, "ping")
}

func TestDataBeforeCloseIsRead(t *testing.T) {
	client, server := memconn.Pipe()
	write(t, client, []byte("last words"))
	client.Close()
	wantRead(t, server, "last words")
	wantReadErr(t, server, io.EOF)
	wantReadErr(t, server, io.EOF)
	wantWriteErr(t, server, syscall.EPIPE)
}

func TestUseAfterClose(t *testing.T) {
	for name, end := range map[string]func(*memconn.Conn) error{
		"Close": (*memconn.Conn).Close,
		"Reset": (*memconn.Conn).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			client, server := memconn.Pipe()
			write(t, server, []byte("unread"))
			if err := end(client); err != nil {
				t.Fatal(err)
			}
			server.Reset() // must not change what the owner is told
			wantReadErr(t, client, net.ErrClosed)
			wantWriteErr(t, client, net.ErrClosed)
			wantErr(t, "SetDeadline", client.SetDeadline(time.Time{}), net.ErrClosed)
			wantErr(t, "CloseWrite", client.CloseWrite(), net.ErrClosed)
			wantErr(t, "CloseRead", client.CloseRead(), net.ErrClosed)
			wantErr(t, "Reset", client.Reset(), net.ErrClosed)
			wantErr(t, "Close", client.Close(), net.ErrClosed)
		})
	}
}

func TestReset(t *testing.T) {
	client, server := memconn.Pipe()
	write(t, client, []byte("lost"))
	client.CloseWrite()
	client.Reset()
	wantReadErr(t, server, syscall.ECONNRESET)
	wantWriteErr(t, server, syscall.ECONNRESET)
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	wantReadErr(t, server, net.ErrClosed)
}

func TestCloseWrite(t *testing.T) {
	client, server := memconn.Pipe()
	write(t, client, []byte("request"))
	client.CloseWrite()
	wantWriteErr(t, client, syscall.EPIPE)
	wantRead(t, server, "request")
	wantReadErr(t, server, io.EOF)
	write(t, server, []byte("reply"))
	wantRead(t, client, "reply")
}

func TestCloseRead(t *testing.T) {
	client, server := memconn.Pipe()
	write(t, server, []byte("unread"))
	client.CloseRead()
	wantReadErr(t, client, io.EOF)
	wantWriteErr(t, server, syscall.EPIPE)
	write(t, client, []byte("still here"))
	wantRead(t, server, "still here")
}

// Whatever ends a connection ends the calls that wait on either side of it.
func TestEndWakesWaiters(t *testing.T) {
	tests := []struct {
		name                                       string
		end                                        func(client, server *memconn.Conn) error
		clientRead, clientWrite, srvRead, srvWrite error
	}{
		{"Close", func(c, _ *memconn.Conn) error { return c.Close() },
			net.ErrClosed, net.ErrClosed, io.EOF, syscall.EPIPE},
		{"Reset", func(c, _ *memconn.Conn) error { return c.Reset() },
			net.ErrClosed, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNRESET},
		{"CloseWrite", func(c, s *memconn.Conn) error { s.CloseWrite(); return c.CloseWrite() },
			io.EOF, syscall.EPIPE, io.EOF, syscall.EPIPE},
		{"CloseRead", func(c, s *memconn.Conn) error { s.CloseRead(); return c.CloseRead() },
			io.EOF, syscall.EPIPE, io.EOF, syscall.EPIPE},
	}
	const buffer = 10
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reading, peer := memconn.Pipe(memconn.Buffer(buffer))
				cr, sr := start(reading.Read, make([]byte, 1)), start(peer.Read, make([]byte, 1))
				synctest.Wait()
				tt.end(reading, peer)
				wantErr(t, "client's Read", (<-cr).err, tt.clientRead)
				wantErr(t, "server's Read", (<-sr).err, tt.srvRead)

				writing, peer := memconn.Pipe(memconn.Buffer(buffer))
				msg := make([]byte, buffer+1)
				c1, c2 := start(writing.Write, msg), start(writing.Write, msg)
				s1, s2 := start(peer.Write, msg), start(peer.Write, msg)
				synctest.Wait()
				tt.end(writing, peer)
				wantCut(t, "client's Write", <-c1, <-c2, buffer, tt.clientWrite)
				wantCut(t, "server's Write", <-s1, <-s2, buffer, tt.srvWrite)
			})
		})
	}
}

// wantCut checks two writes, one of which put n bytes into the buffer while the
// other waited for its turn.
func wantCut(t *testing.T, what string, a, b result, n int, target error) {
	t.Helper()
	wantErr(t, what, a.err, target)
	wantErr(t, what, b.err, target)
	if a.n+b.n != n || a.n*b.n != 0 {
		t.Errorf("%s: %d and %d bytes written, want %d by one of them", what, a.n, b.n, n)
	}
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(10))
		done := start(client.Write, []byte("0123456789ABC"))
		synctest.Wait()
		wantBlocked(t, done)
		io.ReadFull(server, make([]byte, 2))
		synctest.Wait()
		wantBlocked(t, done)
		io.ReadFull(server, make([]byte, 1)) // now the rest fits
		if r := <-done; r.n != 13 || r.err != nil {
			t.Errorf("Write = %d, %v", r.n, r.err)
		}
		wantRead(t, server, "3456789ABC")
	})
}

func wantBlocked(t *testing.T, done <-chan result) {
	t.Helper()
	select {
	case r := <-done:
		t.Fatalf("did not wait: %d, %v", r.n, r.err)
	default:
	}
}

// A write that would fit waits while another is half done, be that the first
// or one that was given its turn by another.
func TestSmallWriteDoesNotCutIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(10))
		for _, large := range []string{"0123456789ABC", "abcdefghijklm"} {
			go client.Write([]byte(large))
			synctest.Wait()
		}
		read := func(n int) string {
			b := make([]byte, n)
			io.ReadFull(server, b)
			synctest.Wait()
			return string(b)
		}
		got := read(2) // the first waits for one byte more
		x := start(client.Write, []byte("x"))
		synctest.Wait()
		wantBlocked(t, x)
		got += read(1) + read(2) // the second waits for three bytes more
		y := start(client.Write, []byte("y"))
		synctest.Wait()
		wantBlocked(t, x)
		wantBlocked(t, y)
		got += read(23)
		if want := "0123456789ABCabcdefghijklmxy"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

func TestZeroLength(t *testing.T) {
	client, server := memconn.Pipe(memconn.Buffer(1))
	write(t, client, []byte("x"))
	write(t, client, nil) // full, but there is nothing to wait for
	if n, err := client.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
	wantRead(t, server, "x")
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(10))
		began := time.Now()

		// It ends calls that wait; a write says how much it has written.
		client.SetDeadline(began.Add(time.Second))
		r, w := start(client.Read, make([]byte, 1)), start(client.Write, make([]byte, 15))
		w2 := start(client.Write, make([]byte, 15))
		wantTimeout(t, "Read", <-r, began.Add(time.Second))
		wantCut(t, "Write", <-w, <-w2, 10, os.ErrDeadlineExceeded)

		// Passed is passed, though the calls could go on.
		write(t, server, []byte("x"))
		server.Read(make([]byte, 10))
		wantReadErr(t, client, os.ErrDeadlineExceeded)
		wantWriteErr(t, client, os.ErrDeadlineExceeded)

		// It can be cleared, and set again.
		client.SetDeadline(time.Time{})
		wantRead(t, client, "x")
		write(t, client, make([]byte, 10))
		client.SetDeadline(time.Now().Add(time.Hour))
		began = time.Now()
		wantReadErr(t, client, os.ErrDeadlineExceeded)
		if d := time.Since(began); d != time.Hour {
			t.Errorf("timed out after %v, want 1h", d)
		}

		// Each direction has its own.
		client.SetDeadline(time.Time{})
		client.SetWriteDeadline(time.Unix(1, 0))
		write(t, server, []byte("y"))
		wantRead(t, client, "y")
		wantWriteErr(t, client, os.ErrDeadlineExceeded)
	})
}

func wantTimeout(t *testing.T, what string, r result, at time.Time) {
	t.Helper()
	wantErr(t, what, r.err, os.ErrDeadlineExceeded)
	if !r.at.Equal(at) {
		t.Errorf("%s: timed out at %v, want %v", what, r.at, at)
	}
}

// A call that waits obeys the deadline as it is, not as it was when it began.
func TestDeadlineMovesUnderWaiters(t *testing.T) {
	ops := map[string]func(*memconn.Conn) (<-chan result, func(time.Time) error){
		"Read": func(c *memconn.Conn) (<-chan result, func(time.Time) error) {
			return start(c.Read, make([]byte, 1)), c.SetReadDeadline
		},
		"Write": func(c *memconn.Conn) (<-chan result, func(time.Time) error) {
			return start(c.Write, make([]byte, 2)), c.SetWriteDeadline
		},
	}
	for op, wait := range ops {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := memconn.Pipe(memconn.Buffer(1))
				began := time.Now()
				at := func(d time.Duration) time.Time { return began.Add(d) }

				done, set := wait(c)
				set(at(time.Minute)) // it had none
				time.Sleep(30 * time.Second)
				set(at(2 * time.Minute)) // later
				time.Sleep(time.Minute)
				wantBlocked(t, done)
				set(at(100 * time.Second)) // earlier
				wantTimeout(t, op, <-done, at(100*time.Second))

				set(time.Time{})
				done, _ = wait(c)
				time.Sleep(time.Hour)
				wantBlocked(t, done)
				now := time.Now()
				set(now.Add(-time.Second)) // into the past
				wantTimeout(t, op, <-done, now)
			})
		})
	}
}

// As with heartbeats: each message moves the deadline on, silence lets it pass.
func TestDeadlineExtendedByEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe()
		began := time.Now()
		go func() {
			for range 100 {
				time.Sleep(time.Second)
				client.Write([]byte("beat"))
			}
		}()
		beats := 0
		for {
			server.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
			if _, err := server.Read(make([]byte, 4)); err != nil {
				wantErr(t, "Read", err, os.ErrDeadlineExceeded)
				break
			}
			beats++
		}
		if d := time.Since(began); beats != 100 || d != 101500*time.Millisecond {
			t.Errorf("%d beats in %v", beats, d)
		}
	})
}

// Two publishers and a reader that does nothing: all is durably blocked, so
// virtual time moves on. With a mutex around the wait it would stop for ever.
func TestStalledReaderLetsTimeMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(100))
		const size, each = 30, 50
		var wg sync.WaitGroup
		for i := range byte(2) {
			wg.Go(func() {
				for range each {
					if _, err := client.Write(bytes.Repeat([]byte{i}, size)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		synctest.Wait() // both wait: one for room, one for its turn
		began := time.Now()
		time.Sleep(24 * time.Hour)
		if d := time.Since(began); d != 24*time.Hour {
			t.Errorf("slept %v", d)
		}

		counts := map[byte]int{}
		for range 2 * each {
			counts[readUnmixed(t, server, size)]++
			time.Sleep(time.Second)
		}
		wg.Wait()
		if counts[0] != each || counts[1] != each {
			t.Errorf("messages read by publisher: %v", counts)
		}
	})
}

// readUnmixed reads one write of equal bytes, and returns that byte.
func readUnmixed(t *testing.T, r io.Reader, size int) byte {
	t.Helper()
	msg := make([]byte, size)
	if _, err := io.ReadFull(r, msg); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(msg, msg[:1]) != size {
		t.Fatalf("two writes are mixed: %v", msg)
	}
	return msg[0]
}

// With real time and parallelism: writes larger and smaller than the buffer.
func TestConcurrentWritesAreNotMixed(t *testing.T) {
	for _, size := range []int{1, 64, 100, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			client, server := memconn.Pipe(memconn.Buffer(100))
			const writers, each = 4, 200
			for i := range byte(writers) {
				go func() {
					for range each {
						client.Write(bytes.Repeat([]byte{i}, size))
					}
				}()
			}
			for range writers * each {
				readUnmixed(t, server, size)
			}
		})
	}
}

// Writers that wait are served in the order in which they came.
func TestTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(4))
		const size = 8
		for i := range byte(10) {
			go client.Write(bytes.Repeat([]byte{i}, size))
			synctest.Wait()
		}
		for i := range byte(10) {
			if got := readUnmixed(t, server, size); got != i {
				t.Fatalf("read %d, want %d", got, i)
			}
		}
	})
}

// A writer in a loop does not keep another from its turn.
func TestNoWriterStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memconn.Pipe(memconn.Buffer(10))
		const size = 20
		go func() {
			for {
				if _, err := client.Write(make([]byte, size)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		go client.Write(bytes.Repeat([]byte{1}, size))
		synctest.Wait()
		readUnmixed(t, server, size)
		if readUnmixed(t, server, size) != 1 {
			t.Error("the writer in a loop came first again")
		}
		client.Close()
	})
}

// Random sizes on both sides: all bytes arrive, in order.
func TestTransfer(t *testing.T) {
	for _, buffer := range []int{1, 2, 3, 1000, memconn.DefaultBuffer} {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("buffer=%d/seed=%d", buffer, seed), func(t *testing.T) {
			client, server := memconn.Pipe(memconn.Buffer(buffer))
			sent := make([]byte, min(100*buffer, 1<<20))
			rng := rand.New(rand.NewPCG(seed, 1))
			for i := range sent {
				sent[i] = byte(rng.Uint32())
			}
			go func() {
				defer client.Close()
				for b := sent; len(b) > 0; {
					n, err := client.Write(b[:min(len(b), rng.IntN(3*buffer))])
					if err != nil {
						t.Error(err)
						return
					}
					b = b[n:]
				}
			}()
			var got []byte
			rng2 := rand.New(rand.NewPCG(seed, 2))
			for {
				b := make([]byte, 1+rng2.IntN(2*buffer))
				n, err := server.Read(b)
				got = append(got, b[:n]...)
				if err == io.EOF {
					break
				}
			}
			if !bytes.Equal(got, sent) {
				t.Errorf("read %d bytes that differ from the %d written", len(got), len(sent))
			}
		})
	}
}

// Calls of every kind at the same time, for the race detector. Each ends.
func TestChaos(t *testing.T) {
	for round := range 20 {
		client, server := memconn.Pipe(memconn.Buffer(64))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := []*memconn.Conn{client, server}[i%2]
				for range 100 {
					c.SetDeadline(time.Now().Add(rand.N(200 * time.Microsecond)))
					b := make([]byte, rand.N(200))
					if rand.N(2) == 0 {
						c.Write(b)
					} else {
						c.Read(b)
					}
				}
				if round%2 == 0 {
					c.Reset()
				} else {
					c.Close()
				}
			})
		}
		wg.Wait()
	}
}

func TestNoAllocations(t *testing.T) {
	client, server := memconn.Pipe()
	msg, buf := make([]byte, 1000), make([]byte, 1000)
	allocs := testing.AllocsPerRun(1000, func() {
		client.SetWriteDeadline(time.Now().Add(time.Hour))
		server.SetReadDeadline(time.Now().Add(time.Hour))
		client.Write(msg)
		server.Read(buf)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message", allocs)
	}
}

func TestPipeAddresses(t *testing.T) {
	client, server := memconn.Pipe(memconn.Address("broker", 5672))
	for name, a := range map[string]net.Addr{
		"client local": client.LocalAddr(), "server remote": server.RemoteAddr(),
	} {
		if a.Network() != "mem" || a.String() != "broker:49152" {
			t.Errorf("%s: %s %s", name, a.Network(), a)
		}
	}
	for name, a := range map[string]net.Addr{
		"client remote": client.RemoteAddr(), "server local": server.LocalAddr(),
	} {
		if a != net.Addr(memconn.Addr{Host: "broker", Port: 5672}) {
			t.Errorf("%s: %s", name, a)
		}
	}
}
