package scenario

import (
	"errors"
	"fmt"
	"net"
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
	server  *amqpserver.Server
	brokers []*pocketmq.Broker
	network *memconn.Listener
	served  chan struct{}
}

func newPocketMQ(n names, compat amqpserver.Compatibility) (*ours, error) {
	w := &ours{network: memconn.Listen(), served: make(chan struct{})}
	opts, err := n.options(w)
	if err != nil {
		return nil, err
	}
	w.server = amqpserver.New(w.broker("/"), append(opts, amqpserver.Compat(compat))...)
	go func() {
		defer close(w.served)
		_ = w.server.Serve(w.network) // ends with ErrServerClosed
	}()
	return w, nil
}

func (w *ours) broker(vhost string) *pocketmq.Broker {
	b := pocketmq.New(pocketmq.VHost(vhost))
	w.brokers = append(w.brokers, b)
	return b
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
		var o amqpserver.Option
		var err error
		switch g.Kind {
		case "user":
			o, err = n.userOption(g)
		case "vhost":
			o, err = n.vhostOption(g, w)
		case "policy", "operator-policy":
			err = unavailable("policies")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.Pos, err)
		}
		opts = append(opts, o)
	}
	return opts, nil
}

// unavailable is what a scenario needs that pocketmq does not have.
func unavailable(what string) error { return fmt.Errorf("not available: pocketmq has no %s", what) }

func (n names) userOption(user Given) (amqpserver.Option, error) {
	for _, limit := range []string{"max-connections", "max-channels"} {
		if _, ok := user.Options[limit]; ok {
			return nil, unavailable("limits of users")
		}
	}
	opts := []amqpserver.UserOption{
		amqpserver.Tags(strings.Split(user.Options["tags"], ",")...),
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
	return amqpserver.User(n.user(user.Name), user.Options.get("password", user.Name), opts...), nil
}

func (n names) vhostOption(g Given, w *ours) (amqpserver.Option, error) {
	if _, ok := g.Options["max-queues"]; ok {
		return nil, unavailable("limits of queues")
	}
	if max, ok, err := g.Options.number("max-connections"); ok || err != nil {
		return amqpserver.MaxConnections(max), err
	}
	if g.Name == "/" {
		return nil, nil
	}
	return amqpserver.VHost(n.vhost(g.Name), w.broker(n.vhost(g.Name))), nil
}

func (w *ours) dial() (net.Conn, error) { return w.network.Dial("", "") }
func (w *ours) sleep(d time.Duration)   { time.Sleep(d) }
func (w *ours) settle(func() bool)      { synctest.Wait() }

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
	}
	return unavailable(words[0])
}

// alarmReason is what RabbitMQ calls an alarm for memory or disk.
func alarmReason(of string) string { return "low on " + of }
