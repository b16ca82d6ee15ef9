package amqpserver

import (
	"sync"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// The bounds of a connection's output, in bytes. Deliveries are fetched only
// while there is little to send, so that they wait in their queues, where others
// can have them. For answers there is much room, because a client that is busy
// sending need not read; when that is used up, also by what is being sent, nothing
// more is read from it.
const (
	deliveryRoom = 64 << 10
	answerRoom   = 8 << 20
	keepBuffer   = 256 << 10 // a larger one is not kept for use again
)

// output gathers the frames of one connection until its writer sends them.
type output struct {
	compat   Compatibility
	frameMax uint32        // set when it was negotiated, before the first content
	wake     chan struct{} // gets a token when the writer has something to do

	mu       sync.Mutex // taken after all other locks
	buf      []byte     // frames to be sent
	sending  int        // bytes that the writer has taken and not sent yet
	spare    []byte     // the buffer that was sent last
	finished bool       // nothing more will be added
	broken   bool       // nothing more will be sent
	hurry    bool       // the reader must not wait any more
	drained  sync.Cond  // something was sent

	// What is encoded for every message is kept, so that it needs no memory.
	deliver    wire.BasicDeliver
	ack        wire.BasicAck
	properties wire.Properties
}

func (o *output) init(v Compatibility) {
	o.compat = v
	o.wake = make(chan struct{}, 1)
	o.drained.L = &o.mu
}

// send appends a method.
func (o *output) send(channel uint16, m wire.Method) {
	o.mu.Lock()
	o.append(channel, m)
	o.mu.Unlock()
	o.wakeWriter()
}

// append is send under the lock. A method that cannot be encoded is none of ours.
func (o *output) append(channel uint16, m wire.Method) {
	o.buf, _ = wire.AppendMethodFrame(o.buf, channel, m)
}

// sendContent appends a method with a message.
func (o *output) sendContent(channel uint16, m wire.Method, msg *pocketmq.Message) {
	o.mu.Lock()
	o.append(channel, m)
	o.content(channel, msg)
	o.mu.Unlock()
	o.wakeWriter()
}

// sendDelivery appends basic.deliver. Who calls it sees to it that the writer is
// awake, which mostly calls it itself.
func (o *output) sendDelivery(channel uint16, d *pocketmq.Delivery, tag uint64) {
	o.mu.Lock()
	o.deliver = wire.BasicDeliver{
		ConsumerTag: d.ConsumerTag, DeliveryTag: tag, Redelivered: d.Redelivered, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
	}
	o.append(channel, &o.deliver)
	o.content(channel, d.Message)
	o.mu.Unlock()
}

// sendAck appends a publisher confirm.
func (o *output) sendAck(channel uint16, tag uint64, multiple bool) {
	o.mu.Lock()
	o.ack = wire.BasicAck{DeliveryTag: tag, Multiple: multiple}
	o.append(channel, &o.ack)
	o.mu.Unlock()
	o.wakeWriter()
}

// content appends header and body of a message (CONN-42). A header cannot be split:
// it is a frame, even if that is larger than frame-max, as in RabbitMQ.
func (o *output) content(channel uint16, m *pocketmq.Message) {
	if raw, changed := rawProperties(m); !changed {
		o.buf = wire.AppendRawHeaderFrame(o.buf, channel, uint64(len(m.Body)), raw)
	} else {
		setProperties(&o.properties, m, raw)
		o.properties.Headers = o.compat.withDeaths(m.Headers)
		o.buf, _ = wire.AppendHeaderFrame(o.buf, channel, uint64(len(m.Body)), &o.properties)
		o.properties = wire.Properties{}
	}
	o.buf = wire.AppendBodyFrames(o.buf, channel, m.Body, o.frameMax)
}

func (o *output) heartbeat() {
	o.mu.Lock()
	o.buf = wire.AppendHeartbeat(o.buf)
	o.mu.Unlock()
}

// raw appends bytes that are no frame.
func (o *output) raw(b []byte) {
	o.mu.Lock()
	o.buf = append(o.buf, b...)
	o.mu.Unlock()
	o.wakeWriter()
}

func (o *output) wakeWriter() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// hasRoom reports whether there is room for a delivery: less than room bytes to
// send.
func (o *output) hasRoom(room int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) < room && !o.finished && !o.broken
}

// waitForRoom waits until there is room for an answer, or nobody needs it.
func (o *output) waitForRoom() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.full() && !o.broken && !o.hurry {
		o.drained.Wait()
	}
}

// isFull reports whether there is no room even for answers.
func (o *output) isFull() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.full()
}

func (o *output) full() bool { return len(o.buf)+o.sending > answerRoom }

// answerRoom is how much there may be to send, besides what is being sent.
func (o *output) answerRoom() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return answerRoom - o.sending
}

// take returns what is to be sent. It is given back with done.
func (o *output) take() (frames []byte, finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.buf, o.spare = o.buf, o.spare[:0], nil
	o.sending = len(frames)
	return frames, o.finished
}

func (o *output) done(frames []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending = 0
	o.drained.Broadcast()
	if cap(frames) <= keepBuffer {
		o.spare = frames[:0]
	}
}

// release lets a reader go on that waits for room.
func (o *output) release() {
	o.mu.Lock()
	o.hurry = true
	o.drained.Broadcast()
	o.mu.Unlock()
}

// finish makes the writer return when it has sent everything.
func (o *output) finish() {
	o.mu.Lock()
	o.finished = true
	o.mu.Unlock()
	o.wakeWriter()
}

// fail notes that the connection is broken.
func (o *output) fail() {
	o.mu.Lock()
	o.broken = true
	o.drained.Broadcast()
	o.mu.Unlock()
	o.wakeWriter()
}
