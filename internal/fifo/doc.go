// Package fifo is what a queue does, without locks, goroutines or a clock: the
// messages that are ready, those that came back, and the consumers with their
// credit. Whoever calls a method holds the queue's lock; whatever has to happen
// outside it (waking a goroutine, telling a publisher) is returned, never done.
//
// The rules, with the numbers that the RabbitMQ checklist gives them:
//
//   - A message keeps its place for life. One that comes back is delivered
//     before everything behind its original place (ACK-9, ACK-10).
//   - Consumers are served strictly in turn, one message each; one without
//     credit is passed over and queues up again when it gets credit (CONS-12).
//     Consumers of a higher priority go first while they have credit (CONS-11).
//   - Who gets a message is decided when it is published, settled or returned,
//     never by which goroutine happens to run first.
package fifo
