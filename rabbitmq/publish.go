package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// Publishing has a connection of its own: a broker that is short of memory stops
// reading from those that publish, and consumers must be able to ack meanwhile.
//
// A channel that publishes is an outlet. What one message does wrong closes its
// channel, and then nobody knows what became of the other messages on it. So a
// message that can fail for a reason of its own, or whose return must be told
// from others', has an outlet to itself until it is confirmed. All others share
// one for each exchange, which is what makes them fast: the broker confirms many
// at once there.

// Publish is described at pocketmq.Client. It waits for the publisher confirm. If
// the connection is lost before that, it publishes the message again once there
// is another one, until ctx ends: so the message may arrive twice, and if it
// returns the context's error, whether it has arrived is unknown. While the
// broker takes no messages for lack of memory or disk, Publish waits, too.
func (c *Client) Publish(ctx context.Context, exchange, key string, m *pocketmq.Message, opts ...pocketmq.PublishOption) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	p, err := newPublication(exchange, key, m, opts)
	if err != nil {
		return err
	}
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	for {
		wait, err := c.send(ctx, p)
		if err == nil {
			err = wait(ctx)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return interrupted("waiting for the broker to confirm a message, which may have arrived", ctx.Err())
		case !errors.Is(err, errAgain):
			return err
		}
	}
}

var _ pocketmq.Sender = (*Client)(nil)

// Send is described at pocketmq.Sender. It waits as Publish does while there is no
// connection, or the broker takes no messages. The function that it returns must
// be called once, for Shutdown waits for it.
func (c *Client) Send(ctx context.Context, exchange, key string, m *pocketmq.Message, opts ...pocketmq.PublishOption) (func(context.Context) error, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	p, err := newPublication(exchange, key, m, opts)
	if err != nil {
		return nil, err
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	for {
		wait, err := c.send(ctx, p)
		switch {
		case err == nil:
			return func(ctx context.Context) error {
				defer c.end()
				if err := wait(ctx); !errors.Is(err, errAgain) {
					return interrupted("waiting for the broker to confirm a message, which may have arrived", err)
				}
				return errUnknown
			}, nil
		case ctx.Err() != nil || !errors.Is(err, errAgain):
			c.end()
			return nil, interrupted("sending a message", err)
		}
	}
}

// errAgain is the error of an attempt after which nobody knows more than before.
var errAgain = errors.New("to be published again")

// publication is a message on its way.
type publication struct {
	exchange, key string
	mandatory     bool
	alone         bool // needs an outlet of its own
	message       amqp.Publishing
}

func newPublication(exchange, key string, m *pocketmq.Message, opts []pocketmq.PublishOption) (*publication, error) {
	mandatory, err := hook.PublishOptions(opts)
	if err == nil {
		err = hook.CheckKey("routing key", key)
	}
	if err == nil {
		err = hook.CheckKey("exchange name", exchange)
	}
	if err == nil {
		err = hook.CheckMessage(m)
	}
	if err == nil && m.ReplyTo == directReplyTo {
		err = notSupported("ReplyTo '%s': direct reply-to is not supported; declare an Exclusive queue for the replies", directReplyTo)
	}
	if err != nil {
		return nil, err
	}
	return &publication{
		exchange: exchange, key: key, mandatory: mandatory, alone: mandatory || mayFailAlone(m),
		message: toPublishing(m),
	}, nil
}

const directReplyTo = "amq.rabbitmq.reply-to"

// largeBody is a size that every RabbitMQ accepts by default.
const largeBody = 16 << 20

// mayFailAlone reports whether the broker may refuse m although it takes others
// to the same exchange.
func mayFailAlone(m *pocketmq.Message) bool {
	_, cc := m.Headers["CC"]
	_, bcc := m.Headers["BCC"]
	return m.UserID != "" || cc || bcc || len(m.Body) > largeBody
}

// begin counts a Publish for Shutdown, and end its end.
func (c *Client) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.publishes++
	return nil
}

func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.publishes--
	if c.publishes == 0 && c.quiet != nil {
		close(c.quiet)
	}
}

// publisher returns a connection to publish on, when it may be used: also what the
// client declared must be there again.
func (c *Client) publisher(ctx context.Context) (*connection, error) {
	if _, err := c.control.get(ctx); err != nil {
		return nil, err
	}
	l, err := c.publishingLink()
	if err != nil {
		return nil, err
	}
	conn, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return conn, conn.waitUnblocked(ctx)
}

