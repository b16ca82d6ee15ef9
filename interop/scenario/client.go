package scenario

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// patience is how long a client waits for what must come, such as a step of the
// handshake.
const patience = 20 * time.Second

// A client is a network connection, in frames.
type client struct {
	name    string
	nc      net.Conn
	answers bool   // close is answered with close-ok
	pending []byte // of a pipeline, not sent yet

	arrived chan struct{} // has a value after something came

	mu       sync.Mutex
	received []answer // since it was taken last
	history  []answer
	open     map[uint16]bool // channels
	running  bool            // open-ok came, and no close
	closed   bool
	frameMax uint32

	reader sync.WaitGroup
}

// connection is the channel of answers that belong to none.
const connection = -1

// An answer is something that the server sent: a method with its content, or the
// end of the connection.
type answer struct {
	channel int
	text    string
	method  wire.Method      // nil = none
	props   *wire.Properties // nil = no content
}

func newClient(name string, nc net.Conn, answers bool) *client {
	c := &client{name: name, nc: nc, answers: answers, arrived: make(chan struct{}, 1), open: map[uint16]bool{}}
	c.reader.Go(c.read)
	return c
}

// close ends the network connection, without a word.
func (c *client) close() {
	c.nc.Close()
	c.reader.Wait()
}

// send sends octets, or keeps them until flush in a pipeline. A server that has
// closed the connection does not get them: that it did is among the answers.
func (c *client) send(b []byte, later bool) {
	c.pending = append(c.pending, b...)
	if !later {
		c.flush()
	}
}

func (c *client) flush() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.nc.Write(c.pending)
	c.pending = nil
}

// sent notes what a method that is sent does to the channels that are open.
func (c *client) sent(channel uint16, m wire.Method) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := m.(type) {
	case *wire.ChannelClose, *wire.ChannelCloseOk:
		delete(c.open, channel)
	case *wire.ConnectionClose:
		c.running = false
	case *wire.ConnectionTuneOk:
		c.frameMax = m.FrameMax
	}
}

func (c *client) note(a answer) {
	c.mu.Lock()
	c.received = append(c.received, a)
	c.history = append(c.history, a)
	switch a.method.(type) {
	case *wire.ChannelOpenOk:
		c.open[uint16(a.channel)] = true
	case *wire.ChannelClose:
		delete(c.open, uint16(a.channel))
	case *wire.ConnectionOpenOk:
		c.running = true
	case *wire.ConnectionClose:
		c.running = false
	}
	if a.text == "closed" {
		c.closed, c.running = true, false
	}
	c.mu.Unlock()
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// peek returns what came since take.
func (c *client) peek() []answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.received)
}

func (c *client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *client) take() []answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.received
	c.received = nil
	return all
}

// forget drops methods that came since take.
func (c *client) forget(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = slices.DeleteFunc(c.received, func(a answer) bool {
		return a.method != nil && slices.Contains(names, a.method.ID().String())
	})
}

// openChannels lists the channels that should still work.
func (c *client) openChannels() []uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.running || c.closed {
		return nil
	}
	return slices.Sorted(maps.Keys(c.open))
}

// await waits for an answer to one of the methods named on a channel, and returns
// it. It returns nil when the connection has been closed, or nothing came.
func (c *client) await(channel int, names ...string) wire.Method {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	seen := 0
	for {
		c.mu.Lock()
		for ; seen < len(c.received); seen++ {
			a := c.received[seen]
			if a.method != nil && a.channel == channel && slices.Contains(names, a.method.ID().String()) {
				c.mu.Unlock()
				return a.method
			}
		}
		gone := c.closed || len(c.received) > 0 && c.received[len(c.received)-1].method == nil
		c.mu.Unlock()
		if gone {
			return nil
		}
		select {
		case <-c.arrived:
		case <-timeout.C:
			return nil
		}
	}
}

// read notes what comes until the connection ends.
func (c *client) read() {
	r := &frameReader{r: c.nc}
	building := map[uint16]*content{}
	for {
		f, err := r.next()
		if err != nil {
			_ = c.nc.Close()
			c.note(answer{channel: connection, text: "closed"})
			return
		}
		if f.header != nil {
			c.note(answer{channel: connection, text: fmt.Sprintf("header %q", f.header)})
			continue
		}
		if a, ok := c.frame(f, building); ok {
			c.note(a)
			c.respond(a)
		}
	}
}

// respond answers close with close-ok.
func (c *client) respond(a answer) {
	if !c.answers || a.method == nil {
		return
	}
	var ok wire.Method
	switch a.method.(type) {
	case *wire.ChannelClose:
		ok = &wire.ChannelCloseOk{}
	case *wire.ConnectionClose:
		ok = &wire.ConnectionCloseOk{}
	default:
		return
	}
	b, _ := wire.AppendMethodFrame(nil, uint16(a.channel), ok) // has no arguments
	_ = c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.nc.Write(b)
}

