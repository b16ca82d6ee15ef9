package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// A RabbitMQ is the server to compare with. It needs rabbitmqctl, for virtual
// hosts and users.
type RabbitMQ struct {
	addr, user, password string
	ctl                  []string // the command rabbitmqctl
	Version              string

	running sync.RWMutex // held for writing by scenarios that change what all see
	using   sync.Mutex   // rabbitmqctl, which needs a processor for a second

	evaluator evaluator
}

// DefaultURL is where RabbitMQ is unless AMQP_URL says something else.
const DefaultURL = "amqp://guest:guest@127.0.0.1:5672/"

// FindRabbitMQ connects to the RabbitMQ at AMQP_URL. RABBITMQCTL is the command
// to administrate it.
func FindRabbitMQ() (*RabbitMQ, error) {
	u, err := url.Parse(cmp.Or(os.Getenv("AMQP_URL"), DefaultURL))
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	r := &RabbitMQ{
		addr: u.Host, user: u.User.Username(), password: password,
		ctl: strings.Fields(cmp.Or(os.Getenv("RABBITMQCTL"), "rabbitmqctl")),
	}
	if _, _, err := net.SplitHostPort(r.addr); err != nil {
		r.addr = net.JoinHostPort(u.Hostname(), "5672")
	}
	r.Version, err = r.version()
	if err != nil {
		return nil, fmt.Errorf("RabbitMQ at %s: %w", r.addr, err)
	}
	return r, nil
}

// version is what the server says of itself.
func (r *RabbitMQ) version() (string, error) {
	nc, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write([]byte(wire.ProtocolHeader)); err != nil {
		return "", err
	}
	f, err := wire.NewReader(nc).ReadFrame()
	if err != nil {
		return "", err
	}
	m, err := wire.DecodeMethod(f.Payload, nil)
	if err != nil {
		return "", err
	}
	start, ok := m.(*wire.ConnectionStart)
	if !ok {
		return "", fmt.Errorf("it begins with %v", m.ID())
	}
	version, _ := start.ServerProperties["version"].(string)
	return version, nil
}

// command runs rabbitmqctl.
func (r *RabbitMQ) command(args ...string) (string, error) {
	r.using.Lock()
	defer r.using.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.ctl[0], append(r.ctl[1:len(r.ctl):len(r.ctl)], args...)...)
	cmd.WaitDelay = time.Second // it leaves children behind when it is killed
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", r.ctl[0], args[0], err, out)
	}
	return string(out), nil
}

// Prepare makes the virtual hosts, users and all else that scenarios are given,
// for the names that they are to be played with. It calls what rabbitmqctl does; two
// imports of definitions at once may hang RabbitMQ.
func (r *RabbitMQ) Prepare(all []names) error {
	var calls []string
	for _, n := range all {
		calls = append(calls, n.calls(r.user)...)
	}
	return r.eval("%s, ok.", strings.Join(calls, ",\n"))
}

// Clean removes what Prepare made for names with a prefix.
func (r *RabbitMQ) Clean(prefix string) error {
	return r.eval(`Ours = fun(Name) -> binary:match(Name, <<"%s">>) =:= {0, %d} end,
		[catch rabbit_vhost:delete(V, <<"scenarios">>) || V <- rabbit_vhost:list_names(), Ours(V)],
		[catch rabbit_auth_backend_internal:delete_user(N, <<"scenarios">>)
			|| U <- rabbit_auth_backend_internal:list_users(), N <- [proplists:get_value(user, U)], Ours(N)], ok.`, prefix, len(prefix))
}

// call is an Erlang expression that must succeed. Its last argument is who calls.
func call(function string, args ...any) string {
	var words []string
	for _, a := range args {
		if s, ok := a.(string); ok {
			a = erlangBinary(s)
		}
		words = append(words, fmt.Sprint(a))
	}
	return fmt.Sprintf("ok = %s(%s, <<\"scenarios\">>)", function, strings.Join(words, ", "))
}

// erlangBinary is a string in Erlang.
func erlangBinary(s string) string {
	octets := make([]string, len(s))
	for i := range len(s) {
		octets[i] = strconv.Itoa(int(s[i]))
	}
	return "<<" + strings.Join(octets, ",") + ">>"
}

