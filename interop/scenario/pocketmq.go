package scenario

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
)

// compatOf is the version of RabbitMQ that is compared with a version number.
func compatOf(version string) (amqpserver.Compatibility, bool) {
	switch {
	case strings.HasPrefix(version, "3."):
		return amqpserver.V3_10, true
	case strings.HasPrefix(version, "4.3"):
		return amqpserver.V4_3, true
	case strings.HasPrefix(version, "4."):
		return amqpserver.V4_0, true
	}
	return 0, false
}

// modeOf is a version number as scripts have it.
func modeOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// PlayOurs plays a scenario on a new pocketmq that behaves like a version of
// RabbitMQ, in virtual time.
func PlayOurs(t *testing.T, s *Scenario, n names, version string) (result Transcript) {
	t.Helper()
	compat, ok := compatOf(version)
	if !ok {
		t.Fatalf("pocketmq does not know version %s", version)
	}
	synctest.Test(t, func(*testing.T) {
		w, err := newPocketMQ(n, compat)
		if err != nil {
			result.Err = err
			return
		}
		defer w.close()
		result = play(s, w, n, nil, nil)
	})
	return result
}

// ours is a pocketmq in a bubble.
type ours struct {
	names   names
	server  *amqpserver.Server
	brokers map[string]*pocketmq.Broker // by virtual host
	network *memconn.Listener
	served  chan struct{}
}

func newPocketMQ(n names, compat amqpserver.Compatibility) (*ours, error) {
	w := &ours{names: n, brokers: map[string]*pocketmq.Broker{}, network: memconn.Listen(), served: make(chan struct{})}
	opts, err := n.options(w)
	if err != nil {
		return nil, err
	}
	if w.server, err = amqpserver.New(w.broker("/"), append(opts, amqpserver.Compat(compat))...); err != nil {
		return nil, err
	}
	go func() {
		defer close(w.served)
		_ = w.server.Serve(w.network) // ends with ErrServerClosed
	}()
	return w, nil
}

// broker is that of a virtual host.
func (w *ours) broker(vhost string) *pocketmq.Broker {
	if w.brokers[vhost] == nil {
		opts := []pocketmq.Option{pocketmq.VHost(vhost)}
		if w.names.given("events", "/") != nil && vhost == w.names.prefix {
			opts = append(opts, pocketmq.Events())
		}
		w.brokers[vhost] = pocketmq.New(opts...)
	}
	return w.brokers[vhost]
}

func (w *ours) close() {
	_ = w.server.Close()
	<-w.served
	for _, b := range w.brokers {
		_ = b.Close()
	}
}

