package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
)

const (
	scripts     = 15 // always the same ones; SCRIPTS=n runs n new ones
	scriptSteps = 80
)

// Random scripts run against RabbitMQ and pocketmq, and every answer must be the
// same. SEED runs the script of that seed only.
func TestRandomScripts(t *testing.T) {
	needRabbitMQ(t)
	n, seed := scripts, uint64(1)
	if _, err := fmt.Sscan(os.Getenv("SCRIPTS"), &n); err == nil {
		seed = uint64(time.Now().UnixNano())
	}
	if _, err := fmt.Sscan(os.Getenv("SEED"), &seed); err == nil {
		n = 1
	}
	srv := amqptest.NewServer(t, quiet(), amqpserver.Compat(versionOf(t, rabbitURL)))
	for i := range uint64(n) {
		prefix := fmt.Sprintf("interop.script.%d.", seed+i)
		script := newScript(seed + i)
		want := runScript(t, &server{target: "rabbitmq", url: rabbitURL}, prefix, script)
		got := runScript(t, &server{target: "mem", url: srv.URL(), dial: srv.Dial, Server: srv}, prefix, script)
		for step := range want {
			if got[step] != want[step] {
				t.Errorf("SEED=%d differs in step %d:\n%s\nRabbitMQ: %s\npocketmq: %s",
					seed+i, step, transcript(script[:step+1], want), want[step], got[step])
				break
			}
		}
	}
}

// versionOf returns the compatibility that compares with a RabbitMQ.
func versionOf(t *testing.T, url string) amqpserver.Compatibility {
	t.Helper()
	conn, err := amqp.Dial(url)
	require.NoError(t, err)
	defer conn.Close()
	if strings.HasPrefix(conn.Properties["version"].(string), "3.") {
		return amqpserver.V3_10
	}
	return amqpserver.V4_0
}

func transcript(steps []step, answers []string) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%3d %s", i, s.text)
		if i < len(steps)-1 {
			fmt.Fprintf(&b, " -> %s", answers[i])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A step is something that one of the clients of a script does. Its answer is
// what it says about it.
type step struct {
	text   string
	client int
	do     func(p *player) string
}

// player is one of the clients of a running script.
type player struct {
	t       *testing.T
	server  *server
	prefix  string
	conn    *amqp.Connection
	ch      *amqp.Channel
	ended   chan *amqp.Error
	returns chan amqp.Return
	tags    []uint64 // delivered and not settled
}

const players = 2

func runScript(t *testing.T, s *server, prefix string, script []step) []string {
	t.Helper()
	var ps [players]*player
	for i := range ps {
		ps[i] = &player{t: t, server: s, prefix: prefix}
		ps[i].open()
		defer func() { ps[i].conn.Close() }()
	}
	var answers []string
	for _, step := range script {
		answers = append(answers, ps[step.client].perform(step))
	}
	ps[0].tidy()
	return answers
}

// open opens a channel, and a connection if there is none.
func (p *player) open() {
	var err error
	if p.conn == nil || p.conn.IsClosed() {
		p.conn, err = amqp.DialConfig(p.server.url, p.server.config())
		require.NoError(p.t, err)
	}
	p.ch, err = p.conn.Channel()
	require.NoError(p.t, err)
	require.NoError(p.t, p.ch.Confirm(false))
	p.ended = p.ch.NotifyClose(make(chan *amqp.Error, 1))
	p.returns = p.ch.NotifyReturn(make(chan amqp.Return, 1))
	p.tags = nil
}

// perform does a step and waits until it has had its effect.
func (p *player) perform(s step) string {
	answer := s.do(p)
	if err := p.ch.Qos(0, 0, false); err == nil { // an answer to this comes after all others
		return strings.ReplaceAll(answer, p.prefix, "")
	}
	err := receive(p.t, p.ended)
	time.Sleep(10 * time.Millisecond) // RabbitMQ returns what was not acked in its own time
	p.open()
	return "closed: " + strings.ReplaceAll(withoutName(err.Error()), p.prefix, "")
}

// tidy removes what the script may have declared.
func (p *player) tidy() {
	for i := range scriptNames {
		_, _ = p.ch.QueueDelete(p.queue(i), false, false, false)
		_ = p.ch.ExchangeDelete(p.exchange(i), false, false)
		if p.ch.IsClosed() {
			p.open()
		}
	}
}

const scriptNames = 3 // of queues, and of exchanges

func (p *player) queue(i int) string    { return p.prefix + "q" + strconv.Itoa(i) }
func (p *player) exchange(i int) string { return p.prefix + "x" + strconv.Itoa(i) }

func outcomeOf(err error, format string, args ...any) string {
	var said *amqp.Error
	switch {
	case err == nil:
		return fmt.Sprintf(format, args...)
	case errors.As(err, &said):
		return said.Error()
	default:
		return err.Error()
	}
}

// newScript makes up a script.
func newScript(seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 0))
	script := prelude(r)
	for len(script) < scriptSteps {
		script = append(script, randomStep(r))
	}
	for i := range script {
		s := &script[i]
		s.client = min(r.IntN(6), 1) ^ 1 // mostly the first
		s.text = fmt.Sprintf("[%d] %s", s.client, s.text)
	}
	return script
}

