package pocketmq

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Opener opens a Client for a URL. It must not put the URL into its errors, for
// there may be a password in it.
type Opener func(ctx context.Context, url string) (Client, error)

var openers = struct {
	sync.Mutex
	byScheme map[string]Opener
}{byScheme: map[string]Opener{"mem": openMemory}}

// Register makes Open use an Opener for the URLs of a scheme. Packages call it
// when they are initialised: importing github.com/pocketmq/pocketmq/rabbitmq
// registers amqp and amqps. It panics if the scheme is empty or is registered already,
// or the Opener is nil. Schemes have no capital letters.
func Register(scheme string, open Opener) {
	openers.Lock()
	defer openers.Unlock()
	switch {
	case scheme == "" || scheme != strings.ToLower(scheme):
		panic(fmt.Sprintf("pocketmq: Register: the scheme %q is empty or has capital letters", scheme))
	case open == nil:
		panic(fmt.Sprintf("pocketmq: Register: the Opener of the scheme %q is nil", scheme))
	case openers.byScheme[scheme] != nil:
		panic(fmt.Sprintf("pocketmq: Register: the scheme %q is registered already", scheme))
	}
	openers.byScheme[scheme] = open
}

// Open returns a Client for a URL, so that a configuration can choose where the
// broker is:
//
//	mem://        a Broker of its own, in this process
//	mem://orders  a Session of the Broker in this process that has this name
//	amqp://...    a RabbitMQ; and amqps://, if the package rabbitmq is imported
//
// All who open mem:// URLs of one name share a Broker, which begins with the first
// of them and ends, with the messages in it, when the last has closed. Names are
// those of the process: libraries and tests should choose theirs with care.
//
// The client of a mem URL without a name is a *Broker, and that of an amqp URL a
// *rabbitmq.Client, whose Dial says what the URL may have in its query; a mem URL has
// none. All of these, also those with a name, have a method Shutdown, which ends them
// gently:
//
//	if s, ok := client.(interface{ Shutdown(context.Context) error }); ok {
//		err = s.Shutdown(ctx)
//	}
//
// Errors are ErrInvalid for a URL that cannot be right, or the Opener's.
func Open(ctx context.Context, url string) (Client, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	scheme, _, ok := strings.Cut(url, "://")
	if !ok {
		return nil, invalid("Open: the URL has no scheme, such as mem://")
	}
	scheme = strings.ToLower(scheme)
	openers.Lock()
	open, known := openers.byScheme[scheme], slices.Sorted(maps.Keys(openers.byScheme))
	openers.Unlock()
	switch {
	case open != nil:
		return open(ctx, url)
	case scheme == "amqp" || scheme == "amqps":
		return nil, invalid("Open: %s URLs need the package github.com/pocketmq/pocketmq/rabbitmq to be imported", scheme)
	}
	return nil, invalid("Open: the scheme %.20q is unknown; known are %s", scheme, strings.Join(known, ", "))
}

// memories are the brokers that mem:// URLs with a name share.
var memories = struct {
	sync.Mutex
	byName map[string]*memory
}{byName: map[string]*memory{}}

// memory is a broker with the number of its clients.
type memory struct {
	name    string
	broker  *Broker
	clients int
}

func openMemory(ctx context.Context, url string) (Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := url[len("mem://"):]
	if i := strings.IndexAny(name, "/?#@:"); i >= 0 {
		return nil, invalid("Open: a mem URL has a name and nothing else: mem://orders; there is a '%c' in it", name[i])
	}
	if name == "" {
		return New(), nil
	}
	memories.Lock()
	defer memories.Unlock()
	m := memories.byName[name]
	if m == nil {
		m = &memory{name: name, broker: New()}
		memories.byName[name] = m
	}
	m.clients++
	return &memoryClient{Session: m.broker.Session(), memory: m}, nil
}

// memoryClient is a client of a shared broker.
type memoryClient struct {
	*Session
	memory *memory
	once   sync.Once
}

// Close is described at Client.
func (c *memoryClient) Close() error {
	err := c.Session.Close()
	c.once.Do(func() {
		if c.memory.leave() {
			err = c.memory.broker.Close()
		}
	})
	return err
}

// Shutdown is Close for all but the last client, which lets the consumers empty
// their queues first; see Broker.Shutdown.
func (c *memoryClient) Shutdown(ctx context.Context) (err error) {
	if ctx == nil {
		return errNilContext
	}
	if err := c.memory.broker.checkNoHandler(ctx); err != nil {
		return err
	}
	c.once.Do(func() {
		if c.memory.leave() {
			err = c.memory.broker.Shutdown(ctx)
		}
	})
	if e := c.Session.Close(); err == nil {
		err = e
	}
	return err
}

// leave counts a client less, and reports whether it was the last.
func (m *memory) leave() bool {
	memories.Lock()
	defer memories.Unlock()
	if m.clients--; m.clients > 0 {
		return false
	}
	if memories.byName[m.name] == m {
		delete(memories.byName, m.name)
	}
	return true
}
