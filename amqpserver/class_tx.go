package amqpserver

import (
	"cmp"
	"context"
	"slices"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// transaction is what a transactional channel holds back until it is committed.
type transaction struct {
	publishes []txPublish
	settled   []txSettlement
}

// txPublish is a message that was routed but not given to its queues.
type txPublish struct {
	exchange, key string
	mandatory     bool
	message       *pocketmq.Message
	deliver       func(ctx context.Context, mandatory bool) error
}

type txSettlement struct {
	taken   []unackedDelivery
	outcome pocketmq.Outcome
}

// publish routes a message and holds it back. What can be wrong with it is found at
// once (TX-3). A direct reply is not held back, only its return is: it is one of no
// queue before 4.3.
func (t *transaction) publish(ch *channel, p *content, m *pocketmq.Message) error {
	if p.exchange == "" && isReplyName(p.key) && ch.conn.server.compat < V4_3 {
		err := ch.session.Publish(&ch.conn.ctx, p.exchange, p.key, m, pocketmq.Mandatory)
		ch.conn.stopReadingAhead()
		t.publishes = append(t.publishes, txPublish{p.exchange, p.key, p.mandatory, m, func(context.Context, bool) error { return err }})
		return nil
	}
	deliver, err := hook.Route(ch.session, p.exchange, p.key, m)
	if err != nil {
		return err
	}
	t.publishes = append(t.publishes, txPublish{p.exchange, p.key, p.mandatory, m, deliver})
	return nil
}

// settle holds settlements back (TX-5). Those that follow each other and do the same
// are one when they are committed.
func (t *transaction) settle(taken []unackedDelivery, o pocketmq.Outcome) {
	if n := len(t.settled); n > 0 && t.settled[n-1].outcome == o {
		last := &t.settled[n-1]
		last.taken = append(last.taken, taken...)
		slices.SortFunc(last.taken, func(a, b unackedDelivery) int { return cmp.Compare(a.tag, b.tag) })
		return
	}
	if len(taken) > 0 {
		t.settled = append(t.settled, txSettlement{taken, o})
	}
}

// taken returns what was settled; t may be nil.
func (t *transaction) taken() (all []*pocketmq.Delivery) {
	if t == nil {
		return nil
	}
	for _, s := range t.settled {
		for i := range s.taken {
			all = append(all, &s.taken[i].delivery)
		}
	}
	return all
}

// tx.select: TX-1, CONF-2
func (ch *channel) txSelect(*wire.TxSelect) error {
	if ch.confirms.on {
		return preconditionFailed("cannot switch from confirm to tx mode")
	}
	if ch.tx == nil {
		ch.tx = &transaction{}
	}
	ch.answer(false, &wire.TxSelectOk{})
	return nil
}

func errNoTransaction() error { return preconditionFailed("channel is not transactional") }

// tx.commit: TX-2 … TX-5, TX-9 … TX-11
func (ch *channel) txCommit(*wire.TxCommit) error {
	if ch.tx == nil {
		return errNoTransaction()
	}
	t := *ch.tx
	*ch.tx = transaction{}
	complete := true
	for _, p := range t.publishes {
		o, err := ch.published(p.exchange, p.key, p.message, p.mandatory, p.deliver(&ch.conn.ctx, p.mandatory))
		if err != nil {
			return err
		}
		complete = complete && o != refused
	}
	for _, s := range t.settled {
		if err := settleAll(s.taken, s.outcome); err != nil {
			return err
		}
	}
	if !complete {
		return preconditionFailed("partial tx completion")
	}
	ch.answer(false, &wire.TxCommitOk{})
	return nil
}

// tx.rollback: TX-2, TX-7
func (ch *channel) txRollback(*wire.TxRollback) error {
	if ch.tx == nil {
		return errNoTransaction()
	}
	t := *ch.tx
	*ch.tx = transaction{}
	ch.mu.Lock()
	for _, s := range t.settled {
		ch.unacked.restore(s.taken)
		for i := range s.taken {
			ch.watch(s.taken[i].sent, s.taken[i].limit)
		}
	}
	ch.mu.Unlock()
	ch.answer(false, &wire.TxRollbackOk{})
	return nil
}
