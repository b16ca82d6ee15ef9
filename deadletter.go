package pocketmq

import (
	"maps"
	"slices"
	"time"

	"github.com/pocketmq/pocketmq/internal/fifo"
)

// deadLetters is where a queue's dead messages go.
type deadLetters struct {
	exchange string // looked up for each message; need not exist (DLX-3)
	key      string
	hasKey   bool // else each keeps its own keys (DLX-4)
}

// reasonNames are what RabbitMQ calls the reasons.
var reasonNames = [...]string{
	fifo.Rejected: "rejected", fifo.Expired: "expired", fifo.MaxLength: "maxlen", fifo.DeliveryLimit: "delivery_limit",
}

// The values of x-dead-letter-strategy.
const (
	atMostOnce  = "at-most-once"
	atLeastOnce = "at-least-once"
)

// letter is a message that died in a queue, on its way to the dead letter
// exchange.
type letter struct {
	fifo.Dead[item]
	to *deadLetters

	// Of one that is held: it may be sent more than once.
	message *Message // what became of it; nil = it was not sent yet
	taken   []*queue // the queues that have it
	tried   int64    // when it last came to a queue; 0 = never
	done    bool     // all queues that it goes to have it
}

// outbox are the dead letters of a queue on their way out.
type outbox struct {
	letters []letter    // to be sent
	held    []letter    // were sent, and a queue did not take them, or there was none
	sending bool        // a goroutine sends them
	again   *time.Timer // sends those that are held again; nil = there are none
	sent    [len(reasonNames)]uint64
}

// collectLetters takes what died in this step, and reports whether the caller
// must call sendLetters when it has unlocked. q.mu is held.
func (q *queue) collectLetters() (send bool) {
	for _, d := range q.fifo.Dead() {
		to := q.settings.deadLetters
		switch {
		case to != nil:
			if q.outbox == nil {
				q.outbox = new(outbox)
			}
			q.outbox.letters = append(q.outbox.letters, letter{Dead: d, to: to})
			q.outbox.sent[d.Reason]++
		case d.Held: // when it died they went somewhere
			q.fifo.Forget(&d.Entry.Value)
		}
	}
	if q.outbox == nil || len(q.outbox.letters) == 0 || q.outbox.sending {
		return false
	}
	q.outbox.sending = true
	return true
}

// lettersAtOnce is how many dead letters somebody sends before a timer does.
const lettersAtOnce = 1 << 14

// sendLetters publishes dead letters until there are none. They leave after the
// step in which they died, without any lock, so that queues may be each other's
// targets; and only one goroutine sends those of a queue, so that they keep their
// order. What dies meanwhile is left to it, within reason: letters may go round in
// circles for ever (see isCycle), and without taking time if their TTL is 0. Then a timer
// goes on, so that the caller may, and time.
func (q *queue) sendLetters() {
	for sent := 0; ; {
		q.mu.Lock()
		letters := q.outbox.letters
		q.outbox.letters = nil
		if len(letters) == 0 {
			q.outbox.sending = false
			q.mu.Unlock()
			break
		}
		if sent >= lettersAtOnce {
			q.outbox.letters = letters
			q.mu.Unlock()
			time.AfterFunc(time.Millisecond, q.sendLetters)
			return
		}
		q.mu.Unlock()
		held := false
		for i := range letters {
			q.send(&letters[i])
			held = held || letters[i].Held
		}
		if held {
			q.settleLetters(letters)
		}
		sent += len(letters)
	}
	if q.eager.Load()&eagerDraining != 0 {
		q.broker.signalDrain()
	}
}

// send publishes a dead letter, to queues that take it if their limits allow, without
// anybody who waits (DLX-17). It is done with when every queue has it, and there is
// one; an exchange that delays it will do as well.
func (q *queue) send(l *letter) {
	if l.message == nil {
		l.message = q.deadMessage(l) // once and for all, even if it will go elsewhere
	}
	b := q.broker
	x, ok := b.exchanges.Load(l.to.exchange)
	if !ok {
		return
	}
	x.published.Add(1)
	died, m := &l.Entry.Value, l.message
	key, more := l.to.key, []string(nil)
	if !l.to.hasKey {
		key, more = died.key, died.msg.keysToRepeat()
	}
	targets, refused := 0, false
	found := b.passOn(x, &item{m, x, key}, more, func(target *queue, it *item) {
		targets++
		switch {
		case slices.Contains(l.taken, target):
		case l.Reason != fifo.Rejected && q.isCycle(target.name, m):
			b.log.Warn("dead letter dropped: it would go round in circles", "queue", target.name, "from", q.name)
		default:
			refused = !l.enter(target, it) || refused
		}
	})
	l.done = !refused && (len(l.taken) > 0 || found && targets == 0)
	if !found {
		x.unroutable.Add(1)
	}
}

// enter hands the letter to a queue, and reports false if that refuses it.
func (l *letter) enter(target *queue, it *item) bool {
	if !l.Held {
		target.accept(it)
		return true
	}
	err := target.take(it)
	if err == errGone {
		return true
	}
	l.tried = target.broker.now()
	if err == nil {
		l.taken = append(l.taken, target)
	}
	return err == nil
}

