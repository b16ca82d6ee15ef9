package pocketmq_test

import (
	"context"
	"testing"

	"github.com/pocketmq/pocketmq"
)

var ctx = context.Background()

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkChannel(b *testing.B) {
	type message struct {
		msg           *pocketmq.Message
		exchange, key string
		seq           uint64
	}
	ch := make(chan message, 4096)
	m := &pocketmq.Message{Body: make([]byte, 64)}
	b.ReportAllocs()
	go func() {
		for i := range b.N {
			ch <- message{m, "x", "k", uint64(i)}
		}
		close(ch)
	}()
	for range ch {
	}
}

func BenchmarkDirect(b *testing.B) {
	br := pocketmq.New()
	defer br.Close()
	must(b, br.DeclareExchange(ctx, "orders", pocketmq.Direct))
	_, err := br.DeclareQueue(ctx, "q", pocketmq.MaxLength(4096))
	must(b, err)
	must(b, br.Bind(ctx, "q", "orders", "new"))
	c, err := br.Consume(ctx, "q", pocketmq.Prefetch(256))
	must(b, err)
	m := &pocketmq.Message{Body: make([]byte, 64)}
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			if err := br.Publish(ctx, "orders", "new", m); err != nil {
				panic(err)
			}
		}
	}()
	for range b.N {
		d, err := c.Receive(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Ack(); err != nil {
			b.Fatal(err)
		}
	}
}
