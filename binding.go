package pocketmq

import (
	"fmt"
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
