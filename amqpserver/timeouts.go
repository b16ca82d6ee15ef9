package amqpserver

import (
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// A delivery that its client does not settle in time is taken back (CHAN-17). Before 4.3
// the server looks for such now and then, and closes their channels. Since then it is the
// queue that does it, if it is a quorum queue: at once, and at first it only ends the
// consumer.

// tickInterval is the time between two looks at the channels.
const tickInterval = time.Minute

// timeoutOf is how long a consumer with these arguments may leave a delivery of a queue
// unsettled; 0 = for ever.
func (ch *channel) timeoutOf(queue string, args pocketmq.Table) time.Duration {
	s := ch.conn.server
	if s.compat < V4_0 {
		return s.consumerTimeout
	}
	if s.compat < V4_3 {
		args = nil
	}
	limit, quorum := hook.ConsumerTimeout(ch.conn.broker, queue, args)
	switch {
	case s.compat >= V4_3 && !quorum:
		return 0
	case limit == 0:
		return s.consumerTimeout
	}
	return limit
}

// checkTimeouts closes the channels whose client has left a delivery unsettled for too
// long.
func (c *conn) checkTimeouts() {
	for _, ch := range c.channels {
		if limit := ch.failed(); limit > 0 {
			ch.fail(preconditionFailed("delivery acknowledgement on channel %d timed out. Timeout value used: %d ms. "+
				"This timeout value can be configured, see consumers doc guide to learn more", ch.id, limit.Milliseconds()))
		}
	}
}

// failed returns the limit that the channel has exceeded; 0 = none.
func (ch *channel) failed() time.Duration {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if limit := ch.timeouts.exceeded; limit > 0 {
		ch.timeouts.exceeded = 0
		return limit
	}
	if e := ch.unacked.oldest(); e != nil && e.limit > 0 && ch.conn.server.compat < V4_3 && ch.conn.age()-e.sent > e.limit {
		return e.limit
	}
	return 0
}

// timeouts are those of a channel's deliveries since 4.3.
type timeouts struct {
	timer    *time.Timer
	due      time.Duration // when it fires, from the connection's beginning on; 0 = it is not set
	exceeded time.Duration // the limit for which the channel is to be closed; 0 = none
}

// watch sees to it that a delivery is taken back in time. ch.mu is held.
func (ch *channel) watch(sent, limit time.Duration) {
	if limit == 0 || ch.conn.server.compat < V4_3 {
		return
	}
	t := &ch.timeouts
	due := sent + limit
	if t.due != 0 && t.due <= due {
		return
	}
	t.due = due
	if after := due - ch.conn.age(); t.timer == nil {
		t.timer = time.AfterFunc(after, ch.timeIsUp)
	} else {
		t.timer.Reset(after)
	}
}

// stop is for a channel that ends: nothing is late any more, also not what was found to
// be and the reader has not seen yet.
func (t *timeouts) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.exceeded = 0
}

// timeIsUp takes back what was not settled in time, and ends the consumers that had it.
// Where there is nobody to tell of that, or it was told before, the channel ends.
func (ch *channel) timeIsUp() {
	ch.mu.Lock() // who is told finds it all done: the messages in their queue, the consumers' tags free
	defer ch.mu.Unlock()
	late := ch.late()
	ended := ch.endLate(late)
	_ = settleAll(late, released) // what was settled meanwhile is
	ch.tellLate(late, ended)
}

// late returns the deliveries whose time is up, and watches the others. What is late
// stays in the list: settling it is no error, and means nothing. ch.mu is held.
func (ch *channel) late() (late []unackedDelivery) {
	now := ch.conn.age()
	ch.timeouts.due = 0
	list := ch.unacked.list
	for i := range list {
		switch e := &list[i]; {
		case e.taken || e.limit == 0:
		case now >= e.sent+e.limit:
			late = append(late, *e)
			e.limit, e.delivery.Message = 0, nil // which others get
		default:
			ch.watch(e.sent, e.limit)
		}
	}
	return late
}

// endLate ends the consumers that are late, and returns their tags. ch.mu is held.
func (ch *channel) endLate(late []unackedDelivery) (ended map[string]bool) {
	ended = map[string]bool{}
	for i := range late {
		tag := late[i].delivery.ConsumerTag
		if k := ch.consumers[tag]; k != nil {
			k.gone = true
			delete(ch.consumers, tag)
			k.core.Cancel()
			ended[tag] = true
		}
	}
	return ended
}

// tellLate tells the client which consumers have ended, or else has the reader close the
// channel. ch.mu is held.
func (ch *channel) tellLate(late []unackedDelivery, ended map[string]bool) {
	told := map[string]bool{}
	for i := range late {
		tag := late[i].delivery.ConsumerTag
		switch {
		case !ended[tag] || !ch.conn.capabilities.cancelNotify:
			ch.timeouts.exceeded = late[i].limit
			ch.conn.wakeReader()
		case !told[tag]:
			told[tag] = true
			ch.conn.out.send(ch.id, &wire.BasicCancel{ConsumerTag: tag, NoWait: true})
		}
	}
}
