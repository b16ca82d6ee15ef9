package amqpserver

import (
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/pocketmq/pocketmq"
)

// Option configures a Server.
type Option func(*config)

// The defaults are RabbitMQ's.
const (
	defaultFrameMax         = 131072
	defaultChannelMax       = 2047
	defaultHeartbeat        = 60 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
)

type config struct {
	compat           Compatibility
	users            map[string]*user            // Server.mu guards it
	vhosts           map[string]*pocketmq.Broker // as users
	frameMax         uint32
	channelMax       uint16
	heartbeat        time.Duration
	handshakeTimeout time.Duration
	consumerTimeout  time.Duration // 0 = none; until it was set, less than 0
	maxMessageSize   int64         // 0 = that of the compatibility level
	maxConnections   int           // 0 = any number
	maxQueues        int           // 0 = any number
	memoryLimit      uint64
	log              *slog.Logger
}

func newConfig(b *pocketmq.Broker, opts []Option) *config {
	c := &config{
		compat:     V4_0,
		users:      map[string]*user{},
		vhosts:     map[string]*pocketmq.Broker{"/": b},
		frameMax:   defaultFrameMax,
		channelMax: defaultChannelMax,
		heartbeat:  defaultHeartbeat, handshakeTimeout: defaultHandshakeTimeout, consumerTimeout: -1,
		log: slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		if o != nil {
			o(c)
		}
	}
	if len(c.users) == 0 {
		User("guest", "guest", Tags("administrator"), LoopbackOnly())(c)
	}
	if c.maxMessageSize <= 0 {
		c.maxMessageSize = c.compat.maxMessageSize()
	}
	if c.consumerTimeout < 0 {
		c.consumerTimeout = c.compat.consumerTimeout()
	}
	return c
}

// VHost serves a further broker, as the virtual host of this name. The names in
// error texts are the broker's own: give it the same with pocketmq.VHost.
func VHost(name string, b *pocketmq.Broker) Option {
	return func(c *config) { c.vhosts[name] = b }
}

// Compat sets which version of RabbitMQ the server behaves like; V4_0 by default.
func Compat(v Compatibility) Option { return func(c *config) { c.compat = v } }

// FrameMax sets the largest frame to be negotiated, in bytes; 131072 by
// default, and 0 for no limit.
func FrameMax(bytes uint32) Option { return func(c *config) { c.frameMax = bytes } }

// ChannelMax sets how many channels a connection may have; 2047 by default, and
// 0 for as many as AMQP can number.
func ChannelMax(n uint16) Option { return func(c *config) { c.channelMax = n } }

// Heartbeat sets the interval that is proposed to clients, in whole seconds; a
// minute by default, and 0 to propose none. The client decides.
func Heartbeat(d time.Duration) Option { return func(c *config) { c.heartbeat = d } }

// HandshakeTimeout sets how long a client may take from connecting to
// connection.open; 10 seconds by default.
func HandshakeTimeout(d time.Duration) Option {
	return func(c *config) { c.handshakeTimeout = d }
}

// ConsumerTimeout sets for how long a delivery may be unsettled before its channel
// is closed (406 PRECONDITION_FAILED); 0 is no limit. Like RabbitMQ the server looks
// only once a minute. The default is that of the RabbitMQ the server behaves like:
// half an hour, and since 4.3 no limit.
func ConsumerTimeout(d time.Duration) Option {
	return func(c *config) { c.consumerTimeout = max(d, 0) }
}

// MaxMessageSize sets the largest body of a message; the default is that of the
// RabbitMQ the server behaves like: 16 MiB, before 4.0 128 MiB.
func MaxMessageSize(bytes int64) Option {
	return func(c *config) { c.maxMessageSize = bytes }
}

// MaxConnections sets how many open connections there may be to one virtual host;
// 0, the default, is any number.
func MaxConnections(n int) Option { return func(c *config) { c.maxConnections = n } }

// MaxQueues sets how many queues there may be in a virtual host before clients cannot
// declare further ones; 0, the default, is any number. Programs in this process may.
func MaxQueues(n int) Option { return func(c *config) { c.maxQueues = n } }

// MemoryLimit sets the size of the process's heap above which connections that
// publish are blocked, until it is smaller again; 0, the default, is no limit. It
// is looked at for every MiB that a connection publishes, complete messages or not.
func MemoryLimit(bytes uint64) Option { return func(c *config) { c.memoryLimit = bytes } }

// Logger sets where the server reports what clients did wrong, and what they
// were not told. The default is silence.
func Logger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.log = l
		}
	}
}

// User adds a user who logs in with a password. Without a Permissions option
// the user may do everything in every virtual host. Without any User option
// there is guest, with the password guest and the tag administrator, who may
// only log in from the same machine (an in-memory connection is one).
func User(name, password string, opts ...UserOption) Option {
	return func(c *config) { c.users[name] = newUser(name, password, opts) }
}

func newUser(name, password string, opts []UserOption) *user {
	u := &user{name: name, password: password}
	for _, o := range opts {
		if o != nil {
			o(u)
		}
	}
	return u
}

// UserOption configures a User, or a user that SetUser adds.
type UserOption func(*user)

// Tags sets a user's tags. To AMQP only impersonator means something: its
// user-id property may be any name. A management interface may know others.
func Tags(tags ...string) UserOption {
	return func(u *user) { u.tags = slices.Clone(tags) }
}

// LoopbackOnly refuses the user's logins from other machines.
func LoopbackOnly() UserOption { return func(u *user) { u.loopbackOnly = true } }

// UserMaxConnections sets how many open connections the user may have; 0, the
// default, is any number.
func UserMaxConnections(n int) UserOption { return func(u *user) { u.maxConnections = n } }

// UserMaxChannels sets how many channels the user may have open, in all connections
// together; 0, the default, is any number.
func UserMaxChannels(n int) UserOption { return func(u *user) { u.maxChannels = n } }

// Permissions lets a user do in a virtual host what the three regular
// expressions say of the names of exchanges and queues: whether they may be
// declared and deleted, written to, and read from. A pattern may match any part
// of a name; "" matches none. A user with a Permissions option has no access to
// virtual hosts that are not named in one. It panics if an expression is
// malformed, as regexp.MustCompile does.
func Permissions(vhost, configure, write, read string) UserOption {
	p := permissions{configure: newPattern(configure), write: newPattern(write), read: newPattern(read)}
	return func(u *user) {
		if u.permissions == nil {
			u.permissions = map[string]permissions{}
		}
		u.permissions[vhost] = p
	}
}

// TopicPermissions limits a user further in what routing keys to publish with to
// a topic exchange, and what keys to bind from it with. The expressions may
// contain {username} and {vhost}. Where none is given for an exchange there is
// no limit. It panics if an expression is malformed.
func TopicPermissions(vhost, exchange, write, read string) UserOption {
	regexp.MustCompile(write)
	regexp.MustCompile(read)
	return func(u *user) {
		if u.topics == nil {
			u.topics = map[topicResource]topicPermissions{}
		}
		u.topics[topicResource{vhost, exchange}] = topicPermissions{write: u.expand(write, vhost), read: u.expand(read, vhost)}
	}
}
