package pocketmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pocketmq/pocketmq"
)

// ledger counts what became of each message, by queue and number.
type ledger struct {
	mu      sync.Mutex
	entries map[parcel]*fate
	expired map[string]bool // queues that were deleted
}

type parcel struct {
	queue string
	id    uint64
}

type fate struct {
	accepted bool // Publish returned nil
	settled  int  // for good
}

func (l *ledger) of(queue string, id uint64) *fate {
	f := l.entries[parcel{queue, id}]
	if f == nil {
		f = &fate{}
		l.entries[parcel{queue, id}] = f
	}
	return f
}

func (l *ledger) accept(queue string, id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(queue, id).accepted = true
}

// settle is called when a settlement returned err.
func (l *ledger) settle(queue string, d *pocketmq.Delivery, err error) {
	if err != nil {
		return // somebody else has it now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(queue, number(d)).settled++
}

func (l *ledger) expire(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired[queue] = true
}

func number(d *pocketmq.Delivery) uint64 { return binary.BigEndian.Uint64(d.Body) }

// stress is a broker that many use at random.
type stress struct {
	*pocketmq.Broker
	ledger ledger
	window *pocketmq.Window
	seed   uint64
	users  atomic.Uint64
	acks   sync.WaitGroup // those that happen in a goroutine of their own
	order  struct {
		sync.Mutex
		next map[uint64]uint64 // by publisher
	}
}

// Publishers, and consumers that ack, requeue, reject, crash and leave at random,
// use one broker while queues come and go. In the end each message that was
// accepted was settled for good once, or is still there.
func TestStress(t *testing.T) {
	length := 3 * time.Second
	if testing.Short() {
		length = time.Second
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("POCKETMQ_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POCKETMQ_SEED=%d", seed)

	s := &stress{Broker: newBroker(t), seed: seed}
	s.ledger.entries, s.ledger.expired = map[parcel]*fate{}, map[string]bool{}
	s.order.next = map[uint64]uint64{}
	s.window, _ = pocketmq.NewWindow(7)
	declare(t, s, "bounded", pocketmq.MaxLength(20))
	declare(t, s, "tiny", pocketmq.MaxLength(0))
	declare(t, s, "rejecting", pocketmq.MaxLength(20), reject)
	declare(t, s, "free", pocketmq.Unbounded())
	declare(t, s, "ordered", pocketmq.MaxLength(50))
	declare(t, s, "uncounted")
	for _, q := range stressed {
		bind(t, s.Broker, q, "amq.topic", q+".#")
		bind(t, s.Broker, q, "amq.topic", "#."+q)
	}
	must(t, s.DeclareExchange(ctx, "all", pocketmq.Fanout))
	for _, q := range []string{"bounded", "free"} {
		bind(t, s.Broker, q, "all", "")
	}

	timeout, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	group, running := errgroup.WithContext(timeout)
	for range 4 {
		group.Go(s.user(running, s.publish))
		group.Go(s.user(running, s.consume))
		group.Go(s.user(running, s.handle))
	}
	for range 2 {
		group.Go(s.user(running, s.channel))
		group.Go(s.user(running, s.autoAck))
		group.Go(s.user(running, s.get))
		group.Go(s.user(running, s.temporary))
		group.Go(s.user(running, s.publishInOrder))
	}
	group.Go(s.user(running, s.bindings))
	group.Go(s.user(running, s.look))
	group.Go(func() error { return s.receiveInOrder(running) })
	must(t, group.Wait())
	s.acks.Wait()
	s.check(t)
}

var stressed = []string{"bounded", "tiny", "rejecting", "free"}

// user runs step with its own random numbers until the time is over.
func (s *stress) user(running context.Context, step func(context.Context, uint64, *rand.Rand) error) func() error {
	id := s.users.Add(1)
	r := rand.New(rand.NewPCG(s.seed, id))
	return func() error {
		for n := uint64(0); running.Err() == nil; n++ {
			if err := step(running, id<<32|n<<8, r); err != nil && running.Err() == nil {
				return fmt.Errorf("user %d: %w", id, err)
			}
		}
		return nil
	}
}

func parcelOf(id uint64) *pocketmq.Message {
	return &pocketmq.Message{Body: binary.BigEndian.AppendUint64(nil, id)}
}

// publish sends a message to one queue or two, by one of several ways.
func (s *stress) publish(running context.Context, id uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	exchange, key, queues := "", q, []string{q}
	m := parcelOf(id)
	switch r.IntN(5) {
	case 0:
		exchange, key = "amq.topic", q+".x."+q
	case 1:
		exchange, queues = "all", []string{"bounded", "free"}
	case 2:
		other := stressed[r.IntN(len(stressed))]
		m.Headers = pocketmq.Table{"BCC": []any{other, q}}
		if other != q {
			queues = append(queues, other)
		}
	}
	patient, cancel := context.WithTimeout(running, time.Duration(r.IntN(5000))*time.Microsecond)
	defer cancel()
	err := s.Publish(patient, exchange, key, m, pocketmq.Mandatory)
	switch {
	case err == nil:
		for _, q := range queues {
			s.ledger.accept(q, id)
		}
		return nil
	case errors.Is(err, pocketmq.ErrQueueFull), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil // another queue may have it nevertheless
	}
	return err
}

// settle does with a delivery what a consumer may do, for good or not.
func (s *stress) settle(queue string, d *pocketmq.Delivery, r *rand.Rand) {
	switch r.IntN(10) {
	case 0:
		if r.IntN(2) == 0 {
			_ = d.Nack(true) // fails if the consumer was closed
		} else {
			_ = pocketmq.SettleAll(pocketmq.Requeued, d)
		}
	case 1:
		s.ledger.settle(queue, d, d.Reject())
	case 2:
		s.acks.Go(func() { s.ledger.settle(queue, d, d.Ack()) })
	case 3: // left to the crash
	default:
		s.ledger.settle(queue, d, d.Ack())
	}
}

// options for a consumer, and the client that it belongs to.
func (s *stress) options(r *rand.Rand) (c pocketmq.Client, opts []pocketmq.ConsumeOption) {
	opts = append(opts, pocketmq.Prefetch(r.IntN(30)), pocketmq.Priority(r.IntN(2)))
	if r.IntN(3) == 0 {
		opts = append(opts, pocketmq.SharedPrefetch(s.window))
	}
	if r.IntN(2) == 0 {
		return s.Broker, opts
	}
	return s.Session(), opts
}

// crash ends a consumer in one of the ways that return what it has not settled.
func crash(client pocketmq.Client, c *pocketmq.Consumer, r *rand.Rand) {
	if r.IntN(2) == 0 {
		c.Cancel()
	}
	if session, ok := client.(*pocketmq.Session); ok && r.IntN(2) == 0 {
		_ = session.Close()
	}
	c.Close()
	if session, ok := client.(*pocketmq.Session); ok {
		_ = session.Close()
	}
}

func (s *stress) consume(running context.Context, _ uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	client, opts := s.options(r)
	c, err := client.Consume(ctx, q, opts...)
	if err != nil {
		return err
	}
	defer crash(client, c, r)
	patient, cancel := context.WithTimeout(running, time.Duration(r.IntN(20))*time.Millisecond)
	defer cancel()
	for range r.IntN(200) {
		d, err := c.Receive(patient)
		if err != nil {
			return nil
		}
		s.settle(q, &d, r)
	}
	return nil
}

func (s *stress) channel(running context.Context, _ uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	client, opts := s.options(r)
	c, err := client.Consume(ctx, q, opts...)
	if err != nil {
		return err
	}
	defer crash(client, c, r)
	end := time.After(time.Duration(r.IntN(20)) * time.Millisecond)
	for range r.IntN(200) {
		select {
		case d := <-c.Chan():
			s.settle(q, &d, r)
		case <-end:
			return nil
		case <-running.Done():
			return nil
		}
	}
	return nil
}

func (s *stress) handle(running context.Context, _ uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	client, opts := s.options(r)
	patient, cancel := context.WithTimeout(running, time.Duration(r.IntN(20))*time.Millisecond)
	defer cancel()
	var mu sync.Mutex // r is not for several goroutines
	die := r.IntN(2) == 0
	c, err := client.Handle(patient, q, func(_ context.Context, d *pocketmq.Delivery) error {
		mu.Lock()
		n := r.IntN(20)
		mu.Unlock()
		switch {
		case n == 0:
			panic("now and then")
		case n == 1:
			return errBroken
		case n == 2:
			s.ledger.settle(q, d, d.Reject())
			return pocketmq.Discard(errBroken)
		default:
			s.ledger.settle(q, d, d.Ack())
			return nil
		}
	}, append(opts, pocketmq.Concurrency(1+r.IntN(3)))...)
	if err != nil {
		if patient.Err() != nil {
			return nil
		}
		return err
	}
	<-patient.Done()
	if !die {
		<-c.Done()
	}
	mu.Lock()
	own := rand.New(rand.NewPCG(r.Uint64(), 0))
	mu.Unlock()
	crash(client, c, own)
	<-c.Done() // it uses r
	return nil
}

// autoAck gets messages that are settled when it gets them.
func (s *stress) autoAck(running context.Context, _ uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	client, opts := s.options(r)
	c, err := client.Consume(ctx, q, append(opts, pocketmq.AutoAck())...)
	if err != nil {
		return err
	}
	defer crash(client, c, r)
	patient, cancel := context.WithTimeout(running, time.Duration(r.IntN(20))*time.Millisecond)
	defer cancel()
	for range r.IntN(50) {
		d, err := c.Receive(patient)
		if err != nil {
			return nil
		}
		s.ledger.settle(q, &d, nil)
	}
	return nil
}

func (s *stress) get(running context.Context, _ uint64, r *rand.Rand) error {
	client := s.Session()
	defer client.Close()
	for range r.IntN(20) {
		q := stressed[r.IntN(len(stressed))]
		d, ok, err := client.Get(running, q)
		if err != nil {
			return err
		}
		if ok {
			s.settle(q, &d, r)
		}
	}
	if r.IntN(10) == 0 {
		q := stressed[r.IntN(len(stressed))]
		d, ok, err := client.Get(running, q, pocketmq.AutoAck())
		if ok {
			s.ledger.settle(q, &d, nil)
		}
		return err
	}
	return nil
}

// temporary declares a queue, uses it and deletes it, in one of several ways.
func (s *stress) temporary(running context.Context, id uint64, r *rand.Rand) error {
	client := s.Session()
	defer client.Close()
	opts := [][]pocketmq.QueueOption{nil, {pocketmq.Exclusive()}, {pocketmq.AutoDelete()}, {pocketmq.MaxLength(2)}}[r.IntN(4)]
	info, err := client.DeclareQueue(running, "", opts...)
	if err != nil {
		return err
	}
	s.ledger.expire(info.Name)
	if err := client.Bind(running, info.Name, "amq.direct", "temporary"); err != nil {
		return err
	}
	c, err := client.Consume(running, info.Name, pocketmq.Prefetch(r.IntN(3)))
	if err != nil {
		return err
	}
	end := make(chan error, 1)
	go func() {
		for i := range uint64(20) {
			patient, cancel := context.WithTimeout(running, time.Millisecond)
			err := s.Publish(patient, "amq.direct", "temporary", parcelOf(id|i))
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, pocketmq.ErrQueueDeleted) {
				end <- err
				return
			}
		}
		end <- nil
	}()
	for range r.IntN(20) {
		patient, cancel := context.WithTimeout(running, time.Millisecond)
		d, err := c.Receive(patient)
		cancel()
		if err != nil {
			break
		}
		s.settle(info.Name, &d, r)
	}
	switch r.IntN(3) {
	case 0:
		_, err = client.DeleteQueue(running, info.Name)
	case 1:
		c.Close()
	}
	err = errors.Join(err, <-end)
	if _, e := s.DeleteQueue(running, info.Name); !errors.Is(e, pocketmq.ErrResourceLocked) {
		err = errors.Join(err, e)
	}
	return err
}

// bindings changes what leads to queues, without a change in what they get.
func (s *stress) bindings(running context.Context, _ uint64, r *rand.Rand) error {
	q := stressed[r.IntN(len(stressed))]
	err := errors.Join(
		s.Bind(running, q, "amq.topic", q), s.Bind(running, q, "amq.topic", "*."+q), s.Unbind(running, q, "amq.topic", q),
		s.DeclareExchange(running, "auto", pocketmq.Fanout, pocketmq.AutoDelete()),
		s.BindExchange(running, "auto", "amq.topic", "#"), s.Bind(running, "uncounted", "auto", ""),
		s.Unbind(running, "uncounted", "auto", ""))
	time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
	return err
}

// look reads what can be read, and purges a queue that nobody counts in.
func (s *stress) look(running context.Context, _ uint64, r *rand.Rand) error {
	if err := s.CheckInvariants(); err != nil {
		return err
	}
	s.Stats()
	s.window.Resize(5 + r.IntN(5))
	_, err := s.PurgeQueue(running, "uncounted")
	time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
	return err
}

// publishInOrder publishes messages that are numbered without a gap.
func (s *stress) publishInOrder(running context.Context, id uint64, _ *rand.Rand) error {
	m := parcelOf(id >> 8)
	if err := s.Publish(running, "", "ordered", m); err != nil {
		return err
	}
	s.ledger.accept("ordered", id>>8)
	return nil
}

// receiveInOrder is a lone consumer that acks everything.
func (s *stress) receiveInOrder(running context.Context) error {
	c, err := s.Consume(running, "ordered", pocketmq.Prefetch(16))
	if err != nil {
		return err
	}
	for d := range c.Deliveries() {
		publisher, n := number(&d)>>24, number(&d)&0xffffff
		if want := s.order.next[publisher]; n != want {
			return fmt.Errorf("publisher %d: message %d came instead of %d", publisher, n, want)
		}
		s.order.next[publisher]++
		s.ledger.settle("ordered", &d, d.Ack())
	}
	return nil
}

// check looks at what is left when everybody has gone.
func (s *stress) check(t *testing.T) {
	must(t, s.CheckInvariants())
	for _, q := range append([]string{"ordered"}, stressed...) {
		for _, open := range stats(t, s.Broker, q).Consumers {
			t.Errorf("consumer %s of %s is still there", open.Tag, q)
		}
		for {
			d, ok, err := s.Get(ctx, q, pocketmq.AutoAck())
			must(t, err)
			if !ok {
				break
			}
			s.ledger.settle(q, &d, nil)
		}
		left := stats(t, s.Broker, q)
		require.Zero(t, left.Unacked, "messages of %q are held by nobody", q)
		require.Equal(t, left.Published, left.Acked+left.Rejected, "%q: %+v", q, left)
	}
	require.Zero(t, s.window.Used())

	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	accepted := 0
	for p, f := range s.ledger.entries {
		if f.accepted {
			accepted++
		}
		switch {
		case f.settled > 1:
			t.Errorf("%+v was settled for good %d times", p, f.settled)
		case f.accepted && f.settled == 0 && !s.ledger.expired[p.queue]:
			t.Errorf("%+v is lost", p)
		}
		if t.Failed() && accepted > 20 {
			t.FailNow()
		}
	}
	t.Logf("%d messages were accepted", accepted)
}
