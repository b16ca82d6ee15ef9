package fifo

import (
	"errors"
	"fmt"
	"slices"
)

// Check reports the first contradiction in the state, or nil. It is for tests,
// and looks at every consumer and message.
func (q *Queue[T]) Check() error {
	if err := q.turns.check(active); err != nil {
		return err
	}
	if q.single != nil {
		if err := q.single.others.check(standby); err != nil {
			return err
		}
	}
	for c := range q.consumers.All() {
		if err := q.checkConsumer(c); err != nil {
			return err
		}
	}
	for _, l := range q.lanes() {
		if err := l.check(); err != nil {
			return err
		}
	}
	if q.above != nil {
		if err := q.above.check(); err != nil {
			return err
		}
	}
	if bytes := q.weighAll(); bytes != q.bytes {
		return fmt.Errorf("%d bytes wait, but %d are counted", bytes, q.bytes)
	}
	return q.checkCounts()
}

func (q *Queue[T]) checkConsumer(c *Consumer[T]) error {
	switch {
	case c.state == gone:
		return errors.New("a subscribed consumer is gone")
	case (c.state == active || c.state == standby && c != q.single.active) != c.turn.In():
		return errors.New("a consumer lost its turn")
	case c.inbox.Len() > c.unacked:
		return errors.New("an inbox holds more than is unacked")
	case c.Prefetch > 0 && c.unacked > c.Prefetch:
		return errors.New("more is unacked than the prefetch allows")
	case q.single != nil && c != q.single.active && c.state != standby:
		return errors.New("a consumer is active beside the single active one")
	case c.Gate != nil && c.state == blocked && !slices.Contains(c.Gate.blocked, c):
		return errors.New("a consumer is blocked, and its gate does not know")
	case q.Ready() > 0 && c.state == active && c.Gate == nil && !c.OutOfCredit() && (q.consumers.Len() > 1 || q.prompt):
		return errors.New("a message waits beside a consumer with credit")
	}
	return nil
}

// checkCounts checks that what came in is accounted for.
func (q *Queue[T]) checkCounts() error {
	n := q.Counts()
	left := n.Acked + n.Purged
	for _, died := range n.Dead {
		left += died
	}
	if n.Published-left != uint64(q.Ready()+q.Delayed()+q.unacked) {
		return fmt.Errorf("%d published, %d gone, but %d ready, %d delayed and %d unacked", n.Published, left, q.Ready(), q.Delayed(), q.unacked)
	}
	if back := n.Returned + n.Acked + n.Dead[Rejected] + n.Dead[DeliveryLimit]; n.Delivered-back != uint64(q.unacked) {
		return fmt.Errorf("%d delivered, %d settled, but %d unacked", n.Delivered, back, q.unacked)
	}
	return nil
}
