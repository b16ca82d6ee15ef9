package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// topology is what a client has declared, to be declared again when the connection
// was lost: exclusive queues went with it, and all that is not durable with a
// broker that was restarted.
type topology struct {
	log *slog.Logger

	mu        sync.Mutex
	exchanges map[string]exchange
	queues    map[string]hook.QueueConfig
	bindings  map[string]binding
}

type exchange struct {
	kind string
	hook.ExchangeConfig
}

type binding struct {
	source, destination, key string
	toExchange               bool
	args                     amqp.Table
}

// identity is what tells a binding from others.
func (b binding) identity() string {
	return fmt.Sprintf("%q %q %q %t %v", b.source, b.destination, b.key, b.toExchange, b.args) // maps print in order
}

func (b binding) bind(ch *amqp.Channel) error {
	if b.toExchange {
		return ch.ExchangeBind(b.destination, b.key, b.source, false, b.args)
	}
	return ch.QueueBind(b.destination, b.key, b.source, false, b.args)
}

func (b binding) unbind(ch *amqp.Channel) error {
	if b.toExchange {
		return ch.ExchangeUnbind(b.destination, b.key, b.source, false, b.args)
	}
	return ch.QueueUnbind(b.destination, b.key, b.source, b.args)
}

func (x exchange) declare(ch *amqp.Channel, name string) error {
	declare := ch.ExchangeDeclare
	if x.Passive {
		declare = ch.ExchangeDeclarePassive
	}
	return declare(name, x.kind, x.Durable, x.AutoDelete, x.Internal, false, toTable(x.Arguments))
}

func declareQueue(ch *amqp.Channel, name string, q hook.QueueConfig) (amqp.Queue, error) {
	declare := ch.QueueDeclare
	if q.Passive {
		declare = ch.QueueDeclarePassive
	}
	return declare(name, q.Durable, q.AutoDelete, q.Exclusive, false, toTable(q.Arguments))
}

// change changes what is remembered.
func (t *topology) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queues == nil {
		t.exchanges, t.queues, t.bindings = map[string]exchange{}, map[string]hook.QueueConfig{}, map[string]binding{}
	}
	f()
}

// forgetQueue forgets a queue that is gone, and its bindings.
func (t *topology) forgetQueue(name string) {
	t.change(func() {
		delete(t.queues, name)
		maps.DeleteFunc(t.bindings, func(_ string, b binding) bool { return !b.toExchange && b.destination == name })
	})
}

func (t *topology) forgetExchange(name string) {
	t.change(func() {
		delete(t.exchanges, name)
		maps.DeleteFunc(t.bindings, func(_ string, b binding) bool {
			return b.source == name || b.toExchange && b.destination == name
		})
	})
}

// isStream reports whether the client has declared the queue as a stream.
func (t *topology) isStream(queue string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return isStream(t.queues[queue])
}

func isStream(q hook.QueueConfig) bool { return q.Arguments["x-queue-type"] == "stream" }

// isAutoDelete reports whether the queue goes with its last consumer.
func (t *topology) isAutoDelete(queue string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queues[queue].AutoDelete
}

// restore declares everything again. What the broker refuses, because somebody
// changed it meanwhile, is logged and left alone; but an exclusive queue may only
// still be there because the broker has not noticed the end of the last
// connection, and is worth another attempt.
func (t *topology) restore(conn *connection) error {
	t.mu.Lock()
	exchanges, queues, bindings := maps.Clone(t.exchanges), maps.Clone(t.queues), maps.Clone(t.bindings)
	t.mu.Unlock()
	for name, x := range exchanges {
		if err := t.again(conn, "exchange "+name, func(ch *amqp.Channel) error { return x.declare(ch, name) }); err != nil {
			return err
		}
	}
	for name, q := range queues {
		err := t.again(conn, "queue "+name, func(ch *amqp.Channel) error {
			_, err := declareQueue(ch, name, q)
			return err
		})
		if err != nil {
			return err
		}
	}
	for id, b := range bindings {
		if err := t.again(conn, "binding "+id, b.bind); err != nil {
			return err
		}
	}
	return nil
}

func (t *topology) again(conn *connection, what string, f func(*amqp.Channel) error) error {
	err := conn.call(f)
	if err == nil {
		return nil
	}
	e, refused := verdict(err)
	if !refused || conn.isLost() || errors.Is(e, pocketmq.ErrResourceLocked) {
		return e
	}
	t.log.Error("could not be declared again", "what", what, "error", e)
	return nil
}

// DeclareExchange is described at pocketmq.Client. The exchange is declared again
// whenever the client has connected again.
func (c *Client) DeclareExchange(ctx context.Context, name, kind string, opts ...pocketmq.ExchangeOption) error {
	if err := hook.CheckName("exchange", name); err != nil {
		return err
	}
	config, err := hook.ExchangeOptions(opts)
	if err == nil {
		err = hook.CheckTable("arguments", config.Arguments)
	}
	if err != nil {
		return err
	}
	x := exchange{kind, config}
	call := c.call
	if !isPredeclared(kind) && !x.Passive {
		call = c.callAside
	}
	err = call(ctx, "declaring an exchange", func(ch *amqp.Channel) error { return x.declare(ch, name) })
	if err == nil && !x.Passive {
		c.topology.change(func() { c.topology.exchanges[name] = x })
	}
	return unknownKind(err)
}

