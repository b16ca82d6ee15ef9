package amqpserver

import "github.com/pocketmq/pocketmq/internal/wire"

// confirms is the state of a channel's publisher confirms. The broker takes
// messages one after the other, so that what is not confirmed yet is always a
// range of sequence numbers; it is confirmed in one go when the client's next
// messages are not there yet.
type confirms struct {
	on        bool
	published uint64 // the sequence number of the last message (CONF-3)
	acked     uint64 // up to it all messages were confirmed
	listed    bool   // in conn.acking
	gaps      bool   // a message was lost that must not be confirmed with others
}

// maxUnconfirmed is how many messages may be confirmed at once. A client that
// sends without a pause still wants to know how far it has come.
const maxUnconfirmed = 128

// confirm.select: CONF-1, CONF-2
func (ch *channel) confirmSelect(m *wire.ConfirmSelect) error {
	if ch.tx != nil {
		return preconditionFailed("cannot switch from tx to confirm mode")
	}
	ch.confirms.on = true
	ch.answer(m.NoWait, &wire.ConfirmSelectOk{})
	return nil
}

// confirm counts a message that was published and notes that it is to be
// confirmed, unless a queue refused it (CONF-4 to CONF-10).
func (ch *channel) confirm(refused bool, err error) error {
	if err != nil || !ch.confirms.on {
		return err
	}
	f := &ch.confirms
	if refused {
		ch.sendConfirms()
		f.published++
		f.acked = f.published
		ch.conn.out.send(ch.id, &wire.BasicNack{DeliveryTag: f.published, Multiple: true, Requeue: true}) // CONF-9
		return nil
	}
	f.published++
	if f.published-f.acked >= maxUnconfirmed {
		ch.sendConfirms()
	} else if !f.listed {
		f.listed = true
		ch.conn.acking = append(ch.conn.acking, ch)
	}
	return nil
}

// lose is confirm for a message that an interceptor took away.
func (ch *channel) lose(nack bool) {
	f := &ch.confirms
	if !f.on {
		return
	}
	if nack {
		_ = ch.confirm(true, nil) // without an error it returns none
		return
	}
	ch.sendConfirms()
	f.published++
	f.acked, f.gaps = f.published, true
}

// sendConfirms confirms what is to be confirmed on the channel.
func (ch *channel) sendConfirms() {
	f := &ch.confirms
	if f.published == f.acked {
		return
	}
	for f.gaps && f.acked+1 < f.published {
		f.acked++
		ch.conn.out.sendAck(ch.id, f.acked, false)
	}
	multiple := f.published-f.acked > 1
	f.acked = f.published
	ch.conn.out.sendAck(ch.id, f.published, multiple)
}

// sendConfirms confirms what is to be confirmed on all channels.
func (c *conn) sendConfirms() {
	if len(c.acking) == 0 {
		return
	}
	for _, ch := range c.acking {
		ch.confirms.listed = false
		ch.sendConfirms()
	}
	clear(c.acking)
	c.acking = c.acking[:0]
}
