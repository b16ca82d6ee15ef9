// Package brokertest checks that a pocketmq.Client does what the documentation of
// pocketmq promises, whatever is behind it: the broker of this process, a RabbitMQ,
// or a wrapper around either. Whoever writes a Client runs it:
//
//	func TestClient(t *testing.T) {
//		b := pocketmq.New()
//		defer b.Close()
//		brokertest.Run(t, func(testing.TB) pocketmq.Client { return b.Session() }, brokertest.InProcess)
//	}
//
// Each case is a subtest whose name says the rule that it checks. They run one
// after the other, in real time; those that must wait for something poll, and none
// sleeps for luck.
package brokertest