// prelude declares and binds, so that what follows is not all in vain.
func prelude(r *rand.Rand) []step {
	var script []step
	for i := range scriptNames {
		script = append(script, declareQueueStepOf(r, i), declareExchangeStepOf(r, i, false))
	}
	for range 3 * scriptNames {
		script = append(script, bindStep(r))
	}
	return append(script, bindExchangeStep(r))
}

func randomStep(r *rand.Rand) step {
	makers := []struct {
		weight int
		make   func(*rand.Rand) step
	}{
		{4, declareQueueStep}, {3, declareExchangeStep}, {6, bindStep}, {3, bindExchangeStep}, {40, publishStep},
		{25, getStep}, {20, settleStep}, {1, purgeStep}, {2, deleteQueueStep}, {1, deleteExchangeStep}, {2, recoverStep},
		{2, cancelStep},
	}
	total := 0
	for _, m := range makers {
		total += m.weight
	}
	n := r.IntN(total)
	for _, m := range makers {
		if n -= m.weight; n < 0 {
			return m.make(r)
		}
	}
	panic("unreachable")
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// rarely is true now and then.
func rarely(r *rand.Rand) bool { return r.IntN(6) == 0 }

var scriptKeys = []string{"a", "a.b", "a.b.c", "b", ""}
var scriptPatterns = []string{"a", "a.b", "a.*", "#", "*.b", "a.#", ""}

func declareQueueStep(r *rand.Rand) step { return declareQueueStepOf(r, r.IntN(scriptNames)) }

func declareQueueStepOf(r *rand.Rand, i int) step {
	durable, autoDelete, exclusive, passive := !rarely(r), rarely(r), rarely(r), rarely(r)
	args := pick(r, nil, nil, nil, nil, nil, amqp.Table{"x-max-length": int32(2)},
		amqp.Table{"x-max-length": int64(1), "x-overflow": "reject-publish"}, amqp.Table{"x-max-length": int32(3), "x-overflow": "drop-head"})
	if rarely(r) {
		args = pick(r, amqp.Table{"x-max-length": "two"}, amqp.Table{"x-overflow": "sometimes"}, amqp.Table{"x-overflow": int32(1)})
	}
	return step{text: fmt.Sprintf("declare q%d durable=%v auto-delete=%v exclusive=%v passive=%v %v", i, durable, autoDelete, exclusive, passive, args),
		do: func(p *player) string {
			declare := p.ch.QueueDeclare
			if passive {
				declare = p.ch.QueueDeclarePassive
			}
			q, err := declare(p.queue(i), durable, autoDelete, exclusive, false, args)
			return outcomeOf(err, "%s: %d messages, %d consumers", q.Name, q.Messages, q.Consumers)
		}}
}

func declareExchangeStep(r *rand.Rand) step {
	return declareExchangeStepOf(r, r.IntN(scriptNames), rarely(r))
}

func declareExchangeStepOf(r *rand.Rand, i int, internal bool) step {
	alternate, durable, autoDelete := r.IntN(2*scriptNames), !rarely(r), rarely(r)
	kind := pick(r, "direct", "fanout", "topic", "topic", "headers")
	return step{text: fmt.Sprintf("declare x%d %s durable=%v auto-delete=%v internal=%v alternate=x%d", i, kind, durable, autoDelete, internal, alternate),
		do: func(p *player) string {
			var args amqp.Table
			if alternate < scriptNames {
				args = amqp.Table{"alternate-exchange": p.exchange(alternate)}
			}
			return outcomeOf(p.ch.ExchangeDeclare(p.exchange(i), kind, durable, autoDelete, internal, false, args), "declared")
		}}
}

// randomHeaders are for the headers exchange, as binding arguments if asked.
func randomHeaders(r *rand.Rand, binding bool) amqp.Table {
	h := amqp.Table{}
	if binding {
		if m := pick(r, "", "all", "any", "all-with-x", "any-with-x"); m != "" {
			h["x-match"] = m
		}
	}
	for _, k := range []string{"k1", "k2", "x-k"} {
		if r.IntN(2) == 0 {
			h[k] = pick[any](r, int32(1), int64(1), "1", nil, true)
		}
	}
	return h
}

func bindStep(r *rand.Rand) step {
	q, x, key, unbind := r.IntN(scriptNames), r.IntN(scriptNames), pick(r, scriptPatterns...), rarely(r)
	var args amqp.Table
	if r.IntN(3) == 0 {
		args = randomHeaders(r, true)
	}
	return step{text: fmt.Sprintf("bind q%d to x%d by %q %v, undo=%v", q, x, key, args, unbind), do: func(p *player) string {
		if unbind {
			return outcomeOf(p.ch.QueueUnbind(p.queue(q), key, p.exchange(x), args), "unbound")
		}
		return outcomeOf(p.ch.QueueBind(p.queue(q), key, p.exchange(x), false, args), "bound")
	}}
}

func bindExchangeStep(r *rand.Rand) step {
	to, from, key, unbind := r.IntN(scriptNames), r.IntN(scriptNames), pick(r, scriptPatterns...), rarely(r)
	return step{text: fmt.Sprintf("bind x%d to x%d by %q, undo=%v", to, from, key, unbind), do: func(p *player) string {
		if unbind {
			return outcomeOf(p.ch.ExchangeUnbind(p.exchange(to), key, p.exchange(from), false, nil), "unbound")
		}
		return outcomeOf(p.ch.ExchangeBind(p.exchange(to), key, p.exchange(from), false, nil), "bound")
	}}
}

func publishStep(r *rand.Rand) step {
	x, q, key, mandatory, body := r.IntN(scriptNames+1), r.IntN(scriptNames), pick(r, scriptKeys...), rarely(r), strconv.Itoa(r.IntN(1000))
	headers := randomHeaders(r, false)
	cc := rarely(r)
	return step{text: fmt.Sprintf("publish %s to x%d (or q%d) by %q %v mandatory=%v cc=%v", body, x, q, key, headers, mandatory, cc), do: func(p *player) string {
		exchange, key := p.exchange(x), key
		if x == scriptNames {
			exchange, key = "", p.queue(q)
		}
		m := amqp.Publishing{Headers: headers, Body: []byte(body)}
		if cc {
			m.Headers = amqp.Table{"CC": []any{p.queue(q), "a.b"}, "BCC": []any{p.queue(0)}}
		}
		c, err := p.ch.PublishWithDeferredConfirm(exchange, key, mandatory, false, m)
		if err != nil {
			return outcomeOf(err, "")
		}
		answer := fmt.Sprintf("acked: %v", c.Wait())
		select {
		case back := <-p.returns:
			answer += fmt.Sprintf(", returned: %d %s %s %q %s", back.ReplyCode, back.ReplyText, back.Exchange, back.RoutingKey, back.Body)
		default:
		}
		return answer
	}}
}

func getStep(r *rand.Rand) step {
	q, autoAck := r.IntN(scriptNames), r.IntN(3) == 0
	return step{text: fmt.Sprintf("get q%d auto-ack=%v", q, autoAck), do: func(p *player) string {
		d, ok, err := p.ch.Get(p.queue(q), autoAck)
		if ok && !autoAck {
			p.tags = append(p.tags, d.DeliveryTag)
		}
		// The tag is left out: it counts what a cancelled consumer got, which is a matter of chance.
		return outcomeOf(err, "%v %s %q by %q redelivered=%v %v, %d wait", ok, d.Body, d.Exchange, d.RoutingKey, d.Redelivered,
			d.Headers, d.MessageCount)
	}}
}

func settleStep(r *rand.Rand) step {
	n, how, multiple, requeue, unknown := r.IntN(100), pick(r, "ack", "nack", "nack", "reject"), r.IntN(3) == 0, r.IntN(4) > 0, r.IntN(15) == 0
	return step{text: fmt.Sprintf("%s %d multiple=%v requeue=%v unknown=%v", how, n, multiple, requeue, unknown), do: func(p *player) string {
		if !unknown && len(p.tags) == 0 {
			return "has nothing"
		}
		tag := uint64(99)
		if !unknown {
			tag = p.settle(n%len(p.tags), multiple && how != "reject")
		}
		var err error
		switch how {
		case "ack":
			err = p.ch.Ack(tag, multiple)
		case "nack":
			err = p.ch.Nack(tag, multiple, requeue)
		default:
			err = p.ch.Reject(tag, requeue)
		}
		return outcomeOf(err, "%s %d", how, tag)
	}}
}

// settle forgets a tag, or all up to it, and returns it.
func (p *player) settle(i int, multiple bool) uint64 {
	tag := p.tags[i]
	if multiple {
		p.tags = p.tags[i+1:]
	} else {
		p.tags = append(p.tags[:i:i], p.tags[i+1:]...)
	}
	return tag
}

func purgeStep(r *rand.Rand) step {
	q := r.IntN(scriptNames)
	return step{text: fmt.Sprintf("purge q%d", q), do: func(p *player) string {
		n, err := p.ch.QueuePurge(p.queue(q), false)
		return outcomeOf(err, "%d purged", n)
	}}
}

func deleteQueueStep(r *rand.Rand) step {
	q, ifUnused, ifEmpty := r.IntN(scriptNames), rarely(r), r.IntN(2) == 0
	return step{text: fmt.Sprintf("delete q%d if-unused=%v if-empty=%v", q, ifUnused, ifEmpty), do: func(p *player) string {
		n, err := p.ch.QueueDelete(p.queue(q), ifUnused, ifEmpty, false)
		return outcomeOf(err, "deleted with %d", n)
	}}
}

func deleteExchangeStep(r *rand.Rand) step {
	x, ifUnused := r.IntN(scriptNames), r.IntN(2) == 0
	return step{text: fmt.Sprintf("delete x%d if-unused=%v", x, ifUnused), do: func(p *player) string {
		return outcomeOf(p.ch.ExchangeDelete(p.exchange(x), ifUnused, false), "deleted")
	}}
}

func recoverStep(*rand.Rand) step {
	return step{text: "recover", do: func(p *player) string {
		p.tags = nil
		return outcomeOf(recoverAll(p.ch), "recovered")
	}}
}

// cancelStep consumes without taking anything, which an auto-delete queue feels.
func cancelStep(r *rand.Rand) step {
	q, exclusive := r.IntN(scriptNames), r.IntN(2) == 0
	return step{text: fmt.Sprintf("consume q%d exclusive=%v and cancel", q, exclusive), do: func(p *player) string {
		deliveries, err := p.ch.Consume(p.queue(q), "tag", true, exclusive, false, false, nil)
		if err != nil {
			return outcomeOf(err, "")
		}
		if err := p.ch.Cancel("tag", false); err != nil {
			return outcomeOf(err, "")
		}
		closed(p.t, deliveries)
		_, err = p.ch.QueuePurge(p.queue(q), false) // how much was consumed is a matter of chance
		return outcomeOf(err, "cancelled")
	}}
}
