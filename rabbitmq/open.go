package rabbitmq

import (
	"context"

	"github.com/pocketmq/pocketmq"
)

// Importing the package lets pocketmq.Open open amqp and amqps URLs, as Dial does
// without options.
func init() {
	open := func(ctx context.Context, url string) (pocketmq.Client, error) {
		c, err := Dial(ctx, url)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	pocketmq.Register("amqp", open)
	pocketmq.Register("amqps", open)
}