// options are what the server is made with for what is given.
func (n names) options(w *ours) ([]amqpserver.Option, error) {
	opts := []amqpserver.Option{
		amqpserver.User("guest", n.password, amqpserver.Tags("administrator")),
		amqpserver.VHost(n.prefix, w.broker(n.prefix)),
	}
	for _, g := range n.givens {
		var more []amqpserver.Option
		var err error
		switch g.Kind {
		case "user":
			more, err = n.userOption(g)
		case "vhost":
			more, err = n.vhostOptions(g, w)
		case "policy", "operator-policy":
			err = n.setPolicy(g, w)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.Pos, err)
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

// unavailable is what a scenario needs that pocketmq does not have.
func unavailable(what string) error { return fmt.Errorf("not available: pocketmq has no %s", what) }

func (n names) userOption(g Given) ([]amqpserver.Option, error) {
	opts, err := n.userOptions(g)
	return []amqpserver.Option{amqpserver.User(n.user(g.Name), g.Options.get("password", g.Name), opts...)}, err
}

func (n names) userOptions(user Given) ([]amqpserver.UserOption, error) {
	connections, _, err1 := user.Options.number("max-connections")
	channels, _, err2 := user.Options.number("max-channels")
	opts := []amqpserver.UserOption{
		amqpserver.Tags(strings.Split(user.Options["tags"], ",")...),
		amqpserver.UserMaxConnections(connections), amqpserver.UserMaxChannels(channels),
		amqpserver.Permissions("no virtual host", "", "", ""), // or everything is permitted
	}
	for _, g := range n.givens {
		vhost := n.vhost(g.Options.get("vhost", "/"))
		switch {
		case g.Name != user.Name:
		case g.Kind == "permissions":
			opts = append(opts, amqpserver.Permissions(vhost, g.Options["configure"], g.Options["write"], g.Options["read"]))
		case g.Kind == "topic-permissions":
			opts = append(opts, amqpserver.TopicPermissions(vhost, g.Options["exchange"], g.Options["write"], g.Options["read"]))
		}
	}
	return opts, cmp.Or(err1, err2)
}

func (n names) vhostOptions(g Given, w *ours) ([]amqpserver.Option, error) {
	connections, ok1, err1 := g.Options.number("max-connections")
	queues, ok2, err2 := g.Options.number("max-queues")
	if ok1 && connections == 0 || ok2 && queues == 0 {
		return nil, unavailable("limits of 0 for virtual hosts")
	}
	opts := []amqpserver.Option{amqpserver.MaxConnections(connections), amqpserver.MaxQueues(queues)} // of each virtual host
	if g.Name != "/" {
		opts = append(opts, amqpserver.VHost(n.vhost(g.Name), w.broker(n.vhost(g.Name))))
	}
	return opts, cmp.Or(err1, err2)
}

func (n names) setPolicy(g Given, w *ours) error {
	definition, err := parseDefinition(g.Options.get("definition", "{}"))
	if err != nil {
		return err
	}
	priority, _, err := g.Options.number("priority")
	if err != nil {
		return err
	}
	b := w.broker(n.vhost(g.Options.get("vhost", "/")))
	set := map[string]func(pocketmq.Policy) error{"policy": b.SetPolicy, "operator-policy": b.SetOperatorPolicy}[g.Kind]
	return set(pocketmq.Policy{
		Name: g.Name, Pattern: g.Options.get("pattern", ".*"), Definition: definition, Priority: priority,
		ApplyTo: pocketmq.ApplyTo(g.Options.get("apply-to", "all")),
	})
}

// parseDefinition reads JSON, with integers for numbers.
func parseDefinition(s string) (pocketmq.Table, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var t pocketmq.Table
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("definition=%s: %w", s, err)
	}
	for key, v := range t {
		if number, ok := v.(json.Number); ok {
			n, err := number.Int64()
			if err != nil {
				return nil, fmt.Errorf("definition=%s: %w", s, err)
			}
			t[key] = n
		}
	}
	return t, nil
}

func (w *ours) dial() (net.Conn, error) { return w.network.Dial("", "") }
func (w *ours) sleep(d time.Duration)   { time.Sleep(d) }
func (w *ours) settle(func() bool)      { synctest.Wait() }

func (w *ours) give(p *player, g Given) error { return p.names.setPolicy(g, w) }

func (w *ours) admin(p *player, words []string) error {
	switch words[0] {
	case "close-connection":
		c, err := p.client(words[1])
		if err != nil {
			return err
		}
		for _, info := range w.server.Connections() {
			if info.Peer == c.nc.LocalAddr().String() {
				return w.server.CloseConnection(info.Name, words[2])
			}
		}
		return errors.New("the connection is not listed")
	case "raise-alarm":
		w.server.RaiseAlarm(alarmReason(words[1]))
		return nil
	case "clear-alarm":
		w.server.ClearAlarm(alarmReason(words[1]))
		return nil
	case "start-tracing", "stop-tracing":
		w.broker(p.names.vhost("/")).SetTracing(words[0] == "start-tracing")
		return nil
	case "delete-user":
		return w.server.DeleteUser(p.names.user(words[1]))
	case "clear-policy":
		return w.broker(p.names.prefix).ClearPolicy(words[1])
	case "clear-operator-policy":
		return w.broker(p.names.prefix).ClearOperatorPolicy(words[1])
	case "delete-vhost":
		return w.server.DeleteVHost(p.names.vhost(words[1]))
	case "set-permissions":
		return w.setUser(p, words[1], &Given{Kind: "permissions", Name: words[1], Options: options{
			"vhost": words[2], "configure": words[3], "write": words[4], "read": words[5],
		}}, words[2])
	case "clear-permissions":
		return w.setUser(p, words[1], nil, words[2])
	}
	return unavailable(words[0])
}

// setUser replaces a user's permissions in a virtual host.
func (w *ours) setUser(p *player, name string, permissions *Given, vhost string) error {
	n := p.names
	n.givens = slices.DeleteFunc(slices.Clone(n.givens), func(g Given) bool {
		return g.Kind == "permissions" && g.Name == name && g.Options.get("vhost", "/") == vhost
	})
	if permissions != nil {
		n.givens = append(n.givens, *permissions)
	}
	user := n.given("user", name)
	if user == nil {
		return fmt.Errorf("no user %s is given", name)
	}
	opts, err := n.userOptions(*user)
	if err != nil {
		return err
	}
	p.names = n
	return w.server.SetUser(n.user(name), user.Options.get("password", name), opts...)
}

// alarmReason is what RabbitMQ calls an alarm for memory or disk.
func alarmReason(of string) string { return "low on " + of }
