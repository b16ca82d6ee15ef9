// Package amqpserver speaks AMQP 0-9-1 for a pocketmq.Broker, as RabbitMQ does:
// any client library of RabbitMQ's can connect to it.
//
//	broker := pocketmq.New()
//	server, err := amqpserver.New(broker)
//	...
//	l, err := net.Listen("tcp", "127.0.0.1:5672")
//	...
//	err = server.Serve(l)
//
// What clients see is RabbitMQ's behaviour, down to reply codes and texts; in
// the code the marks such as QUEUE-10 are the numbers of the rules obeyed. A
// feature that pocketmq does not have is refused with NOT_IMPLEMENTED and its
// name, never ignored.
//
// Each connection has two goroutines. Its reader handles one method after the
// other and appends the answers to the connection's output, which its writer
// sends; the writer also fetches the deliveries, as many as the peer is ready to
// read. So a peer that does not read costs a bounded amount of memory. A third
// one reads on while the reader waits for room in a queue or in the output, or for
// the end of an alarm, so that a peer that is gone is noticed. One that takes nothing
// of what is sent to it is dropped after SendTimeout.
package amqpserver