// accept is push for a message that nobody waits for: where a publisher would have
// to, it exceeds the limit, and where it would be refused, it is lost (LEN-8).
func (q *queue) accept(it *item) {
	if q.log != nil && q.wire && q.version < v4_0 {
		return // 3.10 has no way to give a stream what nobody publishes
	}
	_ = q.take(it) // nobody to tell
}

// take is accept for those who want to know what became of the message.
func (q *queue) take(it *item) error {
	q.lock()
	defer q.unlock()
	if q.gone != nil {
		return errGone
	}
	return q.putOrRefuse(it)
}

// keysToRepeat are the keys, besides that which it was published with, by which a
// dead message is routed again: also those of BCC, which nobody sees (DLX-4).
func (m *Message) keysToRepeat() []string {
	keys := m.otherKeys()
	if o := m.own(); o != nil {
		keys = append(keys, o.bcc...)
	}
	return keys
}

// otherKeys are the keys, besides that which it was published with, that a message
// was routed by as far as its receivers may see them.
func (m *Message) otherKeys() []string {
	if o := m.own(); o != nil && o.rerouted {
		return nil
	}
	keys, _ := m.moreKeys() // it was published: they are right
	return keys
}

// deadMessage is what becomes of a message that died in q (DLX-5 to DLX-13).
func (q *queue) deadMessage(l *letter) *Message {
	died := &l.Entry.Value
	m := died.msg.withHeaders()
	deaths := q.deathsOf(died.msg)
	reason := reasonNames[l.Reason]
	if _, ok := m.Headers["x-death"]; !ok || q.version >= v4_0 && deaths == nil {
		q.setDeath(m.Headers, "x-first-death-", reason, died.exchange.name)
	}
	if q.version >= v4_0 {
		q.setDeath(m.Headers, "x-last-death-", reason, died.exchange.name)
	}
	m.Headers["x-death"] = q.addDeath(deaths, reason, died)
	m.Expiration = ""
	m.origin.dead = true
	if l.to.hasKey {
		m.origin.bcc, m.origin.rerouted = nil, true
		if q.version < v4_0 {
			delete(m.Headers, "CC")
		}
	}
	return m
}

func (q *queue) setDeath(headers Table, prefix, reason, exchange string) {
	headers[prefix+"reason"] = reason
	headers[prefix+"queue"] = q.name
	headers[prefix+"exchange"] = exchange
}

// deathsOf returns the list x-death of a message. Since 4.0 the newest comes first,
// and that which a client has written counts for nothing (DLX-13).
func (q *queue) deathsOf(m *Message) []any {
	if o := m.own(); q.version >= v4_0 && (o == nil || !o.dead) {
		return nil
	}
	deaths, _ := m.Headers["x-death"].([]any)
	if q.version >= v4_0 {
		return deaths
	}
	return turned(deaths)
}

// turned is what 3.10 makes of the list whenever it adds to it: it counts what
// has no count, and turns the order round, so that only the first is the newest.
func turned(deaths []any) []any {
	list := make([]any, 0, len(deaths))
	for _, d := range slices.Backward(deaths) {
		if death, ok := d.(Table); ok && death["count"] == nil {
			death = maps.Clone(death)
			set(&death, "count", int64(1))
			d = death
		}
		list = append(list, d)
	}
	return list
}

// addDeath returns the list with one death more. There is one entry for each
// queue and reason: if it is there it is counted, and moves to the front (DLX-7 to
// DLX-9).
func (q *queue) addDeath(deaths []any, reason string, it *item) []any {
	death := Table{"count": int64(1), "reason": reason, "queue": q.name, "time": time.Unix(time.Now().Unix(), 0).UTC(),
		"exchange": it.exchange.name, "routing-keys": publishKeys(it)}
	if it.msg.Expiration != "" {
		death["original-expiration"] = it.msg.Expiration
	}
	known := func(d any) bool {
		t, _ := d.(Table)
		return t["queue"] == q.name && t["reason"] == reason
	}
	if i := slices.IndexFunc(deaths, known); i >= 0 {
		count, _ := integer(deaths[i].(Table)["count"])
		death = maps.Clone(deaths[i].(Table))
		death["count"] = count + 1
		deaths = slices.DeleteFunc(slices.Clone(deaths), known)
	}
	return append([]any{death}, deaths...)
}

// publishKeys are the keys that a message was published with, as far as its
// receivers may see them.
func publishKeys(it *item) []any {
	keys := []any{it.key}
	for _, key := range it.msg.otherKeys() {
		keys = append(keys, key)
	}
	return keys
}

// isCycle reports whether a dead letter has been in a queue before, and came back
// without anybody having rejected it since (DLX-14). m has the newest death, too. In
// 3.10 the list is not in order, so a message that was rejected once can go round for ever.
func (q *queue) isCycle(target string, m *Message) bool {
	deaths, _ := m.Headers["x-death"].([]any)
	for _, d := range deaths {
		death, ok := d.(Table)
		if !ok || death["reason"] == reasonNames[fifo.Rejected] {
			return false
		}
		if death["queue"] == target {
			return true
		}
	}
	return false
}
