package amqpserver

import (
	"errors"
	"slices"

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
	if p.size == 0 {
		return ch.complete()
	}
	ch.expect = expectBody
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
	if p.got < p.size {
		return nil
	}
	return ch.complete()
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
	err := ch.publish(p)
	p.buf = nil // it is the message's
	return err
}

// newMessage makes a message of what was received. Its fields point to the
// connection's names, and its body to the buffer.
func (ch *channel) newMessage(p *content) (*pocketmq.Message, error) {
	props := &ch.conn.scratch.props
	raw := p.buf[:p.properties:p.properties]
	if err := props.Decode(raw, &ch.conn.names); err != nil { // CONN-60
		e := failf(wire.CodeInternalError, "")
		e.noMethod = true
		return nil, e
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
// process, or changed there.
func setProperties(p *wire.Properties, m *pocketmq.Message) {
	*p = wire.Properties{
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Headers: m.Headers,
		DeliveryMode: m.DeliveryMode, Priority: m.Priority, CorrelationID: m.CorrelationID, ReplyTo: m.ReplyTo,
		Expiration: m.Expiration, MessageID: m.MessageID, Timestamp: m.Timestamp, Type: m.Type, UserID: m.UserID, AppID: m.AppID,
	}
	p.Flags = p.NonZero()
}

// received sets p to the properties with which a message was received, but for
// what the broker changed: the headers, and of a dead letter the expiration
// (ROUTE-23, DLX-6).
func received(p *wire.Properties, raw []byte, m *pocketmq.Message) {
	if err := p.Decode(raw, nil); err != nil {
		return // they were decoded when they were received
	}
	p.Headers, p.Expiration = m.Headers, m.Expiration
	p.Flags |= wire.FlagHeaders
	if m.Expiration == "" {
		p.Flags &^= wire.FlagExpiration
	}
}

// publish checks and routes a message (PUB-1). What RabbitMQ checks of it after
// it has found the exchange must not be the first to fail, so before such an
// error the exchange is looked up.
func (ch *channel) publish(p *content) error {
	c := ch.conn
	if c.server.alarms.active() {
		c.block()
	}
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
		if e := ch.checkExchange(p.exchange); e != nil {
			return e
		}
		return err
	}
	c.published(len(m.Body))
	if m.ReplyTo == replyName {
		m = ch.withReplyTo(m)
	}
	if ch.tx != nil {
		return ch.tx.publish(ch, p, m)
	}
	return ch.confirm(ch.route(p.exchange, p.key, m, p.mandatory))
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
	if err := ch.checkUserID(m); err != nil {
		return err
	}
	if m.Expiration == "" && c.scratch.props.Has(wire.FlagExpiration) { // PUB-10
		return preconditionFailed("invalid expiration '': no_integer")
	}
	if m.DeliveryMode > pocketmq.Persistent && c.server.compat >= V4_0 {
		m.DeliveryMode = pocketmq.Transient // the property passes through as it came (PUB-12)
	}
	return nil
}

// checkUserID: PUB-11.
func (ch *channel) checkUserID(m *pocketmq.Message) error {
	u := ch.conn.user
	if ch.conn.scratch.props.Has(wire.FlagUserID) && m.UserID != u.name && !u.hasTag("impersonator") {
		return preconditionFailed("user_id property set to '%s' but authenticated user was '%s'", m.UserID, u.name)
	}
	return nil
}

// mayWriteTopics checks all routing keys of a message (PERM-13).
func (ch *channel) mayWriteTopics(p *content, m *pocketmq.Message) error {
	if err := ch.mayWriteTopic(p.exchange, p.key); err != nil {
		return err
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

// checkExchange reports why nothing can be published to an exchange.
func (ch *channel) checkExchange(name string) error {
	_, internal, exists := hook.Exchange(ch.conn.broker, name)
	switch {
	case !exists:
		return notFound("no exchange '%s' in vhost '%s'", name, ch.conn.vhost)
	case internal:
		return accessRefused("cannot publish to internal exchange '%s' in vhost '%s'", name, ch.conn.vhost)
	}
	return nil
}

// route gives a message to the broker. It reports whether a queue refused it.
func (ch *channel) route(exchange, key string, m *pocketmq.Message, mandatory bool) (refused bool, err error) {
	var flags pocketmq.PublishOption
	if mandatory {
		flags = pocketmq.Mandatory
	}
	return ch.published(exchange, key, m, ch.session.Publish(&ch.conn.ctx, exchange, key, m, flags))
}

// published does what follows from the outcome of publishing a message.
func (ch *channel) published(exchange, key string, m *pocketmq.Message, err error) (refused bool, _ error) {
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, pocketmq.ErrUnroutable): // PUB-4
		ch.conn.out.sendContent(ch.id, &wire.BasicReturn{
			ReplyCode: wire.CodeNoRoute, ReplyText: "NO_ROUTE", Exchange: exchange, RoutingKey: key,
		}, withoutBCC(m))
		return false, nil
	case errors.Is(err, pocketmq.ErrQueueFull):
		return true, nil
	case errors.Is(err, pocketmq.ErrQueueDeleted): // while waiting for room: as if it had been full
		return true, nil
	default:
		return false, err
	}
}

// withoutBCC is the message as the publisher gets it back.
func withoutBCC(m *pocketmq.Message) *pocketmq.Message {
	if _, ok := m.Headers["BCC"]; !ok {
		return m
	}
	seen := *m
	seen.Headers = pocketmq.Table{}
	for key, v := range m.Headers {
		if key != "BCC" {
			seen.Headers[key] = v
		}
	}
	return &seen
}
