package pocketmq

import (
	"slices"
	"time"
)

// With at-least-once, dead letters are held: they count against the limits of the queue
// that they died in until all queues that they go to have them (QQ-19). One that a queue
// has refused, or for which there was no exchange or no queue, is sent again later.

// letterRetry is how long after letters begin to be held they are sent again, and how long
// one that a queue has refused is left alone.
const letterRetry = 3 * time.Minute

// settleLetters is the end of sending letters some of which are held.
func (q *queue) settleLetters(letters []letter) {
	q.mu.Lock()
	q.tick()
	lost := 0
	for i := range letters {
		l := &letters[i]
		switch {
		case !l.Held:
		case l.done:
			q.fifo.Forget(&l.Entry.Value)
		case !q.holdsLetters():
			q.fifo.Forget(&l.Entry.Value)
			lost++
		case l.to != q.settings.deadLetters: // they have changed meanwhile
			q.sendAgain(*l)
		default:
			q.outbox.held = append(q.outbox.held, *l)
		}
	}
	begins, n, to, gone := q.waitForLetters(), len(q.outbox.held), q.settings.deadLetters, q.gone != nil
	q.unlock() // there may be room
	if begins {
		q.broker.log.Warn("dead letters are held: no queue takes them", "queue", q.name, "exchange", to.exchange, "letters", n)
	}
	if !gone { // else they are lost as all that was in it
		q.logLost(lost)
	}
}

// logLost says that letters are lost with the settings that held them. q.mu is not held.
func (q *queue) logLost(letters int) {
	if letters > 0 {
		q.broker.log.Warn("dead letters are lost: the queue holds them no longer", "queue", q.name, "letters", letters)
	}
}

// holdsLetters reports whether letters that died here stay; q.mu is held.
func (q *queue) holdsLetters() bool { return q.settings.atLeastOnce && q.gone == nil }

// sendAgain has a letter sent after this step, to where letters go now. q.mu is held.
func (q *queue) sendAgain(l letter) {
	l.to = q.settings.deadLetters
	q.outbox.letters = append(q.outbox.letters, l)
}

// waitForLetters sees to it that there is a timer while letters are held, and reports
// whether it has begun to wait for them. q.mu is held.
func (q *queue) waitForLetters() (begins bool) {
	o := q.outbox
	switch {
	case len(o.held) == 0 && o.again != nil:
		o.again.Stop()
		o.again = nil
	case len(o.held) > 0 && o.again == nil:
		o.again = time.AfterFunc(letterRetry, q.retryLetters)
		return true
	}
	return false
}

// retryLetters is for the timer.
func (q *queue) retryLetters() {
	q.mu.Lock()
	q.collect()
	q.outbox.again = nil
	q.resendLetters()
	q.unlock()
}

// resendLetters has the letters sent again that came to no queue, and those that were
// refused long enough ago. q.mu is held.
func (q *queue) resendLetters() {
	q.resendTriedBefore(q.broker.now() - int64(letterRetry))
}

// resendTriedBefore is resendLetters with the time before which they were refused.
// q.mu is held.
func (q *queue) resendTriedBefore(before int64) {
	q.outbox.held = slices.DeleteFunc(q.outbox.held, func(l letter) bool {
		due := l.tried == 0 || l.tried <= before
		if due {
			q.sendAgain(l)
		}
		return due
	})
	q.waitForLetters()
}

// resendLetters has all letters sent again that are held, however short ago they were
// refused, and reports whether any is held no longer: Shutdown cannot wait for the timer.
func (b *Broker) resendLetters() (some bool) {
	for _, q := range b.queues.All() {
		before := q.heldLetters()
		if before == 0 {
			continue
		}
		q.mu.Lock()
		q.collect()
		if q.outbox != nil {
			q.resendTriedBefore(q.broker.now())
		}
		q.release() // Shutdown is awake
		some = q.heldLetters() < before || some
	}
	return some
}

// heldLetters is the number of letters that are held.
func (q *queue) heldLetters() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fifo.Held()
}

// reviewLetters is for new settings: they may lead letters elsewhere, or not hold them
// any more. Then they are lost, as in RabbitMQ, and it returns their number. q.mu is held.
func (q *queue) reviewLetters() (lost int) {
	switch {
	case q.outbox == nil:
	case q.holdsLetters():
		q.resendLetters()
	default:
		lost = q.dropLetters()
	}
	return lost
}

// dropLetters loses the letters that are held, and returns their number. q.mu is held.
func (q *queue) dropLetters() (n int) {
	o := q.outbox
	if o == nil {
		return 0
	}
	drop := func(l letter) bool {
		if l.Held {
			q.fifo.Forget(&l.Entry.Value)
			n++
		}
		return l.Held
	}
	o.held = slices.DeleteFunc(o.held, drop)
	o.letters = slices.DeleteFunc(o.letters, drop)
	q.waitForLetters()
	return n
}
