package amqpserver

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// channel is a channel of a connection. It belongs to the connection's reader,
// but for what mu guards, which the writer uses to deliver.
type channel struct {
	conn    *conn
	id      uint16
	session *pocketmq.Session

	expect    expectation
	content   content          // of the basic.publish being received
	closing   bool             // channel.close was sent, and not answered yet
	lastQueue string           // declared last; "" = none (QUEUE-5)
	prefetch  int              // of consumers started from now on (QOS-2)
	window    *pocketmq.Window // the limit that consumers share; nil = none
	replyTo   string           // the queue of its reply consumer; "" = none yet
	confirms  confirms
	tx        *transaction // nil = not transactional
	mayWriteX string       // the exchange that a permission was found for last, or noExchange
	ended     int          // the consumers that it had when it stopped

	mu        sync.Mutex           // taken before the core's locks; guards the fields below
	consumers map[string]*consumer // by tag
	lastTag   uint64               // of the delivery sent last
	unacked   unacked
	timeouts  timeouts
}

// expectation is the kind of frame that must come next.
type expectation uint8

const (
	expectMethod expectation = iota
	expectHeader
	expectBody
)

// consumer is a consumer of a channel.
type consumer struct {
	channel *channel
	tag     string
	queue   string
	noAck   bool
	timeout time.Duration // for settling a delivery; 0 = none
	replies bool          // gets what is sent to the channel's reply-to
	listed  atomic.Bool   // has a turn in conn.ready for all that it may have
	due     int           // and as many for one message each; guarded by conn.ready.mu

	// Guarded by channel.mu.
	core    *pocketmq.Consumer
	started bool // consume-ok was sent
	gone    bool // nothing may be sent any more
}

// frame handles a frame of a running connection.
func (c *conn) frame(f wire.Frame) error {
	if f.Channel == 0 {
		return c.controlFrame(f)
	}
	if f.Type == wire.FrameHeartbeat { // CONN-39
		return misplaced(f)
	}
	ch := c.channels[f.Channel]
	if ch == nil {
		return c.openChannel(f)
	}
	err := ch.frame(f)
	if err == nil {
		return nil
	}
	e := asCloseError(err)
	if e == nil {
		return err
	}
	if !wire.IsSoft(e.code) {
		return e
	}
	ch.fail(e)
	return nil
}

// controlFrame handles a frame on channel 0 (CONN-37).
func (c *conn) controlFrame(f wire.Frame) error {
	switch f.Type {
	case wire.FrameHeartbeat:
		return nil
	case wire.FrameMethod:
		if lost, err := c.intercept(f); lost != nil || err != nil {
			return err
		}
		return c.connectionMethod(f)
	default:
		return misplaced(f)
	}
}

// frame handles a frame of the channel (CONN-53 to CONN-58).
func (ch *channel) frame(f wire.Frame) error {
	if ch.closing {
		return ch.closingFrame(f)
	}
	switch ch.expect {
	case expectHeader:
		return withMethod(ch.header(f), wire.IDBasicPublish)
	case expectBody:
		return withMethod(ch.body(f), wire.IDBasicPublish)
	}
	if f.Type != wire.FrameMethod {
		return unexpectedFrame("expected method frame, got non method frame instead")
	}
	id, args := wire.SplitMethod(f.Payload)
	lost, err := ch.conn.intercept(f)
	switch {
	case err != nil:
		return err
	case lost != nil && id != wire.IDBasicPublish:
		return nil
	}
	err = ch.method(id, args)
	ch.content.lost = lost
	return withMethod(err, id)
}

// withMethod notes which method an error is about, unless that is known or there
// is none.
func withMethod(err error, id wire.ID) error {
	if err == nil {
		return nil
	}
	e := asCloseError(err)
	if e == nil {
		return err
	}
	if e.method == 0 && !e.noMethod {
		e.method = id
	}
	return e
}

// fail ends the channel with a soft error. Its number stays taken until the
// client has answered (CHAN-4). Until then it keeps, as in RabbitMQ, what it holds
// of queues that it has no consumer on.
func (ch *channel) fail(e *closeError) {
	ch.conn.handOut()
	ch.stop()
	hook.EndConsumers(ch.session)
	ch.closing = true
	id := e.method
	ch.conn.out.send(ch.id, &wire.ChannelClose{ReplyCode: e.code, ReplyText: e.Error(), ClassID: id.Class(), MethodID: id.Method()})
}

