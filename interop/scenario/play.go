package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// world is where a scenario is played: a server, and its time.
type world interface {
	dial() (net.Conn, error)

	// sleep lets time pass, real or not.
	sleep(time.Duration)

	// settle returns when nothing more is to be expected: when done is true, or
	// for some other reason.
	settle(done func() bool)

	// admin does what an administrator does.
	admin(p *player, words []string) error

	// give sets a policy.
	give(p *player, g Given) error
}

// Answers are what came in a step, for each channel in order.
type Answers map[string][]string

// lines are the answers of all channels.
func (a Answers) lines() []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(a)) {
		all = append(all, a[key]...)
	}
	return all
}

// A Transcript is what came in each step that was played, and in a last step
// which asks every channel whether it is still there.
type Transcript struct {
	Steps []Answers
	Err   error // why it ends early
}

// player plays a scenario in a world.
type player struct {
	world      world
	names      names
	clients    map[string]*client
	order      []string // of clients
	vars       map[string]string
	pipelining bool
	normal     *normalizer
}

// play plays a scenario until its end, or until ok says of the answers in a step
// that they are of no interest any more. expected are the answers to wait for, if
// they are known.
func play(s *Scenario, w world, n names, expected func(step int) []string, ok func(step int, a Answers) bool) Transcript {
	p := &player{world: w, names: n, clients: map[string]*client{}, vars: n.variables(), normal: newNormalizer(n)}
	defer p.end()
	var t Transcript
	for i := 0; i <= len(s.Steps); i++ { // ok may add steps
		err := p.step(s, i)
		if err != nil {
			t.Err = err
			return t
		}
		unordered := i < len(s.Steps) && s.Steps[i].Unordered
		w.settle(func() bool {
			return expected != nil && slices.Equal(expected(i), p.answers(p.normal.clone(), (*client).peek, unordered).lines())
		})
		t.Steps = append(t.Steps, p.answers(p.normal, (*client).take, unordered))
		if ok != nil && !ok(i, t.Steps[i]) {
			return t
		}
	}
	return t
}

// end drops all connections.
func (p *player) end() {
	for _, c := range p.clients {
		c.close()
	}
}

func (p *player) step(s *Scenario, i int) error {
	if i == len(s.Steps) {
		p.probe()
		return nil
	}
	step := &s.Steps[i]
	p.pipelining = step.Pipeline
	for _, line := range step.Lines {
		if err := p.line(line); err != nil {
			return fmt.Errorf("%s: %s: %w", step.Pos, line, err)
		}
	}
	p.pipelining = false
	for _, name := range p.order {
		if c := p.clients[name]; len(c.pending) > 0 {
			c.flush()
		}
	}
	return nil
}

func (p *player) line(line string) error {
	var unknown error
	line = variable.ReplaceAllStringFunc(line, func(v string) string {
		name := variable.FindStringSubmatch(v)[1]
		value, ok := p.vars[name]
		if !ok {
			unknown = fmt.Errorf("%s is not set", v)
		}
		return value
	})
	if unknown != nil {
		return unknown
	}
	a, err := parseAction(line)
	if err != nil {
		return err
	}
	return a.do(p)
}

// probe sends something to every open channel that always has an answer and no
// effect.
func (p *player) probe() {
	for _, name := range p.order {
		c := p.clients[name]
		for _, ch := range c.openChannels() {
			p.method(c, ch, &wire.ChannelFlow{Active: true})
		}
	}
}

func (p *player) dial(name string, answers bool) (*client, error) {
	if old := p.clients[name]; old != nil && !old.isClosed() {
		return nil, fmt.Errorf("the connection %s is still open", name)
	} else if old == nil {
		p.order = append(p.order, name)
	}
	nc, err := p.world.dial()
	if err != nil {
		return nil, err
	}
	c := newClient(name, nc, answers)
	p.clients[name] = c
	p.normal.conns[nc.LocalAddr().String()+" -> "+nc.RemoteAddr().String()] = name
	return c, nil
}

