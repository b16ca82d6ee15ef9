// Package forward moves messages from a queue of one pocketmq.Client to an exchange
// of another: from this process to a RabbitMQ, back, or between two RabbitMQs. It
// is what RabbitMQ calls a shovel.
//
//	f, err := forward.Start(ctx, local, "outbox", remote, "events")
//
// A message leaves its queue when the other side has confirmed it, and not before:
// it may arrive twice, but it is not lost, as long as its queue is not. Messages
// keep their order, and several are on their way at once where the other side is a
// pocketmq.Sender.
//
// While the other side is away the messages wait in their queue. Its bound is the
// bound of the outage: a full queue of a Broker makes publishers wait, which is
// where an application notices.
//
// # Outbox
//
// An application that publishes to a queue of its own process answers in
// microseconds, whatever the network does, and the forwarder delivers. The queue
// is in memory: what has not been forwarded when the process ends is lost. Shut
// down in this order: what publishes, then the forwarder (Shutdown), then the
// clients.
package forward
