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
	for {
		conn, err := c.control.get(ctx)
		if err != nil {
			return pocketmq.Delivery{}, false, interrupted("getting a message", err)
		}
		d, ok, err := c.gets.getter(queue).get(ctx, conn, hook.GetOptions(opts))
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

// gets are the messages that a client has got and not settled.
type gets struct {
	deliver func(hook.Got, bool) (any, error)

	mu      sync.Mutex
	getters map[string]*getter // by queue
	held    map[any]held       // by message
}

type held struct {
	getter  *getter
	channel *amqp.Channel
	tag     uint64
}

func (g *gets) init(c *Client) {
	g.getters, g.held = map[string]*getter{}, map[any]held{}
	g.deliver = hook.Getter(c.session, "", g)
}

// getter gets messages from one queue. It has a channel of its own: what is wrong
// with one queue closes the channel, which returns all that was got on it.
type getter struct {
	all  *gets
	turn chan struct{} // holds a token while somebody gets

	queue   string
	conn    *connection   // changed by whoever has the turn
	channel *amqp.Channel // likewise
	holds   int           // guarded by all.mu
}

// maxGetters is how many queues keep a channel of which nothing is held.
const maxGetters = 64

func (g *gets) getter(queue string) *getter {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.getters[queue]
	if x == nil {
		if len(g.getters) >= maxGetters {
			g.tidy()
		}
		x = &getter{all: g, queue: queue, turn: make(chan struct{}, 1)}
		g.getters[queue] = x
	}
	return x
}

// tidy forgets the getters that nobody needs; g.mu is held.
func (g *gets) tidy() {
	for queue, x := range g.getters {
		if x.holds > 0 {
			continue
		}
		select {
		case x.turn <- struct{}{}: // and keeps it: whoever still has x gets a new one
			delete(g.getters, queue)
			if ch := x.channel; ch != nil {
				go ch.Close()
			}
			x.conn, x.channel = nil, nil
			<-x.turn
		default:
		}
	}
}

// get gets a message over a connection.
func (x *getter) get(ctx context.Context, conn *connection, autoAck bool) (pocketmq.Delivery, bool, error) {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return pocketmq.Delivery{}, false, ctx.Err()
	}
	got := make(chan result, 1)
	go func() {
		defer func() { <-x.turn }()
		d, ok, err := x.ask(conn, autoAck)
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

// ask asks the broker for a message. Whoever calls it has the turn.
func (x *getter) ask(conn *connection, autoAck bool) (pocketmq.Delivery, bool, error) {
	if x.conn != conn || x.channel.IsClosed() {
		ch, err := conn.Channel()
		if err != nil {
			return pocketmq.Delivery{}, false, err
		}
		x.conn, x.channel = conn, ch
	}
	answer, ok, err := x.channel.Get(x.queue, autoAck)
	if err != nil || !ok {
		return pocketmq.Delivery{}, false, err
	}
	m := fromDelivery(&answer)
	if !autoAck {
		x.all.hold(m, held{x, x.channel, answer.DeliveryTag})
	}
	d, err := x.all.deliver(hook.Got{
		Message: m, Exchange: answer.Exchange, Key: answer.RoutingKey, Redelivered: answer.Redelivered, MessageCount: int(answer.MessageCount),
	}, autoAck)
	if err != nil {
		return pocketmq.Delivery{}, false, err
	}
	return d.(pocketmq.Delivery), true, nil
}

func (g *gets) hold(m *pocketmq.Message, h held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[m] = h
	h.getter.holds++
}

// Settle is described at hook.Upstream.
func (g *gets) Settle(outcome uint8, message any) error {
	g.mu.Lock()
	h, ok := g.held[message]
	g.mu.Unlock()
	if !ok {
		return errConnectionLost
	}
	err := settle(h.channel, outcome, h.tag)
	g.mu.Lock()
	delete(g.held, message)
	h.getter.holds-- // not before it is sent: without any the channel may be closed
	g.mu.Unlock()
	return err
}

// Cancel does nothing: there is no consumer.
func (g *gets) Cancel() {}
