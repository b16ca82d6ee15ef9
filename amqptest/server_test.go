package amqptest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
)

// greet begins a connection as a client does, and checks that an AMQP server
// answers. All else that clients do is tested in the module interop.
func greet(c net.Conn) error {
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	head := make([]byte, 7)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	method := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
	if _, err := io.ReadFull(c, method); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint32(method); got != 10<<16|10 {
		return fmt.Errorf("got method %x, want connection.start", got)
	}
	return nil
}

func dial(t *testing.T, srv *amqptest.Server) net.Conn {
	t.Helper()
	c, err := srv.Dial("tcp", "anywhere:5672")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, greet(c))
	return c
}

func dialTCP(t *testing.T, url string) net.Conn {
	t.Helper()
	require.True(t, strings.HasPrefix(url, "amqp://guest:guest@127.0.0.1:"), url)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "amqp://guest:guest@"), "/"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, greet(c))
	return c
}

func TestDial(t *testing.T) {
	srv := amqptest.NewServer(t)
	dial(t, srv)
	dial(t, srv)
	assert.Len(t, srv.Server().Connections(), 2)
}

func TestListen(t *testing.T) {
	srv := amqptest.NewServer(t)
	a, b := srv.Listen(), srv.Listen()
	assert.NotEqual(t, a, b)
	dialTCP(t, a)
	dialTCP(t, b)
	dial(t, srv)
}

func TestURLs(t *testing.T) {
	srv := amqptest.NewServer(t)
	host := strings.TrimSuffix(strings.TrimPrefix(srv.URL(), "amqp://guest:guest@"), ":5672/")
	assert.True(t, strings.HasSuffix(host, ".invalid"), host)
	assert.Equal(t, "amqp://app:s%2F%40@"+host+":5672/a%2Fb", srv.URLFor("app", "s/@", "a/b"))
	assert.NotEqual(t, srv.URL(), amqptest.NewServer(t).URL())
}

func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t)
		c := dial(t, srv)
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF, "the server gives up on a client that does not go on")
		assert.Equal(t, 10*time.Second, time.Since(start).Round(time.Second))
	})
}

func TestAServerOfAnotherBubble(t *testing.T) {
	outside := amqptest.NewServer(t)
	var left *amqptest.Server
	synctest.Test(t, func(t *testing.T) {
		_, err := outside.Dial("tcp", "")
		assert.ErrorContains(t, err, "call NewServer inside the bubble")
		left = amqptest.NewServer(t)
		dial(t, left)
	})
	_, err := left.Dial("tcp", "")
	assert.ErrorContains(t, err, "call NewServer inside the bubble")
	dial(t, outside)
}

func TestOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t, amqpserver.HandshakeTimeout(time.Hour))
		c := dial(t, srv)
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, time.Hour, time.Since(start).Round(time.Second))
	})
}

func TestKillConnections(t *testing.T) {
	srv := amqptest.NewServer(t)
	conns := []net.Conn{dial(t, srv), dial(t, srv), dialTCP(t, srv.Listen())}
	assert.Equal(t, 3, srv.KillConnections())
	for _, c := range conns {
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
	}
	assert.Zero(t, srv.KillConnections())
	dial(t, srv)
	assert.Equal(t, 1, srv.KillConnections())
}

func TestConnectionsThatEndedAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t)
		require.NoError(t, dial(t, srv).Close())
		synctest.Wait()
		assert.Zero(t, srv.KillConnections())
	})
}

func TestClose(t *testing.T) {
	srv := amqptest.NewServer(nil)
	c := dial(t, srv)
	url := srv.Listen()
	srv.Close()
	srv.Close()
	_, err := io.ReadAll(c)
	assert.NoError(t, err)
	_, err = srv.Dial("tcp", "")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "amqp://guest:guest@"), "/"))
	assert.Error(t, err)
	_, err = srv.Broker().DeclareQueue(t.Context(), "q")
	assert.ErrorIs(t, err, pocketmq.ErrClosed)
}

// recorder is a TB of which the test sees everything.
type recorder struct {
	mu       sync.Mutex
	lines    []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) { r.Logf("error: "+format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Logf("fatal: "+format, args...)
	runtime.Goexit()
}

// fatal returns what f ends the test with.
func fatal(f func(tb *recorder)) string {
	var tb recorder
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(&tb)
	}()
	<-done
	for _, c := range tb.cleanups {
		c()
	}
	return tb.String()
}

func TestWrongUse(t *testing.T) {
	assert.Equal(t, "fatal: amqptest: ChannelMax: 70000 is more than AMQP can number (65535)", fatal(func(tb *recorder) {
		amqptest.NewServer(tb, amqpserver.ChannelMax(70000))
	}))
	assert.Equal(t, "fatal: amqptest: Listen: the server is closed", fatal(func(tb *recorder) {
		srv := amqptest.NewServer(tb)
		srv.Close()
		srv.Listen()
	}))
	synctest.Test(t, func(t *testing.T) {
		assert.Equal(t, "fatal: amqptest: Listen: there is no network in a bubble of testing/synctest; connect with URL and Dial",
			fatal(func(tb *recorder) { amqptest.NewServer(tb).Listen() }))
	})
	assert.PanicsWithValue(t, "amqptest: VHost: the broker of the virtual host \"v\" is nil", func() {
		amqptest.NewServer(nil, amqpserver.VHost("v", nil))
	})
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func TestTheEndOfTheTestClosesTheServer(t *testing.T) {
	var tb recorder
	srv := amqptest.NewServer(&tb)
	require.Len(t, tb.cleanups, 1)
	tb.cleanups[0]()
	_, err := srv.Dial("tcp", "")
	assert.Error(t, err)
	assert.Empty(t, tb.String())
}

func TestCloseTellsWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tb recorder
		srv, ctx := amqptest.NewServer(&tb), t.Context()
		_, err := srv.Broker().DeclareQueue(ctx, "q")
		require.NoError(t, err)
		_, err = srv.Broker().Handle(context.Background(), "q", func(context.Context, *pocketmq.Delivery) error {
			time.Sleep(time.Minute)
			return nil
		})
		require.NoError(t, err)
		require.NoError(t, srv.Broker().Publish(ctx, "", "q", &pocketmq.Message{}))
		synctest.Wait()
		srv.Close()
		assert.Contains(t, tb.String(), "Close still waits")
	})
}

// A thousand servers live in one process at once.
func TestAThousandServers(t *testing.T) {
	const n = 1000
	start := time.Now()
	servers := make([]*amqptest.Server, n)
	for i := range servers {
		servers[i] = amqptest.NewServer(t)
	}
	var wg sync.WaitGroup
	for _, srv := range servers {
		wg.Go(func() {
			c, err := srv.Dial("tcp", "")
			if assert.NoError(t, err) {
				assert.NoError(t, greet(c))
			}
		})
	}
	wg.Wait()
	for _, srv := range servers {
		assert.Len(t, srv.Server().Connections(), 1)
	}
	t.Logf("%d servers with a connection each: %v", n, time.Since(start))
}

func BenchmarkNewServer(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		amqptest.NewServer(nil).Close()
	}
}

// One that was dialled and not accepted yet is a connection, too.
func TestKilledConnectionsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t)
		if _, err := srv.Dial("", ""); err != nil {
			t.Fatal(err)
		}
		if n := srv.KillConnections(); n != 1 {
			t.Errorf("%d connections killed, though 1 was dialled", n)
		}
		synctest.Wait()
		if left := srv.Server().Connections(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
