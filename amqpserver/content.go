package amqpserver

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// content is a message that is being received.
type content struct {
	exchange, key        string
	mandatory, immediate bool

	size       uint64 // of the body, as announced
	got        uint64 // of it, so far
	properties int    // length of the encoded properties
	buf        []byte // the properties, then the body as far as it is there
	discard    bool   // the body is too large to be kept
	lost       error  // Ignore or Nack: it is not to be published; else nil
}

// presize is how large a buffer is made for a body of which nothing has been seen
// but its announced size.
const presize = 4 << 10

// header handles the frame after basic.publish (CONN-54 to CONN-56).
func (ch *channel) header(f wire.Frame) error {
	const wanted = "expected content header for class 60, got "
	if f.Type != wire.FrameHeader {
		return unexpectedFrame(wanted + "non content header frame instead")
	}
	h, err := wire.ParseHeader(f.Payload)
	switch {
	case h.Class != wire.ClassBasic && err == nil:
		return unexpectedFrame(wanted+"one for class %d instead", h.Class)
	case err != nil:
		return unexpectedFrame(wanted + "non content header frame instead")
	}
	p := &ch.content
	p.size = h.BodySize
	p.discard = h.BodySize > uint64(ch.conn.server.maxMessageSize)
	p.properties = len(h.Properties)
	room := min(h.BodySize, presize)
	if p.discard {
		room = 0
	}
	p.buf = make([]byte, 0, p.properties+int(room))
	p.buf = append(p.buf, h.Properties...)
	if p.size > 0 {
		ch.expect = expectBody
	} else if err := ch.complete(); err != nil {
		return err
	}
	ch.conn.received(len(f.Payload) + messageOverhead)
	return nil
}

// body handles a part of the body (CONN-57 to CONN-59).
func (ch *channel) body(f wire.Frame) error {
	if f.Type != wire.FrameBody {
		return unexpectedFrame("expected content body, got non content body frame instead")
	}
	p := &ch.content
	n := uint64(len(f.Payload))
	if n > p.size-p.got {
		return unexpectedFrame("content body of %d octets exceeds the announced %d", p.got+n, p.size)
	}
	p.got += n
	if !p.discard {
		p.grow(len(f.Payload))
		p.buf = append(p.buf, f.Payload...)
	}
	if p.got == p.size {
		if err := ch.complete(); err != nil {
			return err
		}
	}
	ch.conn.received(len(f.Payload))
	return nil
}

// grow makes room for n more bytes. The buffer grows with what has arrived, at
// most to what was announced.
func (p *content) grow(n int) {
	if len(p.buf)+n <= cap(p.buf) {
		return
	}
	want := max(len(p.buf)+n, min(2*cap(p.buf), p.properties+int(p.size)))
	p.buf = slices.Grow(p.buf, want-len(p.buf))
}

// complete publishes the message that was received.
func (ch *channel) complete() error {
	ch.expect = expectMethod
	p := &ch.content
	defer func() { p.buf = nil }() // it is the message's
	if p.lost != nil {
		ch.lose(errors.Is(p.lost, Nack))
		return nil
	}
	return ch.publish(p)
}

// newMessage makes a message of what was received. Its fields point to the
// connection's names, and its body to the buffer.
func (ch *channel) newMessage(p *content) (*pocketmq.Message, error) {
	props := &ch.conn.scratch.props
	raw := p.buf[:p.properties:p.properties]
	if err := props.Decode(raw, &ch.conn.names); err != nil { // CONN-60
		return nil, internalError()
	}
	m := newMessage(raw)
	m.Body = p.buf[p.properties:len(p.buf):len(p.buf)]
	setFields(m, props)
	return m, nil
}

// setFields sets the fields of a message to its properties.
func setFields(m *pocketmq.Message, props *wire.Properties) {
	m.Headers = props.Headers
	m.ContentType, m.ContentEncoding = props.ContentType, props.ContentEncoding
	m.DeliveryMode, m.Priority = props.DeliveryMode, props.Priority
	m.CorrelationID, m.ReplyTo, m.Expiration = props.CorrelationID, props.ReplyTo, props.Expiration
	m.MessageID, m.Timestamp, m.Type = props.MessageID, props.Timestamp, props.Type
	m.UserID, m.AppID = props.UserID, props.AppID
}

