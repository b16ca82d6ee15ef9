package amqpserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/wire"
)

func TestConnectionErrors(t *testing.T) {
	publish := func(c *client) { c.send(1, &wire.BasicPublish{RoutingKey: "k"}) }
	header := func(class, weight uint16, size uint64) string {
		b := []byte{byte(class >> 8), byte(class), byte(weight >> 8), byte(weight), 0, 0, 0, 0, 0, 0, 0, byte(size), 0, 0}
		return string(b)
	}
	for name, tc := range map[string]struct {
		do   func(c *client) // channel 1 is open
		code uint16
		text string
		id   wire.ID
	}{
		"CONN-35 tune-ok":  {func(c *client) { c.send(0, &wire.ConnectionTuneOk{}) }, 504, "CHANNEL_ERROR - unexpected method in connection state running", wire.IDConnectionTuneOk},
		"CONN-35 channel":  {func(c *client) { c.send(0, &wire.ChannelOpen{}) }, 504, "CHANNEL_ERROR - unexpected method in connection state running", wire.IDChannelOpen},
		"CONN-36":          {func(c *client) { c.send(1, &wire.ConnectionClose{}) }, 503, "COMMAND_INVALID - unimplemented method", wire.IDConnectionClose},
		"CONN-37":          {func(c *client) { c.frame(3, 0, "abc") }, 505, `UNEXPECTED_FRAME - type 3, all octets = <<"abc">>`, 0},
		"CONN-37 long":     {func(c *client) { c.frame(3, 0, "0123456789abcdefg") }, 505, `UNEXPECTED_FRAME - type 3, first 16 octets = <<"0123456789abcdef">>`, 0},
		"CONN-38":          {func(c *client) { c.frame(9, 1, "abc") }, 501, `FRAME_ERROR - type 9, all octets = <<"abc">>: unknown_frame`, 0},
		"CONN-38 binary":   {func(c *client) { c.frame(9, 1, "\x00\x01\xff") }, 501, `FRAME_ERROR - type 9, all octets = <<0,1,255>>: unknown_frame`, 0},
		"CONN-38 escape":   {func(c *client) { c.frame(9, 1, "a\x1b") }, 501, `FRAME_ERROR - type 9, all octets = <<"a\e">>: unknown_frame`, 0},
		"CONN-38 payload":  {func(c *client) { c.frame(8, 0, "x") }, 501, `FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame`, 0},
		"CONN-39":          {func(c *client) { c.frame(8, 1, "") }, 505, `UNEXPECTED_FRAME - type 8, all octets = <<>>`, 0},
		"CONN-44 trailing": {func(c *client) { c.frame(1, 1, "\x00\x32\x00\x1e\x00\x00\x01q\x00zz") }, 501, `FRAME_ERROR - cannot decode <<0,0,1,113,0,122,122>>`, wire.IDQueuePurge},
		"CONN-44 text":     {func(c *client) { c.frame(1, 1, "\x00\x3c\x00\x1eabc") }, 501, `FRAME_ERROR - cannot decode <<97,98,99>>`, wire.IDBasicCancel},
		"CONN-44 control":  {func(c *client) { c.frame(1, 0, "\x00\x0a\x00\x46") }, 541, "INTERNAL_ERROR", 0},
		"CONN-46 control":  {func(c *client) { c.send(0, &wire.ConnectionOpen{VirtualHost: "\xff"}) }, 501, "FRAME_ERROR - Malformed UTF-8 in shortstr", wire.IDConnectionOpen},
		"CONN-46":          {func(c *client) { c.send(1, &wire.QueuePurge{Queue: "a\xff"}) }, 501, "FRAME_ERROR - Malformed UTF-8 in shortstr", 0},
		"CONN-48":          {func(c *client) { c.send(7, &wire.BasicQos{}) }, 504, "CHANNEL_ERROR - expected 'channel.open'", wire.IDBasicQos},
		"CONN-48 close":    {func(c *client) { c.send(7, &wire.ChannelClose{}) }, 504, "CHANNEL_ERROR - expected 'channel.open'", wire.IDChannelClose},
		"CONN-49":          {func(c *client) { c.send(1, &wire.ChannelOpen{}) }, 504, "CHANNEL_ERROR - second 'channel.open' seen", wire.IDChannelOpen},
		"CONN-53":          {func(c *client) { c.frame(3, 1, "abc") }, 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", 0},
		"CONN-54":          {func(c *client) { publish(c); c.send(1, &wire.BasicQos{}) }, 505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead", wire.IDBasicPublish},
		"CONN-55":          {func(c *client) { publish(c); c.frame(2, 1, header(10, 0, 0)) }, 505, "UNEXPECTED_FRAME - expected content header for class 60, got one for class 10 instead", wire.IDBasicPublish},
		"CONN-56":          {func(c *client) { publish(c); c.frame(2, 1, header(60, 1, 0)) }, 505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead", wire.IDBasicPublish},
		"CONN-57":          {func(c *client) { publish(c); c.frame(2, 1, header(60, 0, 3)); c.send(1, &wire.BasicQos{}) }, 505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", wire.IDBasicPublish},
		"CONN-60":          {func(c *client) { publish(c); c.frame(2, 1, header(60, 0, 0)+"x") }, 541, "INTERNAL_ERROR", 0},
		"CHAN-11":          {func(c *client) { c.send(1, &wire.ChannelFlow{}) }, 540, "NOT_IMPLEMENTED - active=false", wire.IDChannelFlow},
		"CHAN-12":          {func(c *client) { c.send(1, &wire.QueueDeclareOk{}) }, 503, "COMMAND_INVALID - unimplemented method", wire.IDQueueDeclareOk},
		"CHAN-12 close-ok": {func(c *client) { c.send(1, &wire.ChannelCloseOk{}) }, 503, "COMMAND_INVALID - unimplemented method", wire.IDChannelCloseOk},
		"EXCH-11":          {func(c *client) { c.send(1, &wire.ExchangeDeclare{Exchange: "x", Type: "x-nonsense"}) }, 503, "COMMAND_INVALID - unknown exchange type 'x-nonsense'", wire.IDExchangeDeclare},
		"EXCH-11 empty":    {func(c *client) { c.send(1, &wire.ExchangeDeclare{Exchange: "x"}) }, 503, "COMMAND_INVALID - invalid exchange type ''", wire.IDExchangeDeclare},
		"PUB-3":            {func(c *client) { c.publishWith(1, &wire.BasicPublish{Immediate: true}, &wire.Properties{}, "") }, 540, "NOT_IMPLEMENTED - immediate=true", wire.IDBasicPublish},
		"QOS-1":            {func(c *client) { c.send(1, &wire.BasicQos{PrefetchSize: 1}) }, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", wire.IDBasicQos},
		"ACK-15":           {func(c *client) { c.send(1, &wire.BasicRecover{}) }, 540, "NOT_IMPLEMENTED - requeue=false", wire.IDBasicRecover},
		"ACK-15 async":     {func(c *client) { c.send(1, &wire.BasicRecoverAsync{}) }, 540, "NOT_IMPLEMENTED - requeue=false", wire.IDBasicRecoverAsync},
		"CONS-16":          {func(c *client) { c.send(1, &wire.BasicCancelOk{}) }, 503, "COMMAND_INVALID - unimplemented method", wire.IDBasicCancelOk},
		"CONS-3": {func(c *client) {
			q := c.declare()
			c.consume(q, "t")
			c.send(1, &wire.BasicConsume{Queue: q, ConsumerTag: "t"})
		}, 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", wire.IDBasicConsume},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				tc.do(c)
				c.closed(tc.code, tc.text, tc.id)
			})
		})
	}
}

func TestFrameErrorsAfterWhichNothingIsRead(t *testing.T) { // CONN-40, CONN-41
	for name, tc := range map[string]struct{ bytes, text string }{
		"end": {"\x03\x00\x01\x00\x00\x00\x03abcX", `FRAME_ERROR - type 3, all octets = <<"abc">>: {invalid_frame_end_marker,88}`},
		"long": {"\x03\x00\x01\x00\x00\x00\x11seventeen octets.\xff",
			"FRAME_ERROR - type 3, first 16 octets = <<\"seventeen octets\">>: {invalid_frame_end_marker,\n" + strings.Repeat(" ", 51) + "255}"},
		"too large": {"\x03\x00\x01\x00\x00\x10\x01", `FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4097,4088}`},
		"huge":      {"\x03\x00\x01\xff\xff\xff\xff", `FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4294967295,4088}`},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.connect(t)
				c.tune = func(m *wire.ConnectionTuneOk) { m.FrameMax = 4096 }
				c.handshake()
				c.write([]byte(tc.bytes))
				require.Equal(t, tc.text, expect[*wire.ConnectionClose](c, 0).ReplyText)
				c.dropped(2500*time.Millisecond, 4*time.Second)
			})
		})
	}
}

