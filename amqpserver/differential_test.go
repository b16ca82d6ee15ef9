//go:build rabbitmq

package amqpserver_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/internal/wire"
)

var (
	differentialSteps = flag.Int("steps", 500, "length of TestDifferential")
	differentialSeed  = flag.Uint64("seed", 0, "seed of TestDifferential; 0 = a random one")
)

// TestDifferential sends the same random methods to RabbitMQ and to a Server, one
// at a time, and compares all that they answer.
func TestDifferential(t *testing.T) {
	require.NotEmpty(t, *rabbitMQ, "-rabbitmq says where it is")
	seed := *differentialSeed
	if seed == 0 {
		seed = rand.Uint64() % 1000000
	}
	t.Logf("seed %d", seed)
	d := newDifferential(t, seed)
	for i := 0; i < *differentialSteps && !d.over; i++ {
		d.step()
	}
	d.clean()
}

// idle is how long nothing must come for a step to be over.
const idle = 12 * time.Millisecond

// differential is a pair of servers with two connections each, which are treated
// alike.
type differential struct {
	t     *testing.T
	r     *rand.Rand
	pairs [2]*pair
	log   []string
	over  bool // from here on the answers may differ
}

// pair is the same connection to both servers.
type pair struct {
	theirs, ours *client
	tags         [3]int // the last delivery tag of each channel
}

func newDifferential(t *testing.T, seed uint64) *differential {
	b := pocketmq.New()
	s := amqpserver.New(b, amqpserver.Compat(amqpserver.V3_10))
	l := memconn.Listen()
	go s.Serve(l)
	t.Cleanup(func() { s.Close(); b.Close() })
	d := &differential{t: t, r: rand.New(rand.NewPCG(seed, 1))}
	for i := range d.pairs {
		d.pairs[i] = d.connect(l)
	}
	d.clean()
	return d
}

func (d *differential) connect(l *memconn.Listener) *pair {
	ours := &server{dial: func() net.Conn { nc, _ := l.Dial("", ""); return nc }}
	theirs := &server{dial: func() net.Conn { nc, _ := net.Dial("tcp", *rabbitMQ); return nc }}
	p := &pair{theirs: theirs.channel(d.t), ours: ours.channel(d.t)}
	p.theirs.openChannel(2)
	p.ours.openChannel(2)
	return p
}

// clean deletes everything that steps may have made.
func (d *differential) clean() {
	for _, p := range d.pairs { // one of the two may own a queue
		for _, c := range []*client{p.theirs, p.ours} {
			for _, x := range exchanges[1:] {
				c.send(9, &wire.ChannelOpen{}, &wire.ExchangeDelete{Exchange: x}, &wire.ChannelClose{})
				for cleaned(c).ID() != wire.IDChannelCloseOk {
				}
			}
			for _, q := range queues {
				c.send(9, &wire.ChannelOpen{}, &wire.QueueDelete{Queue: q}, &wire.ChannelClose{})
				for id := wire.ID(0); id != wire.IDChannelCloseOk; {
					if id = cleaned(c).ID(); id == wire.IDChannelClose {
						c.send(9, &wire.ChannelCloseOk{})
					}
				}
			}
			c.answers()
		}
	}
}

var (
	queues    = []string{"df-q1", "df-q2", "df-q3"}
	exchanges = []string{"", "df-x1", "df-x2", "amq.topic", "amq.fanout"}[:3]
	keys      = []string{"df-q1", "df-q2", "df-q3", "a.b", "a.*", "#", ""}
	tags      = []string{"t1", "t2", "t3"}
)

// cleaned reads the next method on channel 9.
func cleaned(c *client) wire.Method {
	c.t.Helper()
	for {
		f, err := c.read()
		require.NoError(c.t, err)
		if f.Channel != 9 || f.Type != wire.FrameMethod {
			continue
		}
		m, err := wire.DecodeMethod(f.Payload, nil)
		require.NoError(c.t, err)
		return m
	}
}

func (d *differential) pick(from []string) string { return from[d.r.IntN(len(from))] }
func (d *differential) maybe(percent int) bool    { return d.r.IntN(100) < percent }

