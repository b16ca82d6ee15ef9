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
//     with the same queue, what one returns may go to the other before that ends, too:
//     not played.
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
		s := parseSaid(line)
		if (s.method == "drop" || s.method == "connection.close") && m.entangled(strings.TrimSuffix(s.on, ".0")) {
			worst = anyResult
		}
		m.sent(line)
	}
	last := parseSaid(step.Lines[len(step.Lines)-1])
	for _, key := range slices.Sorted(maps.Keys(a)) {
		worst = max(worst, m.channelChance(a[key]))
		for _, l := range a[key] {
			if s := parseSaid(l); s.method == "connection.close" && m.entangled(strings.TrimSuffix(s.on, ".0")) {
				worst = anyResult
			}
			m.came(l, last)
		}
	}
	return worst
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
