package pocketmq

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Policy is what queues and exchanges do whose names match it, beside what their
// own arguments say. It applies at once to those that exist, and to those to come.
//
// At most one policy applies to a queue or exchange, that of the highest Priority
// (of several, the first by name), and at most one operator policy. Definitions of
// several policies are never combined; that of the policy and of the operator
// policy are, and both with the arguments: the least limit counts, and otherwise
// the argument before the policies.
type Policy struct {
	Name string // must not be empty
	// Pattern is a regular expression in Go's syntax. It may match any part of the
	// name, unless it says otherwise with ^ and $.
	Pattern string
	// Definition has the names of arguments, without "x-", as keys: expires,
	// message-ttl, max-length, max-length-bytes, overflow, dead-letter-exchange,
	// dead-letter-routing-key, dead-letter-strategy, delivery-limit, consumer-timeout
	// (for connections), those of retries (see Retry) and of streams, and for exchanges
	// alternate-exchange. An operator policy may have expires, message-ttl, max-length,
	// max-length-bytes, delivery-limit and overflow.
	// A policy with a key that is not for a type of queue does not apply to queues of
	// that type. The table must not be changed afterwards.
	Definition Table
	Priority   int
	ApplyTo    ApplyTo // "" is ApplyToAll
}

// ApplyTo says what a Policy is for.
type ApplyTo string

// The values of ApplyTo.
const (
	ApplyToAll           ApplyTo = "all"
	ApplyToQueues        ApplyTo = "queues"
	ApplyToExchanges     ApplyTo = "exchanges"
	ApplyToClassicQueues ApplyTo = "classic_queues"
	ApplyToQuorumQueues  ApplyTo = "quorum_queues"
	ApplyToStreams       ApplyTo = "streams"
)

// SetPolicy sets a policy, instead of one of the same name, and applies it at once
// to all queues and exchanges: a lower limit trims a queue now, while a new TTL is
// for messages that come in from now on. If anything is wrong with it, nothing
// changes, and the error is ErrInvalid with RabbitMQ's text, or ErrNotSupported for
// keys that have no meaning here.
func (b *Broker) SetPolicy(p Policy) error { return b.setPolicy(&b.policies.user, p, false) }

// SetOperatorPolicy is SetPolicy for operator policies, by which whoever runs the
// broker limits what its users may have.
func (b *Broker) SetOperatorPolicy(p Policy) error {
	return b.setPolicy(&b.policies.operator, p, true)
}

// ClearPolicy removes a policy, and applies what is left. That there is none of that
// name is ErrNotFound.
func (b *Broker) ClearPolicy(name string) error {
	return b.clearPolicy(&b.policies.user, "policy", name)
}

// ClearOperatorPolicy is ClearPolicy for operator policies.
func (b *Broker) ClearOperatorPolicy(name string) error {
	return b.clearPolicy(&b.policies.operator, "operator policy", name)
}

// Policies returns the policies by name, without operator policies.
func (b *Broker) Policies() []Policy { return b.listPolicies(&b.policies.user) }

// OperatorPolicies returns the operator policies by name.
func (b *Broker) OperatorPolicies() []Policy { return b.listPolicies(&b.policies.operator) }

func (b *Broker) setPolicy(set *policySet, p Policy, operator bool) error {
	checked, err := newPolicy(p, operator)
	if err != nil {
		return err
	}
	return b.changePolicies(func() error {
		if *set == nil {
			*set = policySet{}
		}
		(*set)[p.Name] = checked
		b.policySet(checked.Policy)
		return nil
	})
}

func (b *Broker) clearPolicy(set *policySet, noun, name string) error {
	return b.changePolicies(func() error {
		if (*set)[name] == nil {
			return notFound("no %v", b.at(noun, name))
		}
		delete(*set, name)
		b.policyCleared(noun, name)
		return nil
	})
}

// changePolicies changes the policies, and applies them to what is there. Queues and
// exchanges that are declared meanwhile are either seen here, or see the change.
func (b *Broker) changePolicies(change func() error) error {
	if b.root == nil {
		return errNotMade
	}
	queues, changes, err := b.matchAfter(change)
	for q, f := range queues {
		q.apply(f, changes)
	}
	return err
}

// matchAfter changes the policies, applies them to the exchanges, and returns what is
// in force for the queues after so many changes.
func (b *Broker) matchAfter(change func() error) (queues map[*queue]inForce, changes uint32, err error) {
	b.mu.Lock()
	defer b.unlock()
	if b.phase.Load() == closed {
		return nil, 0, errBrokerClosed
	}
	if err := change(); err != nil {
		return nil, 0, err
	}
	b.policies.changes++
	for _, x := range b.exchanges.All() {
		x.apply(b.policies.match(x.subject()))
	}
	queues = map[*queue]inForce{}
	for _, q := range b.queues.All() {
		queues[q] = b.policies.match(q.subject())
	}
	return queues, b.policies.changes, nil
}

