package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is one direction of a connection.
//
// mu is held to look and to copy, never while waiting: all waiting is on the
// conditions, which release it and block durably for testing/synctest. In
// particular a writer that waits for room does not hold a mutex that the next
// writer needs; it holds the turn.
//
// read, write, shut and the setters take mu; the other methods need it held.
type stream struct {
	limit int // most bytes that ring may hold

	mu      sync.Mutex // guards everything below
	ring    ring
	readErr error // what a reader gets once the ring is empty; nil while open
	sendErr error // what a writer gets; nil while open, set together with readErr

	readBy deadline
	sendBy deadline

	data sync.Cond // readers: bytes came, or readErr or readBy changed
	room sync.Cond // the writer that has the turn: want bytes are free, or sendErr or sendBy changed
	turn sync.Cond // the other writers: the turn is offered to the first of them

	want    int  // free bytes the writer in room waits for; 0 when nobody does
	busy    bool // a writer has the turn, or it is offered
	offered bool // the turn is on its way to a writer that waits for it
	queued  int  // writers that wait for the turn
}

func (s *stream) init(limit int) {
	s.limit = limit
	s.data.L, s.room.L, s.turn.L = &s.mu, &s.mu, &s.mu
}

// read waits until there is something to read, and returns a part of it.
func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr == net.ErrClosed:
			return 0, net.ErrClosed
		case len(b) == 0:
			return 0, nil
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case s.ring.n > 0:
			return s.pop(b), nil
		case s.readErr != nil:
			return 0, s.readErr
		}
		s.arm(&s.readBy)
		s.data.Wait()
	}
}

func (s *stream) pop(b []byte) int {
	n := s.ring.pop(b)
	if s.want > 0 && s.free() >= s.want {
		s.want = 0 // one wake-up is enough
		s.room.Signal()
	}
	if s.ring.n == 0 && s.readErr != nil {
		s.ring = ring{} // that was the last of it
	}
	return n
}

// write puts all of b into the stream, with nothing of another write in
// between, and waits for room as often as that takes.
func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(); err != nil {
		return 0, err
	}
	// A write that fits as a whole needs no turn when nobody is in the middle
	// of one. To let it overtake the writer to whom the turn is just offered
	// spares writers in a loop a switch from one to the next for every write.
	if (!s.busy || s.offered) && len(b) <= s.free() {
		return s.push(b), nil
	}
	return s.writeInTurn(b)
}

func (s *stream) writeInTurn(b []byte) (n int, err error) {
	s.takeTurn()
	defer s.passTurn()
	for {
		if err := s.writable(); err != nil {
			return n, err
		}
		n += s.push(b[n:])
		if n == len(b) {
			return n, nil
		}
		s.awaitRoom(len(b) - n)
	}
}

func (s *stream) push(b []byte) int {
	n := s.ring.push(b, s.limit)
	s.data.Broadcast()
	return n
}

func (s *stream) free() int { return s.limit - s.ring.n }

func (s *stream) writable() error {
	if s.sendErr != nil {
		return s.sendErr
	}
	if s.sendBy.passed() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// awaitRoom waits until rest bytes are free, or half of the limit: to wake the
// writer for every few bytes that are read would cost a switch for each of
// them. A write that can finish is never kept waiting.
func (s *stream) awaitRoom(rest int) {
	s.want = min(rest, (s.limit+1)/2)
	s.arm(&s.sendBy)
	s.room.Wait()
	s.want = 0
}

// takeTurn waits until no other writer has the turn. It goes from writer to
// writer in the order of their coming: were it free to grab, a writer in a loop
// whose writes don't fit would always be back before the one it woke.
//
// Only the offer ends the wait. An end of the stream or a passed deadline ends
// the write that has the turn, and so all that are behind it, one by one.
func (s *stream) takeTurn() {
	if !s.busy {
		s.busy = true
		return
	}
	s.queued++
	s.turn.Wait()
	s.queued--
	s.offered = false
}

func (s *stream) passTurn() {
	if s.queued == 0 {
		s.busy = false
		return
	}
	s.offered = true
	s.turn.Signal()
}

// shut ends the stream: reads return readErr after what is in the buffer, writes
// return sendErr at once. With discard the buffer is dropped.
func (s *stream) shut(readErr, sendErr error, discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readErr = graver(s.readErr, readErr)
	s.sendErr = graver(s.sendErr, sendErr)
	if discard || s.ring.n == 0 {
		s.ring = ring{}
	}
	// From now on nobody waits, so the timers have nobody to wake.
	s.readBy.stop()
	s.sendBy.stop()
	s.wake()
}

// graver chooses between two reasons for which one side of a stream has ended.
// A side that was closed by its owner says so whatever the peer does, before or
// after; a reset outdoes an orderly end; otherwise the first reason stays.
func graver(old, new error) error {
	switch {
	case old == nil, new == net.ErrClosed:
		return new
	case new == syscall.ECONNRESET && old != net.ErrClosed:
		return new
	}
	return old
}

// wake lets the readers and the writer that has the turn look again.
func (s *stream) wake() {
	s.data.Broadcast()
	s.room.Signal()
}

func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy.at = t
	s.data.Broadcast()
}

func (s *stream) setSendDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendBy.at = t
	s.room.Signal()
}

// deadline is a point in time, and the timer that wakes those who wait for it.
//
// The timer is started by the first wait that needs it, not by SetDeadline, and
// it is not stopped when the wait is over or the deadline moves away: whoever it
// wakes too early looks at the clock and starts it again. So a peer that moves
// its deadline with every frame, as with heartbeats, starts a timer per interval
// and not per frame.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
	due   time.Time // when timer fires; zero when it is not running
}

func (d *deadline) passed() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// arm sees to it that a wait which begins now ends by d.
func (s *stream) arm(d *deadline) {
	if d.at.IsZero() || !d.due.IsZero() && !d.at.Before(d.due) {
		return
	}
	d.due = d.at
	if d.timer != nil {
		d.timer.Reset(time.Until(d.at))
		return
	}
	d.timer = time.AfterFunc(time.Until(d.at), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.due = time.Time{}
		s.wake()
	})
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.due = time.Time{}
	}
}

// The ends a stream can come to, as the reader's and the writer's error.

func (s *stream) closeByReader()      { s.shut(net.ErrClosed, syscall.EPIPE, true) }
func (s *stream) closeByWriter()      { s.shut(io.EOF, net.ErrClosed, false) }
func (s *stream) resetByReader()      { s.shut(net.ErrClosed, syscall.ECONNRESET, true) }
func (s *stream) resetByWriter()      { s.shut(syscall.ECONNRESET, net.ErrClosed, true) }
func (s *stream) finish(discard bool) { s.shut(io.EOF, syscall.EPIPE, discard) }
