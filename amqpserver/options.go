package amqpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/pocketmq/pocketmq"
)

// Option configures a Server. In all options for a limit or a time, 0 is the default,
// and a value below 0 means that there is none. What an option cannot be is an error of
// New, which names the option; of an option that is given twice the later one counts,
// but there can be only one User or VHost of a name. A nil option is ignored.
type Option func(*config)

// The defaults are RabbitMQ's.
const (
	defaultFrameMax         = 131072
	defaultChannelMax       = 2047
	defaultHeartbeat        = 60 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultSendTimeout      = 30 * time.Second
	defaultConsumerTimeout  = 30 * time.Minute
)

// config is what the options set; when they are complete, 0 is no limit.
type config struct {
	compat           Compatibility
	users            map[string]*user            // Server.mu guards it
	vhosts           map[string]*pocketmq.Broker // as users
	frameMax         int
	channelMax       int
	heartbeat        time.Duration
	handshakeTimeout time.Duration
	sendTimeout      time.Duration
	consumerTimeout  time.Duration
	maxMessageSize   int64
	maxConnections   int
	maxQueues        int
	memoryLimit      int64
	log              *slog.Logger
	err              error // the first option that was wrong
}

func newConfig(b *pocketmq.Broker, opts []Option) (*config, error) {
	c := &config{
		compat: V4_0,
		users:  map[string]*user{},
		vhosts: map[string]*pocketmq.Broker{},
		log:    slog.New(slog.DiscardHandler),
	}
	VHost("/", b)(c)
	for _, o := range opts {
		if o != nil {
			o(c)
		}
	}
	if len(c.users) == 0 {
		User("guest", "guest", Tags("administrator"), LoopbackOnly())(c)
	}
	c.check()
	c.setLimits()
	return c, c.err
}

// wrong notes what is wrong with an option.
func (c *config) wrong(option, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("amqpserver: %s: %s", option, fmt.Sprintf(format, args...))
	}
}

// check looks at what can be judged only when all options are known.
func (c *config) check() {
	least := int(c.compat.minFrameMax())
	switch {
	case c.compat < V3_10 || c.compat > V4_3:
		c.wrong("Compat", "there is no such version: %d", int(c.compat))
	case c.frameMax > 0 && c.frameMax < least:
		c.wrong("FrameMax", "%d is less than the %d bytes that a client may rely on", c.frameMax, least)
	case int64(c.frameMax) > math.MaxUint32:
		c.wrong("FrameMax", "%d is more than AMQP can tell (%d)", c.frameMax, int64(math.MaxUint32))
	case c.channelMax > math.MaxUint16:
		c.wrong("ChannelMax", "%d is more than AMQP can number (%d)", c.channelMax, math.MaxUint16)
	case c.heartbeat > 0 && c.heartbeat%time.Second != 0:
		c.wrong("Heartbeat", "%v is not in whole seconds", c.heartbeat)
	case c.heartbeat > math.MaxUint16*time.Second:
		c.wrong("Heartbeat", "%v is more than AMQP can tell (%ds)", c.heartbeat, math.MaxUint16)
	case c.maxMessageSize > maxBody:
		c.wrong("MaxMessageSize", "%d is more than RabbitMQ allows (%d)", c.maxMessageSize, maxBody)
	}
}

// setLimits replaces what was left to its default, and what is to have no limit.
func (c *config) setLimits() {
	setLimit(&c.frameMax, defaultFrameMax)
	setLimit(&c.channelMax, defaultChannelMax)
	setLimit(&c.heartbeat, defaultHeartbeat)
	setLimit(&c.handshakeTimeout, defaultHandshakeTimeout)
	setLimit(&c.sendTimeout, defaultSendTimeout)
	setLimit(&c.consumerTimeout, defaultConsumerTimeout)
	setLimit(&c.maxMessageSize, c.compat.maxMessageSize())
	setLimit(&c.maxConnections, 0)
	setLimit(&c.maxQueues, 0)
	setLimit(&c.memoryLimit, 0)
	if c.maxMessageSize == 0 {
		c.maxMessageSize = maxBody
	}
}

// setLimit turns what an option says, 0 for the default and less for no limit, into a
// limit that is 0 for none.
func setLimit[T int | int64 | time.Duration](limit *T, byDefault T) {
	if *limit == 0 {
		*limit = byDefault
	}
	*limit = max(*limit, 0)
}

// VHost serves a further broker, as the virtual host of this name. The names in
// error texts are the broker's own: give it the same with pocketmq.VHost.
func VHost(name string, b *pocketmq.Broker) Option {
	return func(c *config) {
		if err := addVHost(c.vhosts, name, b); err != nil {
			c.wrong("VHost", "%v", err)
		}
	}
}

