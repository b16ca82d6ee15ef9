package pocketmq

import (
	"math"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// settings are what is in force for a queue, now, and never changed: what its arguments ask for,
// and where they are silent, policies and the defaults of who declared it.
type settings struct {
	overflow      OverflowPolicy
	maxLength     int             // messages that may wait; negative = any number
	maxBytes      int64           // bytes of these; negative = any number
	messageTTL    time.Duration   // of a message from when it comes in; negative = none
	expires       time.Duration   // of the queue while nobody uses it; 0 = none
	deadLetters   *deadLetters    // where dead messages go; nil = nowhere
	atLeastOnce   bool            // they stay until they are there
	deliveryLimit int             // how often a message may come back; negative = any number
	stream        *streamSettings // nil unless it is a stream

	place fifo.Place // where messages go that come back

	retry *retry // how long what came back waits; nil = it does not

	consumerTimeout time.Duration // for settling over a connection; 0 = that of the server

	// Of arguments that no policy can set (POL-8).
	maxPriority  uint8 // of messages; 0 = they have none
	highTurns    int   // messages before the lowest priority has its turn; 0 = it has none
	singleActive bool  // only one consumer gets messages
	quorum       bool
	version      version // of RabbitMQ, for a quorum queue
	retries      bool    // there are arguments of retries
}

// Most queues are declared in one of a few ways, and share their settings.
var (
	boundedSettings   = settings{maxLength: DefaultMaxLength, maxBytes: -1, messageTTL: -1, deliveryLimit: -1, retries: true}
	unboundedSettings = settings{maxLength: -1, maxBytes: -1, messageTTL: -1, deliveryLimit: -1, retries: true}
	rabbitMQSettings  = settings{overflow: DropHead, maxLength: -1, maxBytes: -1, messageTTL: -1, deliveryLimit: -1, retries: true}
	// Those of a queue that was declared over a connection to a version without retries.
	olderSettings = settings{overflow: DropHead, maxLength: -1, maxBytes: -1, messageTTL: -1, deliveryLimit: -1}
)

// defaultSettings are those of a queue without arguments but its type.
func (c *queueConfig) defaultSettings() *settings {
	s := c.defaultClassicSettings()
	switch queueTypeOf(c.args) {
	case quorum:
		return c.quorumSettings(*s)
	case streams:
		return c.streamSettings(rabbitMQSettings)
	}
	return s
}

func (c *queueConfig) defaultClassicSettings() *settings {
	switch {
	case c.wire && c.version < v4_3:
		return &olderSettings
	case c.rabbitMQ:
		return &rabbitMQSettings
	case c.unbounded:
		return &unboundedSettings
	}
	return &boundedSettings
}

// bound returns what bounds a queue by default, and to how much: messages, or the
// bytes of a stream.
func (s *settings) bound() (key string, limit, otherwise int64) {
	if s.stream != nil {
		return "x-max-length-bytes", s.maxBytes, DefaultStreamBytes
	}
	return "x-max-length", int64(s.maxLength), DefaultMaxLength
}

// settingsOf returns the defaults as changed by arguments, which are valid.
func settingsOf(defaults *settings, args Table) *settings {
	if len(args) == 0 {
		return defaults
	}
	changed := *defaults
	s := &changed
	if n, ok := integer(args["x-max-length"]); ok {
		s.maxLength = int(min(n, math.MaxInt)) // an int may have 32 bits
	}
	if n, ok := integer(args["x-max-length-bytes"]); ok {
		s.maxBytes = n
	}
	for p, name := range overflowNames {
		if name == args["x-overflow"] {
			s.overflow = p
		}
	}
	if n, ok := integer(args["x-message-ttl"]); ok {
		s.messageTTL = time.Duration(n) * time.Millisecond
	}
	if n, ok := integer(args["x-consumer-timeout"]); ok && n > 0 {
		s.consumerTimeout = time.Duration(n) * time.Millisecond
	}
	if n, ok := integer(args["x-expires"]); ok {
		s.expires = time.Duration(n) * time.Millisecond
	}
	if name, ok := args["x-dead-letter-exchange"].(string); ok {
		s.deadLetters = &deadLetters{exchange: name}
		s.deadLetters.key, s.deadLetters.hasKey = args["x-dead-letter-routing-key"].(string)
	}
	if n, ok := integer(args["x-delivery-limit"]); ok {
		s.deliveryLimit = int(max(-1, min(n, math.MaxInt)))
		if s.quorum && s.version < v4_0 {
			s.deliveryLimit = max(0, s.deliveryLimit) // below 0 is no limit since 4.0 (ARGS-17)
		}
	}
	if n, ok := integer(args["x-max-priority"]); ok {
		s.maxPriority = uint8(n)
	}
	s.singleActive = args["x-single-active-consumer"] == true
	if s.retries {
		s.retry = retryOf(args)
	}
	if s.quorum {
		s.asQuorum()
	}
	// Where messages are dropped for want of room they cannot stay when they have died (QQ-19).
	s.atLeastOnce = args["x-dead-letter-strategy"] == atLeastOnce && s.deadLetters != nil && (s.overflow == RejectPublish || s.overflow == Block)
	if s.stream != nil {
		s.stream = s.stream.with(s.maxBytes, args)
	}
	return s
}

// limits are the settings that fifo enforces.
func (s *settings) limits() fifo.Limits[item] {
	if s.stream != nil {
		return fifo.Unlimited[item]()
	}
	l := fifo.Limits[item]{Length: s.maxLength, Bytes: s.maxBytes, Failures: s.deliveryLimit, Place: s.place,
		Weight: s.highTurns, KeepDead: s.deadLetters != nil, HoldDead: s.atLeastOnce, TrimmedFirst: s.quorum, Size: bodySize}
	if s.retry != nil {
		l.Delay = s.retry.delay
	}
	return l
}

// bodySize is what a message counts for: its body only (LEN-1).
func bodySize(it item) int { return len(it.msg.Body) }

// plain reports whether a message that does not expire by itself can be pushed
// without a further look at the settings.
func (s *settings) plain() bool {
	return s.stream == nil && s.messageTTL < 0 && s.maxBytes < 0 && s.retry == nil
}

// priority is that of a message in the queue (PRIO-1).
func (s *settings) priority(m *Message) uint8 {
	if s.quorum {
		return s.quorumPriority(m)
	}
	return min(m.Priority, s.maxPriority)
}

// subject is what policies look at.
func (q *queue) subject() subject {
	return subject{name: q.name, groups: []ApplyTo{ApplyToQueues, queueGroups[queueTypeOf(q.args)]}, lacks: q.lacks()}
}

// queueGroups are what the types of queues are called in policies.
var queueGroups = map[queueTypes]ApplyTo{
	classic: ApplyToClassicQueues, quorum: ApplyToQuorumQueues, streams: ApplyToStreams,
}

// apply puts policies into force, at once: a lower limit trims the queue now, while
// a new TTL is for the messages that come in from now on (POL-9, POL-11). They are those
// after a number of changes; what a later change has applied stays.
func (q *queue) apply(f inForce, changes uint32) {
	q.logLost(q.putInForce(f, changes))
}

// putInForce is apply, and returns how many letters are lost by that.
func (q *queue) putInForce(f inForce, changes uint32) (lost int) {
	q.lock()
	defer q.unlock()
	if changes < q.changes {
		return 0
	}
	q.changes = changes
	if q.gone != nil || f == q.policies {
		return 0
	}
	s := settingsOf(q.defaults, f.merge(q.args, "x-"))
	q.policies = f
	q.plain = s.plain()
	if s.retry != nil {
		q.startTime()
	}
	q.fifo.SetLimits(s.limits())
	if q.settings.overflow == DropHead { // as in RabbitMQ: the limit counts before a new overflow policy
		q.dropHead()
	}
	q.settings = s
	lost = q.reviewLetters()
	if q.log != nil {
		q.log.SetRetention(s.stream.Retention, time.Now())
	}
	if s.overflow != Block {
		q.resolveWaiters()
	}
	q.restartExpiry()
	return lost
}