func TestTooManyChannels(t *testing.T) { // CONN-50, CONN-51
	compare(t, func(t *testing.T, s *server) {
		c := s.connect(t)
		c.tune = func(m *wire.ConnectionTuneOk) { m.ChannelMax = 2 }
		c.handshake()
		c.openChannel(1)
		c.openChannel(60000)
		c.send(2, &wire.ChannelOpen{})
		c.closed(530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)", 0)
	})
}

func TestChannelErrors(t *testing.T) {
	long := strings.Repeat("x", 250)
	for name, tc := range map[string]struct {
		do   func(c *client)
		code uint16
		text string
		id   wire.ID
	}{
		"EXCH-16 purge":   {func(c *client) { c.send(1, &wire.QueuePurge{Queue: "q\n"}) }, 404, "NOT_FOUND - no queue 'q\n' in vhost '/'", wire.IDQueuePurge},
		"EXCH-16 bind":    {func(c *client) { c.declare(); c.send(1, &wire.QueueBind{Queue: "\n", Exchange: "amq.direct"}) }, 404, "NOT_FOUND - no queue '' in vhost '/'", wire.IDQueueBind},
		"EXCH-16 get":     {func(c *client) { c.send(1, &wire.BasicGet{Queue: "q\n"}) }, 404, "NOT_FOUND - no queue 'q\n' in vhost '/'", wire.IDBasicGet},
		"EXCH-16 consume": {func(c *client) { c.send(1, &wire.BasicConsume{Queue: "\n"}) }, 404, "NOT_FOUND - no queue '\n' in vhost '/'", wire.IDBasicConsume},
		"CONN-62":         {func(c *client) { c.send(1, &wire.QueuePurge{Queue: long}) }, 404, "NOT_FOUND - no queue '" + strings.Repeat("x", 230) + "...", wire.IDQueuePurge},
		"QUEUE-4":         {func(c *client) { c.send(1, &wire.QueueDeclare{Passive: true}) }, 404, "NOT_FOUND - no queue '' in vhost '/'", wire.IDQueueDeclare},
		"QUEUE-6":         {func(c *client) { c.send(1, &wire.QueuePurge{}) }, 404, "NOT_FOUND - no previously declared queue", wire.IDQueuePurge},
		"QUEUE-7": {func(c *client) {
			q := c.declare()
			call[*wire.QueueDeleteOk](c, 1, &wire.QueueDelete{Queue: q})
			c.send(1, &wire.BasicGet{Queue: "amq.nope"})
		}, 404, "NOT_FOUND - no queue 'amq.nope' in vhost '/'", wire.IDBasicGet},
		"QUEUE-8": {func(c *client) { c.send(1, &wire.QueueDeclare{Queue: "amq.foo"}) }, 403, "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'", wire.IDQueueDeclare},
		"ARGS-3": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-max-length": "5"}})
		}, 406, `PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q-args' in vhost '/': "expected integer, got longstr"`, wire.IDQueueDeclare},
		"ARGS-4": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-message-ttl": int32(-1)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q-args' in vhost '/': {value_negative,-1}", wire.IDQueueDeclare},
		"ARGS-4 b": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-message-ttl": int64(315360000001)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q-args' in vhost '/': {value_too_large,315360000001}", wire.IDQueueDeclare},
		"ARGS-5": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-expires": int32(0)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q-args' in vhost '/': {value_zero,0}", wire.IDQueueDeclare},
		"ARGS-7": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-max-priority": int32(256)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q-args' in vhost '/': {max_value_exceeded,256}", wire.IDQueueDeclare},
		"ARGS-8": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-overflow": "block"}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'q-args' in vhost '/': invalid_overflow", wire.IDQueueDeclare},
		"ARGS-8 b": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-overflow": int32(5)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'q-args' in vhost '/': {unacceptable_type,signedint}", wire.IDQueueDeclare},
		"ARGS-9": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-dead-letter-exchange": int32(5)}})
		}, 406, "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q-args' in vhost '/'", wire.IDQueueDeclare},
		"ARGS-10": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-dead-letter-routing-key": "k"}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'q-args' in vhost '/': routing_key_but_no_dlx_defined", wire.IDQueueDeclare},
		"ARGS-12": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-single-active-consumer": "y"}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue 'q-args' in vhost '/': {unacceptable_type,longstr}", wire.IDQueueDeclare},
		"ARGS-13": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-queue-mode": "foo"}})
		}, 406, `PRECONDITION_FAILED - invalid arg 'x-queue-mode' for queue 'q-args' in vhost '/': "unsupported queue mode 'foo'"`, wire.IDQueueDeclare},
		"ARGS-14": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-queue-version": int32(3)}})
		}, 406, `PRECONDITION_FAILED - invalid arg 'x-queue-version' for queue 'q-args' in vhost '/': "unsupported queue version '3'"`, wire.IDQueueDeclare},
		"ARGS-15": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-queue-type": "foo"}})
		}, 406, `PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'q-args' in vhost '/': "unsupported queue type 'foo'"`, wire.IDQueueDeclare},
		"ARGS-2": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-max-age": "1D"}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'q-args' in vhost '/' of queue type rabbit_classic_queue", wire.IDQueueDeclare},
		"ARGS-2 b": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-delivery-limit": int32(1)}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q-args' in vhost '/' of queue type rabbit_classic_queue", wire.IDQueueDeclare},
		"ARGS-16": {func(c *client) {
			c.send(1, &wire.QueueDeclare{Queue: "q-args", Arguments: wire.Table{"x-queue-leader-locator": "balanced"}})
		}, 406, "PRECONDITION_FAILED - invalid arg 'x-queue-leader-locator' for queue 'q-args' in vhost '/' of queue type rabbit_classic_queue", wire.IDQueueDeclare},
		"EXCH-9": {func(c *client) {
			c.send(1, &wire.ExchangeDeclare{Exchange: "e3", Type: "direct", Arguments: wire.Table{"alternate-exchange": int32(1)}})
		}, 406, "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'e3' in vhost '/'", wire.IDExchangeDeclare},
		"EXCH-12":  {func(c *client) { c.send(1, &wire.ExchangeDeclare{Exchange: "amq.foo", Type: "direct"}) }, 403, "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'", wire.IDExchangeDeclare},
		"EXCH-13":  {func(c *client) { c.send(1, &wire.ExchangeDelete{}) }, 403, "ACCESS_REFUSED - operation not permitted on the default exchange", wire.IDExchangeDelete},
		"EXCH-15":  {func(c *client) { c.send(1, &wire.ExchangeDeclare{Exchange: "nope", Passive: true, Type: "x"}) }, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", wire.IDExchangeDeclare},
		"EXCH-18":  {func(c *client) { c.send(1, &wire.ExchangeDelete{Exchange: "amq.direct"}) }, 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed", wire.IDExchangeDelete},
		"EXCH-22":  {func(c *client) { c.publish(1, "nope", "k", "") }, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", wire.IDBasicPublish},
		"PUB-10":   {func(c *client) { c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{Expiration: "1.5"}, "") }, 406, `PRECONDITION_FAILED - invalid expiration '1.5': {leftover_string,".5"}`, wire.IDBasicPublish},
		"PUB-10 b": {func(c *client) { c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{Expiration: "-1"}, "") }, 406, `PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}`, wire.IDBasicPublish},
		"PUB-10 c": {func(c *client) {
			c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{Flags: wire.FlagExpiration}, "")
		}, 406, `PRECONDITION_FAILED - invalid expiration '': no_integer`, wire.IDBasicPublish},
		"PUB-10 d": {func(c *client) {
			c.publishWith(1, &wire.BasicPublish{Exchange: "nope"}, &wire.Properties{Expiration: "x"}, "")
		}, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", wire.IDBasicPublish},
		"PUB-11":   {func(c *client) { c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{UserID: "bob"}, "") }, 406, "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'", wire.IDBasicPublish},
		"PUB-11 b": {func(c *client) { c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{Flags: wire.FlagUserID}, "") }, 406, "PRECONDITION_FAILED - user_id property set to '' but authenticated user was 'guest'", wire.IDBasicPublish},
		"PUB-11 c": {func(c *client) {
			c.publishWith(1, &wire.BasicPublish{Exchange: "nope"}, &wire.Properties{UserID: "bob"}, "")
		}, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", wire.IDBasicPublish},
		"PUB-12": {func(c *client) { c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{DeliveryMode: 3}, "") }, 406, "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}", wire.IDBasicPublish},
		"ROUTE-24": {func(c *client) {
			c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{Headers: wire.Table{"CC": "k"}}, "")
		}, 406, `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}`, wire.IDBasicPublish},
		"RPC-4": {func(c *client) {
			c.publishWith(1, &wire.BasicPublish{}, &wire.Properties{ReplyTo: "amq.rabbitmq.reply-to"}, "")
		}, 406, "PRECONDITION_FAILED - fast reply consumer does not exist", wire.IDBasicPublish},
		"RPC-2":    {func(c *client) { c.send(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to"}) }, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", wire.IDBasicConsume},
		"RPC-9":    {func(c *client) { c.send(1, &wire.BasicGet{Queue: "amq.rabbitmq.reply-to"}) }, 404, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'", wire.IDBasicGet},
		"CONF-2":   {func(c *client) { call[*wire.TxSelectOk](c, 1, &wire.TxSelect{}); c.send(1, &wire.ConfirmSelect{}) }, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", wire.IDConfirmSelect},
		"CONF-2 b": {func(c *client) { call[*wire.ConfirmSelectOk](c, 1, &wire.ConfirmSelect{}); c.send(1, &wire.TxSelect{}) }, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", wire.IDTxSelect},
		"TX-2":     {func(c *client) { c.send(1, &wire.TxCommit{}) }, 406, "PRECONDITION_FAILED - channel is not transactional", wire.IDTxCommit},
		"TX-3":     {func(c *client) { call[*wire.TxSelectOk](c, 1, &wire.TxSelect{}); c.publish(1, "nope", "", "") }, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", wire.IDBasicPublish},
		"CONS-9": {func(c *client) {
			c.send(1, &wire.BasicConsume{Queue: c.declare(), Arguments: wire.Table{"x-stream-offset": "next"}})
		}, 406, "", wire.IDBasicConsume},
		"CONS-10": {func(c *client) {
			c.send(1, &wire.BasicConsume{Queue: c.declare(), Arguments: wire.Table{"x-priority": "1"}})
		}, 406, "", wire.IDBasicConsume},
		"ACK-2":   {func(c *client) { c.send(1, &wire.BasicAck{DeliveryTag: 2}) }, 406, "PRECONDITION_FAILED - unknown delivery tag 2", wire.IDBasicAck},
		"ACK-2 b": {func(c *client) { c.send(1, &wire.BasicNack{DeliveryTag: 2}) }, 406, "PRECONDITION_FAILED - unknown delivery tag 2", wire.IDBasicNack},
		"ACK-2 c": {func(c *client) { c.send(1, &wire.BasicReject{DeliveryTag: 2}) }, 406, "PRECONDITION_FAILED - unknown delivery tag 2", wire.IDBasicReject},
		"ACK-4":   {func(c *client) { c.send(1, &wire.BasicAck{DeliveryTag: 2, Multiple: true}) }, 406, "PRECONDITION_FAILED - unknown delivery tag 2", wire.IDBasicAck},
		"ACK-5":   {func(c *client) { c.send(1, &wire.BasicAck{Multiple: true}, &wire.BasicAck{}) }, 406, "PRECONDITION_FAILED - unknown delivery tag 0", wire.IDBasicAck},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				c.openChannel(2)
				tc.do(c)
				if tc.text == "" { // it contains the queue's name
					require.Contains(t, expect[*wire.ChannelClose](c, 1).ReplyText, "PRECONDITION_FAILED - invalid arg 'x-")
					c.send(1, &wire.ChannelCloseOk{})
				} else {
					c.channelClosed(1, tc.code, tc.text, tc.id)
				}
				call[*wire.BasicQosOk](c, 2, &wire.BasicQos{PrefetchCount: 1}) // CHAN-8
				c.openChannel(1)                                               // CHAN-7
			})
		})
	}
}

