package pocketmq

// Delivery is a message that a consumer received, and the duty to settle it:
// exactly one call of Ack, Nack or Reject, from any goroutine, unless it was
// received with AutoAck. Copies of a Delivery stand for the same delivery:
// settling one settles all. A second settlement does nothing and returns
// ErrSettled.
//
// The Message is shared with everybody else who receives it and must not be
// changed; see Message.
type Delivery struct {
	*Message
	Exchange    string // the exchange it was published to
	RoutingKey  string // the key it was published with
	ConsumerTag string // the consumer that received it; "" for Get
	Redelivered bool   // it was delivered before, to whomever, and came back

	// MessageCount is how many messages waited behind this one, for Get only.
	MessageCount int

	returns uint32 // how often
	tag     uint64 // 0 = needs no settling
	from    *holder
}

// Ack settles the delivery: the message is done with.
func (d *Delivery) Ack() error {
	if d.tag == 0 {
		return errNoSettling
	}
	return d.from.ack(d.tag)
}

// Nack settles the delivery as not processed. With requeue the message goes back
// to its original place in the queue, to be delivered again, perhaps to another
// consumer, with Redelivered set. Without, it is Reject.
func (d *Delivery) Nack(requeue bool) error {
	if d.tag == 0 {
		return errNoSettling
	}
	if requeue {
		return d.from.settle(Requeued, d.tag)
	}
	return d.from.settle(Rejected, d.tag)
}

// Reject settles the delivery as refused: the message leaves the queue.
func (d *Delivery) Reject() error { return d.Nack(false) }
