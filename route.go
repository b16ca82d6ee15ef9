package pocketmq

import (
	"cmp"
	"context"
	"slices"
)

// route is the first part of Publish: it finds the queues that a message goes to.
// The function that it returns is the second. In between, transactions hold
// messages back (TX-3).
func (s *Session) route(name, key string, m *Message) (deliver func(ctx context.Context, mandatory bool) error, err error) {
	b := s.broker
	x, err := b.publishable(name)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	more, err := m.moreKeys()
	if err != nil {
		return nil, err
	}
	to := s.recipients(x, key, more, m)
	if b.tracing.Load() {
		s.tracePublish(&item{m, x, key}, more, to.queueNames())
	}
	return func(ctx context.Context, mandatory bool) error {
		if err := s.check(ctx); err != nil {
			return err
		}
		queues, gone := to.exist(b)
		if gone != nil && len(queues) == 0 {
			return gone
		}
		x.published.Add(1)
		var flags PublishOption
		if mandatory {
			flags = Mandatory
		}
		return cmp.Or(b.handOver(ctx, s, queues, to.delays, &item{m, x, key}, flags), gone)
	}, nil
}

// recipients are where a message goes to that is held back. As in RabbitMQ, what the
// bindings are counts when it is published. Before 4.0 they lead to the queues of these
// names, and the default exchange to any name; later, to queues that exist already.
type recipients struct {
	names  []string // before 4.0
	queues []*queue // from 4.0 on
	delays []delay
}

func (s *Session) recipients(x *exchange, key string, more []string, m *Message) (to recipients) {
	if x.name == "" && s.version < v4_0 { // it leads to queues of any name, there or not
		names := append([]string{key}, more...)
		slices.Sort(names)
		to.names = slices.Compact(names)
		return to
	}
	r := routings.Get().(*routing)
	defer r.release()
	r.run(s.broker, x, key, more, m)
	to.delays = slices.Clone(r.delays)
	if s.version >= v4_0 {
		to.queues = slices.Clone(r.queues)
		return to
	}
	to.names = namesOf(r.queues)
	return to
}

// queueNames are those of all queues that it goes to, there or not.
func (to *recipients) queueNames() []string { return append(namesOf(to.queues), to.names...) }

func namesOf(queues []*queue) []string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.name
	}
	return names
}

// exist returns the queues that are there now, and an error if one of those that were
// there is not.
func (to *recipients) exist(b *Broker) (queues []*queue, gone error) {
	for _, name := range to.names {
		if q, ok := b.queues.Load(name); ok {
			queues = append(queues, q)
		}
	}
	for _, q := range to.queues {
		if now, _ := b.queues.Load(q.name); now == q {
			queues = append(queues, q)
		} else {
			gone = q.deleted()
		}
	}
	return queues, gone
}
