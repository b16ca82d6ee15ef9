package interop

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq/amqptest"
)

func BenchmarkPerf(b *testing.B) {
	for _, tc := range []struct {
		name     string
		tcp      bool
		ack      bool
		confirm  bool
		rabbit   bool
	}{{"mem/noack", false, false, false, false}, {"mem/ack", false, true, false, false}, {"tcp/noack", true, false, false, false}, {"tcp/ack", true, true, false, false}, {"tcp/confirm", true, true, true, false}, {"rabbit/ack", true, true, false, true}} {
		b.Run(tc.name, func(b *testing.B) {
			srv := amqptest.NewServer(nil)
			defer srv.Close()
			cfg := amqp.Config{Dial: srv.Dial}
			url := srv.URL()
			if tc.tcp {
				url = srv.Listen()
				cfg.Dial = nil
			}
			if tc.rabbit { url = rabbitURL }
			pc, err := amqp.DialConfig(url, cfg)
			if err != nil { b.Fatal(err) }
			defer pc.Close()
			cc, err := amqp.DialConfig(url, cfg)
			if err != nil { b.Fatal(err) }
			defer cc.Close()
			pch, _ := pc.Channel()
			cch, _ := cc.Channel()
			q, err := pch.QueueDeclare("perf-q", false, true, false, false, nil)
			if err != nil { b.Fatal(err) }
			cch.Qos(1000, 0, false)
			ds, err := cch.Consume(q.Name, "", !tc.ack, false, false, false, nil)
			if err != nil { b.Fatal(err) }
			var conf chan amqp.Confirmation
			if tc.confirm {
				pch.Confirm(false)
				conf = pch.NotifyPublish(make(chan amqp.Confirmation, 100000))
				go func() { for range conf {} }()
			}
			body := make([]byte, 64)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for range b.N {
					pch.PublishWithContext(context.Background(), "", q.Name, false, false, amqp.Publishing{Body: body})
				}
			}()
			n := 0
			to := time.After(60*time.Second)
			for n < b.N {
				select {
				case d := <-ds:
					n++
					if tc.ack && n%100 == 0 { d.Ack(true) }
				case <-to: b.Fatal("timeout", n)
				}
			}
		})
	}
}