// setProperties sets p to the properties of a message that was published in this
// process, or changed there after it was received with the properties in raw.
func setProperties(p *wire.Properties, m *pocketmq.Message, raw []byte) {
	*p = wire.Properties{
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Headers: m.Headers,
		DeliveryMode: m.DeliveryMode, Priority: m.Priority, CorrelationID: m.CorrelationID, ReplyTo: m.ReplyTo,
		Expiration: m.Expiration, MessageID: m.MessageID, Timestamp: m.Timestamp, Type: m.Type, UserID: m.UserID, AppID: m.AppID,
	}
	p.Flags = p.NonZero()
	var was wire.Properties
	if raw == nil || was.Decode(raw, nil) != nil {
		return
	}
	// A Message cannot tell empty from absent, nor hold everything: that did not change.
	p.ClusterID = was.ClusterID
	p.Flags |= was.Flags&^was.NonZero() | was.Flags&(wire.FlagHeaders|wire.FlagClusterID)
	if was.DeliveryMode > uint8(pocketmq.Persistent) {
		p.DeliveryMode = was.DeliveryMode
	}
}

// publish checks and routes a message (PUB-1). What RabbitMQ checks of it after
// it has found the exchange must not be the first to fail, so before such an
// error the exchange is looked up.
func (ch *channel) publish(p *content) error {
	switch {
	case p.immediate: // PUB-3
		return notImplemented("immediate=true")
	case p.discard: // PUB-15
		return ch.tooLarge(p)
	}
	if err := ch.mayPublish(p.exchange); err != nil {
		return err
	}
	m, err := ch.newMessage(p)
	if err != nil {
		return err
	}
	if err := ch.checkMessage(p, m); err != nil {
		if e := hook.CheckPublish(ch.conn.broker, p.exchange); e != nil {
			return e
		}
		return err
	}
	m = ch.rewrite(m)
	if ch.tx != nil {
		return ch.tx.publish(ch, p, m)
	}
	return ch.confirm(ch.route(p.exchange, p.key, m, p.mandatory))
}

// rewrite returns m as its receivers get it: with the name of the channel's reply
// queue in place of replyName (RPC-4), and from 4.0 on with the expiration as a plain
// number (PUB-9).
func (ch *channel) rewrite(m *pocketmq.Message) *pocketmq.Message {
	props := &ch.conn.scratch.props // as m was received
	expiration := m.Expiration
	if expiration != "" && ch.conn.server.compat >= V4_0 {
		expiration = cmp.Or(strings.TrimLeft(expiration, "+-0"), "0")
	}
	if m.ReplyTo != replyName && m.Expiration == expiration {
		return m
	}
	if props.Expiration = expiration; m.ReplyTo == replyName {
		props.ReplyTo = ch.replyTo
	}
	raw, err := props.AppendTo(nil)
	if err != nil {
		return m // it was decoded before, and what is new is short
	}
	n := newMessage(raw)
	setFields(n, props)
	n.Body, n.DeliveryMode = m.Body, m.DeliveryMode
	return n
}

const maxBody = 512 << 20 // RabbitMQ's hard limit

func (ch *channel) tooLarge(p *content) error {
	limit := ch.conn.server.maxMessageSize
	if limit >= maxBody {
		return preconditionFailed("message size %d is larger than max size %d", p.size, limit)
	}
	return preconditionFailed("message size %d is larger than configured max size %d", p.size, limit)
}

// noExchange is what no exchange is called.
const noExchange = "\x00"

// mayPublish checks write access, once for messages to the same exchange.
func (ch *channel) mayPublish(exchange string) error {
	if exchange == ch.mayWriteX {
		return nil
	}
	if err := ch.mayWrite("exchange", exchange); err != nil {
		return err
	}
	ch.mayWriteX = exchange
	return nil
}

// checkMessage checks what does not depend on whether the exchange exists.
func (ch *channel) checkMessage(p *content, m *pocketmq.Message) error {
	c := ch.conn
	if c.user.topics != nil {
		if err := ch.mayWriteTopics(p, m); err != nil {
			return err
		}
	}
	if m.ReplyTo == replyName && !ch.hasReplyConsumer() { // RPC-4
		return preconditionFailed("fast reply consumer does not exist")
	}
	checks := [...]func(*pocketmq.Message) error{ch.checkUserID, ch.checkExpiration}
	if c.server.compat >= V4_0 {
		slices.Reverse(checks[:])
	}
	for _, check := range checks {
		if err := check(m); err != nil {
			return err
		}
	}
	return ch.checkDeliveryMode(m)
}

