package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// Consume is described at pocketmq.Client. When the connection is lost, the
// consumer goes on with the next one: what it held comes again, with Redelivered
// set, and settling the old deliveries gives ErrConnectionLost. What the broker
// has sent ahead and nobody was handed out comes back with Redelivered set, too,
// when the consumer ends; with AutoAck it is lost, since for the broker it was
// done with when it was sent. SharedPrefetch is refused with ErrNotSupported.
func (c *Client) Consume(ctx context.Context, queue string, opts ...pocketmq.ConsumeOption) (*pocketmq.Consumer, error) {
	return c.consume(ctx, queue, func(s *subscription) (any, error) {
		return hook.Consume(ctx, c.session, queue, opts, s)
	})
}

// Handle is described at pocketmq.Client; see also Consume. RabbitMQ does not
// tell how often a message has come back, so the pause after a failure grows with
// the number of failures in a row.
func (c *Client) Handle(ctx context.Context, queue string, h pocketmq.Handler, opts ...pocketmq.ConsumeOption) (*pocketmq.Consumer, error) {
	return c.consume(ctx, queue, func(s *subscription) (any, error) {
		return hook.Handle(ctx, c.session, queue, h, opts, s)
	})
}

func (c *Client) consume(ctx context.Context, queue string, start func(*subscription) (any, error)) (*pocketmq.Consumer, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if err := checkQueueName(queue); err != nil {
		return nil, err
	}
	if queue == directReplyTo {
		return nil, notSupported("consuming from '%s': direct reply-to is not supported; declare an Exclusive queue for the replies", queue)
	}
	s := &subscription{client: c, queue: queue, starting: ctx, resume: -1, drained: make(chan struct{}), released: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	consumer, err := start(s)
	if err != nil {
		s.end()
		return nil, err
	}
	return consumer.(*pocketmq.Consumer), nil
}

// subscription is the broker's side of a consumer: hook.Source describes its
// methods. It has a channel of its own, so that nothing but the end of its
// connection can end it before its time.
type subscription struct {
	client   *Client
	queue    string
	config   hook.ConsumeConfig
	inlet    hook.Inlet
	starting context.Context // of Consume; for Start
	stream   bool            // it is known that the queue is one

	life     context.Context // ends with the consumer
	end      context.CancelFunc
	drained  chan struct{} // closed when nothing is pushed any more
	released chan struct{} // closed when the consumer has ended and holds nothing

	mu         sync.Mutex
	started    bool
	over       bool           // the consumer has ended
	quiet      bool           // and nothing comes any more: once nothing is held, the channel may be closed
	channel    *amqp.Channel  // nil while there is none
	tags       map[any]uint64 // delivery tags on channel of what is not settled, by message
	resume     int64          // the offset at which to go on with a stream; -1 = where it began
	isReleased bool
}

// feed is what comes over one channel.
type feed struct {
	conn       *connection
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
	canceled   chan string      // gets the tag if the broker cancels the consumer
	closed     chan *amqp.Error // is closed with the channel
}

func (s *subscription) Start(config hook.ConsumeConfig, inlet hook.Inlet) error {
	s.config, s.inlet = config, inlet
	if config.Prefetch > math.MaxUint16 {
		return notSupported("Prefetch(%d): RabbitMQ allows %d, and 0 for no limit", config.Prefetch, math.MaxUint16)
	}
	s.stream = s.client.topology.isStream(s.queue) || config.Arguments["x-stream-offset"] != nil
	if s.stream && config.AutoAck {
		return notSupported("AutoAck: a stream cannot do without acks")
	}
	var f *feed
	for f == nil {
		conn, err := s.client.control.get(s.starting)
		if err == nil {
			err = await(s.starting, func() (err error) {
				f, err = s.attach(conn)
				return err
			})
		}
		if s.starting.Err() != nil {
			s.abandon()
			return interrupted("starting a consumer", s.starting.Err())
		}
		if err == nil {
			break
		}
		if e, refused := verdict(err); refused || err == errClosed || !conn.endedBy(err) {
			return e
		}
	}
	if !s.begin() {
		return errClosed
	}
	go s.run(f)
	return nil
}

// begin notes that the consumer runs, unless it has ended already.
func (s *subscription) begin() bool {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		if s.channel != nil {
			go s.channel.Close()
		}
		return false
	}
	s.started = true
	c.subscriptions[s] = struct{}{}
	return true
}

