package amqpserver

import "time"

// write is a connection's writer: it sends what there is to send, fetches
// deliveries, and sends heartbeats when there is nothing else (CONN-73).
func (c *conn) write() {
	var beat heart
	defer beat.stop()
	defer c.stall.stopWatching()
	for {
		c.fetch(deliveryRoom)
		frames, finished := c.out.take()
		if len(frames) > 0 {
			if err := c.sendFrames(frames); err != nil {
				c.reset()
				return
			}
			c.out.done(frames)
			beat.wrote()
			continue
		}
		if finished || c.dropped() {
			return
		}
		select {
		case <-c.out.wake:
			beat.start(time.Duration(c.beat.Load()))
		case <-beat.c:
			beat.expired(&c.out)
		}
	}
}

// heart says when a heartbeat is due.
type heart struct {
	timer    *time.Timer
	c        <-chan time.Time // nil = never
	interval time.Duration
	sent     bool // something was sent since the last look
	begun    bool // there was a look; what the handshake sent does not count
	beating  bool // a heartbeat is to be sent; it does not count either
}

func (h *heart) start(interval time.Duration) {
	if h.timer == nil && interval > 0 {
		h.interval = interval
		h.timer = time.NewTimer(interval)
		h.c = h.timer.C
	}
}

func (h *heart) expired(o *output) {
	h.beating = !h.sent || !h.begun
	if h.beating {
		o.heartbeat()
	}
	h.sent, h.begun = false, true
	h.timer.Reset(h.interval)
}

// wrote is called when something was sent.
func (h *heart) wrote() { h.sent, h.beating = !h.beating, false }

func (h *heart) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}
