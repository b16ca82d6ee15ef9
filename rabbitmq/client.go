package rabbitmq

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
)

// Client is a pocketmq.Client whose broker is a RabbitMQ, or another server that
// speaks AMQP 0-9-1 with RabbitMQ's extensions. Make it with Dial. All methods may
// be called from any goroutine.
type Client struct {
	config config

	// Consumers and deliveries are those of this process, fed from elsewhere.
	relay   *pocketmq.Broker
	session *pocketmq.Session

	control  *link // declares, consumes, gets
	topology topology
	gets     gets

	mu            sync.Mutex
	publishing    *link // nil until the first Publish
	closed        bool  // no new work begins
	ended         bool  // nor does work under way go on
	subscriptions map[*subscription]struct{}
	publishes     int           // under way
	quiet         chan struct{} // closed when publishes is 0; nil while nobody waits for that

	closeOnce sync.Once
}

var _ pocketmq.Client = (*Client)(nil)

// Dial connects to a broker. The URL is that of RabbitMQ's clients, such as
// amqp://user:password@host:5672/vhost, or with amqps. Its query may have the parameters
// heartbeat (seconds; it counts before the option Heartbeat), channel_max, auth_mechanism
// (plain, external), and for amqps, without the option TLS, cacertfile, certfile with
// keyfile (names of files), and server_name_indication; any other is an error, as it
// would mean nothing. A nil option is ignored. The context bounds how
// long it may take; that the first connection cannot be made is an error:
// ErrInvalid for a URL that cannot be right, and ErrAccessRefused for a password
// that is not, which a RabbitMQ takes three seconds to say. When the connection is
// lost later, the client connects again by itself, until it is closed.
func Dial(ctx context.Context, url string, opts ...Option) (*Client, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	if err := checkURL(url); err != nil {
		return nil, err
	}
	c := &Client{
		config: config{
			url: url, name: filepath.Base(os.Args[0]), heartbeat: 10 * time.Second,
			pause: pause{100 * time.Millisecond, 10 * time.Second}, log: slog.New(slog.DiscardHandler),
		},
		subscriptions: map[*subscription]struct{}{},
	}
	for _, o := range opts {
		if o != nil {
			o(&c.config)
		}
	}
	if c.config.tls != nil && c.config.tls.MinVersion == 0 {
		c.config.tls = c.config.tls.Clone()
		c.config.tls.MinVersion = tls.VersionTLS12
	}
	c.topology.log = c.config.log
	c.control = newLink(&c.config, "control", c.topology.restore)
	conn, err := c.control.connect(ctx)
	if err != nil {
		return nil, interrupted("connecting to RabbitMQ", err)
	}
	c.control.start(conn)
	c.relay = pocketmq.New(pocketmq.Logger(c.config.log))
	c.session = c.relay.Session()
	c.gets.init(c)
	return c, nil
}

// check reports whether work may begin.
func (c *Client) check(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	return nil
}

// call calls f with a channel, again if the connection is lost meanwhile: what f
// does must not do harm when it is done twice.
func (c *Client) call(ctx context.Context, doing string, f func(*amqp.Channel) error) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	for hard := 0; ; {
		conn, err := c.control.get(ctx)
		if err == nil {
			err = conn.callWith(ctx, f)
		}
		if isHard(err) && hard == 0 {
			hard++ // somebody else may have been to blame
			continue
		}
		if err == nil || ctx.Err() != nil || err == errClosed {
			return interrupted(doing, err)
		}
		if e, refused := verdict(err); refused || !conn.endedBy(err) {
			return e
		}
	}
}

// callWith calls f with a channel, when there is one, and lets ctx end the wait.
func (c *connection) callWith(ctx context.Context, f func(*amqp.Channel) error) error {
	select {
	case c.calls <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	return await(ctx, func() error {
		defer func() { <-c.calls }()
		return c.call(f)
	})
}

func (c *connection) call(f func(*amqp.Channel) error) error {
	ch, err := c.channel()
	if err != nil {
		return err
	}
	defer c.giveChannel(ch)
	return f(ch)
}

// Shutdown closes the client gently: consumers end, running handlers finish, and
// what they or others hold unsettled may be settled; then what is being published
// is waited for; and then, or when ctx ends, it does what Close does. What was
// sent to the client and not handed out goes back to the queues. Give ctx a time
// limit. A handler must not call it: it would wait for itself.
func (c *Client) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	err := c.drain(ctx)
	if e := c.Close(); err == nil {
		err = e
	}
	return err
}

func (c *Client) drain(ctx context.Context) error {
	c.mu.Lock()
	all := make([]*subscription, 0, len(c.subscriptions))
	for s := range c.subscriptions {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		s.inlet.End(cancelled(s.config.Tag))
	}
	for _, s := range all {
		select {
		case <-s.released:
		case <-ctx.Done():
			return interrupted("shutting down", ctx.Err())
		}
	}
	select {
	case <-c.refuse():
		return nil
	case <-ctx.Done():
		return interrupted("shutting down", ctx.Err())
	}
}

// refuse lets no new work begin, and returns a channel that is closed when
// nothing is being published any more.
func (c *Client) refuse() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.quiet == nil {
		c.quiet = make(chan struct{})
		if c.publishes == 0 {
			close(c.quiet)
		}
	}
	return c.quiet
}

// Close is described at pocketmq.Client. A Publish under way gets ErrClosed;
// whether the broker has its message is unknown.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		c.refuse()
		c.mu.Lock()
		c.ended = true
		publishing := c.publishing
		c.mu.Unlock()
		if publishing != nil {
			publishing.close() // a handler may wait for it
		}
		_ = c.session.Close() // neither can fail
		_ = c.relay.Close()
		c.control.close()
	})
	return nil
}