// publishingLink returns the link for publishing, which those who only consume
// do without.
func (c *Client) publishingLink() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.publishing == nil {
		if c.ended {
			return nil, errClosed
		}
		c.publishing = newLink(&c.config, "publishing", nil)
		c.publishing.start(nil)
	}
	return c.publishing, nil
}

// send sends a message once, and returns what waits for the broker's answer.
func (c *Client) send(ctx context.Context, p *publication) (func(context.Context) error, error) {
	conn, err := c.publisher(ctx)
	if err != nil {
		return nil, err
	}
	if p.alone {
		return conn.sendAlone(ctx, p)
	}
	o, err := conn.outletOf(ctx, p.exchange)
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		return conn.sendAlone(ctx, p)
	}
	r, err := o.send(ctx, p)
	if err != nil {
		return nil, p.next(err)
	}
	return func(ctx context.Context) error { return p.next(o.wait(ctx, r)) }, nil
}

// next is what an error on a shared outlet means: if somebody's message was
// refused, next time each is told about its own.
func (p *publication) next(err error) error {
	if errors.As(err, new(*refusal)) {
		p.alone = true
		return errAgain
	}
	return err
}

func (c *connection) sendAlone(ctx context.Context, p *publication) (func(context.Context) error, error) {
	o, err := c.takeOutlet(ctx)
	if err != nil {
		return nil, err
	}
	finish := func(ctx context.Context, err error) error {
		c.giveOutlet(o, ctx.Err() == nil)
		var r *refusal
		if errors.As(err, &r) {
			return r.verdict
		}
		return err
	}
	r, err := o.send(ctx, p)
	if err != nil {
		return nil, finish(ctx, err)
	}
	return func(ctx context.Context) error { return finish(ctx, o.wait(ctx, r)) }, nil
}

// refusal is the error of messages on a channel that the broker closed because of
// one of them.
type refusal struct{ verdict error }

func (r *refusal) Error() string { return r.verdict.Error() }

// request asks an outlet to send a message.
type request struct {
	*publication
	sent chan sent
}

// sent is how sending went.
type sent struct {
	confirm *amqp.DeferredConfirmation
	err     error
}

// outlet is a channel that publishes with confirms.
type outlet struct {
	conn     *connection
	channel  *amqp.Channel
	requests chan request
	closed   chan struct{} // closed with the channel, after reason is set
	reason   error         // a *refusal, or errAgain
	returns  chan amqp.Return
}

func (c *connection) newOutlet() (*outlet, error) {
	ch, err := c.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return nil, c.failure(err)
	}
	o := &outlet{
		conn: c, channel: ch, requests: make(chan request, maxWaiting), closed: make(chan struct{}), returns: ch.NotifyReturn(make(chan amqp.Return, 1)),
	}
	ended := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		o.reason = errAgain
		if e := <-ended; e != nil && !c.isLost() {
			if v, ok := verdict(e); ok {
				o.reason = &refusal{v}
			}
		}
		close(o.closed)
	}()
	go o.write()
	return o, nil
}

// failure is what an error of amqp091 means to a message.
func (c *connection) failure(err error) error {
	if c.endedBy(err) {
		return errAgain
	}
	v, _ := verdict(err)
	return v
}

// maxWaiting is how many messages may wait to be written to an outlet.
const maxWaiting = 64

// write sends what is published, in a goroutine of its own: a connection that
// does not take any more knows no context.
func (o *outlet) write() {
	for {
		select {
		case p := <-o.requests:
			confirm, err := o.channel.PublishWithDeferredConfirm(p.exchange, p.key, p.mandatory, false, p.message)
			p.sent <- sent{confirm, err}
		case <-o.closed:
			return
		}
	}
}

// send hands a message to be sent after those before it.
func (o *outlet) send(ctx context.Context, p *publication) (request, error) {
	r := request{p, make(chan sent, 1)}
	select {
	case o.requests <- r:
		return r, nil
	case <-o.closed:
		return r, o.reason
	case <-ctx.Done():
		return r, ctx.Err()
	}
}

