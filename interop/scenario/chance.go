package scenario

import (
	"maps"
	"slices"
	"strings"
)

// RabbitMQ does many things at once: a channel, a connection and a queue are
// processes, which send each other messages. So what comes in a step may be a
// matter of chance, and random scenarios are about the rest:
//
//   - Deliveries of two queues on one channel come in any order, which the delivery
//     tags show. Such a step is not played.
//   - So do the channels of a connection end when it does. If two of them have to do
//     with the same queue, what one returns may go to the other before that ends, too,
//     and is lost if that acks nothing: not played. Here they end together.
//   - A queue and that of its dead letters, q1 and d1, count as one where something is
//     returned, settled or committed to both: the dead letters of one race with that.
//   - A quorum queue has one consumer at a time, and nobody gets from it beside that:
//     what it gives to several in a step comes in the order of their tags, as far as a
//     map of Erlang's has one, and so does what several return. A get counts those that have
//     expired behind it, so that nothing expires there.
//   - A queue is not deleted while messages of it are out: RabbitMQ takes what is said of
//     them for one of a new queue of this name (ACK/after-the-queue-was-declared-again).
//   - A transaction that is completed in part closes its channel while that is delivered to.
//   - Confirms and commits come when the disk has the messages, before or after what
//     else comes, and the ends of consumers in any order: the step is unordered.

// chance is a kind of it.
type chance int

const (
	noChance  chance = iota
	anyOrder         // of what comes in this step on a channel
	anyResult        // also what follows depends on it
)

// see notes a step, and tells whether what came is a matter of chance.
func (m *model) see(step *Step, a Answers) chance {
	worst := noChance
	for _, line := range step.Lines {
		if m.risky(parseSaid(line)) {
			worst = anyResult
		}
		m.sent(line)
	}
	last := parseSaid(step.Lines[len(step.Lines)-1])
	for _, key := range slices.Sorted(maps.Keys(a)) {
		worst = max(worst, m.channelChance(a[key]))
		for _, l := range a[key] {
			if m.unlucky(parseSaid(l)) {
				worst = anyResult
			}
			m.came(l, last)
		}
	}
	return worst
}

// risky tells whether it is a matter of chance what a line does.
func (m *model) risky(s said) bool {
	if s.method == "drop" || s.method == "connection.close" {
		return m.entangled(strings.TrimSuffix(s.on, ".0"))
	}
	c := m.channels[s.on]
	if c == nil {
		return false
	}
	q := c.queue(s.fields["queue"])
	switch s.method {
	case "basic.consume":
		return m.quorum[q] && (m.consumed(q) || m.lent(q))
	case "basic.get":
		return m.quorum[q] && m.consumed(q)
	case "queue.delete":
		return m.lent(q)
	case "channel.close", "basic.recover", "basic.recover-async":
		return paired(c.queues())
	case "basic.ack", "basic.nack", "basic.reject":
		return s.has("multiple") && paired(c.queues())
	case "tx.commit":
		return paired(c.touched)
	case "basic.publish":
		soon := s.fields["expiration"] == "0" || s.fields["expiration"] == "500"
		_, routed := s.fields["exchange"] // maybe to one
		return soon && (m.quorum[s.fields["routing-key"]] || routed && len(m.quorum) > 0)
	}
	return false
}

// unlucky tells the same of an answer.
func (m *model) unlucky(s said) bool {
	c := m.channels[s.on]
	switch {
	case s.method == "connection.close", s.method == "closed": // whichever comes first
		return m.entangled(strings.TrimSuffix(s.on, ".0"))
	case s.method == "channel.close" && c != nil:
		return paired(c.queues()) || len(c.consumers) > 0 && strings.Contains(s.fields["reply-text"], "partial tx")
	}
	return false
}

// channelChance is that of the answers on one channel.
func (m *model) channelChance(lines []string) chance {
	queues := map[string]bool{}
	confirms, cancels := 0, 0
	for _, l := range lines {
		a := parseSaid(l)
		switch a.method {
		case "basic.deliver":
			if c := m.channels[a.on]; c != nil {
				queues[c.consumers[a.fields["consumer-tag"]].queue] = true
			}
		case "basic.ack", "basic.nack", "tx.commit-ok":
			confirms++
		case "basic.cancel":
			cancels++
		}
	}
	switch {
	case len(queues) > 1:
		return anyResult
	case confirms > 0 && len(queues) > 0, cancels > 1:
		return anyOrder
	}
	return noChance
}

// determine returns a scenario whose steps are marked as unordered where that is a
// matter of chance, as play shows; ok is false if more than the order is.
func determine(s *Scenario, play func(*Scenario) Transcript) (marked *Scenario, t Transcript, ok bool) {
	copied := *s
	copied.Steps = slices.Clone(s.Steps)
	for i := range copied.Steps {
		copied.Steps[i].Unordered = false // or the tags are not to be seen
	}
	t = play(&copied)
	m, changed := newModel(), false
	for i := range copied.Steps {
		if i >= len(t.Steps) {
			break
		}
		switch m.see(&copied.Steps[i], t.Steps[i]) {
		case anyResult:
			return &copied, t, false
		case anyOrder:
			copied.Steps[i].Unordered, changed = true, true
		}
	}
	if changed {
		t = play(&copied)
	}
	return &copied, t, true
}
