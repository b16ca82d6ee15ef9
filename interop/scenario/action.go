package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// An action is a line of a script that does something.
type action interface {
	do(p *player) error
}

var (
	variable   = regexp.MustCompile(`\$\{?([a-z][a-z0-9_]*)\}?`)
	clientName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	onChannel  = regexp.MustCompile(`^([a-z][a-z0-9]*)\.(\d+)$`)
)

// check tells what is wrong with a line, as far as that can be told before it is
// done.
func check(line string) error {
	_, err := parseAction(variable.ReplaceAllString(line, "1"))
	return err
}

// parseAction reads a line whose variables have been replaced.
func parseAction(line string) (action, error) {
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	if m := onChannel.FindStringSubmatch(words[0]); m != nil {
		channel, err := strconv.ParseUint(m[2], 10, 16)
		if err != nil || len(words) < 2 {
			return nil, fmt.Errorf("expected: %s METHOD", words[0])
		}
		return parseSend(m[1], uint16(channel), words[1:])
	}
	switch words[0] {
	case "conn":
		return parseOpen(words, connOptions)
	case "tcp":
		return parseOpen(words, tcpOptions)
	case "wait":
		return parseWait(words)
	case "let":
		return parseLet(words)
	case "admin":
		return parseAdmin(words)
	}
	if !clientName.MatchString(words[0]) || len(words) < 2 {
		return nil, fmt.Errorf("what is %q?", line)
	}
	return parseOctets(words)
}

// open opens a connection, with the handshake or without.
type open struct {
	name      string
	handshake bool
	options
}

func parseOpen(words, known []string) (action, error) {
	if len(words) < 2 || !clientName.MatchString(words[1]) {
		return nil, fmt.Errorf("expected: %s NAME", words[0])
	}
	o, err := newOptions(words[2:], known)
	return &open{name: words[1], handshake: words[0] == "conn", options: o}, err
}

func (a *open) do(p *player) error {
	c, err := p.dial(a.name, a.get("answers", "yes") == "yes")
	if err != nil || !a.handshake {
		return err
	}
	err = a.shake(p, c)
	c.forget("connection.start", "connection.tune", "connection.open-ok", "channel.open-ok")
	return err
}

// shake does the handshake, as far as the server lets it, and opens channels.
// That it succeeds is no answer to anything in the script.
func (a *open) shake(p *player, c *client) error {
	c.send([]byte(wire.ProtocolHeader), false)
	if c.await(0, "connection.start") == nil {
		return nil
	}
	capabilities, err := parseTable(a.get("capabilities",
		"{authentication_failure_close:t:true, basic.nack:t:true, connection.blocked:t:true, consumer_cancel_notify:t:true, exchange_exchange_bindings:t:true, publisher_confirms:t:true}"))
	if err != nil {
		return err
	}
	user, password := p.credentials(a.options)
	p.method(c, 0, &wire.ConnectionStartOk{
		ClientProperties: wire.Table{"capabilities": capabilities}, Mechanism: "PLAIN", Response: "\x00" + user + "\x00" + password, Locale: "en_US",
	})
	tune, ok := c.await(0, "connection.tune", "connection.close").(*wire.ConnectionTune)
	if !ok {
		return nil
	}
	tuneOk := &wire.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: tune.FrameMax}
	var wanted []assignment
	for _, name := range []string{"heartbeat", "frame-max", "channel-max"} {
		if v, ok := a.options[name]; ok {
			wanted = append(wanted, assignment{name, v})
		}
	}
	if _, err := setFields(tuneOk, wanted); err != nil {
		return err
	}
	p.method(c, 0, tuneOk)
	p.method(c, 0, &wire.ConnectionOpen{VirtualHost: p.names.vhost(a.get("vhost", "/"))})
	if _, ok := c.await(0, "connection.open-ok", "connection.close").(*wire.ConnectionOpenOk); !ok {
		return nil
	}
	channels, err := strconv.Atoi(a.get("channels", "1"))
	for ch := 1; ch <= channels; ch++ {
		p.method(c, uint16(ch), &wire.ChannelOpen{})
		c.await(ch, "channel.open-ok")
	}
	return err
}

// send sends frames on a channel.
type send struct {
	client  string
	channel uint16
	frames  []byte
	method  wire.Method // nil = other frames
	publish *publish    // nil = no content
}

// publish is the content of a basic.publish, whose frames depend on frame-max.
type publish struct {
	props wire.Properties
	body  []byte
}

func parseSend(client string, channel uint16, words []string) (action, error) {
	a := &send{client: client, channel: channel}
	var err error
	switch words[0] {
	case "frame":
		err = a.parseFrame(words[1:])
	case "header":
		err = a.parseHeader(words[1:])
	case "body":
		err = a.parseBody(words[1:])
	case "method":
		if len(words) < 2 {
			return nil, fmt.Errorf("expected: method NAME")
		}
		err = a.parseMethod(words[1:], false)
	default:
		err = a.parseMethod(words, true)
	}
	return a, err
}

