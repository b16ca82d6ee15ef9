package amqpserver

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// alarms are the reasons for which publishers are blocked. The zero value has
// none.
type alarms struct {
	active atomic.Bool // there are reasons

	mu      sync.Mutex
	reasons []string
	changed chan struct{} // closed when the reasons change; nil = nobody waits
}

func (a *alarms) raise(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.reasons, reason) {
		a.reasons = append(a.reasons, reason)
		slices.Sort(a.reasons)
		a.signal()
	}
}

func (a *alarms) clear(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.reasons, reason); i >= 0 {
		a.reasons = slices.Delete(a.reasons, i, i+1)
		a.signal()
	}
}

func (a *alarms) signal() {
	a.active.Store(len(a.reasons) > 0)
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// state returns the reasons as connection.blocked has them, "" if there are none,
// and a channel that is closed when they change.
func (a *alarms) state() (reason string, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return joinReasons(a.reasons), a.changed
}

// lowOn is what RabbitMQ's own reasons begin with.
const lowOn = "low on "

// joinReasons names several reasons in one text. What all of RabbitMQ's begin with is
// said once.
func joinReasons(reasons []string) string {
	all := slices.Clone(reasons)
	for i := 1; i < len(all); i++ {
		if strings.HasPrefix(all[0], lowOn) {
			all[i] = strings.TrimPrefix(all[i], lowOn)
		}
	}
	return strings.Join(all, " & ")
}

// block holds a connection up that publishes, while there is an alarm
// (CONN-77 to CONN-82). What the client sends meanwhile is not looked at.
func (c *conn) block() {
	reason, changed := c.server.alarms.state()
	if reason == "" {
		return
	}
	c.setState(stateBlocked)
	if c.capabilities.blocked {
		c.out.send(0, &wire.ConnectionBlocked{Reason: shortText(reason)})
	}
	c.sendConfirms()
	c.readAhead(false)
	defer c.stopReadingAhead()
	for reason != "" {
		select {
		case <-changed:
			reason, changed = c.server.alarms.state()
		case <-c.ctx.Context.Done():
			return
		}
	}
	c.setState(stateRunning)
	if c.capabilities.blocked {
		c.out.send(0, &wire.ConnectionUnblocked{})
	}
}

// memoryCheckBytes is how much a connection publishes between two looks at the
// memory, and messageOverhead what a message needs besides its header and body.
const (
	memoryCheckBytes = 1 << 20
	messageOverhead  = 512
)

// received is called for every frame of a message once it was handled. It looks at
// the memory now and then, and blocks the connection if there is an alarm: as in
// RabbitMQ after the first frame, so that of the messages that are on their way
// little more than that is taken in.
func (c *conn) received(bytes int) {
	if c.server.memoryLimit > 0 {
		if c.unchecked += bytes; c.unchecked >= memoryCheckBytes {
			c.unchecked = 0
			c.server.memory.check(c.server)
		}
	}
	if c.server.alarms.active.Load() {
		c.block()
	}
}

// shortText cuts a text to what a short string holds.
func shortText(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxReplyText)], "")
}

const lowMemory = lowOn + "memory"

// memory raises the alarm when the heap exceeds the limit.
type memory struct {
	heap func() uint64 // nil = the process's

	mu       sync.Mutex
	watching bool // the alarm is on, and a goroutine waits for it to end
	looked   time.Time
}

// check raises the alarm if need be. Part of the heap may be garbage, so that
// before it is called full it is collected, but not too often.
func (m *memory) check(s *Server) {
	if m.used() <= uint64(s.memoryLimit) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watching || s.isClosed() || time.Since(m.looked) < memoryInterval {
		return
	}
	m.looked = time.Now()
	if m.usedAfterGC() <= uint64(s.memoryLimit) {
		return
	}
	m.watching = true
	s.alarms.raise(lowMemory)
	s.background.Go(func() { m.watch(s) })
}

// memoryInterval is the time between two collections for the sake of the limit.
const memoryInterval = 200 * time.Millisecond

// watch ends the alarm when memory is free again.
func (m *memory) watch(s *Server) {
	s.log.Warn("publishers are blocked", "reason", lowMemory, "limit", s.memoryLimit)
	t := time.NewTicker(memoryInterval)
	defer t.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-t.C:
		}
		if m.usedAfterGC() <= uint64(s.memoryLimit) {
			m.mu.Lock()
			m.watching = false
			m.mu.Unlock()
			s.log.Info("publishers are no longer blocked")
			s.alarms.clear(lowMemory)
			return
		}
	}
}

func (m *memory) used() uint64 {
	if m.heap != nil {
		return m.heap()
	}
	sample := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}

func (m *memory) usedAfterGC() uint64 {
	if m.heap == nil {
		runtime.GC()
	}
	return m.used()
}
