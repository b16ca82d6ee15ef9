package scenario

import (
	"slices"
	"strconv"
	"strings"
)

// model is what is known after some steps of a script from its lines and from what
// came: who is connected, which consumers there are, what is to be settled.
type model struct {
	conns    map[string]link
	channels map[string]*channel // that are open, such as a.1
	single   map[string]bool     // queues that may have been declared with a single active consumer
	sorted   map[string]bool     // with priorities
	quorum   map[string]bool     // as quorum queues
	mortal   map[string]bool     // with a delivery limit

	generated int // names
}

// link is the state of a connection.
type link int

const (
	gone    link = iota
	closing      // the client has closed it, and is to drop it
	linked
)

// channel is what a channel has.
type channel struct {
	transactional bool
	limited       bool   // by a global prefetch count
	prefetch      bool   // limited for the consumers to come
	last          string // queue that was declared
	consumers     map[string]consumer
	unsettled     []unsettled
	taken         []unsettled     // settled by a transaction that is not over
	touched       map[string]bool // queues by that transaction, at most
}

type consumer struct {
	queue string
	noAck bool
}

// unsettled is a delivery, with the consumer "" if it was got.
type unsettled struct {
	tag             int
	queue, consumer string
}

func newModel() *model {
	return &model{
		conns: map[string]link{}, channels: map[string]*channel{},
		single: map[string]bool{}, sorted: map[string]bool{}, quorum: map[string]bool{}, mortal: map[string]bool{},
	}
}

// A said line is split into words: a line of a script, or an answer.
type said struct {
	on     string // a connection or channel
	method string
	fields map[string]string
}

func parseSaid(line string) said {
	words, err := split(line)
	if err != nil || len(words) < 2 {
		return said{on: line}
	}
	s := said{on: words[0], method: words[1], fields: map[string]string{}}
	for _, a := range assignments(words[2:]) {
		s.fields[a.name] = a.value
	}
	return s
}

func (s said) has(flag string) bool { return s.fields[flag] == "true" }

func (s said) tag() int {
	n, _ := strconv.Atoi(s.fields["delivery-tag"])
	return n
}

// queue is what a queue's name stands for: "" is the last one declared.
func (c *channel) queue(name string) string {
	if name == `""` {
		return c.last
	}
	return name
}

// sent notes what a line does if it succeeds. What fails closes its channel.
func (m *model) sent(line string) {
	s := parseSaid(line)
	switch {
	case s.on == "conn":
		m.conns[s.method] = linked
		n, _ := strconv.Atoi(s.fields["channels"])
		for i := range n {
			m.open(s.method + "." + strconv.Itoa(i+1))
		}
		return
	case s.method == "drop":
		m.end(s.on, gone)
		return
	case s.method == "connection.close":
		m.end(strings.TrimSuffix(s.on, ".0"), closing)
		return
	}
	if c := m.channels[s.on]; c != nil {
		m.onChannel(c, s)
	}
}

func (m *model) onChannel(c *channel, s said) {
	switch s.method {
	case "channel.close":
		delete(m.channels, s.on)
	case "queue.declare":
		if c.last = s.fields["queue"]; c.last == `""` {
			m.generated++
			c.last = "generated " + strconv.Itoa(m.generated)
		}
		for argument, queues := range map[string]map[string]bool{
			"x-single-active-consumer": m.single, "x-max-priority": m.sorted, "S:quorum": m.quorum, "x-delivery-limit": m.mortal,
		} {
			if strings.Contains(s.fields["arguments"], argument) {
				queues[c.last] = true
			}
		}
	case "basic.consume":
		c.consumers[s.fields["consumer-tag"]] = consumer{c.queue(s.fields["queue"]), s.has("no-ack")}
	case "basic.cancel":
		delete(c.consumers, s.fields["consumer-tag"])
	case "basic.qos":
		if s.has("global") {
			c.limited = s.fields["prefetch-count"] != "0"
		} else {
			c.limited, c.prefetch = false, s.fields["prefetch-count"] != "0"
		}
	case "basic.ack", "basic.nack", "basic.reject":
		c.settle(s.tag(), s.has("multiple"))
	case "basic.recover", "basic.recover-async":
		c.unsettled = nil
	case "basic.publish":
		if c.transactional {
			c.publish(s)
		}
	case "tx.commit":
		c.taken, c.touched = nil, map[string]bool{}
	case "tx.rollback":
		c.unsettled = append(c.unsettled, c.taken...)
		c.taken, c.touched = nil, map[string]bool{}
	}
}

