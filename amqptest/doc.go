// Package amqptest runs an AMQP 0-9-1 server for a test, in the test's own
// process and without a network. What httptest is to HTTP it is to programs
// that use RabbitMQ: they keep their client library, and only the function that
// opens the connection is told where to connect to.
//
// With github.com/rabbitmq/amqp091-go a whole test is
//
//	func TestGreeting(t *testing.T) {
//		srv := amqptest.NewServer(t)
//		conn, err := amqp091.DialConfig(srv.URL(), amqp091.Config{Dial: srv.Dial})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer conn.Close()
//		ch, err := conn.Channel()
//		if err != nil {
//			t.Fatal(err)
//		}
//		if _, err := ch.QueueDeclare("greetings", false, false, false, false, nil); err != nil {
//			t.Fatal(err)
//		}
//		greet(ch, "world") // what is tested: it publishes to the queue
//		d, ok, err := ch.Get("greetings", true)
//		if err != nil || !ok || string(d.Body) != "Hello, world!" {
//			t.Errorf("got %q, %v, %v", d.Body, ok, err)
//		}
//	}
//
// # Each test its own server
//
// A server costs some kilobytes and well under a millisecond, so each test has
// its own, with names as short as it likes and nothing to clean up. Thousands
// may live in one process at once.
//
// # Virtual time
//
// Server and connections may be used inside a bubble of testing/synctest, where
// the heartbeats of an hour, or a retry after five minutes, take no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := amqptest.NewServer(t) // inside: it must be the bubble's own
//		...
//		time.Sleep(time.Hour)
//	})
//
// A bubble waits for all its goroutines at its end, so the test must close its
// connections there, or at least not reconnect for ever: the server is closed
// when the test ends.
//
// # Looking inside, and breaking things
//
// Broker is the broker behind the server. A test can use it to publish and consume
// without a connection of its own, and its Stats say what is in the queues. What a
// client sends without waiting for an answer, such as a publish, is there a moment
// later: a test first waits for the confirm, for the answer to another method on
// the same channel or, in a bubble, with synctest.Wait. KillConnections breaks all
// connections as a crash or a pulled cable would, RefuseDials keeps clients from
// coming back, and CancelConsumers ends consumers. Server is the package amqpserver's:
// it closes connections in an orderly way, lists them, and raises the alarms that make
// RabbitMQ block publishers.
//
//	srv.Server().RaiseAlarm("low on memory") // connection.blocked, at the next publish
//	srv.Server().ClearAlarm("low on memory")
//
// So are the options of NewServer: users, limits, the version of RabbitMQ to behave like,
// and the time that a consumer has for a message, of which a test in a bubble need not
// make less:
//
//	srv := amqptest.NewServer(t, amqpserver.Compat(amqpserver.V3_10), amqpserver.ConsumerTimeout(time.Hour))
//
// Inject makes single methods go wrong, in whatever way a broker's can: it has a
// function see each of them, which may lose it, refuse it, keep it for a while, or
// end its channel or connection. Next, After, Delay and Hold make such functions.
//
//	srv.Inject(amqptest.Next(2, "basic.publish", amqptest.Nack))     // two messages are refused
//	srv.Inject(amqptest.After(100, "basic.publish", amqptest.Drop))  // the next one ends its connection
//	srv.Inject(amqptest.Next(1, "queue.declare", &pocketmq.Error{Code: 406, Text: "no"}))
//	srv.Inject(amqptest.FromServer(amqptest.Delay(time.Second, "basic.ack"))) // confirms come late
//	srv.Inject(amqptest.FromServer(amqptest.Next(1, "basic.ack", amqptest.Drop)))
//	                                                                 // cut between publish and confirm
//	stall, resume := amqptest.Hold("basic.deliver")                  // nothing is delivered for now
//	remove := srv.Inject(stall)
//
// # Programs that must have a socket
//
// Listen opens a port on 127.0.0.1 and returns its URL, for clients in other
// languages, other processes, or without a way to pass Dial.
package amqptest