func (p *player) client(name string) (*client, error) {
	if c := p.clients[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no connection %s", name)
}

func (p *player) method(c *client, channel uint16, m wire.Method) {
	b, err := wire.AppendMethodFrame(nil, channel, m)
	if err != nil {
		panic(err) // what a script says was encoded before
	}
	c.sent(channel, m)
	c.send(b, false)
}

// credentials are those of a user of the script.
func (p *player) credentials(o options) (user, password string) {
	name := o.get("user", "guest")
	password = "guest"
	if name == "guest" {
		password = p.names.password
	}
	if g := p.names.given("user", name); g != nil {
		password = g.Options.get("password", name)
	}
	return p.names.user(name), o.get("password", password)
}

// answers are what came on all connections.
func (p *player) answers(n *normalizer, from func(*client) []answer, unordered bool) Answers {
	all := Answers{}
	for _, name := range p.order {
		c := p.clients[name]
		answersByChannel(c, from(c), all)
	}
	if unordered {
		for _, lines := range all {
			for i := range lines {
				lines[i] = deliveryTag.ReplaceAllString(lines[i], " delivery-tag=*")
			}
			slices.Sort(lines)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		for i, line := range all[key] {
			all[key][i] = n.line(line)
		}
	}
	return all
}

var deliveryTag = regexp.MustCompile(` delivery-tag=\d+`)

// lastField is the value of a field, or property, of the last answer on a channel
// that has it.
func (c *client) lastField(channel int, name string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range slices.Backward(c.history) {
		if a.channel != channel || a.method == nil {
			continue
		}
		v := reflect.ValueOf(a.method).Elem()
		if i := fieldIndex(v.Type(), name); i >= 0 {
			return fmt.Sprint(v.Field(i).Interface()), true
		}
		if i := slices.Index(propertyNames, name); i >= 0 && a.props != nil && a.props.Has(1<<(15-i)) {
			return fmt.Sprint(reflect.ValueOf(a.props).Elem().Field(i + 1).Interface()), true
		}
	}
	return "", false
}

// names are what virtual hosts and users are called on the servers, where they
// must not be those of another scenario.
type names struct {
	prefix   string // of all
	password string // guest's
	givens   []Given
}

func (n names) vhost(name string) string {
	if name == "/" {
		return n.prefix
	}
	if n.given("vhost", name) == nil {
		return name
	}
	return n.prefix + "." + name
}

func (n names) user(name string) string {
	if n.given("user", name) == nil {
		return name
	}
	return n.prefix + "." + name
}

func (n names) given(kind, name string) *Given {
	for i, g := range n.givens {
		if g.Kind == kind && g.Name == name {
			return &n.givens[i]
		}
	}
	return nil
}

// variables are those that scripts have from the start: $vhost, and the names of
// users and virtual hosts that are given.
func (n names) variables() map[string]string {
	vars := map[string]string{"vhost": n.prefix}
	for _, g := range n.givens {
		switch g.Kind {
		case "user":
			vars[g.Name] = n.user(g.Name)
		case "vhost":
			vars[g.Name] = n.vhost(g.Name)
		}
	}
	return vars
}

// normalizer replaces names that differ from run to run: by those of the script,
// or by numbers.
type normalizer struct {
	names *strings.Replacer
	conns map[string]string // the script's names of connections, by the servers'
	seen  map[string]string // generated names
	count map[string]int    // by kind
}

func newNormalizer(n names) *normalizer {
	return &normalizer{
		names: strings.NewReplacer(n.prefix+".", "", n.prefix, "/"),
		conns: map[string]string{}, seen: map[string]string{}, count: map[string]int{},
	}
}

func (n *normalizer) clone() *normalizer {
	return &normalizer{n.names, n.conns, maps.Clone(n.seen), maps.Clone(n.count)}
}

// generated are names that servers make up: of queues, consumers, and of direct
// reply-to; and processes.
var generated = regexp.MustCompile(`amq\.(gen|ctag)-[A-Za-z0-9_-]{22}|amq\.rabbitmq\.reply-to\.[A-Za-z0-9_+/=.-]{10,}|<[a-z0-9]+@[a-z.0-9-]+>`)

var generatedKind = regexp.MustCompile(`^(amq\.(gen-|ctag-|rabbitmq\.reply-to\.)|<)`)

var (
	connectionName = regexp.MustCompile(`[^ "]+ -> [^ "]+`)
	nodeName       = regexp.MustCompile(`\b(node:|leader:|members:A:\[)S:[a-z0-9]+@[^]},]+`)
	eventTime      = regexp.MustCompile(`\b(timestamp_in_ms|connected_at):l:\d+`)
	eventAddress   = regexp.MustCompile(`\b(host|port|peer_host|peer_port):[Sl]:("[^"]*"|[^,} ]+)`)
)

func (n *normalizer) line(s string) string {
	s = generated.ReplaceAllStringFunc(s, func(name string) string {
		if n.seen[name] == "" {
			kind := generatedKind.FindString(name)
			n.count[kind]++
			n.seen[name] = fmt.Sprintf("%s*%d", kind, n.count[kind])
		}
		return n.seen[name]
	})
	s = connectionName.ReplaceAllStringFunc(s, func(name string) string { return cmp.Or(n.conns[name], name) })
	s = nodeName.ReplaceAllString(s, "${1}S:*")
	s = eventTime.ReplaceAllString(s, "$1:l:now")
	s = eventAddress.ReplaceAllString(s, "$1:*")
	return n.names.Replace(s)
}