func TestFramesOnAClosingChannelAreIgnored(t *testing.T) { // CHAN-4 … CHAN-6
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		q := c.declare()
		c.send(1, &wire.BasicAck{DeliveryTag: 1})
		expect[*wire.ChannelClose](c, 1)
		c.publish(1, "", q, "lost")
		c.send(1, &wire.QueueDelete{Queue: q})
		call[*wire.ChannelCloseOk](c, 1, &wire.ChannelClose{})
		c.openChannel(2)
		require.Zero(t, call[*wire.QueueDeclareOk](c, 2, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)
		c.send(1, &wire.ChannelOpen{})
		c.closed(504, "CHANNEL_ERROR - second 'channel.open' seen", wire.IDChannelOpen)
	})
}

// After a channel error a queue gets back what the channel has of it if a consumer
// of the channel is on it; all else comes back when the client has answered.
func TestWhatAChannelErrorReturns(t *testing.T) {
	compare(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.openChannel(2)
		consumed, got, cancelled := c.declare(), c.declare(), c.declare()
		for _, q := range []string{consumed, consumed, consumed, got, cancelled} {
			c.publish(1, "", q, "m")
		}
		call[*wire.BasicQosOk](c, 1, &wire.BasicQos{PrefetchCount: 1})
		for _, q := range []string{consumed, got} {
			c.send(1, &wire.BasicGet{Queue: q})
			c.got(1)
		}
		for _, q := range []string{consumed, cancelled} {
			c.consume(q, q)
			c.delivered(1)
		}
		call[*wire.BasicCancelOk](c, 1, &wire.BasicCancel{ConsumerTag: cancelled})
		ready := func() (n [3]int) {
			t.Helper()
			time.Sleep(100 * time.Millisecond) // RabbitMQ takes its time
			for i, q := range []string{consumed, got, cancelled} {
				n[i] = int(call[*wire.QueueDeclareOk](c, 2, &wire.QueueDeclare{Queue: q, Passive: true}).MessageCount)
			}
			return n
		}
		require.Equal(t, [3]int{1, 0, 0}, ready())
		c.send(1, &wire.BasicAck{DeliveryTag: 99})
		expect[*wire.ChannelClose](c, 1)
		require.Equal(t, [3]int{3, 0, 0}, ready())
		c.send(1, &wire.ChannelCloseOk{})
		require.Equal(t, [3]int{3, 1, 1}, ready())
	})
}

