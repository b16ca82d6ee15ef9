package amqpserver_test

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/invariant"
	"github.com/pocketmq/pocketmq/internal/memconn"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// A message costs the server its body with the properties, and the Message.
func TestAllocationsOfAMessage(t *testing.T) {
	const batch, allowed = 64, 2
	b := pocketmq.New()
	defer b.Close()
	srv, err := amqpserver.New(b)
	require.NoError(t, err)
	defer srv.Close()
	l := memconn.Listen()
	go srv.Serve(l)
	s := &server{srv, b, func() net.Conn {
		nc, err := l.Dial("tcp", "")
		require.NoError(t, err)
		return nc
	}}
	c := s.channel(t)
	q := c.declare()
	c.consume(q, "t")
	publish := publishFrames(1, &wire.BasicPublish{RoutingKey: q}, &wire.Properties{}, "body")
	delivered, err := wire.AppendMethodFrame(nil, 1, &wire.BasicDeliver{ConsumerTag: "t", RoutingKey: q})
	require.NoError(t, err)
	delivered, err = wire.AppendHeaderFrame(delivered, 1, 4, &wire.Properties{})
	require.NoError(t, err)
	delivered = wire.AppendBodyFrames(delivered, 1, []byte("body"), 0)
	ack, err := wire.AppendMethodFrame(nil, 1, &wire.BasicAck{})
	require.NoError(t, err)

	publishes, acks := slices.Repeat(publish, batch), slices.Repeat(ack, batch)
	deliveries, tag := make([]byte, batch*len(delivered)), uint64(0)
	n := testing.AllocsPerRun(200, func() {
		c.write(publishes)
		_, err := io.ReadFull(c.nc, deliveries)
		require.NoError(t, err)
		for i := range batch {
			tag++
			binary.BigEndian.PutUint64(acks[i*len(ack)+11:], tag) // after the head of the frame and the method's number
		}
		c.write(acks)
	})
	if !invariant.Enabled { // checks allocate
		require.LessOrEqual(t, n/batch, allowed+0.5) // what is shared by many messages is not for each
	}
}