// parseMethod reads a method, and its content unless that is left to others.
// cut=N takes octets off its end, extra=HEX adds some.
func (a *send) parseMethod(words []string, withContent bool) error {
	m, rest, err := newMethod(words[0], assignments(words[1:]))
	if err != nil {
		return err
	}
	a.method = m
	payload, err := m.AppendTo(nil)
	if err != nil {
		return err
	}
	if withContent && m.ID() == wire.IDBasicPublish {
		a.publish = new(publish)
		if rest, err = a.publish.parse(rest); err != nil {
			return err
		}
	}
	for _, f := range rest {
		switch f.name {
		case "cut":
			n, err := strconv.Atoi(f.value)
			if err != nil || n > len(payload) {
				return fmt.Errorf("cut=%s: the method has %d octets", f.value, len(payload))
			}
			payload = payload[:len(payload)-n]
		case "extra":
			b, err := octets([]string{f.value})
			if err != nil {
				return err
			}
			payload = append(payload, b...)
		default:
			return fmt.Errorf("%s has no %s", words[0], f.name)
		}
	}
	a.frames = wire.AppendFrame(nil, wire.FrameMethod, a.channel, payload)
	return nil
}

// parse reads properties and the body, as body=TEXT or size=OCTETS.
func (c *publish) parse(words []assignment) ([]assignment, error) {
	rest, err := setProperties(&c.props, words)
	if err != nil {
		return nil, err
	}
	var unknown []assignment
	for _, f := range rest {
		switch f.name {
		case "body":
			s, err := text(f.value)
			if err != nil {
				return nil, err
			}
			c.body = []byte(s)
		case "size":
			n, err := strconv.Atoi(f.value)
			if err != nil {
				return nil, err
			}
			c.body = []byte(strings.Repeat("x", n))
		default:
			unknown = append(unknown, f)
		}
	}
	return unknown, nil
}

// parseFrame reads: type=N payload=OCTETS end=N.
func (a *send) parseFrame(words []string) error {
	var kind, end uint64 = uint64(wire.FrameMethod), wire.FrameEnd
	var payload []byte
	for _, f := range assignments(words) {
		var err error
		switch f.name {
		case "type":
			kind, err = strconv.ParseUint(f.value, 0, 8)
		case "end":
			end, err = strconv.ParseUint(f.value, 0, 8)
		case "payload":
			payload, err = octets([]string{f.value})
		default:
			err = fmt.Errorf("%s is not one of: %s", f.name, strings.Join(frameOptions, " "))
		}
		if err != nil {
			return err
		}
	}
	a.frames = wire.AppendFrame(nil, uint8(kind), a.channel, payload)
	a.frames[len(a.frames)-1] = byte(end)
	return nil
}

// parseBody reads a body frame: OCTETS, or size=N.
func (a *send) parseBody(words []string) error {
	var body []byte
	var err error
	if len(words) == 1 && strings.HasPrefix(words[0], "size=") {
		var content publish
		_, err = content.parse(assignments(words))
		body = content.body
	} else {
		body, err = octets(words)
	}
	a.frames = wire.AppendFrame(nil, wire.FrameBody, a.channel, body)
	return err
}

// parseHeader reads a content header: class=N weight=N size=OCTETS PROPERTY=... extra=HEX.
func (a *send) parseHeader(words []string) error {
	var props wire.Properties
	rest, err := setProperties(&props, assignments(words))
	if err != nil {
		return err
	}
	class, weight, size := uint64(wire.ClassBasic), uint64(0), uint64(0)
	var extra []byte
	for _, f := range rest {
		switch f.name {
		case "class":
			class, err = strconv.ParseUint(f.value, 10, 16)
		case "weight":
			weight, err = strconv.ParseUint(f.value, 10, 16)
		case "size":
			size, err = strconv.ParseUint(f.value, 10, 64)
		case "extra":
			extra, err = octets([]string{f.value})
		default:
			err = fmt.Errorf("a content header has no %s", f.name)
		}
		if err != nil {
			return err
		}
	}
	payload, err := wire.AppendHeader(nil, size, &props)
	if err != nil {
		return err
	}
	payload[0], payload[1], payload[2], payload[3] = byte(class>>8), byte(class), byte(weight>>8), byte(weight)
	a.frames = wire.AppendFrame(nil, wire.FrameHeader, a.channel, append(payload, extra...))
	return nil
}

