package pocketmq

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// consistentHashRouter sends messages of the same key to the same one of its
// destinations, and spreads keys over them by the weights that are their binding
// keys (XPLUG-1). Which destination gets a key does not depend on the order of
// binding; one that comes takes its share of keys from all others, and one that
// goes leaves its own to all others: no other key moves.
//
// A destination has the weight of the binding that came first, and goes with any
// of its bindings, as in RabbitMQ.
type consistentHashRouter struct {
	hashed func(key string, m *Message) string // what of a message decides
	shares atomic.Pointer[[]share]
}

// share is a destination with its part of the keys.
type share struct {
	to     destination
	seed   uint64 // for the destination's name
	weight float64
}

// newConsistentHashRouter reads hash-header and hash-property (XPLUG-3).
func newConsistentHashRouter(args Table) (router, error) {
	header, byHeader := args["hash-header"]
	property, byProperty := args["hash-property"]
	r := &consistentHashRouter{hashed: func(key string, _ *Message) string { return key }}
	switch {
	case byHeader && byProperty:
		return nil, preconditionFailed("hash-header and hash-property are mutually exclusive")
	case byHeader:
		name, ok := header.(string)
		if !ok { // which RabbitMQ answers with INTERNAL_ERROR
			return nil, preconditionFailed("Invalid hash-header field type %s; expected longstr", typeName(header))
		}
		r.hashed = func(_ string, m *Message) string { return hashedHeader(m.Headers[name]) }
	case byProperty:
		switch property {
		case "correlation_id":
			r.hashed = func(_ string, m *Message) string { return m.CorrelationID }
		case "message_id":
			r.hashed = func(_ string, m *Message) string { return m.MessageID }
		case "timestamp":
			r.hashed = func(_ string, m *Message) string { return strconv.FormatInt(m.Timestamp.Unix(), 10) }
		default:
			return nil, preconditionFailed("Unsupported property: %v", property)
		}
	}
	return r, nil
}

// hashedHeader is the same for all messages that lack the header.
func hashedHeader(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return canonical(v)
}

// checkBinding reports a key that is no weight (XPLUG-2).
func (r *consistentHashRouter) checkBinding(b *binding) error {
	_, err := weight(b.key)
	return err
}

func weight(key string) (float64, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(key, "-"), "+")
	n, err := strconv.ParseFloat(key, 64)
	switch {
	case digits == "" || strings.Trim(digits, "0123456789") != "" || err != nil:
		return 0, preconditionFailed("The binding key must be an integer: %s", erlang.Text(key))
	case n < 1:
		return 0, preconditionFailed("The binding key must be greater than 0")
	}
	return n, nil
}

func (r *consistentHashRouter) slot(b *binding) string { return b.identity() }

func (r *consistentHashRouter) list() []share {
	if p := r.shares.Load(); p != nil {
		return *p
	}
	return nil
}

func (r *consistentHashRouter) add(b *binding) {
	if slices.ContainsFunc(r.list(), func(s share) bool { return s.to == b.to }) {
		return
	}
	w, _ := weight(b.key)
	all := append(r.list(), share{b.to, hashOf(b.to.kind(), b.to.name()), w})
	r.shares.Store(&all)
}

func (r *consistentHashRouter) remove(b *binding) {
	left := slices.DeleteFunc(slices.Clone(r.list()), func(s share) bool { return s.to == b.to })
	r.shares.Store(&left)
}

// route picks the destination that draws the lowest number. What they draw depends
// on the key, and each has the lowest as often as its weight says
// (weighted rendezvous hashing).
func (r *consistentHashRouter) route(to *routing, keys []string, m *Message) {
	shares := r.list()
	if len(shares) == 0 {
		return
	}
	key := hashOf(r.hashed(keys[0], m))
	best, lowest := 0, math.Inf(1)
	for i := range shares {
		s := &shares[i]
		// Exponentially distributed, and the lower the greater the weight.
		if n := -math.Log(fraction(mix(key^s.seed))) / s.weight; n < lowest {
			best, lowest = i, n
		}
	}
	to.addDestination(shares[best].to)
}
