package pocketmq

import (
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// settings are what is in force for a queue, and never changed: what its arguments ask for,
// where they are silent the defaults of who declared it. A policy is a table of
// the same arguments. It takes effect by merging it with the queue's arguments,
// key by key, the lesser number or the argument before the policy (POL-6, POL-7),
// and giving the result to settingsOf and what comes of it to (*queue).apply.
type settings struct {
	overflow      OverflowPolicy
	maxLength     int           // messages that may wait; negative = any number
	maxBytes      int64         // bytes of these; negative = any number
	messageTTL    time.Duration // of a message from when it comes in; negative = none
	expires       time.Duration // of the queue while nobody uses it; 0 = none
	deadLetters   *deadLetters  // where dead messages go; nil = nowhere
	deliveryLimit int           // how often a message may come back; negative = any number

	place fifo.Place // where messages go that come back

	retry *retry // how long what came back waits; nil = it does not

	// Of arguments that no policy can set (POL-8).
	maxPriority  uint8 // of messages; 0 = they have none
	singleActive bool  // only one consumer gets messages
	quorum       bool
	version      version // of RabbitMQ that the queue behaves like
	retries      bool    // there are arguments of retries
}

// defaultSettings are those of a queue without arguments.
func (c *queueConfig) defaultSettings() settings {
	s := settings{maxLength: DefaultMaxLength, maxBytes: -1, messageTTL: -1, deliveryLimit: -1, version: c.version, retries: !c.wire || c.version >= v4_3}
	if c.unbounded || c.rabbitMQ {
		s.maxLength = -1
	}
	if c.rabbitMQ {
		s.overflow = DropHead
	}
	if c.isQuorum() {
		c.quorumDefaults(&s)
	}
	return s
}

// settingsOf returns the defaults as changed by arguments, which are valid.
func settingsOf(defaults settings, args Table) *settings {
	s := &defaults
	if n, ok := integerIn(args, "x-max-length"); ok {
		s.maxLength = int(n)
	}
	if n, ok := integerIn(args, "x-max-length-bytes"); ok {
		s.maxBytes = n
	}
	for p, name := range overflowNames {
		if name == args["x-overflow"] {
			s.overflow = p
		}
	}
	if n, ok := integerIn(args, "x-message-ttl"); ok {
		s.messageTTL = time.Duration(n) * time.Millisecond
	}
	if n, ok := integerIn(args, "x-expires"); ok {
		s.expires = time.Duration(n) * time.Millisecond
	}
	if name, ok := args["x-dead-letter-exchange"].(string); ok {
		s.deadLetters = &deadLetters{exchange: name}
		s.deadLetters.key, s.deadLetters.hasKey = args["x-dead-letter-routing-key"].(string)
	}
	if n, ok := integerIn(args, "x-delivery-limit"); ok {
		s.deliveryLimit = int(n)
	}
	if n, ok := integerIn(args, "x-max-priority"); ok {
		s.maxPriority = uint8(n)
	}
	s.singleActive = args["x-single-active-consumer"] == true
	if s.retries {
		s.retry = retryOf(args)
	}
	if s.quorum {
		s.asQuorum()
	}
	return s
}

// settingsOf returns the settings that a declaration asks for. b.mu is held.
func (b *Broker) settingsOf(c *queueConfig) *settings {
	defaults := c.defaultSettings()
	if len(c.args) > 0 {
		return settingsOf(defaults, c.args)
	}
	if _, ok := b.defaults[defaults]; !ok {
		b.defaults[defaults] = settingsOf(defaults, nil)
	}
	return b.defaults[defaults]
}

func integerIn(args Table, key string) (int64, bool) {
	n, why := integerArgument(args[key])
	return n, why == ""
}

// limits are the settings that fifo enforces.
func (s *settings) limits() fifo.Limits[item] {
	l := fifo.Limits[item]{Length: s.maxLength, Bytes: s.maxBytes, Failures: s.deliveryLimit, Place: s.place, KeepDead: s.deadLetters != nil}
	if s.retry != nil {
		l.Delay = s.retry.delay
	}
	if s.maxBytes >= 0 {
		l.Size = func(it item) int { return len(it.msg.Body) } // bodies only (LEN-1)
	}
	return l
}

// plain reports whether a message that does not expire by itself can be pushed
// without a further look at the settings.
func (s *settings) plain() bool {
	return s.messageTTL < 0 && s.maxBytes < 0 && s.maxPriority == 0 && s.retry == nil
}

// priority is that of a message in the queue (PRIO-1).
func (s *settings) priority(m *Message) uint8 {
	if s.quorum {
		return s.quorumPriority(m)
	}
	return min(m.Priority, s.maxPriority)
}

// apply puts settings into force, at once: a lower limit trims the queue now,
// while a new TTL is for the messages that come in from now on (POL-9, POL-11).
func (q *queue) apply(s *settings) {
	q.lock()
	defer q.unlock()
	q.settings = s
	q.plain = s.plain()
	if s.retry != nil {
		q.startTime()
	}
	q.fifo.SetLimits(s.limits())
	q.restartExpiry()
}
