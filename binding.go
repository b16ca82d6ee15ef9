package pocketmq

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A binding leads from an exchange to a queue or to another exchange.
type binding struct {
	source  *exchange
	to      destination
	key     string
	args    Table
	version version // whose rules it follows

	backlog []item // what its router has for its destination when it is made, the oldest first
}

// destination is where a binding leads: one of the two is set.
type destination struct {
	queue    *queue
	exchange *exchange
}

func (d destination) name() string {
	if d.queue != nil {
		return d.queue.name
	}
	return d.exchange.name
}

func (d destination) kind() string {
	if d.queue != nil {
		return "queue"
	}
	return "exchange"
}

// inbound is the set of the bindings that lead to d; Broker.mu guards it. It is
// made when it is needed: most queues have none.
func (d destination) inbound() *map[*binding]struct{} {
	if d.queue != nil {
		return &d.queue.inbound
	}
	return &d.exchange.inbound
}

func (d destination) addInbound(b *binding) {
	set := d.inbound()
	if *set == nil {
		*set = map[*binding]struct{}{}
	}
	(*set)[b] = struct{}{}
}

// identity is equal for two bindings of one exchange if and only if they are
// the same binding: same destination, key and arguments (EXCH-25).
func (b *binding) identity() string {
	id := fmt.Sprintf("%s %q %q ", b.to.kind(), b.to.name(), b.key)
	if len(b.args) == 0 {
		return id
	}
	return id + canonical(b.args)
}

// canonical writes a table value so that equal values, and only those, give
// equal text.
func canonical(v any) string {
	switch v := v.(type) {
	case Table:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		var s strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&s, "%q:%s,", k, canonical(v[k]))
		}
		return "{" + s.String() + "}"
	case []any:
		var s strings.Builder
		for _, e := range v {
			s.WriteString(canonical(e) + ",")
		}
		return "[" + s.String() + "]"
	case string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("x%q", v)
	case time.Time:
		return fmt.Sprintf("T%d", v.Unix())
	default:
		return fmt.Sprintf("%s(%v)", typeName(v), v)
	}
}

// bindRequest is a binding to be made or undone, by names.
type bindRequest struct {
	source, queue, exchange, key string
	toExchange                   bool
	args                         Table
	version                      version
	undo                         bool
}

func (r *bindRequest) check() error {
	r.source, r.queue, r.exchange = trimName(r.source), trimName(r.queue), trimName(r.exchange)
	for _, n := range [...][2]string{{"exchange", r.source}, {"queue", r.queue}, {"destination exchange", r.exchange}} {
		if err := checkName(n[0], n[1]); err != nil {
			return err
		}
	}
	if err := checkKey("binding key", r.key); err != nil {
		return err
	}
	return checkTable("arguments", r.args, 0)
}

func (b *Broker) bind(s *Session, r bindRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.source == "" || r.toExchange && r.exchange == "" {
		return b.defaultExchange()
	}
	if r.undo {
		return b.unbind(s, r)
	}
	n, err := b.addBinding(s, r)
	if err != nil {
		return err
	}
	b.catchUp(n)
	return nil
}

// addBinding is bind, up to what the destination gets at once.
func (b *Broker) addBinding(s *Session, r bindRequest) (*binding, error) {
	b.mu.Lock()
	defer b.unlock()
	n, err := b.resolve(r)
	if err != nil {
		return nil, err
	}
	if c, ok := n.source.router.(bindingChecker); ok {
		if err := c.checkBinding(n); err != nil {
			return nil, err
		}
	}
	if err := s.mayUse(n.to.queue); err != nil {
		return nil, err
	}
	n.args = maps.Clone(n.args)
	if n.source.bind(n) || s.wire && s.version >= v4_0 { // that tells it again
		b.bindingCreated(n, s.who.user)
	}
	return n, nil
}

// catchUp gives the destination of a new binding what came before.
func (b *Broker) catchUp(n *binding) {
	for _, it := range n.backlog {
		if n.to.queue != nil {
			n.to.queue.accept(&item{it.msg.withoutBCC(), it.exchange, it.key})
		}
	}
	for _, it := range slices.Backward(n.backlog) { // as RabbitMQ does
		if n.to.exchange != nil {
			b.passOn(n.to.exchange, &it, it.msg.keysToRepeat(), (*queue).accept)
		}
	}
	n.backlog = nil
}

func (b *Broker) unbind(s *Session, r bindRequest) error {
	b.mu.Lock()
	defer b.unlock()
	n, err := b.resolve(r)
	if err != nil || !n.source.has(n) {
		return nil // it is not bound (EXCH-28, QUEUE-15)
	}
	if err := s.mayUse(n.to.queue); err != nil {
		return err
	}
	b.removeBinding(n, s.who.user)
	b.removeIfUnused(n.source, s.who.user)
	return nil
}

// resolve finds the parties of a binding, the source first (EXCH-26).
func (b *Broker) resolve(r bindRequest) (*binding, error) {
	n := &binding{key: r.key, args: r.args, version: r.version}
	var ok bool
	if n.source, ok = b.exchanges.Load(r.source); !ok {
		return nil, b.noExchange(r.source)
	}
	var err error
	if r.toExchange {
		if n.to.exchange, ok = b.exchanges.Load(r.exchange); !ok {
			err = b.noExchange(r.exchange)
		}
	} else {
		n.to.queue, err = b.findQueue(r.queue)
	}
	return n, err
}

// removeBinding takes a binding out; b.mu is held.
func (b *Broker) removeBinding(n *binding, user string) {
	n.source.unbind(n)
	b.bindingDeleted(n, user)
}

// removeInbound removes the bindings that lead to d, and with them auto-delete
// exchanges that led nowhere else (EXCH-24); b.mu is held.
func (b *Broker) removeInbound(d destination, user string) {
	for in := range maps.Clone(*d.inbound()) {
		b.removeBinding(in, user)
		b.removeIfUnused(in.source, user)
	}
}

// removeIfUnused removes an auto-delete exchange that has just lost a binding,
// if that was its last; b.mu is held.
func (b *Broker) removeIfUnused(x *exchange, user string) {
	current, _ := b.exchanges.Load(x.name)
	if x.autoDelete && len(x.bindings) == 0 && current == x {
		b.removeExchange(x, user)
	}
}
