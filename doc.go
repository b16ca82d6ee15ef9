// Package pocketmq is a message broker for the goroutines of one process. It
// behaves as RabbitMQ does: exchanges route messages into queues, consumers
// receive them, and a message is done with once it is acked.
//
// # The nouns
//
// A [Broker] holds exchanges and queues. A [Message] is published to an exchange
// with a routing key. The exchange's kind ([Direct], [Fanout], [Topic],
// [Headers], or one of RabbitMQ's plug-ins) and its bindings decide which queues
// get it; the exchange "" leads to the queue that the key names. A queue keeps messages in order until a
// [Consumer] takes them: by calls of a [Handler], one by one with Receive, in a
// loop over Deliveries, or from a channel. Each comes as a [Delivery], to be
// settled with Ack, Nack or Reject.
//
// A [Stream] is a queue of another kind: it keeps its messages when they have been
// read, for all its consumers, which begin where they ask to. Settling gives them
// credit for further messages, and nothing comes back.
//
// A [Session] is what a connection is in AMQP: closing it ends its consumers,
// returns what it has not settled, and deletes its exclusive queues. Modules of
// an application should depend on [Client], which Broker and Session implement.
//
// # Guarantees
//
//   - Publish returning nil is the publisher confirm: every queue that the
//     message was routed to has it. That no queue did is no error, unless asked
//     for with [Mandatory]. If one queue fails, the others have the message.
//   - Order: a queue hands out messages in the order in which they were put in.
//     What one goroutine publishes to a queue is received in that order by a
//     consumer that is alone and receives in one goroutine.
//   - At least once: a message leaves its queue only when it is acked, rejected,
//     dropped by [DropHead], expired, purged, or deleted with the queue; [DeadLetter]
//     names what gets it then, but for the last two. If its delivery is
//     nacked with requeue, or its consumer or session is closed before it is
//     settled, it is delivered again, with Redelivered set. There is no time limit
//     for settling. With [AutoAck] it is delivered at most once.
//   - Place: a message that comes back goes to its original place, before
//     everything that was put in later and still waits.
//   - Turns: consumers of a queue get messages strictly in turn, one each, those
//     of a higher [Priority] first. One that holds as many as its [Prefetch]
//     allows is passed over. Which goroutine runs first makes no difference.
//   - Once: of several attempts to settle a delivery, or copies of it, the first
//     counts; the others return [ErrSettled] and do nothing.
//
// All of it is in memory: when the process ends, so do the messages. [Durable]
// and [Persistent] are properties that travel along.
//
// # Messages are shared
//
// Publishing copies nothing. From the first Publish on, nobody may change the
// Message, its Body or its Headers: neither the publisher nor a receiver. Tables
// given to [Arguments] belong to the broker likewise.
//
// # Back-pressure
//
// A queue holds at most [DefaultMaxLength] waiting messages, unless declared with
// [MaxLength] or [Unbounded], or a [Policy] says otherwise. When it is full, Publish
// waits for room until its context ends; [Overflow] can make it drop the oldest
// message or return [ErrQueueFull] instead. Messages that consumers hold do not
// count: those are bounded by Prefetch, and Prefetch(0) lets a consumer hold any
// number.
//
// Publish fills the queues of a message one after the other, so the slowest of
// them sets the pace for all. And whoever keeps a queue full must not wait for
// it: a handler that publishes to its own full queue waits for itself, as does a
// ring of handlers that feed each other. Let such a Publish have a context with
// a deadline, or the queue a policy other than [Block].
//
// # Time and failure
//
// A message expires after its Expiration or the queue's [MessageTTL], a queue that
// nobody uses after [Expires]. What expires, is rejected, is dropped because the
// queue is full, or came back more often than [DeliveryLimit] allows, goes to the
// [DeadLetter] exchange, with the header x-death, if the queue has one: at most once,
// or with [DeadLetterAtLeastOnce] when there is somebody to take it. With
// [Retry] a message that failed is delivered again after a pause that grows. What
// waits in a queue without consumers, also to expire, is lost with the broker.
//
// # Looking on
//
// [Broker.Stats] returns a snapshot. With [Broker.SetTracing] an exchange gets a copy of
// all that is published and handed out, and with [Events] another one is told what is
// created and deleted.
//
// # Ending
//
// Cancelling the context of Consume or Handle, or Cancel, ends one consumer; a
// running handler finishes, and Done tells when. Close ends everything: waiting
// publishers get [ErrClosed], the contexts of handlers end, and Close returns
// when the handlers have. [Broker.Shutdown] first lets the consumers empty their
// queues; meanwhile handlers may still publish, with the context they were given,
// and nobody else. Neither may be called by a handler, which would wait for
// itself. What still waits in queues is lost; Shutdown says so in its error.
//
// To stop on a signal, give Handle a context that the signal does not end, and
// call Shutdown, with a time limit, after the signal. If the signal's context is
// given to Handle, the consumer ends first, and its queue is lost.
//
// # Other processes
//
// Code that depends on [Client] can use a RabbitMQ instead of a Broker: [Open]
// chooses by URL, and the package rabbitmq has the client, with the same consumers
// and errors. docs/OUTGROW.md says what changes. The package forward moves messages
// between the two, and brokertest checks that a Client keeps what is promised here.
//
// # Testing
//
// In tests use a real Broker: it costs microseconds. Made and closed inside a
// bubble of testing/synctest it runs in virtual time, and synctest.Wait waits
// until all that can be delivered is. To make an operation fail, embed the
// Broker in a struct that overrides the method. Code that speaks AMQP is tested
// with the package amqptest.
//
// # Concurrency
//
// All methods may be called from any goroutine. Publishers look up exchanges and
// bindings without a lock, and lock one queue at a time. No lock is held while a
// handler runs: it may use the broker. There is no goroutine per message or
// queue, only those of handlers, one per Chan, and one that routes an exchange's
// delayed messages while some are due.
package pocketmq
