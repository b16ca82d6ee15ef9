package wire

import (
	"bytes"
	"cmp"
	"testing"
)

var (
	benchPublish = &BasicPublish{Exchange: "orders", RoutingKey: "orders.created.eu"}
	benchDeliver = &BasicDeliver{ConsumerTag: "ctag-1", DeliveryTag: 42, Exchange: "orders", RoutingKey: "orders.created.eu"}
	benchAck     = &BasicAck{DeliveryTag: 42}
	benchProps   = &Properties{Flags: FlagContentType | FlagDeliveryMode, ContentType: "application/json", DeliveryMode: 2}
)

type operation struct {
	name string
	run  func() error
}

// steady are the operations that a busy connection repeats for each message; none may allocate.
func steady(t testing.TB) []operation {
	b := make([]byte, 0, 4096)
	body := make([]byte, 1024)
	in := new(Interner)
	_, publishArgs := SplitMethod(mustAppend(t, benchPublish.AppendTo))
	_, ackArgs := SplitMethod(mustAppend(t, benchAck.AppendTo))
	props := mustAppend(t, benchProps.AppendTo)
	var publish BasicPublish
	var properties Properties
	r := NewReader(&endless{frame: AppendFrame(nil, FrameBody, 1, body)})
	large := NewReader(&endless{frame: AppendFrame(nil, FrameBody, 1, make([]byte, 100_000))})
	large.SetFrameMax(131072)
	return []operation{
		{"write publish", func() error { _, err := AppendMethodFrame(b[:0], 1, benchPublish); return err }},
		{"write deliver", func() error { _, err := AppendMethodFrame(b[:0], 1, benchDeliver); return err }},
		{"write ack", func() error { _, err := AppendMethodFrame(b[:0], 1, benchAck); return err }},
		{"write ack fresh", func() error { _, err := (&BasicAck{DeliveryTag: 42}).AppendTo(b[:0]); return err }},
		{"write header", func() error { _, err := AppendHeaderFrame(b[:0], 1, 1024, benchProps); return err }},
		{"write body", func() error { AppendBodyFrames(b[:0], 1, body, 131072); return nil }},
		{"write heartbeat", func() error { AppendHeartbeat(b[:0]); return nil }},
		{"read frame", func() error { _, err := r.ReadFrame(); return err }},
		{"read frame 100k", func() error { _, err := large.ReadFrame(); return err }},
		{"decode ack", func() error { var m BasicAck; return m.Decode(ackArgs, nil) }},
		{"decode publish", func() error { return publish.Decode(publishArgs, in) }},
		{"decode props", func() error { return properties.Decode(props, in) }},
	}
}

// endless is a source of the same frame over and over.
type endless struct {
	frame []byte
	rest  []byte
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.frame
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, op := range steady(t) {
		run := func() {
			if err := op.run(); err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s allocates %v times", op.name, n)
		}
	}
}

func Benchmark(b *testing.B) {
	for _, op := range steady(b) {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := op.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	table := Table{"x-match": "all", "x-retries": int64(3), "trace": "0af7651916cd43dd8448eb211c80319c", "nested": Table{"k": true}}
	encoded := mustAppend(b, func(b []byte) ([]byte, error) { return AppendTable(b, table) })
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		room := make([]byte, 0, 4096)
		for b.Loop() {
			if _, err := AppendTable(room, table); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := ReadTable(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMessage is a connection's share of a publish that is read, and a delivery that is written.
func BenchmarkMessage(b *testing.B) {
	var message []byte
	message, _ = AppendMethodFrame(message, 1, benchPublish)
	message, _ = AppendHeaderFrame(message, 1, 64, benchProps)
	message = AppendBodyFrames(message, 1, bytes.Repeat([]byte("x"), 64), 131072)
	r, in, out := NewReader(&endless{frame: message}), new(Interner), make([]byte, 0, 4096)
	var publish BasicPublish
	var p Properties
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		method, err1 := r.ReadFrame()
		_, args := SplitMethod(method.Payload)
		err2 := publish.Decode(args, in)
		header, err3 := r.ReadFrame()
		h, err4 := ParseHeader(header.Payload)
		err5 := p.Decode(h.Properties, in)
		body, err6 := r.ReadFrame()
		out, _ = AppendMethodFrame(out[:0], 1, benchDeliver)
		out, _ = AppendHeaderFrame(out, 1, h.BodySize, &p)
		out = AppendBodyFrames(out, 1, body.Payload, 131072)
		if err := cmp.Or(err1, err2, err3, err4, err5, err6); err != nil {
			b.Fatal(err)
		}
	}
}