// came notes what an answer to a line says.
func (m *model) came(answer string, line said) {
	a := parseSaid(answer)
	conn, _, _ := strings.Cut(a.on, ".")
	switch a.method {
	case "closed", "connection.close":
		m.end(conn, gone)
		return
	case "channel.open-ok":
		m.open(a.on)
		return
	case "channel.close":
		delete(m.channels, a.on)
		return
	}
	c := m.channels[a.on]
	if c == nil {
		return
	}
	switch a.method {
	case "tx.select-ok":
		c.transactional = true
	case "basic.cancel":
		delete(c.consumers, a.fields["consumer-tag"])
	case "basic.deliver":
		tag := a.fields["consumer-tag"]
		if from := c.consumers[tag]; !from.noAck {
			c.unsettled = append(c.unsettled, unsettled{a.tag(), from.queue, tag})
		}
	case "basic.get-ok":
		if !line.has("no-ack") {
			c.unsettled = append(c.unsettled, unsettled{a.tag(), c.queue(line.fields["queue"]), ""})
		}
	}
}

func (m *model) open(name string) {
	m.channels[name] = &channel{consumers: map[string]consumer{}, touched: map[string]bool{}}
}

func (m *model) end(conn string, state link) {
	m.conns[conn] = state
	for name := range m.channels {
		if strings.HasPrefix(name, conn+".") {
			delete(m.channels, name)
		}
	}
}

func (c *channel) settle(tag int, multiple bool) {
	c.unsettled = slices.DeleteFunc(c.unsettled, func(u unsettled) bool {
		settled := u.tag == tag || multiple && (u.tag < tag || tag == 0)
		if settled && c.transactional {
			c.taken = append(c.taken, u)
			c.touched[u.queue] = true
		}
		return settled
	})
}

// queues are those that the channel's end has an effect on.
func (c *channel) queues() map[string]bool {
	all := map[string]bool{}
	for _, from := range c.consumers {
		all[from.queue] = true
	}
	for _, u := range slices.Concat(c.unsettled, c.taken) {
		all[u.queue] = true
	}
	return all
}

// entangled tells whether two channels of a connection have to do with the same
// queue, so that it matters which of them ends first.
func (m *model) entangled(conn string) bool {
	seen := map[string]bool{}
	for name, c := range m.channels {
		if !strings.HasPrefix(name, conn+".") {
			continue
		}
		queues := c.queues()
		if paired(queues) {
			return true
		}
		for q := range queues {
			if seen[pair(q)] {
				return true
			}
			seen[pair(q)] = true
		}
	}
	return false
}

// pair is what a queue and the one of its dead letters, such as q1 and d1, have in
// common.
func pair(queue string) string {
	if len(queue) == 2 {
		return queue[1:]
	}
	return queue
}

// paired tells whether both queues of a pair are among some.
func paired(queues map[string]bool) bool {
	pairs := map[string]bool{}
	for q := range queues {
		if pairs[pair(q)] {
			return true
		}
		pairs[pair(q)] = true
	}
	return false
}

// publish notes where a message may go: exchanges lead to all queues that are routed to.
func (c *channel) publish(s said) {
	if x := s.fields["exchange"]; x == "" || x == `""` {
		c.touched[s.fields["routing-key"]] = true
	} else {
		c.touched["q1"], c.touched["q2"], c.touched["q3"] = true, true, true
	}
	if strings.Contains(s.fields["headers"], "CC:") {
		c.touched["q1"], c.touched["q2"] = true, true
	}
}

// consumed tells whether a queue has consumers, or messages of it are out that one got.
func (m *model) consumed(queue string) bool {
	for _, c := range m.channels {
		for _, from := range c.consumers {
			if from.queue == queue {
				return true
			}
		}
		for _, u := range slices.Concat(c.unsettled, c.taken) {
			if u.queue == queue && u.consumer != "" {
				return true
			}
		}
	}
	return false
}

// lent tells whether messages of a queue are out.
func (m *model) lent(queue string) bool {
	for _, c := range m.channels {
		for _, u := range slices.Concat(c.unsettled, c.taken) {
			if u.queue == queue {
				return true
			}
		}
	}
	return false
}
