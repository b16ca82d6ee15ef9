package fifo

// A step that settles entries of several consumers consists of these and ends
// with Dispatch. It begins with Dispatch too if entries are returned: what came
// before goes first.

// AckLater is Ack without Dispatch.
func (q *Queue[T]) AckLater(c *Consumer[T], n int) {
	q.counts.Acked += uint64(n)
	q.credit(c, n)
}

// RejectLater is Reject without Dispatch.
func (q *Queue[T]) RejectLater(c *Consumer[T], n int) {
	q.counts.Rejected += uint64(n)
	q.credit(c, n)
}

// ReturnLater is Return of one entry without Dispatch.
func (q *Queue[T]) ReturnLater(c *Consumer[T], e Entry[T]) {
	q.counts.Returned++
	q.credit(c, 1)
	e.Returns++
	q.returned.push(e)
}
