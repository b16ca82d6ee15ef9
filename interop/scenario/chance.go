package scenario

import (
	"regexp"
	"slices"
	"strings"
)

// The kinds of chance.
const (
	noChance  = iota
	anyOrder  // of what comes in this step on a channel
	anyResult // also what follows depends on it
)

// chance knows where RabbitMQ may go one way or another.
type chance struct {
	queues map[string]string // of consumers
	noAcks map[string]bool   // the consumers that are
}

func newChance() *chance { return &chance{map[string]string{}, map[string]bool{}} }

// noAck tells whether a delivery is one that cannot be settled.
func (c *chance) noAck(line string) bool {
	m := deliverLine.FindStringSubmatch(line)
	return m != nil && c.noAcks[m[2]]
}

var consumeLine = regexp.MustCompile(`basic\.consume queue=(\S+) consumer-tag=(\S+)( no-ack)?`)

var deliverLine = regexp.MustCompile(`^(\S+) basic\.deliver consumer-tag=(\S+)`)

var confirmLine = regexp.MustCompile(`^\S+ (?:basic\.ack|basic\.nack|tx\.commit-ok)\b`)

// see tells whether the answers in a step are a matter of chance.
func (c *chance) see(step *Step, a Answers) int {
	dropped := false
	for _, l := range step.Lines {
		if m := consumeLine.FindStringSubmatch(l); m != nil {
			c.queues[m[2]], c.noAcks[m[2]] = m[1], m[3] != ""
		}
		dropped = dropped || strings.HasSuffix(l, " drop")
	}
	for key, lines := range a {
		dropped = dropped || slices.Contains(lines, key+" closed")
	}
	worst := noChance
	for _, lines := range a {
		worst = max(worst, c.channel(lines, dropped))
	}
	return worst
}

// channel looks at the answers on one channel: deliveries from two queues come in
// any order, and so do those that two lost channels of a connection return to one
// queue. Confirms, which commits wait for, too, and the ends of consumers are
// collected by RabbitMQ.
func (c *chance) channel(lines []string, dropped bool) int {
	queues := map[string]int{}
	deliveries, confirms, cancels := 0, 0, 0
	for _, l := range lines {
		if m := deliverLine.FindStringSubmatch(l); m != nil {
			queues[c.queues[m[2]]]++
			deliveries++
		}
		if confirmLine.MatchString(l) {
			confirms++
		}
		if strings.Contains(l, " basic.cancel ") {
			cancels++
		}
	}
	switch {
	case len(queues) > 1, dropped && deliveries > 1:
		return anyResult
	case confirms > 0 && deliveries > 0, cancels > 1:
		return anyOrder
	}
	return noChance
}

// byChance tells whether a transcript has something that is a matter of chance.
func byChance(s *Scenario, t Transcript) bool {
	c := newChance()
	for i := range s.Steps {
		if i < len(t.Steps) && c.see(&s.Steps[i], t.Steps[i]) == anyResult {
			return true
		}
	}
	return false
}
