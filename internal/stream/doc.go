// Package stream is what a stream does, without locks, goroutines or a clock: a
// log that grows at its end, and consumers that read it, each with a position and
// credit of its own. A consumer is the same as that of package fifo, and a Log has
// the methods of a Queue for it. As there, whoever calls a method holds the queue's lock, and what
// has to happen outside it is returned, never done.
//
// The rules, with the numbers that the RabbitMQ checklist gives them:
//
//   - Reading removes nothing, and settling gives credit back and does nothing
//     else (STREAM-2, STREAM-11).
//   - What is removed are the oldest segments, each as a whole, and only when a
//     new one begins: while all together are larger than the limit, or the youngest
//     message of the oldest is older (STREAM-17). Consumers keep nothing alive;
//     one that is left behind goes on at the first message there is.
//   - Every message is a chunk of its own, as RabbitMQ makes them of messages that
//     come one at a time. So "last" is the last message, a time leads to the first
//     message of that time or later, credit is never exceeded, and filters are
//     exact: RabbitMQ allows more in each of these (STREAM-11, STREAM-12, STREAM-16),
//     but promises no more.
package stream
