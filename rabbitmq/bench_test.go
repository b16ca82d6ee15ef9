package rabbitmq_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

const benchPublishers = 64

// BenchmarkPublish compares 64 goroutines that publish, each waiting for its
// confirm, with the same written by hand with amqp091-go: one channel, on which
// all publish and wait. Runs of both take turns, against a RabbitMQ. The number
// to look at is %-of-by-hand.
func BenchmarkPublish(b *testing.B) {
	url := realURL(b)
	conn, err := amqp.Dial(url)
	require.NoError(b, err)
	defer conn.Close()
	ch, err := conn.Channel()
	require.NoError(b, err)
	require.NoError(b, ch.Confirm(false))
	q, err := ch.QueueDeclare("", false, false, true, false, amqp.Table{"x-max-length": int32(1000)})
	require.NoError(b, err)
	client := dial(b, url)
	ctx := context.Background()
	body := make([]byte, 64)
	byHand := func() error {
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", q.Name, false, false, amqp.Publishing{Body: body})
		if err != nil {
			return err
		}
		if ok, err := d.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("confirmed: %t, %w", ok, err)
		}
		return nil
	}
	byClient := func() error { return client.Publish(ctx, "", q.Name, &pocketmq.Message{Body: body}) }
	var hand, ours time.Duration
	each := 2000
	if n, err := strconv.Atoi(os.Getenv("EACH")); err == nil {
		each = n
	}
	timed(b, each, byHand) // warms up
	timed(b, each, byClient)
	for b.Loop() {
		hand += timed(b, each, byHand)
		ours += timed(b, each, byClient)
	}
	n := float64(b.N * each)
	b.ReportMetric(n/ours.Seconds(), "msg/s")
	b.ReportMetric(n/hand.Seconds(), "by-hand-msg/s")
	b.ReportMetric(100*hand.Seconds()/ours.Seconds(), "%-of-by-hand")
}

// timed calls f n times in all, in as many goroutines as there are publishers.
func timed(b *testing.B, n int, f func() error) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range benchPublishers {
		all.Go(func() {
			for range n / benchPublishers {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}