func (a *send) do(p *player) error {
	c, err := p.client(a.client)
	if err != nil {
		return err
	}
	if c.isClosed() {
		return errors.New("nobody hears that: the connection is closed")
	}
	frames := a.frames
	if a.publish != nil {
		if frames, err = a.publish.appendTo(frames, a.channel, c.frameMax); err != nil {
			return err
		}
	}
	if a.method != nil {
		c.sent(a.channel, a.method)
	}
	c.send(frames, p.pipelining)
	return nil
}

func (c *publish) appendTo(b []byte, channel uint16, frameMax uint32) ([]byte, error) {
	b, err := wire.AppendHeaderFrame(b, channel, uint64(len(c.body)), &c.props)
	if err != nil {
		return nil, err
	}
	return wire.AppendBodyFrames(b, channel, c.body, frameMax), nil
}

// raw sends octets, or drops the connection.
type raw struct {
	client string
	octets []byte
	drop   bool
}

func parseOctets(words []string) (action, error) {
	a := &raw{client: words[0]}
	var err error
	switch words[1] {
	case "drop":
		a.drop = true
	case "raw":
		a.octets, err = octets(words[2:])
	case "header":
		a.octets, err = protocolHeader(words[2:])
	default:
		err = fmt.Errorf("%s is not one of: header, raw, drop", words[1])
	}
	return a, err
}

// protocolHeader is AMQP and four numbers, by default those of 0-9-1.
func protocolHeader(words []string) ([]byte, error) {
	if len(words) == 0 {
		return []byte(wire.ProtocolHeader), nil
	}
	b := []byte("AMQP")
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, 8)
		if err != nil {
			return nil, err
		}
		b = append(b, byte(n))
	}
	return b, nil
}

func (a *raw) do(p *player) error {
	c, err := p.client(a.client)
	if err != nil {
		return err
	}
	if a.drop {
		c.close()
		c.take() // that it is closed is our own doing
		return nil
	}
	c.send(a.octets, p.pipelining)
	return nil
}

// wait lets time pass.
type wait struct{ d time.Duration }

func parseWait(words []string) (action, error) {
	if len(words) != 2 {
		return nil, fmt.Errorf("expected: wait DURATION")
	}
	d, err := time.ParseDuration(words[1])
	return &wait{d}, err
}

func (a *wait) do(p *player) error {
	p.world.sleep(a.d)
	return nil
}

// let keeps a field of what came last on a channel.
type let struct {
	name, client string
	channel      int
	field        string
}

func parseLet(words []string) (action, error) {
	if len(words) != 4 {
		return nil, fmt.Errorf("expected: let NAME CLIENT.CHANNEL FIELD")
	}
	m := onChannel.FindStringSubmatch(words[2])
	if m == nil {
		return nil, fmt.Errorf("%s is not a channel", words[2])
	}
	channel, err := strconv.Atoi(m[2])
	return &let{words[1], m[1], channel, words[3]}, err
}

func (a *let) do(p *player) error {
	c, err := p.client(a.client)
	if err != nil {
		return err
	}
	value, ok := c.lastField(a.channel, a.field)
	if !ok {
		return fmt.Errorf("nothing with the field %s came on %s.%d", a.field, a.client, a.channel)
	}
	p.vars[a.name] = value
	return nil
}

// admin is what an administrator does.
type admin struct {
	words []string
	given *Given // nil = that is all
}

// adminActions says how many words follow each.
var adminActions = map[string]int{
	"close-connection": 2, "delete-user": 1, "delete-vhost": 1, "raise-alarm": 1, "clear-alarm": 1,
	"set-permissions": 5, "clear-permissions": 2, "clear-policy": 1, "clear-operator-policy": 1,
	"start-tracing": 0, "stop-tracing": 0,
}

// adminGivens make what could also be given before the first step.
var adminGivens = map[string]string{"set-policy": "policy", "set-operator-policy": "operator-policy"}

func parseAdmin(words []string) (action, error) {
	if len(words) < 2 {
		return nil, fmt.Errorf("expected: admin ACTION")
	}
	if kind := adminGivens[words[1]]; kind != "" && len(words) > 2 {
		o, err := newOptions(words[3:], givenOptions[kind])
		return &admin{words[1:3], &Given{Kind: kind, Name: words[2], Options: o}}, err
	}
	n, ok := adminActions[words[1]]
	if !ok || len(words) != n+2 {
		return nil, fmt.Errorf("an administrator cannot %s; %d words follow", words[1], n)
	}
	a := &admin{}
	for _, w := range words[1:] {
		s, err := text(w)
		if err != nil {
			return nil, err
		}
		a.words = append(a.words, s)
	}
	return a, nil
}

func (a *admin) do(p *player) error {
	if a.given != nil {
		return p.world.give(p, *a.given)
	}
	return p.world.admin(p, a.words)
}
