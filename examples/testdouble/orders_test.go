package orders

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq/amqptest"
)

// connect connects to a server of the test's own or, if AMQP_URL is set, to the
// RabbitMQ there. That is all that the tests know of pocketmq.
func connect(t *testing.T) *amqp.Connection {
	t.Helper()
	url, config := os.Getenv("AMQP_URL"), amqp.Config{}
	if url == "" {
		srv := amqptest.NewServer(t)
		url, config.Dial = srv.URL(), srv.Dial
	}
	conn, err := amqp.DialConfig(url, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func newService(t *testing.T, conn *amqp.Connection) (*Service, *amqp.Channel) {
	t.Helper()
	s, err := New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueuePurge(MailQueue, false); err != nil { // a RabbitMQ remembers
		t.Fatal(err)
	}
	return s, ch
}

var order = Order{ID: "1", Customer: "ann", Cents: 4200}

func TestOthersHearOfNewOrders(t *testing.T) {
	s, ch := newService(t, connect(t))
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, "order.#", Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Place(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	d, ok, err := ch.Get(q.Name, true)
	if err != nil || !ok {
		t.Fatalf("no message: %v", err)
	}
	if got, want := string(d.Body), `{"ID":"1","Customer":"ann","Cents":4200}`; got != want || d.RoutingKey != "order.placed" {
		t.Errorf("got %s with the key %s, want %s", got, d.RoutingKey, want)
	}
}

func TestCustomersGetMail(t *testing.T) {
	s, ch := newService(t, connect(t))
	sent, stop := mailer(t, s, func(Order) error { return nil })
	if err := s.Place(t.Context(), order); err != nil { // no mail about that
		t.Fatal(err)
	}
	if err := s.Ship(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, sent); got != order {
		t.Errorf("mail about %+v, want %+v", got, order)
	}
	stop()
	checkEmpty(t, ch)
}

func TestMailIsTriedTwice(t *testing.T) {
	s, ch := newService(t, connect(t))
	sent, stop := mailer(t, s, func(Order) error { return errors.New("the mail server is down") })
	if err := s.Ship(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	wait(t, sent)
	wait(t, sent)
	stop()
	checkEmpty(t, ch)
}

func TestWhatIsNoOrderIsDropped(t *testing.T) {
	s, ch := newService(t, connect(t))
	sent, stop := mailer(t, s, func(Order) error { return nil })
	defer stop()
	if err := ch.Publish(Exchange, "order.shipped", false, false, amqp.Publishing{Body: []byte("no JSON")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ship(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, sent); got != order {
		t.Errorf("mail about %+v", got)
	}
}

// What only a test double can do: the network fails at the worst moment, and
// time is virtual.
func TestALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := amqptest.NewServer(t)
		conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial, Heartbeat: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := newService(t, conn)
		time.Sleep(8 * time.Hour) // a quiet night, kept alive by heartbeats
		if err := s.Place(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		srv.KillConnections()
		synctest.Wait()
		if err := s.Place(t.Context(), order); !errors.Is(err, ErrNotStored) {
			t.Errorf("got %v, want ErrNotStored", err)
		}
	})
}

// Nor does a real RabbitMQ refuse, stall or fall silent when a test wants it to.
func TestABrokerThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*amqptest.Method) error
		want  error
	}{
		"it has no room":            {amqptest.Next(1, "basic.publish", amqptest.Nack), ErrNotStored},
		"it loses the connection":   {amqptest.Next(1, "basic.publish", amqptest.Drop), ErrNotStored},
		"its confirm is lost":       {amqptest.FromServer(amqptest.Next(1, "basic.ack", amqptest.Ignore)), context.DeadlineExceeded},
		"it is stalled":             {amqptest.Delay(time.Hour, "basic.publish"), context.DeadlineExceeded},
		"it is slow, but does work": {amqptest.FromServer(amqptest.Delay(time.Second, "basic.ack")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := amqptest.NewServer(t)
				conn, err := amqp.DialConfig(srv.URL(), amqp.Config{Dial: srv.Dial})
				if err != nil {
					t.Fatal(err)
				}
				s, _ := newService(t, conn)
				defer srv.Inject(c.fault)()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := s.Place(ctx, order); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

// mailer runs s.Mail, and passes on what it sends. The function it returns ends
// it, and waits until it has.
func mailer(t *testing.T, s *Service, send func(Order) error) (<-chan Order, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sent, ended := make(chan Order, 10), make(chan error, 1)
	go func() {
		ended <- s.Mail(ctx, func(o Order) error {
			err := send(o)
			sent <- o
			return err
		})
	}()
	return sent, func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Mail ended with %v", err)
		}
	}
}

// checkEmpty checks that there is no mail to be sent.
func checkEmpty(t *testing.T, ch *amqp.Channel) {
	t.Helper()
	q, err := ch.QueueDeclarePassive(MailQueue, true, false, false, false, nil)
	if err != nil || q.Messages != 0 {
		t.Errorf("%d messages left, %v", q.Messages, err)
	}
}

func wait(t *testing.T, sent <-chan Order) Order {
	t.Helper()
	select {
	case o := <-sent:
		return o
	case <-time.After(5 * time.Second):
		t.Fatal("no mail")
		panic("unreachable")
	}
}
