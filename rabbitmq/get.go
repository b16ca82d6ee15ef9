package rabbitmq

import (
	"context"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// Get is described at pocketmq.Client. If the connection is lost, what was got
// and not settled is back in its queue, and settling it gives ErrConnectionLost.
func (c *Client) Get(ctx context.Context, queue string, opts ...pocketmq.GetOption) (pocketmq.Delivery, bool, error) {
	if err := c.check(ctx); err != nil {
		return pocketmq.Delivery{}, false, err
	}
	if err := checkQueueName(queue); err != nil {
		return pocketmq.Delivery{}, false, err
	}
	return c.getter(queue).get(ctx, hook.GetOptions(opts))
}

// getter gets messages from one queue. It has a channel of its own: what is wrong
// with one queue closes the channel, which returns all that was got on it.
type getter struct {
	client  *Client
	queue   string
	deliver func(hook.Got, bool) (any, error)
	turn    chan struct{} // holds a token while somebody gets

	mu      sync.Mutex
	conn    *connection
	channel *amqp.Channel
	tags    map[any]uint64
}

func (c *Client) getter(queue string) *getter {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.getters[queue]
	if g == nil {
		g = &getter{client: c, queue: queue, turn: make(chan struct{}, 1)}
		g.deliver = hook.Getter(c.session, queue, g)
		c.getters[queue] = g
	}
	return g
}

func (g *getter) get(ctx context.Context, autoAck bool) (pocketmq.Delivery, bool, error) {
	for {
		conn, err := g.client.control.get(ctx)
		if err != nil {
			return pocketmq.Delivery{}, false, interrupted("getting a message", err)
		}
		d, ok, err := g.getFrom(ctx, conn, autoAck)
		switch {
		case err == nil:
			return d, ok, nil
		case ctx.Err() != nil:
			return d, false, interrupted("getting a message", err)
		}
		if e, refused := verdict(err); refused || !conn.endedBy(err) {
			return d, false, e
		}
	}
}

func (g *getter) getFrom(ctx context.Context, conn *connection, autoAck bool) (pocketmq.Delivery, bool, error) {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return pocketmq.Delivery{}, false, ctx.Err()
	}
	got := make(chan result, 1)
	go func() {
		defer func() { <-g.turn }()
		d, ok, err := g.ask(conn, autoAck)
		got <- result{d, ok, err}
	}()
	select {
	case r := <-got:
		return r.delivery, r.ok, r.err
	case <-ctx.Done():
		go func() {
			if r := <-got; r.ok {
				_ = r.delivery.Nack(true) // nobody has seen it
			}
		}()
		return pocketmq.Delivery{}, false, ctx.Err()
	}
}

type result struct {
	delivery pocketmq.Delivery
	ok       bool
	err      error
}

// ask asks the broker for a message. One goroutine at a time does.
func (g *getter) ask(conn *connection, autoAck bool) (pocketmq.Delivery, bool, error) {
	ch, err := g.channelOn(conn)
	if err != nil {
		return pocketmq.Delivery{}, false, err
	}
	answer, ok, err := ch.Get(g.queue, autoAck)
	if err != nil || !ok {
		return pocketmq.Delivery{}, false, err
	}
	m := fromDelivery(&answer)
	if !autoAck {
		g.mu.Lock()
		g.tags[m] = answer.DeliveryTag
		g.mu.Unlock()
	}
	d, err := g.deliver(hook.Got{
		Message: m, Exchange: answer.Exchange, Key: answer.RoutingKey, Redelivered: answer.Redelivered, MessageCount: int(answer.MessageCount),
	}, autoAck)
	if err != nil {
		return pocketmq.Delivery{}, false, err
	}
	return d.(pocketmq.Delivery), true, nil
}

// channelOn returns the channel on a connection, a new one if need be.
func (g *getter) channelOn(conn *connection) (*amqp.Channel, error) {
	g.mu.Lock()
	ch := g.channel
	usable := g.conn == conn && ch != nil && !ch.IsClosed()
	g.mu.Unlock()
	if usable {
		return ch, nil
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn, g.channel, g.tags = conn, ch, map[any]uint64{}
	return ch, nil
}

func (g *getter) Settle(outcome uint8, message any) error {
	g.mu.Lock()
	tag, ok := g.tags[message]
	ch := g.channel
	delete(g.tags, message)
	g.mu.Unlock()
	if !ok {
		return errConnectionLost
	}
	return settle(ch, outcome, tag)
}

// Cancel does nothing: a getter has no consumer.
func (g *getter) Cancel() {}