func addVHost(all map[string]*pocketmq.Broker, name string, b *pocketmq.Broker) error {
	switch {
	case name == "":
		return errors.New("a virtual host needs a name")
	case b == nil:
		return fmt.Errorf("the broker of the virtual host %q is nil", name)
	case all[name] != nil:
		return fmt.Errorf("there is a virtual host %q already", name)
	}
	all[name] = b
	return nil
}

// Compat sets which version of RabbitMQ the server behaves like; V4_0 by default.
func Compat(v Compatibility) Option { return func(c *config) { c.compat = v } }

// FrameMax sets the largest frame to be negotiated, in bytes; 131072 by default, and
// at least 4096, from 4.3 on 8192.
func FrameMax(bytes int) Option { return func(c *config) { c.frameMax = bytes } }

// ChannelMax sets how many channels a connection may have; 2047 by default. AMQP can
// number 65535.
func ChannelMax(n int) Option { return func(c *config) { c.channelMax = n } }

// Heartbeat sets the interval that is proposed to clients, in whole seconds; a
// minute by default. The client decides.
func Heartbeat(d time.Duration) Option { return func(c *config) { c.heartbeat = d } }

// HandshakeTimeout sets how long a client may take from connecting to
// connection.open; 10 seconds by default.
func HandshakeTimeout(d time.Duration) Option {
	return func(c *config) { c.handshakeTimeout = d }
}

// SendTimeout sets for how long a client may take nothing of what is sent to it before
// its connection is dropped; 30 seconds by default, as in RabbitMQ. What has to get into
// the buffers of the network in this time are 64 KiB, or less if there is less to be sent:
// they make room in large steps, so a client that reads some kilobytes a second is
// dropped, too.
func SendTimeout(d time.Duration) Option { return func(c *config) { c.sendTimeout = d } }

// ConsumerTimeout sets for how long a delivery may be unsettled before its channel
// is closed (406 PRECONDITION_FAILED); half an hour by default (CHAN-17). Like RabbitMQ
// the server looks only once a minute. Since 4.0 the argument x-consumer-timeout of a
// queue counts before it, or the lesser of that and of the policies' consumer-timeout.
//
// Since 4.3 all of it is for quorum queues only, and the argument x-consumer-timeout of a
// consumer counts before the queue's. What is late goes back to the queue at
// once, without counting against the delivery limit, and its consumer ends by
// basic.cancel. The channel is closed as before if the client does not understand that,
// got the message by basic.get, or holds another one when the time for that is up, too.
func ConsumerTimeout(d time.Duration) Option {
	return func(c *config) { c.consumerTimeout = d }
}

// MaxMessageSize sets the largest body of a message, in bytes; the default is that of
// the RabbitMQ the server behaves like: 16 MiB, before 4.0 128 MiB. RabbitMQ's own
// limit of 512 MiB always holds.
func MaxMessageSize(bytes int64) Option {
	return func(c *config) { c.maxMessageSize = bytes }
}

// MaxConnections sets how many open connections there may be to one virtual host; any
// number by default.
func MaxConnections(n int) Option { return func(c *config) { c.maxConnections = n } }

// MaxQueues sets how many queues there may be in a virtual host before clients cannot
// declare further ones; any number by default. Programs in this process may.
func MaxQueues(n int) Option { return func(c *config) { c.maxQueues = n } }

// MemoryLimit sets the size of the process's heap, in bytes, above which connections
// that publish are blocked, until it is smaller again; by default there is no limit. It
// is looked at for every MiB that a connection publishes, complete messages or not.
func MemoryLimit(bytes int64) Option { return func(c *config) { c.memoryLimit = bytes } }

// Logger sets where the server reports what clients did wrong, and what they
// were not told. The default, also for nil, is silence.
func Logger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.log = l
		}
	}
}

// User adds a user who logs in with a password; one whose password is empty can only
// log in by a TLS certificate. Without a Permissions option the user may do everything
// in every virtual host. Without any User option there is guest, with the password guest
// and the tag administrator, who may only log in from the same machine (an in-memory
// connection is one).
func User(name, password string, opts ...UserOption) Option {
	return func(c *config) {
		u, err := newUser(name, password, opts)
		switch {
		case err != nil:
			c.wrong("User", "%v", err)
		case c.users[name] != nil:
			c.wrong("User", "there is a user %q already", name)
		default:
			c.users[name] = u
		}
	}
}