// As a 4.3 was seen to say it; the reply text is cut.
func TestTransientQueueThatIsNotExclusive(t *testing.T) { // QUEUE-20
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.send(1, &wire.QueueDeclare{Queue: "q"})
		c.closed(541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\n"+
			"By default, this feature is not permitted anymore.\n"+
			"The feature will be removed from a future major RabbitMQ version, regardless of the configuration; "+
			"actual version to be determined.\nTo...", wire.IDQueueDeclare)
	}, amqpserver.Compat(amqpserver.V4_3))
}

func TestUnknownExchangeTypeSince40(t *testing.T) { // EXCH-11
	bubble(t, func(t *testing.T, s *server) {
		c := s.channel(t)
		c.send(1, &wire.ExchangeDeclare{Exchange: "x", Type: "x-nonsense"})
		c.channelClosed(1, 406, "PRECONDITION_FAILED - unknown exchange type 'x-nonsense'", wire.IDExchangeDeclare)
	}, amqpserver.Compat(amqpserver.V4_0))
}

// Which arguments a queue may have, and what is said of others, depends on the version.
func TestQueueArgumentsByVersion(t *testing.T) {
	type T = wire.Table
	const at = "PRECONDITION_FAILED - invalid arg '"
	const internal = "INTERNAL_ERROR"
	for name, tc := range map[string]struct {
		args                    T
		in310, since40, since43 string // what is wrong; "" = nothing
	}{
		"ARGS-2: the key of another type, whatever its value": {T{"x-max-age": "soon"},
			at + "x-max-age' for queue 'q' in vhost '/' of queue type rabbit_classic_queue", "=", "="},
		"ARGS-2: the type before all others": {T{"x-queue-type": "fifo", "x-max-length": "a"},
			at + `x-queue-type' for queue 'q' in vhost '/': "unsupported queue type 'fifo'"`, "=", "="},
		"ARGS-15: undefined": {T{"x-queue-type": "undefined"},
			at + `x-queue-type' for queue 'q' in vhost '/': "unsupported queue type 'undefined'"`, "", ""},
		"ARGS-15: empty": {T{"x-queue-type": ""}, at + `x-queue-type' for queue 'q' in vhost '/': "unsupported queue type ''"`, "=", ""},
		"ARGS-16: of a classic queue": {T{"x-queue-leader-locator": "balanced"},
			at + "x-queue-leader-locator' for queue 'q' in vhost '/' of queue type rabbit_classic_queue", "", ""},
		"ARGS-19: no number": {T{"x-queue-type": "stream", "x-max-age": "D"},
			internal, "=", at + "x-max-age' for queue 'q' in vhost '/': invalid_max_age"},
		"ARGS-21: no integer": {T{"x-queue-type": "stream", "x-stream-filter-size-bytes": "16"},
			"", "PRECONDITION_FAILED - Invalid value for  x-stream-filter-size-bytes", "="},
	} {
		want := tc.in310
		for v, why := range []string{tc.in310, tc.since40, tc.since43} {
			if why != "=" {
				want = why
			}
			t.Run(name+" "+amqpserver.Compatibility(v).String(), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *server) {
					c := s.channel(t)
					c.send(1, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: tc.args})
					switch want {
					case "":
						expect[*wire.QueueDeclareOk](c, 1)
						call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: tc.args})
					case internal:
						c.closed(541, internal, 0)
					default:
						c.channelClosed(1, 406, want, wire.IDQueueDeclare)
					}
				}, amqpserver.Compat(amqpserver.Compatibility(v)))
			})
		}
	}
}