// abandon lets an attach that is under way come to nothing.
func (s *subscription) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.channel != nil {
		go s.channel.Close()
	}
}

// attach starts consuming on a channel of a connection.
func (s *subscription) attach(conn *connection) (*feed, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	f := &feed{
		conn: conn, channel: ch,
		canceled: ch.NotifyCancel(make(chan string, 1)), closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
	}
	if s.config.Prefetch > 0 && !s.config.AutoAck {
		err = ch.Qos(s.config.Prefetch, 0, false)
	}
	if err == nil {
		f.deliveries, err = ch.Consume(s.queue, s.config.Tag, s.config.AutoAck, s.config.Exclusive, false, false, s.arguments())
	}
	if err != nil {
		_ = ch.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		go ch.Close()
		return nil, errClosed
	}
	s.channel, s.tags = ch, map[any]uint64{}
	return f, nil
}

func (s *subscription) arguments() amqp.Table {
	args := toTable(s.config.Arguments)
	if args == nil {
		args = amqp.Table{}
	}
	if s.config.Priority != 0 {
		args["x-priority"] = s.config.Priority
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resume >= 0 {
		args["x-stream-offset"] = s.resume
	}
	return args
}

// run pushes what comes, over one channel after the other, until the consumer
// ends.
func (s *subscription) run(f *feed) {
	var why error // the broker's reason to end the consumer
	for f != nil && why == nil {
		for d := range f.deliveries {
			s.push(f, &d)
		}
		if s.life.Err() != nil {
			break // Cancel goes on
		}
		if why = f.deleted(s); why == nil {
			s.detach(f)
			f, why = s.reattach()
		}
	}
	close(s.drained)
	if why != nil {
		s.client.topology.forgetQueue(s.queue)
		s.inlet.End(why)
	}
}

// deleted is the error of a consumer that the broker has cancelled; else it is
// nil.
func (f *feed) deleted(s *subscription) error {
	select {
	case _, ok := <-f.canceled:
		if ok {
			return queueDeleted(s.queue)
		}
	default:
	}
	return nil
}

func queueDeleted(queue string) error {
	return hook.Error(pocketmq.ErrQueueDeleted, pocketmq.CodeNotFound, fmt.Sprintf("queue '%s' was deleted", queue))
}

func cancelled(tag string) error {
	return hook.Error(pocketmq.ErrCanceled, pocketmq.CodeConnectionForced, fmt.Sprintf("consumer '%s' was cancelled", tag))
}

func (s *subscription) push(f *feed, d *amqp.Delivery) {
	m := fromDelivery(d)
	s.mu.Lock()
	if s.channel == f.channel && !s.config.AutoAck {
		s.tags[m] = d.DeliveryTag
	}
	if offset, ok := offsetOf(m); ok && s.stream {
		s.resume = offset + 1
	}
	s.mu.Unlock()
	s.inlet.Push(m, d.Exchange, d.RoutingKey, d.Redelivered)
}

// detach forgets what came over a channel that is gone.
func (s *subscription) detach(f *feed) {
	s.mu.Lock()
	for m := range s.tags { // a stream goes on with the first that is not settled
		if offset, ok := offsetOf(m); ok && offset < s.resume {
			s.resume = offset
		}
	}
	if s.channel == f.channel {
		s.channel, s.tags = nil, nil
	}
	s.mu.Unlock()
	if !s.config.AutoAck { // with it, for the broker they are done with
		s.inlet.Reset()
	}
}

// offsetOf returns a message's offset in a stream.
func offsetOf(message any) (int64, bool) {
	offset, ok := message.(*pocketmq.Message).Headers["x-stream-offset"].(int64)
	return offset, ok
}

// reattach goes on with another channel. It returns nil if the consumer ends
// meanwhile, and an error if it cannot go on because there is no queue any more.
// All else passes: an exclusive consumer, say, is refused until the broker has
// noticed that the last connection is gone.
func (s *subscription) reattach() (*feed, error) {
	for n := 0; ; n++ {
		conn, err := s.client.control.get(s.life)
		if err != nil {
			return nil, nil // the consumer or the client has ended
		}
		f, err := s.attach(conn)
		if err == nil {
			return f, nil
		}
		e, refused := verdict(err)
		if errors.Is(e, pocketmq.ErrNotFound) {
			return nil, queueDeleted(s.queue)
		}
		if refused || !conn.endedBy(err) {
			s.client.config.log.Warn("consuming again failed", "queue", s.queue, "consumer", s.config.Tag, "error", e)
		}
		if !s.client.config.pause.sleep(s.life, n) {
			return nil, nil
		}
	}
}

func (s *subscription) Settle(outcome uint8, message any) error {
	if s.config.AutoAck {
		return nil
	}
	s.mu.Lock()
	tag, ok := s.tags[message]
	ch := s.channel
	s.mu.Unlock()
	if !ok {
		return errConnectionLost
	}
	if s.stream {
		outcome = hook.Acked // nothing else exists there, and RabbitMQ 3 closes the connection
	}
	err := settle(ch, outcome, tag)
	s.mu.Lock()
	delete(s.tags, message) // not before it is sent: without tags the channel may be closed
	last := s.quiet && len(s.tags) == 0
	s.mu.Unlock()
	if last {
		s.release()
	}
	return err
}

func settle(ch *amqp.Channel, outcome uint8, tag uint64) error {
	var err error
	switch outcome {
	case hook.Acked:
		err = ch.Ack(tag, false)
	case hook.Requeued:
		err = ch.Nack(tag, false, true)
	default:
		err = ch.Reject(tag, false)
	}
	if err != nil {
		return errConnectionLost
	}
	return nil
}

func (s *subscription) Cancel() {
	s.end()
	s.mu.Lock()
	s.over = true
	ch, started := s.channel, s.started
	s.mu.Unlock()
	if !started {
		return
	}
	if ch != nil {
		_ = ch.Cancel(s.config.Tag, false) // fails only if the channel is gone
	}
	<-s.drained
	s.dropAutoDelete()
	s.mu.Lock()
	s.quiet = true
	nothing := len(s.tags) == 0
	s.mu.Unlock()
	if nothing {
		s.release()
		return
	}
	go func() { // what is held may be settled, or be lost
		for range ch.NotifyClose(make(chan *amqp.Error, 1)) {
		}
		s.release()
	}()
}

// dropAutoDelete forgets a queue that the broker deletes with its last consumer.
func (s *subscription) dropAutoDelete() {
	t := &s.client.topology
	if t.isAutoDelete(s.queue) && !s.client.consumes(s.queue, s) {
		t.forgetQueue(s.queue)
	}
}

// consumes reports whether there is a consumer of the queue besides s.
func (c *Client) consumes(queue string, s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.subscriptions {
		if other != s && other.queue == queue && other.life.Err() == nil {
			return true
		}
	}
	return false
}

// release closes the channel of a consumer that has ended, when nothing is held.
func (s *subscription) release() {
	s.mu.Lock()
	first := !s.isReleased
	s.isReleased = true
	ch := s.channel
	s.channel, s.tags = nil, nil
	s.mu.Unlock()
	if !first {
		return
	}
	if ch != nil {
		_ = ch.Close() // or it is closed already
	}
	c := s.client
	c.mu.Lock()
	delete(c.subscriptions, s)
	c.mu.Unlock()
	close(s.released)
}
