package pocketmq

import (
	"math"
	"strconv"
	"time"
)

// MaxDelay is the longest that a DelayedMessage exchange can hold a message back,
// nearly 50 days.
const MaxDelay = math.MaxUint32 * time.Millisecond

// DelayedType names the kind by which an exchange of the kind DelayedMessage routes.
// Such an exchange first holds each message back for the milliseconds that its
// header x-delay says, see SetDelay. It is RabbitMQ's plug-in of that name.
//
// Messages are routed to the millisecond, and in the order in which they were
// published if they become due together. A delayed message that finds a queue full
// does not wait for room: it exceeds the limit of a queue with Block, and is
// dropped by one with RejectPublish. With Mandatory, Publish returns ErrUnroutable
// for it, as it has reached no queue yet; it is delayed nevertheless.
//
// See MaxDelayed for how many messages may wait, and (*Broker).Delayed for which
// do. They are gone with their exchange, and with the broker.
func DelayedType(kind string) ExchangeOption {
	return exchangeOption(func(c *exchangeConfig) { set(&c.args, "x-delayed-type", kind) })
}

// SetDelay makes exchanges of the kind DelayedMessage hold m back for d, rounded up
// to milliseconds: it sets the header x-delay. A d that is negative or above
// MaxDelay is ErrInvalid. It must not be called once m was published.
func (m *Message) SetDelay(d time.Duration) error {
	if d < 0 || d > MaxDelay {
		return invalid("SetDelay(%v): must be between 0 and %v", d, MaxDelay)
	}
	set(&m.Headers, "x-delay", int64((d+time.Millisecond-1)/time.Millisecond))
	return nil
}

func init() { kinds[DelayedMessage] = newDelayedRouter } // not above: it reads kinds

// delayedRouter routes as another one does, but holds messages back before.
type delayedRouter struct {
	router
	delays *delays
}

// newDelayedRouter reads x-delayed-type (XPLUG-9).
func newDelayedRouter(args Table) (router, error) {
	kind, ok := args["x-delayed-type"].(string)
	switch {
	case !ok:
		return nil, preconditionFailed("Invalid argument, 'x-delayed-type' must be an existing exchange type")
	case kind == DelayedMessage:
		return nil, preconditionFailed("Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'")
	case kinds[kind] == nil:
		return nil, unknownKind(kind)
	}
	inner, err := kinds[kind](args)
	if err != nil {
		return nil, err
	}
	return &delayedRouter{router: inner}, nil
}

func (r *delayedRouter) checkBinding(b *binding) error {
	if c, ok := r.router.(bindingChecker); ok {
		return c.checkBinding(b)
	}
	return nil
}

func (r *delayedRouter) route(to *routing, keys []string, m *Message) {
	if d := m.delay(); d > 0 {
		to.addDelay(delay{r.delays, d})
		return
	}
	r.router.route(to, keys, m)
}

// delay reads x-delay: an integer, or what the plug-in takes for one. Out of range
// means no delay (XPLUG-10).
func (m *Message) delay() time.Duration {
	v, ok := m.Headers["x-delay"]
	if !ok {
		return 0
	}
	n := delayNumber(v)
	if n <= 0 || n > math.MaxUint32 {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

func delayNumber(v any) int64 {
	switch v := v.(type) {
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	case float32:
		return int64(v)
	case float64:
		return int64(v)
	}
	n, _ := integer(v)
	return n
}

// released returns m as its receivers see it after the delay: it says that there
// was one, and is not delayed again (XPLUG-11).
func (m *Message) released() *Message {
	seen := m.withHeaders()
	if n := -int64(m.delay() / time.Millisecond); n >= math.MinInt32 {
		seen.Headers["x-delay"] = int32(n)
	} else {
		seen.Headers["x-delay"] = n
	}
	return seen
}