func TestPatternWithManyWildcards(t *testing.T) { // ROUTE-11
	bind := func(c *client, key string) {
		c.send(1, &wire.QueueBind{Queue: "q", Exchange: "amq.topic", RoutingKey: key})
	}
	for _, v := range []amqpserver.Compatibility{amqpserver.V3_10, amqpserver.V4_0, amqpserver.V4_3} {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c := s.channel(t)
				call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
				bind(c, "#.a#.#")
				expect[*wire.QueueBindOk](c, 1)
				bind(c, "#.a.#.#")
				if v < amqpserver.V4_3 {
					expect[*wire.QueueBindOk](c, 1)
					return
				}
				c.channelClosed(1, 406, "PRECONDITION_FAILED - Topic binding key '#.a.#.#' uses 3 '#' wildcards, at most 2 are allowed", wire.IDQueueBind)
			}, amqpserver.Compat(v))
		})
	}
}

// What a binding's argument is equal to depends on the version.
func TestHeadersOfOtherTypes(t *testing.T) { // ROUTE-19
	second := time.Unix(5, 0).UTC()
	for name, tc := range map[string]struct {
		wanted, header any
		since310       bool
		since40        bool
	}{
		"integer and double":       {int32(1), 1.0, true, false},
		"double and integer":       {float32(2), int64(2), true, false},
		"integer and fraction":     {int32(1), 1.5, false, false},
		"seconds and timestamp":    {int64(5), second, true, false},
		"timestamps":               {second, second, true, false},
		"milliseconds":             {int64(5000), second, false, true},
		"timestamp as the binding": {second, int64(5), true, true},
	} {
		for v, want := range map[amqpserver.Compatibility]bool{amqpserver.V3_10: tc.since310, amqpserver.V4_0: tc.since40, amqpserver.V4_3: tc.since40} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *server) {
					c := s.channel(t)
					call[*wire.QueueDeclareOk](c, 1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
					call[*wire.ExchangeBindOk](c, 1, &wire.ExchangeBind{Source: "amq.headers", Destination: "amq.fanout", Arguments: wire.Table{"a": tc.wanted}})
					call[*wire.QueueBindOk](c, 1, &wire.QueueBind{Queue: "q", Exchange: "amq.fanout"})
					c.publishWith(1, &wire.BasicPublish{Exchange: "amq.headers"}, &wire.Properties{Headers: wire.Table{"a": tc.header}}, "")
					ok := call[*wire.QueuePurgeOk](c, 1, &wire.QueuePurge{Queue: "q"})
					require.Equal(t, want, ok.MessageCount == 1)
				}, amqpserver.Compat(v))
			})
		}
	}
}