// checkDeliveryMode: PUB-12. In a Message 0 means that there is none.
func (ch *channel) checkDeliveryMode(m *pocketmq.Message) error {
	c := ch.conn
	switch {
	case c.server.compat < V4_0 && m.DeliveryMode == 0 && c.scratch.props.Has(wire.FlagDeliveryMode):
		return preconditionFailed("invalid message: {delivery_mode_unknown,0}")
	case c.server.compat >= V4_0 && m.DeliveryMode > pocketmq.Persistent:
		m.DeliveryMode = pocketmq.Transient // the property passes through as it came
	}
	return nil
}

// checkExpiration: PUB-10.
func (ch *channel) checkExpiration(m *pocketmq.Message) error {
	if !ch.conn.scratch.props.Has(wire.FlagExpiration) {
		return nil
	}
	return hook.CheckExpiration(m.Expiration)
}

// checkUserID: PUB-11.
func (ch *channel) checkUserID(m *pocketmq.Message) error {
	u := ch.conn.user
	if ch.conn.scratch.props.Has(wire.FlagUserID) && m.UserID != u.name && !u.hasTag("impersonator") {
		return preconditionFailed("user_id property set to '%s' but authenticated user was '%s'", m.UserID, u.name)
	}
	return nil
}

// mayWriteTopics checks the routing keys of a message, from 4.0 on all of them
// (PERM-13).
func (ch *channel) mayWriteTopics(p *content, m *pocketmq.Message) error {
	if err := ch.mayWriteTopic(p.exchange, p.key); err != nil {
		return err
	}
	if ch.conn.server.compat < V4_0 {
		return nil
	}
	for _, name := range [...]string{"CC", "BCC"} {
		more, _ := m.Headers[name].([]any)
		for _, key := range more {
			if key, ok := key.(string); ok {
				if err := ch.mayWriteTopic(p.exchange, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// An outcome is what became of a message that was published without an error.
type outcome int

const (
	taken    outcome = iota // by its queues
	unrouted                // it has none
	refused                 // by a queue
)

// route gives a message to the broker. Whether there is a queue for it matters to
// confirms, too.
func (ch *channel) route(exchange, key string, m *pocketmq.Message, mandatory bool) (outcome, error) {
	var flags pocketmq.PublishOption
	if mandatory || ch.confirms.on {
		flags = pocketmq.Mandatory
	}
	return ch.published(exchange, key, m, mandatory, ch.session.Publish(&ch.conn.ctx, exchange, key, m, flags))
}

// published does what follows from the error of publishing a message.
func (ch *channel) published(exchange, key string, m *pocketmq.Message, mandatory bool, err error) (outcome, error) {
	ch.conn.stopReadingAhead()
	switch {
	case err == nil && mandatory && exchange == "" && isReplyName(key) && ch.conn.server.compat < V4_3: // RPC-7
		ch.sendReturn(exchange, key, m)
		return taken, nil
	case err == nil:
		return taken, nil
	case errors.Is(err, pocketmq.ErrUnroutable): // PUB-4
		if mandatory {
			ch.sendReturn(exchange, key, m)
		}
		return unrouted, nil
	case errors.Is(err, pocketmq.ErrQueueFull):
		return refused, nil
	case errors.Is(err, pocketmq.ErrQueueDeleted) && isReplyName(key): // RPC-6
		return taken, nil
	case errors.Is(err, pocketmq.ErrQueueDeleted): // while waiting for room or the commit: as if it had been full
		return refused, nil
	default:
		return taken, err
	}
}

func (ch *channel) sendReturn(exchange, key string, m *pocketmq.Message) {
	ch.conn.out.sendContent(ch.id, &wire.BasicReturn{
		ReplyCode: wire.CodeNoRoute, ReplyText: "NO_ROUTE", Exchange: exchange, RoutingKey: key,
	}, hook.WithoutBCC(m).(*pocketmq.Message))
}
