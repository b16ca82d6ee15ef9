package brokertest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketmq/pocketmq"
)

// Features says in what the clients under test are not all alike.
type Features struct {
	// Blocking: a full queue can make publishers wait (Block, the default).
	// RabbitMQ has no such policy, and queues that don't name another have no
	// limit there.
	Blocking bool
	// SharedPrefetch: consumers can share a limit (Window).
	SharedPrefetch bool
	// Unseen: what was assigned to a consumer and not handed out goes back as if it
	// had never left. Over a network it was delivered: it comes with Redelivered.
	Unseen bool
	// DeliveryLimit: there are delivery limits for other queues than Quorum ones.
	DeliveryLimit bool
	// OneStep: SettleAll settles in one step, so that what comes back is all back
	// before any of it is delivered again.
	OneStep bool
}

// InProcess are the features of a pocketmq.Broker, and Remote those of a client of
// a broker elsewhere.
var (
	InProcess = Features{Blocking: true, SharedPrefetch: true, Unseen: true, DeliveryLimit: true, OneStep: true}
	Remote    = Features{}
)

// Run runs the suite. The function returns a new client each time; those of one
// test must be clients of the same broker, as Sessions are. The suite closes
// them. It uses names of its own for exchanges and queues, and removes them.
func Run(t *testing.T, newClient func(t testing.TB) pocketmq.Client, f Features) {
	for _, a := range areas {
		t.Run(a.name, func(t *testing.T) {
			for _, c := range a.cases {
				t.Run(c.rule, func(t *testing.T) {
					k := &kit{T: t, newClient: newClient, features: f}
					k.Client = k.another()
					c.run(k)
				})
			}
		})
	}
}

// area is a part of the suite, and rule one case of it: a sentence that is to be
// true.
type area struct {
	name  string
	cases []rule
}

type rule struct {
	rule string
	run  func(k *kit)
}

var areas = []area{
	{"publish", publishing}, {"route", routing}, {"declare", declaring}, {"consume", consuming}, {"handle", handling},
	{"settle", settling}, {"order", ordering}, {"prefetch", prefetching}, {"get", getting}, {"limit", limiting},
	{"stream", streaming}, {"expire", expiring}, {"die", dying}, {"prioritise", prioritising}, {"end", ending}, {"contexts", contexts},
}

// patience is how long the suite waits for what must come.
const patience = 30 * time.Second

// kit is what a case works with: a client, and helpers that fail the test.
type kit struct {
	*testing.T
	pocketmq.Client

	newClient func(t testing.TB) pocketmq.Client
	features  Features
}

// another returns a further client of the same broker.
func (k *kit) another() pocketmq.Client {
	k.Helper()
	c := k.newClient(k.T)
	if c == nil {
		k.Fatal("newClient returned nil")
	}
	k.Cleanup(func() {
		if err := c.Close(); err != nil {
			k.Errorf("Close: %v", err)
		}
	})
	return c
}

// ctx returns a context that lasts long enough for what must not wait.
func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.Cleanup(cancel)
	return ctx
}

// name returns a name that nobody else uses.
func (k *kit) name(what string) string { return "brokertest." + what + "." + rand.Text()[:12] }

// queue declares a queue that is deleted when the test ends, and returns its
// name.
func (k *kit) queue(opts ...pocketmq.QueueOption) string {
	k.Helper()
	name := k.name("queue")
	k.declare(name, opts...)
	return name
}

// declare is queue with a name.
func (k *kit) declare(name string, opts ...pocketmq.QueueOption) {
	k.Helper()
	if _, err := k.DeclareQueue(k.ctx(), name, append(opts, pocketmq.Durable())...); err != nil {
		k.Fatalf("declaring a queue: %v", err)
	}
	k.remove(func(ctx context.Context, c pocketmq.Client) error {
		_, err := c.DeleteQueue(ctx, name)
		return err
	})
}

// exchange is queue for an exchange.
func (k *kit) exchange(kind string, opts ...pocketmq.ExchangeOption) string {
	k.Helper()
	name := k.name("exchange")
	k.ok(k.DeclareExchange(k.ctx(), name, kind, append(opts, pocketmq.Durable())...))
	k.remove(func(ctx context.Context, c pocketmq.Client) error { return c.DeleteExchange(ctx, name) })
	return name
}

// remove removes something when the test has ended, by a client of its own: the
// test may have closed the others.
func (k *kit) remove(f func(context.Context, pocketmq.Client) error) {
	k.Cleanup(func() {
		c := k.newClient(k.T)
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f(ctx, c); err != nil {
			k.Errorf("cleaning up: %v", err)
		}
	})
}

