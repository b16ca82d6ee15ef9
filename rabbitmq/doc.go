// Package rabbitmq lets an application whose modules depend on pocketmq.Client
// move to a RabbitMQ, by changing where the Client comes from:
//
//	client, err := rabbitmq.Dial(ctx, "amqp://user:password@host/")
//
// or, with the URL from a configuration and this package imported for its effect,
//
//	client, err := pocketmq.Open(ctx, url) // mem://, amqp://, amqps://
//
// # The same as in a process
//
// Publish returns nil when the broker has confirmed the message, and errors by the
// same sentinels: ErrUnroutable, ErrQueueFull, ErrNotFound and so on, with
// RabbitMQ's words. Many goroutines publish at once over one connection, and none
// pays for another's mistake. Consumers have the same forms (handlers, Receive,
// ranges, channels), prefetch, priorities, tags; so do Get and all of the
// topology. The package brokertest holds both to the same contract.
//
// # When a connection is lost
//
// The client connects again, after pauses that grow, for as long as it is not
// closed. Then
//
//   - what it has declared and bound is declared and bound again,
//   - its consumers go on: what they held comes again, with Redelivered set, and
//     settling the old deliveries gives ErrConnectionLost,
//   - messages that were not confirmed are published again. One may arrive twice,
//     never not at all once Publish has returned nil; what one goroutine publishes
//     keeps its order, but for such repetitions.
//
// All methods wait for that within their contexts, and none has a time limit of
// its own: give Publish a context with a deadline.
//
// # What a RabbitMQ cannot do
//
//   - Overflow(Block), and MaxLength without Overflow, which means it, are refused
//     with ErrNotSupported. A queue with neither has no limit.
//   - Retry is refused but for Quorum queues, by a RabbitMQ older than 4.3 for these,
//     too, and with Exponential. The example "Retries" does without.
//   - SharedPrefetch and MaxDelayed are refused likewise, and by the broker itself
//     DeliveryLimit for any but quorum queues.
//   - What was sent ahead to a consumer and not handed out comes back with
//     Redelivered set; with AutoAck it is lost with the consumer.
//   - SettleAll settles one by one.
package rabbitmq
