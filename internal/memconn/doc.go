// Package memconn is an in-memory network of one listener: a buffered
// [net.Conn] pair and a [net.Listener] whose Dial needs no socket.
//
// It behaves as TCP on one machine does, in what programs can see: each
// direction has a buffer, so two ends that both write first don't stop each
// other; what was written before Close is still read, then comes [io.EOF];
// deadlines can be moved, cleared and set again; and errors answer to the same
// errors.Is questions ([net.ErrClosed], [os.ErrDeadlineExceeded],
// [syscall.EPIPE], [syscall.ECONNRESET], [syscall.ECONNREFUSED]).
//
// It differs from TCP where that helps tests. A write is seen by the other end
// at once. A connection costs no goroutine and no file descriptor, and a small
// buffer that grows as it is needed. Everything that waits does so durably in
// the sense of [testing/synctest], so virtual time moves on while a reader is
// idle or a writer waits for room. A connection that is made in a bubble must be
// used in that bubble only.
package memconn