// bind binds a queue to an exchange.
func (k *kit) bind(queue, exchange, key string, opts ...pocketmq.BindOption) {
	k.Helper()
	k.ok(k.Bind(k.ctx(), queue, exchange, key, opts...))
}

// publish publishes messages that must arrive in a queue.
func (k *kit) publish(exchange, key string, bodies ...string) {
	k.Helper()
	for _, b := range bodies {
		k.send(exchange, key, &pocketmq.Message{Body: []byte(b)})
	}
}

func (k *kit) send(exchange, key string, m *pocketmq.Message) {
	k.Helper()
	k.ok(k.Publish(k.ctx(), exchange, key, m))
}

func (k *kit) consume(queue string, opts ...pocketmq.ConsumeOption) *pocketmq.Consumer {
	k.Helper()
	c, err := k.Consume(context.Background(), queue, opts...)
	if err != nil {
		k.Fatalf("consuming: %v", err)
	}
	return c
}

func (k *kit) handle(queue string, h pocketmq.Handler, opts ...pocketmq.ConsumeOption) *pocketmq.Consumer {
	k.Helper()
	c, err := k.Handle(context.Background(), queue, h, opts...)
	if err != nil {
		k.Fatalf("handling: %v", err)
	}
	return c
}

// receive returns the next delivery, which must come.
func (k *kit) receive(c *pocketmq.Consumer) *pocketmq.Delivery {
	k.Helper()
	d, err := c.Receive(k.ctx())
	if err != nil {
		k.Fatalf("receiving: %v", err)
	}
	return &d
}

// take returns the bodies of the next n deliveries, acked.
func (k *kit) take(c *pocketmq.Consumer, n int) (bodies []string) {
	k.Helper()
	for range n {
		d := k.receive(c)
		bodies = append(bodies, string(d.Body))
		k.ok(d.Ack())
	}
	return bodies
}

// get returns what waits at the head of a queue, once it is there: what was given
// back by somebody may be on its way.
func (k *kit) get(queue string) *pocketmq.Delivery {
	k.Helper()
	var d pocketmq.Delivery
	k.eventually("a message waits in the queue", func() bool {
		var ok bool
		var err error
		d, ok, err = k.Get(k.ctx(), queue)
		k.ok(err)
		return ok
	})
	return &d
}

// drain returns the bodies of what waits in a queue now.
func (k *kit) drain(queue string) (bodies []string) {
	k.Helper()
	for {
		d, ok, err := k.Get(k.ctx(), queue, pocketmq.AutoAck())
		k.ok(err)
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(d.Body))
	}
}

// holds checks what comes to wait in a queue.
func (k *kit) holds(queue string, want ...string) {
	k.Helper()
	var got []string
	for len(got) < len(want) {
		d := k.get(queue)
		got = append(got, string(d.Body))
		k.ok(d.Ack())
	}
	k.same(append(got, k.drain(queue)...), want)
}

// --- checks ------------------------------------------------------------------

func (k *kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatalf("unexpected error: %v", err)
	}
}

// fails checks the kind of an error, and that it is one that says more.
func (k *kit) fails(err, kind error) {
	k.Helper()
	if !errors.Is(err, kind) {
		k.Fatalf("got error %v, want one that is %q", err, kind)
	}
	if e := (*pocketmq.Error)(nil); errors.As(err, &e) && (e.Code == 0 || e.Text == "") {
		k.Errorf("the error says neither code nor reason: %#v", e)
	}
}

func (k *kit) same(got, want []string) {
	k.Helper()
	if !slices.Equal(got, want) {
		k.Fatalf("got [%s], want [%s]", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func (k *kit) equal(what string, got, want any) {
	k.Helper()
	if got != want {
		k.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// eventually waits until a condition holds.
func (k *kit) eventually(what string, condition func() bool) {
	k.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("it did not come true that %s", what)
		}
	}
}

// closes waits until a channel is closed.
func (k *kit) closes(what string, done <-chan struct{}) {
	k.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		k.Fatalf("it did not come to pass: %s", what)
	}
}

// next returns what comes over a channel.
func next[T any](k *kit, ch <-chan T) T {
	k.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			k.Fatal("the channel was closed")
		}
		return v
	case <-time.After(patience):
		k.Fatal("nothing came")
	}
	panic("unreachable")
}
