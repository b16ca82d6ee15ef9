package scenario

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
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

// eval evaluates an Erlang expression in the server.
func (r *RabbitMQ) eval(format string, args ...any) error {
	_, err := r.command("eval", fmt.Sprintf(format, args...))
	return err
}

// Prepare makes the virtual hosts, users and all else that scenarios are given,
// for the names that they are to be played with.
func (r *RabbitMQ) Prepare(all []names) error {
	d := definitions{"rabbitmq_version": r.Version}
	for _, n := range all {
		d.add(n, r.user)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	// rabbitmqctl import_definitions reads files of the node's machine only, from 4.0 on. Two
	// imports at once, by two runs of these tests, may leave one waiting for ever.
	if err := r.eval(`ok = global:trans({scenarios, self()}, fun() -> rabbit_definitions:import_raw(base64:decode("%s")) end, [node()]).`,
		base64.StdEncoding.EncodeToString(b)); err != nil {
		return err
	}
	return r.await(all[len(all)-1])
}

// await waits until a virtual host can be entered: importing goes on in the
// background.
func (r *RabbitMQ) await(n names) error {
	var last []string
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		s := &Scenario{Steps: []Step{{Lines: []string{"conn a"}}}}
		n.givens = nil
		t := play(s, &theirs{RabbitMQ: r, patience: time.Millisecond}, n, nil, nil)
		if t.Err != nil {
			return t.Err
		}
		last = t.Steps[len(t.Steps)-1].lines()
		if len(last) > 0 && strings.Contains(last[0], "flow-ok") {
			return nil
		}
	}
	return fmt.Errorf("the virtual host %s cannot be entered: %q", n.prefix, last)
}

// Clean removes what Prepare made for names with a prefix.
func (r *RabbitMQ) Clean(prefix string) error {
	return r.eval(`Ours = fun(Name) -> binary:match(Name, <<"%s">>) =:= {0, %d} end,
		[catch rabbit_vhost:delete(V, <<"scenarios">>) || V <- rabbit_vhost:list_names(), Ours(V)],
		[catch rabbit_auth_backend_internal:delete_user(N, <<"scenarios">>)
			|| U <- rabbit_auth_backend_internal:list_users(), N <- [proplists:get_value(user, U)], Ours(N)], ok.`, prefix, len(prefix))
}

// definitions are what rabbitmqctl imports, in JSON.
type definitions map[string]any

func (d definitions) list(kind string, entry map[string]any) {
	all, _ := d[kind].([]map[string]any)
	d[kind] = append(all, entry)
}

// limits are those of a Given that has any.
func limits(o options) map[string]any {
	l := map[string]any{}
	for _, name := range []string{"max-connections", "max-channels", "max-queues"} {
		if n, ok, err := o.number(name); ok && err == nil {
			l[name] = n
		}
	}
	return l
}

func (d definitions) add(n names, guest string) {
	d.vhost(n.prefix, guest)
	for _, g := range n.givens {
		vhost := n.vhost(g.Options.get("vhost", "/"))
		switch g.Kind {
		case "user":
			d.list("users", map[string]any{
				"name": n.user(g.Name), "password": g.Options.get("password", g.Name),
				"tags": g.Options["tags"], "limits": limits(g.Options),
			})
		case "vhost":
			d.vhost(n.vhost(g.Name), guest)
			if l := limits(g.Options); len(l) > 0 {
				d.list("parameters", map[string]any{"vhost": n.vhost(g.Name), "component": "vhost-limits", "name": "limits", "value": l})
			}
		case "permissions":
			d.list("permissions", map[string]any{
				"user": n.user(g.Name), "vhost": vhost,
				"configure": g.Options["configure"], "write": g.Options["write"], "read": g.Options["read"],
			})
		case "topic-permissions":
			d.list("topic_permissions", map[string]any{
				"user": n.user(g.Name), "vhost": vhost,
				"exchange": g.Options["exchange"], "write": g.Options["write"], "read": g.Options["read"],
			})
		case "policy", "operator-policy":
			d.policy(g, vhost)
		}
	}
}

func (d definitions) vhost(name, guest string) {
	d.list("vhosts", map[string]any{"name": name})
	d.list("permissions", map[string]any{"user": guest, "vhost": name, "configure": ".*", "write": ".*", "read": ".*"})
}

func (d definitions) policy(g Given, vhost string) {
	p := map[string]any{
		"name": g.Name, "vhost": vhost, "pattern": g.Options.get("pattern", ".*"), "priority": 0,
		"apply-to": g.Options.get("apply-to", "all"), "definition": json.RawMessage(g.Options.get("definition", "{}")),
	}
	if priority, ok, err := g.Options.number("priority"); ok && err == nil {
		p["priority"] = priority
	}
	if g.Kind == "policy" {
		d.list("policies", p)
		return
	}
	d.list("parameters", map[string]any{"vhost": vhost, "component": "operator_policy", "name": g.Name, "value": p})
}

// Play plays a scenario on RabbitMQ and waits in each step for the answers that
// are expected, which it need not get. It plays it again with more patience when
// they did not come: only what differs however long one waits does differ.
func (r *RabbitMQ) Play(s *Scenario, n func() (names, error), expected func(step int) []string) (t Transcript, err error) {
	if s.Global {
		r.running.Lock()
		defer r.running.Unlock()
	} else {
		r.running.RLock()
		defer r.running.RUnlock()
	}
	for attempt := range attempts {
		names, err := n()
		if err != nil {
			return t, err
		}
		w := &theirs{RabbitMQ: r, patience: time.Second << attempt, delay: 12 * time.Millisecond << (2 * attempt)}
		same := true
		t = play(s, w, names, expected, func(step int, a Answers) bool {
			same = equal(a.lines(), expected(step))
			return same
		})
		if same && t.Err == nil {
			break
		}
	}
	return t, nil
}

// attempts are how often a scenario is played that differs.
const attempts = 3

// theirs is RabbitMQ, as patient as it takes.
type theirs struct {
	*RabbitMQ
	patience time.Duration // for answers that are expected
	delay    time.Duration // after them, for what cannot be seen, and what is not expected
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

func (w *theirs) admin(p *player, words []string) error {
	switch words[0] {
	case "close-connection":
		return w.closeConnection(p, words[1], words[2])
	case "delete-user":
		return w.run("delete_user", p.names.user(words[1]))
	case "delete-vhost":
		return w.run("delete_vhost", p.names.vhost(words[1]))
	case "set-permissions":
		return w.run("set_permissions", "-p", p.names.vhost(words[2]), p.names.user(words[1]), words[3], words[4], words[5])
	case "clear-permissions":
		return w.run("clear_permissions", "-p", p.names.vhost(words[2]), p.names.user(words[1]))
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
	verb := "clear_alarm"
	if raise {
		verb = "set_alarm"
	}
	alarm := fmt.Sprintf("{{resource_limit, %s, node()}, []}", of)
	if !raise {
		alarm = fmt.Sprintf("{resource_limit, %s, node()}", of)
	}
	return w.eval("alarm_handler:%s(%s).", verb, alarm)
}
