package pocketmq

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

// headersRouter sends a message to the bindings whose arguments match its
// headers (ROUTE-12 to ROUTE-20). It has to look at every binding.
type headersRouter struct {
	matchers atomic.Pointer[[]*headersMatcher]
}

func (r *headersRouter) list() []*headersMatcher {
	if p := r.matchers.Load(); p != nil {
		return *p
	}
	return nil
}

func (r *headersRouter) slot(b *binding) string { return canonical(b.args) }

func (r *headersRouter) add(b *binding) {
	l := append(r.list(), newHeadersMatcher(b))
	r.matchers.Store(&l)
}

func (r *headersRouter) remove(b *binding) {
	id := r.slot(b)
	l := slices.DeleteFunc(slices.Clone(r.list()), func(m *headersMatcher) bool {
		return m.to == b.to && m.slot == id
	})
	r.matchers.Store(&l)
}

func (r *headersRouter) route(to *routing, _ []string, m *Message) {
	for _, h := range r.list() {
		if h.matches(m.Headers) {
			to.addDestination(h.to)
		}
	}
}

// headersMatcher is the arguments of one binding, made ready to compare.
type headersMatcher struct {
	to      destination
	slot    string
	any     bool // one pair is enough; otherwise all must match
	pairs   []headerPair
	version version
}

type headerPair struct {
	key  string
	want any // normalised, or nested; nil = the key need only be present (ROUTE-17)
}

// nested is an array or table as canonical writes it: element types count
// (ROUTE-20).
type nested string

func comparableValue(v any, rules version) any {
	switch v := v.(type) {
	case []any:
		return nestedValue(v, len(v))
	case Table:
		return nestedValue(v, len(v))
	}
	n := normal(v)
	if f, ok := n.(float64); ok && rules == v3_10 && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return int64(f)
	}
	return n
}

// nestedValue is an array or table of n elements. Without any nobody can tell which
// of them it is.
func nestedValue(v any, n int) nested {
	if n == 0 {
		return ""
	}
	return nested(canonical(v))
}

func newHeadersMatcher(b *binding) *headersMatcher {
	mode, _ := b.args["x-match"].(string)
	h := &headersMatcher{to: b.to, slot: canonical(b.args), any: strings.HasPrefix(mode, "any"), version: b.version}
	withX := strings.HasSuffix(mode, "-with-x")
	for k, v := range b.args {
		if k == "x-match" || !withX && strings.HasPrefix(k, "x-") {
			continue
		}
		h.pairs = append(h.pairs, headerPair{k, comparableValue(v, b.version)})
	}
	return h
}

// matches reports whether headers fit. All pairs of none fit, any pair of none
// does not (ROUTE-16).
func (h *headersMatcher) matches(headers Table) bool {
	for _, p := range h.pairs {
		v, ok := headers[p.key]
		if ok && p.want != nil {
			ok = p.want == h.header(v)
		}
		if ok == h.any {
			return h.any
		}
	}
	return !h.any
}

// header is the value of a header, made comparable with the pairs. From 4.0 on
// RabbitMQ has it in milliseconds if it is a timestamp (ROUTE-19).
func (h *headersMatcher) header(v any) any {
	if t, ok := v.(time.Time); ok && h.version >= v4_0 {
		return t.Unix() * 1000
	}
	return comparableValue(v, h.version)
}

// normal makes values comparable that only differ in how they were encoded: the
// width of an integer, string or bytes (ROUTE-18).
func normal(v any) any {
	if n, ok := integer(v); ok {
		return n
	}
	switch v := v.(type) {
	case float32:
		return float64(v)
	case time.Time:
		return v.Unix()
	case []byte:
		return string(v)
	default:
		return v
	}
}

// checkBinding reports an x-match that means nothing (ROUTE-13, ROUTE-14).
func (r *headersRouter) checkBinding(b *binding) error {
	v, ok := b.args["x-match"]
	if !ok {
		return nil
	}
	mode, ok := v.(string)
	if !ok {
		return preconditionFailed("Invalid x-match field type %s (value %s); expected longstr", typeName(v), erlang.Text(v))
	}
	switch mode {
	case "all", "any", "all-with-x", "any-with-x":
		return nil
	}
	return preconditionFailed("Invalid x-match field value %s; expected all, any, all-with-x, or any-with-x", erlang.Binary(mode))
}
