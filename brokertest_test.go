package pocketmq_test

import (
	"testing"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/brokertest"
)

// The contract of Client, which other clients are held to as well.
func TestContract(t *testing.T) {
	b := pocketmq.New()
	t.Cleanup(func() { _ = b.Close() })
	brokertest.Run(t, func(testing.TB) pocketmq.Client { return b.Session() }, brokertest.InProcess)
}