// unknownKind makes the error for an unknown kind the same from all RabbitMQs: from
// 4.0 on it is a failed precondition (EXCH-11).
func unknownKind(err error) error {
	var e *pocketmq.Error
	if errors.As(err, &e) && e.Code == pocketmq.CodePreconditionFailed && strings.Contains(e.Text, " exchange type '") {
		return hook.Error(pocketmq.ErrInvalid, pocketmq.CodeCommandInvalid, e.Text)
	}
	return err
}

// isPredeclared reports whether every broker knows the kind. Before 4.0
// RabbitMQ answers others that it does not know by closing the connection.
func isPredeclared(kind string) bool {
	switch kind {
	case pocketmq.Direct, pocketmq.Fanout, pocketmq.Topic, pocketmq.Headers:
		return true
	}
	return false
}

// callAside is call on a connection of its own, for what may cost the connection.
func (c *Client) callAside(ctx context.Context, doing string, f func(*amqp.Channel) error) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	conn, err := dial(ctx, &c.config, "aside")
	if err != nil {
		return interrupted(doing, err)
	}
	defer conn.close()
	err = await(ctx, func() error { return conn.call(f) })
	e, _ := verdict(err)
	return interrupted(doing, e)
}

// DeleteExchange is described at pocketmq.Client.
func (c *Client) DeleteExchange(ctx context.Context, name string, opts ...pocketmq.DeleteOption) error {
	if err := hook.CheckName("exchange", name); err != nil {
		return err
	}
	err := c.call(ctx, "deleting an exchange", func(ch *amqp.Channel) error {
		return ch.ExchangeDelete(name, hook.DeleteOptions(opts).IfUnused, false)
	})
	if err == nil {
		c.topology.forgetExchange(name)
	}
	return err
}

// DeclareQueue is described at pocketmq.Client. The queue is declared again
// whenever the client has connected again; for that to work, a queue without a
// name gets one from the client, which begins with "pocketmq.gen-".
//
// A full queue of RabbitMQ cannot make publishers wait: Overflow(Block) is
// refused with ErrNotSupported, and so is MaxLength without Overflow, which would
// mean it. Without either the queue has no limit. Retry is refused likewise where no
// RabbitMQ has it, in queues that are not Quorum, and with Exponential; and in all by one
// older than 4.3, which would ignore it. DeadLetterAtLeastOnce needs Overflow(RejectPublish).
func (c *Client) DeclareQueue(ctx context.Context, name string, opts ...pocketmq.QueueOption) (pocketmq.QueueInfo, error) {
	if err := hook.CheckName("queue", name); err != nil {
		return pocketmq.QueueInfo{}, err
	}
	q, err := hook.QueueOptions(opts)
	if err == nil {
		err = checkQueue(q)
	}
	if err == nil && retries(q) {
		err = c.checkRetry(ctx)
	}
	if err != nil {
		return pocketmq.QueueInfo{}, err
	}
	if name == "" && !q.Passive {
		name = "pocketmq.gen-" + hook.RandomName()
	}
	var info pocketmq.QueueInfo
	err = c.call(ctx, "declaring a queue", func(ch *amqp.Channel) error {
		answer, err := declareQueue(ch, name, q)
		info = pocketmq.QueueInfo{Name: answer.Name, Messages: answer.Messages, Consumers: answer.Consumers}
		return err
	})
	if err != nil {
		return pocketmq.QueueInfo{}, err
	}
	if !q.Passive {
		c.topology.change(func() { c.topology.queues[info.Name] = q })
	}
	return info, nil
}

// checkQueue refuses what would be something else on a RabbitMQ.
func checkQueue(q hook.QueueConfig) error {
	overflow, said := q.Arguments["x-overflow"]
	_, bounded := q.Arguments["x-max-length"]
	if !bounded {
		_, bounded = q.Arguments["x-max-length-bytes"]
	}
	_, exponential := q.Arguments["x-delayed-retry-growth"]
	switch {
	case overflow == pocketmq.Block.String():
		return notSupported("Overflow(Block): a full queue of RabbitMQ cannot make publishers wait; there are DropHead and RejectPublish")
	case bounded && !said && !isStream(q):
		return notSupported("a limit without Overflow means Block, and a full queue of RabbitMQ cannot make publishers wait; " +
			"there are DropHead and RejectPublish")
	case retries(q) && q.Arguments["x-queue-type"] != "quorum":
		return notSupported("Retry: RabbitMQ has it in quorum queues only, from 4.3 on, and ignores it in others")
	case q.Arguments["x-dead-letter-strategy"] == "at-least-once" && overflow != pocketmq.RejectPublish.String():
		return notSupported("DeadLetterAtLeastOnce: RabbitMQ has it in queues with Overflow(RejectPublish) only, and ignores it in others")
	case exponential:
		return notSupported("RetryPolicy.Exponential: the pauses of a RabbitMQ grow by Min each time")
	}
	return hook.CheckTable("arguments", q.Arguments)
}

