package interop

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq/amqptest"
)

// What is tested with amqptest is any code that takes a connection of
// amqp091-go. In a test NewServer gets t, and nothing needs to be closed.
func Example_testDouble() {
	srv := amqptest.NewServer(nil)
	defer srv.Close()

	conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := ch.QueueDeclare("greetings", false, false, false, false, nil); err != nil {
		fmt.Println(err)
		return
	}
	if err := ch.Publish("", "greetings", false, false, amqp.Publishing{Body: []byte("Hello, world!")}); err != nil {
		fmt.Println(err)
		return
	}
	d, ok, err := ch.Get("greetings", true)
	fmt.Println(string(d.Body), ok, err)
	// Output: Hello, world! true <nil>
}