// step does one thing on one channel of both servers.
func (d *differential) step() {
	n := d.r.IntN(2)
	p, channel := d.pairs[n], uint16(1+d.r.IntN(2))
	m := d.method(p, channel)
	frames, err := wire.AppendMethodFrame(nil, channel, m)
	require.NoError(d.t, err)
	if publish, ok := m.(*wire.BasicPublish); ok {
		props := &wire.Properties{}
		if d.maybe(20) {
			props.Headers = wire.Table{"CC": []any{d.pick(keys)}}
		}
		if d.maybe(20) {
			props.Headers = wire.Table{"BCC": []any{d.pick(keys)}, "a": int32(1)}
		}
		props.Flags = props.NonZero()
		frames = publishFrames(channel, publish, props, fmt.Sprint(d.r.IntN(1000)))
	}
	d.log = append(d.log, fmt.Sprintf("connection %d channel %d: %v %+v", n, channel, m.ID(), m))
	p.theirs.write(frames)
	p.ours.write(frames)
	var answers [2]struct{ theirs, ours [10]string }
	for range 80 { // RabbitMQ takes its time for some things
		same := true
		for i, p := range d.pairs {
			a := &answers[i]
			for ch, more := range p.theirs.answers() {
				a.theirs[ch] += more
			}
			for ch, more := range p.ours.answers() {
				a.ours[ch] += more
			}
			same = same && a.theirs == a.ours
		}
		if same {
			break
		}
	}
	for i, p := range d.pairs {
		theirs, ours := answers[i].theirs, answers[i].ours
		if theirs != ours && unordered(theirs) == unordered(ours) {
			// One message for two queues: from here on the tags would differ.
			d.t.Log("went as far as the order is defined")
			d.over = true
			return
		}
		if theirs != ours {
			if len(d.log) > 400 {
				d.log = d.log[len(d.log)-400:]
			}
			d.t.Fatalf("%s\non connection %d RabbitMQ answers\n%s\nbut the server\n%s", strings.Join(d.log, "\n"), i, theirs, ours)
		}
		for ch, text := range theirs {
			if text != "" {
				d.log = append(d.log, fmt.Sprintf("    %d: %s", i, strings.ReplaceAll(text, "\n", "\n       ")))
			}
			if !strings.Contains(text, "channel.close ") {
				continue
			}
			ch := uint16(ch)
			for _, c := range []*client{p.theirs, p.ours} {
				call[*wire.ChannelOpenOk](c, ch, &wire.ChannelOpen{})
			}
			p.tags[ch] = 0
		}
		for _, m := range deliveryTag.FindAllStringSubmatch(theirs[channel], -1) {
			fmt.Sscan(m[1], &p.tags[channel])
		}
	}
}

var deliveryTag = regexp.MustCompile(`DeliveryTag:(\d+)`)

// unordered forgets the order in which lines came.
func unordered(text [10]string) (forgotten [10]string) {
	for i, s := range text {
		lines := strings.Split(deliveryTag.ReplaceAllString(s, ""), "\n")
		slices.Sort(lines)
		forgotten[i] = strings.Join(lines, "\n")
	}
	return forgotten
}