func retries(q hook.QueueConfig) bool {
	_, says := q.Arguments["x-delayed-retry-type"]
	return says
}

// checkRetry refuses Retry if the broker is a RabbitMQ that would ignore it: what fails
// would come back at once.
func (c *Client) checkRetry(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	conn, err := c.control.get(ctx)
	if err != nil {
		return interrupted("declaring a queue", err)
	}
	if version, older := conn.olderThan(4, 3); older {
		return notSupported("Retry: RabbitMQ has it from 4.3 on, and this one, %s, ignores it", version)
	}
	return nil
}

// DeleteQueue is described at pocketmq.Client.
func (c *Client) DeleteQueue(ctx context.Context, name string, opts ...pocketmq.DeleteOption) (int, error) {
	if err := hook.CheckName("queue", name); err != nil {
		return 0, err
	}
	if name == "" {
		return 0, c.check(ctx) // there is none
	}
	o := hook.DeleteOptions(opts)
	var count int
	err := c.call(ctx, "deleting a queue", func(ch *amqp.Channel) (err error) {
		count, err = ch.QueueDelete(name, o.IfUnused, o.IfEmpty, false)
		return err
	})
	if err != nil {
		return 0, err
	}
	c.topology.forgetQueue(name)
	return count, nil
}

// PurgeQueue is described at pocketmq.Client.
func (c *Client) PurgeQueue(ctx context.Context, name string) (int, error) {
	if err := checkQueueName(name); err != nil {
		return 0, err
	}
	var count int
	err := c.call(ctx, "purging a queue", func(ch *amqp.Channel) (err error) {
		count, err = ch.QueuePurge(name, false)
		return err
	})
	if err != nil {
		return 0, err
	}
	return count, nil
}

// Bind is described at pocketmq.Client.
func (c *Client) Bind(ctx context.Context, queue, exchange, key string, opts ...pocketmq.BindOption) error {
	return c.bind(ctx, binding{source: exchange, destination: queue, key: key}, opts)
}

// Unbind is described at pocketmq.Client.
func (c *Client) Unbind(ctx context.Context, queue, exchange, key string, opts ...pocketmq.BindOption) error {
	return c.unbind(ctx, binding{source: exchange, destination: queue, key: key}, opts)
}

// BindExchange is described at pocketmq.Client.
func (c *Client) BindExchange(ctx context.Context, destination, source, key string, opts ...pocketmq.BindOption) error {
	return c.bind(ctx, binding{source: source, destination: destination, key: key, toExchange: true}, opts)
}

// UnbindExchange is described at pocketmq.Client.
func (c *Client) UnbindExchange(ctx context.Context, destination, source, key string, opts ...pocketmq.BindOption) error {
	return c.unbind(ctx, binding{source: source, destination: destination, key: key, toExchange: true}, opts)
}

func (c *Client) bind(ctx context.Context, b binding, opts []pocketmq.BindOption) error {
	if err := b.prepare(opts); err != nil {
		return err
	}
	if b.destination == "" && !b.toExchange {
		return checkQueueName("")
	}
	err := c.call(ctx, "binding", b.bind)
	if err == nil {
		c.topology.change(func() { c.topology.bindings[b.identity()] = b })
	}
	return err
}

func (c *Client) unbind(ctx context.Context, b binding, opts []pocketmq.BindOption) error {
	if err := b.prepare(opts); err != nil {
		return err
	}
	if b.destination == "" && !b.toExchange {
		return c.check(ctx) // it is not bound
	}
	err := c.call(ctx, "unbinding", b.unbind)
	if err == nil {
		c.topology.change(func() { delete(c.topology.bindings, b.identity()) })
	}
	return err
}

// checkQueueName checks the name of a queue that must exist. The empty name would
// mean the one declared last on whatever channel is used.
func checkQueueName(name string) error {
	if name == "" {
		return hook.Error(pocketmq.ErrNotFound, pocketmq.CodeNotFound, "no queue ''")
	}
	return hook.CheckName("queue", name)
}

// prepare checks a binding and enters its arguments.
func (b *binding) prepare(opts []pocketmq.BindOption) error {
	args := hook.BindOptions(opts)
	b.args = toTable(args)
	if err := hook.CheckName("exchange", b.source); err != nil {
		return err
	}
	if err := hook.CheckName("destination", b.destination); err != nil {
		return err
	}
	if err := hook.CheckKey("binding key", b.key); err != nil {
		return err
	}
	return hook.CheckTable("arguments", args)
}
