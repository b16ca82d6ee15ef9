package rabbitmq

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// Option configures Dial.
type Option func(*config)

type config struct {
	url       string
	name      string
	tls       *tls.Config
	dialer    func(network, addr string) (net.Conn, error)
	heartbeat time.Duration
	pause     pause
	log       *slog.Logger
}

// Name sets the name by which the broker lists the client's connections.
func Name(name string) Option { return func(c *config) { c.name = name } }

// TLS sets the configuration of amqps connections: certificates, and whom to
// trust. Without it the system's certificate authorities are trusted. It has no
// effect on amqp URLs.
func TLS(t *tls.Config) Option { return func(c *config) { c.tls = t } }

// Dialer sets how network connections are opened; amqptest's Dial fits. The
// default is TCP.
func Dialer(dial func(network, addr string) (net.Conn, error)) Option {
	return func(c *config) { c.dialer = dial }
}

// Heartbeat sets how often each side gives a sign of life, if the broker does not
// want it more often; 10 seconds by default. After two intervals of silence a
// connection counts as lost.
func Heartbeat(d time.Duration) Option { return func(c *config) { c.heartbeat = d } }

// Backoff sets the pauses between attempts to connect again: the first is about
// least, and each is twice the one before, up to most. They vary by a quarter at
// random, so that the clients of a broker that was down don't come all at once.
// The default is 100 ms and 10 s.
func Backoff(least, most time.Duration) Option {
	return func(c *config) { c.pause = pause{least, most} }
}

// Logger sets where the client reports what nobody is told otherwise: handlers
// that failed, connections that were lost, and what could not be declared again.
// The default, also for nil, is silence.
func Logger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.log = l
		}
	}
}