// method returns a random method.
func (d *differential) method(p *pair, channel uint16) wire.Method {
	tag := uint64(d.r.IntN(p.tags[channel] + 1))
	if d.maybe(90) {
		tag = uint64(max(1, p.tags[channel]-d.r.IntN(4)))
	}
	switch n := d.r.IntN(100); {
	case n < 12:
		m := &wire.QueueDeclare{Queue: d.pick(queues), Passive: d.maybe(30), Durable: d.maybe(10), Exclusive: d.maybe(10), AutoDelete: d.maybe(10)}
		if d.maybe(20) {
			m.Arguments = wire.Table{"x-max-length": int32(d.r.IntN(3))}
			if d.maybe(40) {
				m.Arguments["x-overflow"] = d.pick([]string{"drop-head", "reject-publish"})
			}
		}
		return m
	case n < 14:
		return &wire.QueueDelete{Queue: d.pick(queues), IfUnused: d.maybe(40), IfEmpty: d.maybe(40)}
	case n < 16:
		return &wire.QueuePurge{Queue: d.pick(queues)}
	case n < 22:
		return &wire.QueueBind{Queue: d.pick(queues), Exchange: d.pick(exchanges), RoutingKey: d.pick(keys)}
	case n < 24:
		return &wire.QueueUnbind{Queue: d.pick(queues), Exchange: d.pick(exchanges), RoutingKey: d.pick(keys)}
	case n < 28:
		m := &wire.ExchangeDeclare{Exchange: d.pick(exchanges), Type: d.pick([]string{"direct", "topic", "fanout", "headers"}), Passive: d.maybe(20), AutoDelete: d.maybe(20), Internal: d.maybe(10)}
		if d.maybe(30) {
			m.Arguments = wire.Table{"alternate-exchange": d.pick(exchanges)}
		}
		return m
	case n < 29:
		return &wire.ExchangeDelete{Exchange: d.pick(exchanges), IfUnused: d.maybe(50)}
	case n < 31:
		return &wire.ExchangeBind{Destination: d.pick(exchanges), Source: d.pick(exchanges), RoutingKey: d.pick(keys)}
	case n < 32:
		return &wire.ExchangeUnbind{Destination: d.pick(exchanges), Source: d.pick(exchanges), RoutingKey: d.pick(keys)}
	case n < 58:
		return &wire.BasicPublish{Exchange: d.pick(exchanges), RoutingKey: d.pick(keys), Mandatory: d.maybe(50)}
	case n < 66:
		return &wire.BasicGet{Queue: d.pick(queues), NoAck: d.maybe(30)}
	case n < 73:
		return &wire.BasicConsume{Queue: d.pick(queues), ConsumerTag: d.freeTag(p, channel), NoAck: d.maybe(20), Exclusive: d.maybe(10)}
	case n < 75:
		return &wire.BasicCancel{ConsumerTag: d.pick(tags)}
	case n < 81:
		return &wire.BasicAck{DeliveryTag: tag, Multiple: d.maybe(40)}
	case n < 86:
		return &wire.BasicNack{DeliveryTag: tag, Multiple: d.maybe(40), Requeue: d.maybe(70)}
	case n < 89:
		return &wire.BasicReject{DeliveryTag: tag, Requeue: d.maybe(70)}
	case n < 91:
		return &wire.BasicRecover{Requeue: true}
	case n < 94:
		return &wire.BasicQos{PrefetchCount: uint16(d.r.IntN(4)), Global: d.maybe(30)}
	case n < 96:
		return &wire.ConfirmSelect{}
	case n < 97:
		return &wire.TxSelect{}
	case n < 99:
		return &wire.TxCommit{}
	default:
		return &wire.TxRollback{}
	}
}

// freeTag returns a tag that is not taken: using one twice would end the
// connection.
func (d *differential) freeTag(*pair, uint16) string {
	tags = append(tags, fmt.Sprintf("t%d", len(tags)+1))
	return tags[len(tags)-1]
}

// answers reads until nothing comes any more, and writes down what came,
// for each channel. It answers channel.close.
func (c *client) answers() (text [10]string) {
	for {
		_ = c.nc.SetReadDeadline(time.Now().Add(idle))
		f, err := c.r.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return text
		}
		require.NoError(c.t, err)
		switch f.Type {
		case wire.FrameMethod:
			m, err := wire.DecodeMethod(f.Payload, nil)
			require.NoError(c.t, err)
			text[f.Channel] += fmt.Sprintf("%d %v %+v\n", f.Channel, m.ID(), m)
			if m.ID() == wire.IDChannelClose {
				// Only then RabbitMQ returns what was got, or came from cancelled consumers.
				c.send(f.Channel, &wire.ChannelCloseOk{})
			}
			require.NotEqual(c.t, wire.IDConnectionClose, m.ID(), "%+v", m)
		case wire.FrameHeader, wire.FrameBody:
			text[f.Channel] += fmt.Sprintf("    %q\n", f.Payload)
		}
	}
}
