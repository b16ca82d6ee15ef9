package interop

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

var moment = time.Unix(1_700_000_000, 0)

// everyType has a value for each type letter that amqp091-go can write.
var everyType = amqp.Table{
	"t":     true,
	"t0":    false,
	"B":     byte(200),
	"b":     int8(-100),
	"s":     int16(math.MinInt16),
	"u":     uint16(math.MaxUint16),
	"I":     int32(math.MinInt32),
	"i":     uint32(math.MaxUint32),
	"l":     int64(math.MinInt64),
	"f":     float32(1.5),
	"d":     math.Pi,
	"D":     amqp.Decimal{Scale: 2, Value: 12345},
	"S":     "ünï\x00code and bytes \xff",
	"S0":    "",
	"A":     []any{int32(1), "two", nil, []any{amqp.Table{"deep": true}}},
	"T":     moment,
	"F":     amqp.Table{"nested": amqp.Table{"more": int64(1)}, "": "a name may be empty"},
	"V":     nil,
	"x":     []byte{0, 1, 2, 255},
	"large": strings.Repeat("x", 70_000),
}

func TestHeadersOfEveryType(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{Headers: everyType, Body: []byte("x")}))
		assert.Equal(t, everyType, get(t, ch, q).Headers)
	})
}

func TestProperties(t *testing.T) {
	want := amqp.Publishing{
		Headers:         amqp.Table{"k": "v"},
		ContentType:     "application/json",
		ContentEncoding: "gzip",
		DeliveryMode:    amqp.Persistent,
		Priority:        9,
		CorrelationId:   "correlation",
		ReplyTo:         "reply",
		MessageId:       "message",
		Timestamp:       moment,
		Type:            "type",
		UserId:          "guest",
		AppId:           "app",
		Body:            []byte("body"),
	}
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Publish("", q, false, false, want))
		d := get(t, ch, q)
		assert.Equal(t, want, amqp.Publishing{
			Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
			DeliveryMode: d.DeliveryMode, Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo,
			Expiration: d.Expiration, MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, UserId: d.UserId,
			AppId: d.AppId, Body: d.Body,
		})
	})
}

func TestNoProperties(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		ch := s.channel(t)
		q := s.queue(t, ch)
		require.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{}))
		d := get(t, ch, q)
		assert.Empty(t, d.Body)
		assert.Empty(t, d.Headers)
		assert.Empty(t, d.ContentType)
		assert.True(t, d.Timestamp.IsZero())
	})
}

// Bodies around the sizes at which they no longer fit into a frame, and large ones.
func TestBodiesOfManyFrames(t *testing.T) {
	for _, frameMax := range []int{4096, 131072} {
		each(t, all, func(t *testing.T, s *server) {
			config := s.config()
			config.FrameSize = frameMax
			conn := s.connectWith(t, config)
			ch := channel(t, conn)
			q := s.queue(t, ch)
			deliveries := consume(t, ch, q)
			room := conn.Config.FrameSize - 8 // of a body frame
			for _, size := range []int{0, 1, room - 1, room, room + 1, 2*room - 1, 2 * room, 2*room + 1, 1 << 20, 10_000_000} {
				body := bytes.Repeat([]byte("pocketmq"), size/8+1)[:size]
				require.NoError(t, ch.Publish("", q, false, false, amqp.Publishing{Body: body}))
				d := receive(t, deliveries)
				require.Len(t, d.Body, size)
				require.Equal(t, sha256.Sum256(body), sha256.Sum256(d.Body), "%d bytes", size)
				require.NoError(t, d.Ack(false))
			}
		})
	}
}

// Two channels that send large bodies mix their frames on the connection.
func TestBodiesOfTwoChannelsAtOnce(t *testing.T) {
	each(t, all, func(t *testing.T, s *server) {
		conn := s.connect(t)
		ch := channel(t, conn)
		q := s.queue(t, ch)
		deliveries := consume(t, ch, q)
		bodies := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<20)}
		errs := make(chan error)
		for _, body := range bodies {
			ch := channel(t, conn)
			go func() { errs <- ch.Publish("", q, false, false, amqp.Publishing{Body: body}) }()
		}
		require.NoError(t, receive(t, errs))
		require.NoError(t, receive(t, errs))
		got := map[byte]bool{}
		for range bodies {
			d := receive(t, deliveries)
			require.Equal(t, bytes.Repeat(d.Body[:1], 1<<20), d.Body)
			got[d.Body[0]] = true
		}
		assert.Len(t, got, 2)
	})
}

// What a client sends is what the broker's own users see, and the other way round.
func TestTheSameMessageInProcessAndOnTheWire(t *testing.T) {
	each(t, ours, func(t *testing.T, s *server) {
		ctx := t.Context()
		_, err := s.Broker().DeclareQueue(ctx, "q", pocketmq.Durable())
		require.NoError(t, err)
		ch := s.confirming(t)
		c, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{
			Headers: amqp.Table{"n": int32(1), "nested": amqp.Table{"when": moment}}, MessageId: "m", Body: []byte("body"),
		})
		require.NoError(t, err)
		require.True(t, c.Wait())
		d, ok, err := s.Broker().Get(ctx, "q")
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, "body", string(d.Body))
		assert.Equal(t, "m", d.MessageID)
		assert.Equal(t, int32(1), d.Headers["n"])
		require.IsType(t, pocketmq.Table{}, d.Headers["nested"])
		assert.True(t, moment.Equal(d.Headers["nested"].(pocketmq.Table)["when"].(time.Time)))
		require.NoError(t, d.Ack())

		require.NoError(t, s.Broker().Publish(ctx, "", "q", &pocketmq.Message{
			Headers: pocketmq.Table{"n": 1, "list": []any{pocketmq.Decimal{Scale: 1, Value: 25}}}, Body: []byte("back"),
		}))
		back := get(t, ch, "q")
		assert.Equal(t, "back", string(back.Body))
		assert.Equal(t, amqp.Table{"n": int64(1), "list": []any{amqp.Decimal{Scale: 1, Value: 25}}}, back.Headers)
	})
}
