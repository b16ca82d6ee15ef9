package memconn_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pocketmq/pocketmq/internal/memconn"
)

func dial(t *testing.T, l *memconn.Listener) net.Conn {
	t.Helper()
	c, err := l.Dial("tcp", "ignored:5672")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func accept(t *testing.T, l *memconn.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDialDoesNotWaitForAccept(t *testing.T) {
	l := memconn.Listen()
	defer l.Close()
	a, b := dial(t, l), dial(t, l)
	write(t, a, []byte("first"))
	write(t, b, []byte("second"))
	wantRead(t, accept(t, l), "first")
	wantRead(t, accept(t, l), "second")
}

func TestAcceptWaitsForDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memconn.Listen()
		defer l.Close()
		go func() {
			time.Sleep(time.Hour)
			l.Dial("", "")
		}()
		began := time.Now()
		accept(t, l)
		if d := time.Since(began); d != time.Hour {
			t.Errorf("accepted after %v", d)
		}
	})
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memconn.Listen()
		client := dial(t, l)
		server := accept(t, l)

		accepted := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := l.Accept()
				accepted <- err
			}()
		}
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantErr(t, "waiting Accept", <-accepted, net.ErrClosed)
		}
		_, err := l.Accept()
		wantErr(t, "Accept", err, net.ErrClosed)
		_, err = l.Dial("tcp", "x:1")
		wantErr(t, "Dial", err, syscall.ECONNREFUSED)
		wantErr(t, "Close", l.Close(), net.ErrClosed)

		write(t, client, []byte("accepted before"))
		wantRead(t, server, "accepted before")
	})
}

func TestListenerCloseResetsPending(t *testing.T) {
	l := memconn.Listen()
	c := dial(t, l)
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("accepted a connection after Close")
	}
	wantReadErr(t, c, syscall.ECONNRESET)
	wantWriteErr(t, c, syscall.ECONNRESET)
}

func TestDialContextDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l := memconn.Listen()
	defer l.Close()
	_, err := l.DialContext(ctx, "tcp", "x:1")
	wantErr(t, "DialContext", err, context.Canceled)
}

func TestAddressesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		l := memconn.Listen()
		for range 3 {
			c := dial(t, l)
			s := accept(t, l)
			if c.RemoteAddr() != l.Addr() || s.LocalAddr() != l.Addr() || s.RemoteAddr() != c.LocalAddr() {
				t.Errorf("listener %s: client %s to %s, server %s to %s",
					l.Addr(), c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
			}
			if _, _, err := net.SplitHostPort(c.LocalAddr().String()); err != nil {
				t.Error(err)
			}
			seen[c.LocalAddr().String()] = true
		}
		seen[l.Addr().String()] = true
		l.Close()
	}
	if len(seen) != 12 {
		t.Errorf("%d different addresses, want 12: %v", len(seen), seen)
	}
}

// A program that knows nothing of memconn runs on it, in virtual time.
func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memconn.Listen()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
		})}
		go srv.Serve(l)
		defer srv.Close()

		transport := &http.Transport{DialContext: l.DialContext}
		defer transport.CloseIdleConnections()
		client := http.Client{Transport: transport, Timeout: time.Hour}
		body := strings.Repeat("0123456789", 100_000)
		for range 3 {
			resp, err := client.Post("http://"+l.Addr().String(), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != body || err != nil {
				t.Errorf("%d bytes came back, error %v", len(got), err)
			}
		}
	})
}