// content is a method whose content is being received.
type content struct {
	answer
	size   uint64
	body   []byte
	frames int
	header bool
}

// frame returns the answer that a frame completes, if it does.
func (c *client) frame(f frame, building map[uint16]*content) (answer, bool) {
	b := building[f.channel]
	switch {
	case f.kind == wire.FrameHeartbeat:
		return answer{channel: connection, text: "heartbeat"}, true
	case f.kind == wire.FrameMethod && b == nil:
		a := methodAnswer(f)
		if a.method == nil || !hasContent(a.method.ID()) {
			return a, true
		}
		building[f.channel] = &content{answer: a}
		return a, false
	case f.kind == wire.FrameHeader && b != nil && !b.header:
		b.header = true
		b.decode(f.payload)
	case f.kind == wire.FrameBody && b != nil && b.header:
		b.body = append(b.body, f.payload...)
		b.frames++
	default:
		return answer{channel: int(f.channel), text: fmt.Sprintf("unexpected frame type %d %x", f.kind, f.payload)}, true
	}
	if uint64(len(b.body)) < b.size {
		return b.answer, false
	}
	delete(building, f.channel)
	return b.finish(), true
}

func hasContent(id wire.ID) bool {
	return id == wire.IDBasicDeliver || id == wire.IDBasicGetOk || id == wire.IDBasicReturn
}

func (b *content) decode(payload []byte) {
	h, err := wire.ParseHeader(payload)
	b.props = new(wire.Properties)
	if err == nil {
		err = b.props.Decode(h.Properties, nil)
	}
	if err != nil {
		b.text += fmt.Sprintf(" header %x: %v", payload, err)
	}
	b.size = h.BodySize
}

func (b *content) finish() answer {
	a := b.answer
	if p := formatProperties(b.props); p != "" {
		a.text += " " + p
	}
	a.text += " body=" + formatBody(b.body)
	if b.frames > 1 {
		a.text += fmt.Sprintf(" frames=%d", b.frames)
	}
	return a
}

func methodAnswer(f frame) answer {
	a := answer{channel: int(f.channel)}
	m, err := wire.DecodeMethod(f.payload, nil)
	if err != nil {
		a.text = fmt.Sprintf("method %x: %v", f.payload, err)
		return a
	}
	a.method = m
	if start, ok := m.(*wire.ConnectionStart); ok {
		start.ServerProperties = normalProperties(start.ServerProperties)
		mechanisms := strings.Fields(start.Mechanisms) // in 4.0 their order changes from one start of the server to the next
		slices.Sort(mechanisms)
		start.Mechanisms = strings.Join(mechanisms, " ")
	}
	a.text = formatMethod(m)
	return a
}

// normalProperties hides what every server may say as it likes.
func normalProperties(t wire.Table) wire.Table {
	t = maps.Clone(t)
	for _, k := range []string{"cluster_name", "copyright", "information", "platform", "version"} {
		if _, ok := t[k].(string); ok {
			t[k] = "*"
		}
	}
	return t
}

// frame is a frame of any kind, or a protocol header.
type frame struct {
	kind    uint8
	channel uint16
	payload []byte
	header  []byte
}

// frameReader reads frames of any size, and a protocol header if there is one
// instead of the first.
type frameReader struct {
	r     io.Reader
	begun bool
}

func (r *frameReader) next() (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(r.r, head[:7]); err != nil {
		return frame{}, err
	}
	if !r.begun && bytes.HasPrefix(head[:], []byte("AMQP")) {
		_, err := io.ReadFull(r.r, head[7:])
		return frame{header: head[:]}, err
	}
	r.begun = true
	f := frame{kind: head[0], channel: binary.BigEndian.Uint16(head[1:])}
	f.payload = make([]byte, binary.BigEndian.Uint32(head[3:7])+1)
	if _, err := io.ReadFull(r.r, f.payload); err != nil {
		return frame{}, err
	}
	end := f.payload[len(f.payload)-1]
	if f.payload = f.payload[:len(f.payload)-1]; end != wire.FrameEnd {
		return frame{}, fmt.Errorf("a frame ends with %x", end)
	}
	return f, nil
}

// answersByChannel sorts answers into those of each channel, under names such as
// a.1, with heartbeats in succession taken for one. What is still delivered on a
// connection that ends, such as what another of its channels returned, is a matter
// of chance, and left out.
func answersByChannel(c *client, all []answer, into map[string][]string) {
	ends := slices.ContainsFunc(all, func(a answer) bool { return a.text == "closed" })
	for _, a := range all {
		if _, ok := a.method.(*wire.BasicDeliver); ok && ends {
			continue
		}
		key := c.name
		if a.channel != connection {
			key = fmt.Sprintf("%s.%d", c.name, a.channel)
		}
		if n := len(into[key]); a.text == "heartbeat" && n > 0 && strings.HasSuffix(into[key][n-1], "heartbeat") {
			continue
		}
		into[key] = append(into[key], key+" "+a.text)
	}
}