// calls make what a scenario is given.
func (n names) calls(guest string) []string {
	const users = "rabbit_auth_backend_internal:"
	vhost := func(name string) []string {
		return []string{call("rabbit_vhost:add", name), call(users+"set_permissions", guest, name, ".*", ".*", ".*")}
	}
	all := vhost(n.prefix)
	for _, kind := range givenKinds { // permissions need users, and those need virtual hosts
		for _, g := range n.givens {
			if g.Kind != kind {
				continue
			}
			host, o, name := n.vhost(g.Options.get("vhost", "/")), g.Options, n.user(g.Name)
			switch kind {
			case "vhost":
				if g.Name != "/" {
					all = append(all, vhost(n.vhost(g.Name))...)
				}
				if l := limits(o); l != "{}" {
					all = append(all, call("rabbit_vhost_limit:parse_set", n.vhost(g.Name), l))
				}
			case "user":
				all = append(all, call(users+"add_user", name, o.get("password", g.Name)))
				if o["tags"] != "" {
					all = append(all, call(users+"set_tags", name, erlang("["+o["tags"]+"]")))
				}
				if l := limits(o); l != "{}" {
					all = append(all, call(users+"set_user_limits", name, l))
				}
			case "permissions":
				all = append(all, call(users+"set_permissions", name, host, o["configure"], o["write"], o["read"]))
			case "topic-permissions":
				all = append(all, call(users+"set_topic_permissions", name, host, o["exchange"], o["write"], o["read"]))
			case "events":
				all = append(all, startEvents(host))
			case "policy", "operator-policy":
				all = append(all, n.policyCall(g))
			}
		}
	}
	return all
}

// policyCall sets a policy.
func (n names) policyCall(g Given) string {
	set := map[string]string{"policy": "parse_set", "operator-policy": "parse_set_op"}[g.Kind]
	o := g.Options
	return call("rabbit_policy:"+set, n.vhost(o.get("vhost", "/")), g.Name, o.get("pattern", ".*"), o.get("definition", "{}"),
		o.get("priority", "0"), o.get("apply-to", "all"))
}

// erlang is an argument as Erlang writes it.
type erlang string

var givenKinds = []string{"vhost", "user", "permissions", "topic-permissions", "policy", "operator-policy", "events"}

// startEvents begins to publish the events of all virtual hosts in this one, as
// event_exchange.vhost does for one of RabbitMQ's own. It ends with the evaluator.
func startEvents(vhost string) string {
	return fmt.Sprintf(`begin
		_ = rabbit_exchange:declare(rabbit_misc:r(%[1]s, exchange, <<"amq.rabbitmq.event">>), topic, true, false, true, [], <<"scenarios">>),
		ok = application:set_env(rabbitmq_event_exchange, vhost, %[1]s),
		ok = gen_event:add_sup_handler(rabbit_event, {rabbit_exchange_type_event, %[1]s}, []),
		ok = application:unset_env(rabbitmq_event_exchange, vhost)
	end`, erlangBinary(vhost))
}

// stopEvents ends what startEvents began, if it did.
func (r *RabbitMQ) stopEvents(vhost string) error {
	return r.eval("_ = gen_event:delete_handler(rabbit_event, {rabbit_exchange_type_event, %s}, []), ok.", erlangBinary(vhost))
}

// limits are those of a Given, in JSON.
func limits(o options) string {
	l := map[string]int{}
	for _, name := range []string{"max-connections", "max-channels", "max-queues"} {
		if n, ok, err := o.number(name); ok && err == nil {
			l[name] = n
		}
	}
	b, _ := json.Marshal(l) // numbers
	return string(b)
}

// Play plays a scenario on RabbitMQ and waits in each step for the answers that
// are expected, which it need not get. It plays it again with more patience when
// they did not come: only what differs however long one waits does differ.
func (r *RabbitMQ) Play(s *Scenario, n func() (names, error), expected func(step int) []string) (t Transcript, err error) {
	return r.play(s, n, expected, patient)
}

// pace is how a scenario is played: how long answers are awaited, and what may come
// after them, in the first of so many attempts. The times grow with each.
type pace struct {
	patience, delay time.Duration
	attempts        int
}

var (
	patient = pace{time.Second, 12 * time.Millisecond, 3}
	hasty   = pace{150 * time.Millisecond, 4 * time.Millisecond, 2}
)