func (b *Broker) listPolicies(set *policySet) []Policy {
	b.mu.Lock()
	defer b.mu.Unlock()
	return set.list()
}

// policy is a Policy that is in order.
type policy struct {
	Policy
	pattern *regexp.Regexp
}

// newPolicy checks a policy as RabbitMQ does, and reports everything that is wrong
// in the same order (POL-10).
func newPolicy(p Policy, operator bool) (*policy, error) {
	for _, key := range unsupportedKeys {
		if _, ok := p.Definition[key]; ok {
			return nil, notSupported("policy '%s': '%s' is not supported", p.Name, key)
		}
	}
	if err := checkTable("definition", p.Definition, 0); err != nil {
		return nil, err
	}
	if p.Name == "" {
		return nil, invalid("a policy needs a name")
	}
	p.ApplyTo = cmp.Or(p.ApplyTo, ApplyToAll)
	var wrong []string
	if why := checkDefinition(p.Definition, operator); why != "" {
		wrong = append(wrong, why)
	}
	switch p.ApplyTo {
	case ApplyToAll, ApplyToQueues, ApplyToExchanges, ApplyToClassicQueues, ApplyToQuorumQueues, ApplyToStreams:
	default:
		wrong = append(wrong, fmt.Sprintf("apply-to '%s' unrecognised; should be one of: 'queues', 'classic_queues', "+
			"'quorum_queues', 'streams', 'exchanges', or 'all'", p.ApplyTo))
	}
	pattern, err := regexp.Compile(p.Pattern)
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("pattern should be regular expression but is invalid: %v", err))
	}
	if len(wrong) > 0 {
		return nil, invalid("Validation failed\n\n%s", strings.Join(wrong, "\n"))
	}
	p.Definition = maps.Clone(p.Definition)
	return &policy{p, pattern}, nil
}

// subject is what policies may apply to.
type subject struct {
	name   string
	groups []ApplyTo // that it belongs to, besides ApplyToAll
	lacks  []string  // the keys of definitions that are not for it
}

// matches reports whether p applies to s. A policy with a key that is not for s does
// not apply to it at all.
func (p *policy) matches(s subject) bool {
	if p.ApplyTo != ApplyToAll && !slices.Contains(s.groups, p.ApplyTo) || !p.pattern.MatchString(s.name) {
		return false
	}
	return !slices.ContainsFunc(s.lacks, func(key string) bool { _, ok := p.Definition[key]; return ok })
}

// policySet are policies by their names.
type policySet map[string]*policy

// match returns the policy that applies to s, or nil (POL-2).
func (set policySet) match(s subject) (best *policy) {
	for _, p := range set {
		if p.matches(s) && (best == nil || p.before(best)) {
			best = p
		}
	}
	return best
}

func (p *policy) before(q *policy) bool {
	return cmp.Or(cmp.Compare(q.Priority, p.Priority), cmp.Compare(p.Name, q.Name)) < 0
}

func (set policySet) list() []Policy {
	var all []Policy
	for _, name := range slices.Sorted(maps.Keys(set)) {
		p := set[name].Policy
		p.Definition = maps.Clone(p.Definition)
		all = append(all, p)
	}
	return all
}

// policies are those of a broker. Broker.mu guards them.
type policies struct {
	changes        uint32 // so far
	user, operator policySet
}

// inForce is what applies to a queue or an exchange.
type inForce struct{ user, operator *policy }

func (p *policies) match(s subject) inForce {
	return inForce{p.user.match(s), p.operator.match(s)}
}

func (p *policy) name() string {
	if p == nil {
		return ""
	}
	return p.Name
}

func (p *policy) definition() Table {
	if p == nil {
		return nil
	}
	return p.Definition
}

// merge returns what args say together with the policies (POL-3, POL-6, POL-7);
// prefix is what their keys lack of the arguments' names.
func (f inForce) merge(args Table, prefix string) Table {
	if f.user == nil && f.operator == nil {
		return args
	}
	merged := maps.Clone(args)
	for _, definition := range []Table{f.operator.definition(), f.user.definition()} { // in the order in which they count
		for key, v := range definition {
			set(&merged, prefix+key, mergeValue(key, merged[prefix+key], v))
		}
	}
	return merged
}
