package amqpserver

import (
	"math"
	"slices"

	"github.com/pocketmq/pocketmq/internal/wire"
)

func errSecondOpen() error { return channelError("second 'channel.open' seen") }

// channel.open: CHAN-1, CONN-48 … CONN-53
func (c *conn) openChannel(f wire.Frame) error {
	if slices.Contains(c.left, f.Channel) && !isMethod(f, wire.IDChannelOpen) {
		return nil // it was sent before the client could know that the channel is closed (CHAN-3)
	}
	limit := int(c.channelMax)
	if limit == 0 {
		limit = math.MaxUint16
	}
	if len(c.channels) >= limit {
		e := failf(wire.CodeNotAllowed, "number of channels opened (%d) has reached the negotiated channel_max (%d)", len(c.channels), limit)
		e.noMethod = true
		return e
	}
	if f.Type != wire.FrameMethod {
		return unexpectedFrame("expected method frame, got non method frame instead")
	}
	id, args := wire.SplitMethod(f.Payload)
	m := wire.NewMethod(id)
	if m == nil {
		return withMethod(methodError(wire.ErrUnknownMethod, args), id)
	}
	if err := m.Decode(args, &c.names); err != nil {
		return withMethod(methodError(err, args), id)
	}
	if id != wire.IDChannelOpen && !meansLastQueue(m) {
		return withMethod(channelError("expected 'channel.open'"), id)
	}
	if err := c.mayOpenChannel(); err != nil {
		return err
	}
	if lost, err := c.intercept(f); lost != nil || err != nil {
		return err
	}
	ch := &channel{conn: c, id: f.Channel, session: c.newChannel(f.Channel), mayWriteX: noExchange}
	c.channels[f.Channel] = ch
	c.nchannels.Add(1)
	if id != wire.IDChannelOpen { // RabbitMQ looks for the queue before it looks whether the channel is open
		ch.fail(asCloseError(withMethod(errNoLastQueue(), id)))
		return nil
	}
	ch.opened()
	c.out.send(f.Channel, &wire.ChannelOpenOk{})
	return nil
}

// meansLastQueue reports whether a method is about the queue that was declared last on
// the channel (QUEUE-6).
func meansLastQueue(m wire.Method) bool {
	switch m := m.(type) {
	case *wire.QueueBind:
		return m.Queue == ""
	case *wire.QueueUnbind:
		return m.Queue == ""
	case *wire.QueuePurge:
		return m.Queue == ""
	case *wire.QueueDelete:
		return m.Queue == ""
	case *wire.BasicConsume:
		return m.Queue == ""
	case *wire.BasicGet:
		return m.Queue == ""
	}
	return false
}

// channel.close: CHAN-2, CHAN-3, CHAN-9
func (ch *channel) channelClose(*wire.ChannelClose) error {
	ch.conn.handOut()
	ch.end()
	ch.conn.forget(ch)
	ch.conn.acking = slices.DeleteFunc(ch.conn.acking, func(x *channel) bool { return x == ch })
	ch.conn.left = append(ch.conn.left, ch.id)
	ch.conn.out.send(ch.id, &wire.ChannelCloseOk{})
	return nil
}

// channel.flow: CHAN-10, CHAN-11
func (ch *channel) channelFlow(m *wire.ChannelFlow) error {
	if !m.Active {
		return notImplemented("active=false")
	}
	ch.conn.out.send(ch.id, &wire.ChannelFlowOk{Active: true})
	return nil
}

// access.request: CHAN-13
func (ch *channel) accessRequest(*wire.AccessRequest) error {
	ch.conn.out.send(ch.id, &wire.AccessRequestOk{Ticket: 1})
	return nil
}