// play is Play at a pace.
func (r *RabbitMQ) play(s *Scenario, n func() (names, error), expected func(step int) []string, p pace) (t Transcript, err error) {
	if s.Global {
		r.running.Lock()
		defer r.running.Unlock()
	} else {
		r.running.RLock()
		defer r.running.RUnlock()
	}
	for attempt := range p.attempts {
		names, err := n()
		if err != nil {
			return t, err
		}
		w := &theirs{RabbitMQ: r, patience: p.patience << attempt, delay: p.delay << (2 * attempt)}
		same := true
		t = play(s, w, names, expected, func(step int, a Answers) bool {
			same = equal(a.lines(), expected(step))
			return same
		})
		if err := w.tidy(names); err != nil {
			return t, err
		}
		if same && t.Err == nil {
			break
		}
	}
	return t, nil
}

// theirs is RabbitMQ, as patient as it takes.
type theirs struct {
	*RabbitMQ
	patience time.Duration // for answers that are expected
	delay    time.Duration // after them, for what cannot be seen, and what is not expected
	alarms   []string      // raised, and not ended yet
	traced   string        // the virtual host that is traced; "" = none
}

func (w *theirs) dial() (net.Conn, error) { return net.DialTimeout("tcp", w.addr, patience) }
func (w *theirs) sleep(d time.Duration)   { time.Sleep(d) }

func (w *theirs) settle(done func() bool) {
	deadline := time.Now().Add(w.patience)
	for pause := time.Millisecond; !done() && time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
		time.Sleep(pause)
	}
	time.Sleep(w.delay)
}

func (w *theirs) give(p *player, g Given) error { return w.eval("%s.", p.names.policyCall(g)) }

func (w *theirs) admin(p *player, words []string) error {
	switch words[0] {
	case "close-connection":
		return w.closeConnection(p, words[1], words[2])
	case "delete-user":
		return w.run("delete_user", p.names.user(words[1]))
	case "clear-policy":
		return w.eval("%s.", call("rabbit_policy:delete", p.names.prefix, words[1]))
	case "clear-operator-policy":
		return w.eval("%s.", call("rabbit_policy:delete_op", p.names.prefix, words[1]))
	case "delete-vhost":
		return w.run("delete_vhost", p.names.vhost(words[1]))
	case "set-permissions":
		return w.run("set_permissions", "-p", p.names.vhost(words[2]), p.names.user(words[1]), words[3], words[4], words[5])
	case "clear-permissions":
		return w.run("clear_permissions", "-p", p.names.vhost(words[2]), p.names.user(words[1]))
	case "start-tracing":
		return w.trace(p.names.vhost("/"))
	case "stop-tracing":
		return w.trace("")
	case "raise-alarm", "clear-alarm":
		return w.alarm(words[0] == "raise-alarm", words[1])
	}
	return fmt.Errorf("not available: %s", words[0])
}

func (w *theirs) run(args ...string) error {
	_, err := w.command(args...)
	return err
}

func (w *theirs) closeConnection(p *player, name, reason string) error {
	c, err := p.client(name)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(c.nc.LocalAddr().String())
	if err != nil {
		return err
	}
	out, err := w.command("--quiet", "list_connections", "pid", "peer_port")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if pid, peer, _ := strings.Cut(strings.TrimSpace(line), "\t"); peer == port {
			return w.run("close_connection", pid, reason)
		}
	}
	return errors.New("the connection is not listed")
}

// alarm raises an alarm for the whole node, or ends it.
func (w *theirs) alarm(raise bool, of string) error {
	if raise {
		w.alarms = append(w.alarms, of)
		return w.eval("rabbit_alarm:set_alarm({{resource_limit, %s, node()}, []}).", of)
	}
	w.alarms = slices.DeleteFunc(w.alarms, func(a string) bool { return a == of })
	return w.eval("rabbit_alarm:clear_alarm({resource_limit, %s, node()}).", of)
}

// trace makes a virtual host, or "" for none, the one that is traced.
func (w *theirs) trace(vhost string) error {
	old := w.traced
	if w.traced = vhost; old != "" {
		return w.eval("rabbit_trace:stop(%s).", erlangBinary(old))
	}
	return w.eval("rabbit_trace:start(%s).", erlangBinary(vhost))
}

// tidy ends the alarms, the tracing and the events that a scenario has left behind.
func (w *theirs) tidy(n names) error {
	if n.given("events", "/") != nil {
		if err := w.stopEvents(n.prefix); err != nil {
			return err
		}
	}
	if w.traced != "" {
		if err := w.trace(""); err != nil {
			return err
		}
	}
	for len(w.alarms) > 0 {
		if err := w.alarm(false, w.alarms[0]); err != nil {
			return err
		}
	}
	return nil
}