// wait waits for the broker's answer.
func (o *outlet) wait(ctx context.Context, r request) error {
	var s sent
	select {
	case s = <-r.sent:
	case <-o.closed:
		return o.reason
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case s.err == nil:
	case o.conn.endedBy(s.err):
		return o.whyNot(ctx)
	default:
		return s.err // of amqp091 itself
	}
	select {
	case <-s.confirm.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.confirm.Acked() {
		return o.returned(r.publication)
	}
	if o.channel.IsClosed() {
		return o.whyNot(ctx)
	}
	return hook.Error(pocketmq.ErrQueueFull, pocketmq.CodeResourceError,
		fmt.Sprintf("the broker refused a message to exchange '%s' with routing key '%s': a queue is full", r.exchange, r.key))
}

// whyNot is the error of a message that a channel which was closed left behind.
func (o *outlet) whyNot(ctx context.Context) error {
	select {
	case <-o.closed:
		return o.reason
	case <-ctx.Done():
		return ctx.Err()
	}
}

// returned is the error of a confirmed message that was returned, or nil. The
// return comes before the confirm (PUB-6), and only the outlet of one message
// has any.
func (o *outlet) returned(p *publication) error {
	if !p.mandatory {
		return nil
	}
	select {
	case r, ok := <-o.returns:
		if ok {
			return hook.Error(pocketmq.ErrUnroutable, int(r.ReplyCode),
				fmt.Sprintf("exchange '%s' leads a message with routing key '%s' to no queue", p.exchange, p.key))
		}
	default:
	}
	return nil
}

// sharedOutlet is the outlet for an exchange, or is about to be.
type sharedOutlet struct {
	ready  chan struct{} // closed when what follows is set
	outlet *outlet
	err    error
}

// The number of channels of a connection is limited, by 2047 in most RabbitMQs.
const (
	maxShared = 256 // exchanges whose messages share an outlet
	maxAlone  = 512 // outlets of one message
	maxSpare  = 64  // of these, kept for later
)

// outletOf returns the outlet that the messages to an exchange share, or nil if
// there are too many already.
func (c *connection) outletOf(ctx context.Context, exchange string) (*outlet, error) {
	for {
		c.mu.Lock()
		s := c.shared[exchange]
		if s == nil && len(c.shared) >= maxShared {
			c.mu.Unlock()
			return nil, nil
		}
		if s == nil {
			s = &sharedOutlet{ready: make(chan struct{})}
			c.shared[exchange] = s
			go func() {
				s.outlet, s.err = c.newOutlet()
				close(s.ready)
			}()
		}
		c.mu.Unlock()
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if s.err == nil && !s.outlet.channel.IsClosed() {
			return s.outlet, nil
		}
		c.mu.Lock()
		if c.shared[exchange] == s {
			delete(c.shared, exchange)
		}
		c.mu.Unlock()
		if s.err != nil {
			return nil, s.err
		}
		if c.isLost() {
			return nil, errAgain
		}
	}
}

// takeOutlet returns an outlet for one message, and giveOutlet takes it back.
func (c *connection) takeOutlet(ctx context.Context) (*outlet, error) {
	select {
	case c.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o, err := c.spareOutlet(ctx)
	if err != nil {
		<-c.alone
	}
	return o, err
}

func (c *connection) spareOutlet(ctx context.Context) (*outlet, error) {
	c.mu.Lock()
	for n := len(c.spare); n > 0; n = len(c.spare) {
		o := c.spare[n-1]
		c.spare = c.spare[:n-1]
		if !o.channel.IsClosed() {
			c.mu.Unlock()
			return o, nil
		}
	}
	c.mu.Unlock()
	var o *outlet
	err := await(ctx, func() (err error) {
		o, err = c.newOutlet()
		return err
	})
	if err != nil {
		return nil, err // at worst a channel is open in vain
	}
	return o, nil
}

// giveOutlet keeps an outlet for the next message, unless a message is still on
// it.
func (c *connection) giveOutlet(o *outlet, clear bool) {
	defer func() { <-c.alone }()
	if o.channel.IsClosed() {
		return
	}
	c.mu.Lock()
	keep := clear && len(c.spare) < maxSpare
	if keep {
		c.spare = append(c.spare, o)
	}
	c.mu.Unlock()
	if !keep {
		go o.channel.Close()
	}
}