// closingFrame handles what comes before the client has answered channel.close
// (CHAN-4 to CHAN-6).
func (ch *channel) closingFrame(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return nil
	}
	switch id, _ := wire.SplitMethod(f.Payload); id {
	case wire.IDChannelCloseOk:
		ch.end()
		ch.conn.forget(ch)
	case wire.IDChannelClose:
		ch.conn.out.send(ch.id, &wire.ChannelCloseOk{})
	case wire.IDChannelOpen:
		return withMethod(errSecondOpen(), id)
	}
	return nil
}

func (c *conn) forget(ch *channel) {
	delete(c.channels, ch.id)
	c.nchannels.Add(-1)
}

// end returns what the channel holds to the queues (CHAN-9).
func (ch *channel) end() {
	ch.stop()
	_ = ch.session.Close() // never fails
	ch.tellClosed()
}

// stop makes the channel one that does nothing. Nothing is delivered on it any more
// when stop returns.
func (ch *channel) stop() {
	ch.mu.Lock()
	for _, k := range ch.consumers {
		k.gone = true
		if !k.replies { // RabbitMQ has that one elsewhere
			ch.ended++
		}
	}
	ch.consumers = nil
	ch.unacked = unacked{}
	ch.timeouts.stop()
	ch.mu.Unlock()
	ch.confirms = confirms{}
	ch.tx = nil
	ch.content = content{}
}

// age is the time that has passed since the connection was made.
func (c *conn) age() time.Duration { return time.Since(c.connectedAt) }

// start makes a consumer deliver, now that the client knows of it.
func (k *consumer) start() {
	k.channel.mu.Lock()
	k.started = true
	k.channel.mu.Unlock()
	k.notify()
}

// method handles a method, the most frequent ones without allocating.
func (ch *channel) method(id wire.ID, args []byte) error {
	c := ch.conn
	s := &c.scratch
	switch id {
	case wire.IDBasicPublish:
		return decodeThen(c, &s.publish, args, ch.basicPublish)
	case wire.IDBasicAck:
		return decodeThen(c, &s.ack, args, ch.basicAck)
	case wire.IDBasicNack:
		return decodeThen(c, &s.nack, args, ch.basicNack)
	case wire.IDBasicReject:
		return decodeThen(c, &s.reject, args, ch.basicReject)
	}
	m := wire.NewMethod(id)
	if m == nil {
		return methodError(wire.ErrUnknownMethod, args)
	}
	if err := m.Decode(args, &c.names); err != nil {
		return methodError(err, args)
	}
	ch.sendConfirms() // so that they precede the answer
	return ch.handle(m)
}

func decodeThen[M wire.Method](c *conn, m M, args []byte, handle func(M) error) error {
	if err := m.Decode(args, &c.names); err != nil {
		return methodError(err, args)
	}
	return handle(m)
}

// handle handles a method that is neither publishing nor settling.
func (ch *channel) handle(m wire.Method) error {
	switch m := m.(type) {
	case *wire.ChannelOpen:
		return errSecondOpen()
	case *wire.ChannelClose:
		return ch.channelClose(m)
	case *wire.ChannelFlow:
		return ch.channelFlow(m)
	case *wire.AccessRequest:
		return ch.accessRequest(m)
	case *wire.ExchangeDeclare:
		return ch.exchangeDeclare(m)
	case *wire.ExchangeDelete:
		return ch.exchangeDelete(m)
	case *wire.ExchangeBind:
		return ch.exchangeBind(m)
	case *wire.ExchangeUnbind:
		return ch.exchangeUnbind(m)
	case *wire.QueueDeclare:
		return ch.queueDeclare(m)
	case *wire.QueueBind:
		return ch.queueBind(m)
	case *wire.QueueUnbind:
		return ch.queueUnbind(m)
	case *wire.QueuePurge:
		return ch.queuePurge(m)
	case *wire.QueueDelete:
		return ch.queueDelete(m)
	case *wire.BasicQos:
		return ch.basicQos(m)
	case *wire.BasicConsume:
		return ch.basicConsume(m)
	case *wire.BasicCancel:
		return ch.basicCancel(m)
	case *wire.BasicCancelOk:
		return ch.basicCancelOk(m)
	case *wire.BasicGet:
		return ch.basicGet(m)
	case *wire.BasicRecover:
		return ch.basicRecover(m)
	case *wire.BasicRecoverAsync:
		return ch.basicRecoverAsync(m)
	case *wire.ConfirmSelect:
		return ch.confirmSelect(m)
	case *wire.TxSelect:
		return ch.txSelect(m)
	case *wire.TxCommit:
		return ch.txCommit(m)
	case *wire.TxRollback:
		return ch.txRollback(m)
	default:
		return errUnimplemented()
	}
}

// answer sends a method unless the client asked for none (CHAN-14).
func (ch *channel) answer(noWait bool, m wire.Method) {
	if !noWait {
		ch.conn.out.send(ch.id, m)
	}
}
