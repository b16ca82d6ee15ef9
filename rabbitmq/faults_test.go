package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/internal/skip"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

// kills is how often a connection is killed under load.
const kills = 200

var quick = rabbitmq.Backoff(time.Millisecond, 50*time.Millisecond)

// Connections are killed from the server's side while many publish and consume:
// what was confirmed arrives, in order, and the client comes back each time.
func TestKilledConnections(t *testing.T) {
	t.Run("amqptest", func(t *testing.T) {
		srv := amqptest.NewServer(t, quiet())
		c := dial(t, srv.URL(), rabbitmq.Dialer(srv.Dial), quick)
		underLoad(t, c, func() {
			for n := 0; n < kills; time.Sleep(time.Duration(2+mathrand.IntN(20)) * time.Millisecond) {
				if all := srv.Server().Connections(); mathrand.IntN(2) == 0 && len(all) > 0 {
					_ = srv.Server().CloseConnection(all[mathrand.IntN(len(all))].Name, "closed by the test") // or it is gone already
					n++
				} else {
					n += srv.KillConnections()
				}
			}
		})
	})
	t.Run("rabbitmq", func(t *testing.T) {
		url, vhost := ownVHost(t)
		c := dial(t, url, quick)
		underLoad(t, c, func() { rabbitmqctl(t, "eval", fmt.Sprintf(killing, vhost, kills)) })
	})
}

// killing closes random connections of a virtual host, in an orderly way or not,
// in RabbitMQ itself: starting rabbitmqctl takes a second.
const killing = `Kill = fun
	Kill(0) -> done;
	Kill(N) ->
		timer:sleep(2 + rand:uniform(20)),
		All = [proplists:get_value(pid, I) || I <- rabbit_networking:connection_info_all([pid, vhost]),
			proplists:get_value(vhost, I) == <<"%s">>],
		case All of
			[] -> Kill(N);
			_ ->
				One = lists:nth(rand:uniform(length(All)), All),
				case N rem 2 of
					0 -> catch rabbit_networking:close_connection(One, "closed by the test");
					1 -> exit(One, kill)
				end,
				Kill(N - 1)
		end
end, Kill(%d).`

const publishers = 8

// underLoad publishes to two queues while disturb runs. One is consumed meanwhile,
// and must lose nothing. The other one shows afterwards in which order it got the
// messages: in the first, those that a dead connection held come later.
func underLoad(t *testing.T, c *rabbitmq.Client, disturb func()) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	exchange := "faults." + rand.Text()[:12]
	require.NoError(t, c.DeclareExchange(ctx, exchange, pocketmq.Fanout, pocketmq.Durable()))
	consumed, kept := exchange+".consumed", exchange+".kept"
	for _, q := range []string{consumed, kept} {
		_, err := c.DeclareQueue(ctx, q, pocketmq.Durable())
		require.NoError(t, err)
		require.NoError(t, c.Bind(ctx, q, exchange, ""))
	}
	var live, all arrivals
	_, err := c.Handle(ctx, consumed, live.note, pocketmq.Prefetch(20))
	require.NoError(t, err)

	var stop atomic.Bool
	var confirmed [publishers]int
	var running sync.WaitGroup
	for p := range publishers {
		running.Go(func() {
			var opts []pocketmq.PublishOption
			if p%4 == 0 {
				opts = append(opts, pocketmq.Mandatory)
			}
			for n := 1; !stop.Load(); n++ {
				if !assert.NoError(t, c.Publish(ctx, exchange, "", &pocketmq.Message{Body: fmt.Appendf(nil, "%d %d", p, n)}, opts...)) {
					return
				}
				confirmed[p] = n
			}
		})
	}
	disturb()
	stop.Store(true)
	running.Wait()
	_, err = c.Handle(ctx, kept, all.note, pocketmq.Prefetch(500))
	require.NoError(t, err)
	for name, a := range map[string]*arrivals{"consumed": &live, "kept": &all} {
		assert.Eventually(t, func() bool { return a.has(confirmed[:]) }, 20*time.Second, 10*time.Millisecond, "%s: something confirmed is lost", name)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	assert.Empty(t, all.wrong, "messages of a publisher came in another order")
	assert.LessOrEqual(t, all.repeated, kills*publishers)
	t.Logf("%d messages in %d deliveries, %d of them published again", len(all.seen), live.count, all.repeated)
}

// arrivals is what came of each publisher, whose messages are numbered.
type arrivals struct {
	mu              sync.Mutex
	seen            map[[2]int]bool // publisher and number
	last            [publishers]int // of those that came for the first time
	count, repeated int
	wrong           []string
}

func (a *arrivals) note(_ context.Context, d *pocketmq.Delivery) error {
	var p, n int
	if _, err := fmt.Sscanf(string(d.Body), "%d %d", &p, &n); err != nil {
		return pocketmq.Discard(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[[2]int]bool{}
	}
	a.count++
	switch last := a.last[p]; {
	case a.seen[[2]int{p, n}]:
		a.repeated++ // wherever: what a dead connection had sent may be read late
	case n != last+1:
		a.wrong = append(a.wrong, fmt.Sprintf("publisher %d: %d came after %d", p, n, last))
	default:
		a.last[p] = n
	}
	a.seen[[2]int{p, n}] = true
	return nil
}

// has reports whether all that is confirmed has come.
func (a *arrivals) has(confirmed []int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, last := range confirmed {
		for n := 1; n <= last; n++ {
			if !a.seen[[2]int{p, n}] {
				return false
			}
		}
	}
	return true
}

// ownVHost makes a virtual host of RabbitMQ for this test alone.
func ownVHost(t testing.TB) (url, vhost string) {
	t.Helper()
	real := realURL(t)
	if _, err := exec.LookPath("rabbitmqctl"); err != nil {
		skip.For(t, "there is no rabbitmqctl")
	}
	vhost = "faults-" + rand.Text()[:12]
	rabbitmqctl(t, "add_vhost", vhost)
	t.Cleanup(func() { rabbitmqctl(t, "delete_vhost", vhost) })
	rabbitmqctl(t, "set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
	return strings.TrimSuffix(real, "/") + "/" + vhost, vhost
}

func rabbitmqctl(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("rabbitmqctl", append([]string{"--timeout", "120", "-q"}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
}

// quiet is an option against log lines that a test provokes on purpose.
func quiet() amqpserver.Option { return amqpserver.Logger(slog.New(slog.DiscardHandler)) }
