package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// allIDs are the ids of every method there is.
func allIDs() []ID {
	var ids []ID
	for class := range ID(100) {
		for method := range ID(200) {
			if id := class<<16 | method; id.Name() != "" {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func TestNamesAreUnique(t *testing.T) {
	for _, id := range allIDs() {
		if got := IDOf(id.Name()); got != id {
			t.Errorf("%v is the name of %v", id, got)
		}
	}
	if got := IDOf("queue.declared"); got != 0 {
		t.Errorf("no method is %v", got)
	}
}

// fill sets every field of m to a value that is not zero and differs from field to field.
func fill(m Method) Method {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(i%2 == 0)
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Map:
			f.Set(reflect.ValueOf(Table{"n": int32(i)}))
		default:
			f.SetUint(uint64(i + 1))
		}
	}
	return m
}

func TestMethodBytes(t *testing.T) {
	for _, test := range []struct {
		words  string
		method Method
		bytes  string
	}{
		{
			"version 0-9, one server property, two mechanisms, one locale",
			&ConnectionStart{VersionMinor: 9, ServerProperties: Table{"product": "x"}, Mechanisms: "PLAIN AMQPLAIN", Locales: "en_US"},
			"\x00\x0a\x00\x0a" + "\x00\x09" + "\x00\x00\x00\x0e" + "\x07product" + "S" + "\x00\x00\x00\x01x" +
				"\x00\x00\x00\x0ePLAIN AMQPLAIN" + "\x00\x00\x00\x05en_US",
		},
		{
			"no properties, mechanism short, response long with NULs, locale short",
			&ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00u\x00p", Locale: "en_US"},
			"\x00\x0a\x00\x0b" + "\x00\x00\x00\x00" + "\x05PLAIN" + "\x00\x00\x00\x04\x00u\x00p" + "\x05en_US",
		},
		{
			"channel-max 2047, frame-max 131072, heartbeat 60",
			&ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60},
			"\x00\x0a\x00\x1e" + "\x07\xff" + "\x00\x02\x00\x00" + "\x00\x3c",
		},
		{
			"virtual host /, no capabilities, insist off",
			&ConnectionOpen{VirtualHost: "/"},
			"\x00\x0a\x00\x28" + "\x01/" + "\x00" + "\x00",
		},
		{
			"404, text, because of queue.declare",
			&ChannelClose{ReplyCode: CodeNotFound, ReplyText: "NOT_FOUND", ClassID: 50, MethodID: 10},
			"\x00\x14\x00\x28" + "\x01\x94" + "\x09NOT_FOUND" + "\x00\x32\x00\x0a",
		},
		{"empty channel id, a long string", &ChannelOpenOk{}, "\x00\x14\x00\x0b" + "\x00\x00\x00\x00"},
		{"ticket 1", &AccessRequestOk{Ticket: 1}, "\x00\x1e\x00\x0b" + "\x00\x01"},
		{"id 51, not 41", &ExchangeUnbindOk{}, "\x00\x28\x00\x33"},
		{
			"ticket, queue q1, the second and fifth bit, no arguments",
			&QueueDeclare{Queue: "q1", Durable: true, NoWait: true},
			"\x00\x32\x00\x0a" + "\x00\x00" + "\x02q1" + "\x12" + "\x00\x00\x00\x00",
		},
		{
			"ticket, exchange, key, the first bit",
			&BasicPublish{Exchange: "ex", RoutingKey: "a.b", Mandatory: true},
			"\x00\x3c\x00\x28" + "\x00\x00" + "\x02ex" + "\x03a.b" + "\x01",
		},
		{
			"consumer tag, delivery tag, redelivered between two strings",
			&BasicDeliver{ConsumerTag: "c", DeliveryTag: 258, Redelivered: true, RoutingKey: "q"},
			"\x00\x3c\x00\x3c" + "\x01c" + "\x00\x00\x00\x00\x00\x00\x01\x02" + "\x01" + "\x00" + "\x01q",
		},
		{"delivery tag 7, multiple", &BasicAck{DeliveryTag: 7, Multiple: true}, "\x00\x3c\x00\x50" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x01"},
		{"delivery tag 7, requeue is the second bit", &BasicNack{DeliveryTag: 7, Requeue: true}, "\x00\x3c\x00\x78" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x02"},
		{"no-wait", &ConfirmSelect{NoWait: true}, "\x00\x55\x00\x0a" + "\x01"},
		{"nothing", &TxRollbackOk{}, "\x00\x5a\x00\x1f"},
	} {
		t.Run(test.method.ID().Name()+"/"+test.words, func(t *testing.T) {
			encoded, err := test.method.AppendTo([]byte("before"))
			if err != nil || string(encoded) != "before"+test.bytes {
				t.Errorf("encoded\n%q, %v, want\n%q", encoded, err, "before"+test.bytes)
			}
			decoded, err := DecodeMethod([]byte(test.bytes), nil)
			if err != nil || !reflect.DeepEqual(decoded, test.method) {
				t.Errorf("decoded\n%+v, %v, want\n%+v", decoded, err, test.method)
			}
		})
	}
}

func TestThereAreAllMethods(t *testing.T) {
	perClass := map[uint16]int{}
	for _, id := range allIDs() {
		perClass[id.Class()]++
	}
	want := map[uint16]int{
		ClassConnection: 14, ClassChannel: 6, ClassAccess: 2, ClassExchange: 8,
		ClassQueue: 10, ClassBasic: 18, ClassConfirm: 2, ClassTx: 6,
	}
	if !reflect.DeepEqual(perClass, want) {
		t.Errorf("methods per class are %v, want %v", perClass, want)
	}
}

func TestEveryMethodSurvivesARoundTrip(t *testing.T) {
	for _, id := range allIDs() {
		m := fill(NewMethod(id))
		if m.ID() != id {
			t.Errorf("NewMethod(%v) is a %v", id, m.ID())
		}
		payload, err := m.AppendTo(nil)
		if err != nil {
			t.Errorf("%v: %v", id, err)
		}
		got, err := DecodeMethod(payload, new(Interner))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v: decoded %+v, %v, want %+v", id, got, err, m)
		}
	}
}

func TestArgumentsMustFitExactly(t *testing.T) {
	for _, id := range allIDs() {
		payload, _ := fill(NewMethod(id)).AppendTo(nil)
		_, args := SplitMethod(payload)
		for n := range args {
			if err := NewMethod(id).Decode(args[:n:n], nil); !errors.Is(err, ErrArguments) {
				t.Errorf("%v with %d of %d bytes: %v", id, n, len(args), err)
			}
		}
		if err := NewMethod(id).Decode(append(args, 0), nil); !errors.Is(err, ErrArguments) {
			t.Errorf("%v with a byte too many: %v", id, err)
		}
	}
}

// As RabbitMQ: short strings are checked in methods without content, in others they are not.
func TestMalformedUTF8(t *testing.T) {
	for _, id := range allIDs() {
		m := NewMethod(id)
		v := reflect.ValueOf(m).Elem()
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			if f.Kind() != reflect.String || isLongString(name) {
				continue
			}
			f.SetString("\xff")
			payload, _ := m.AppendTo(nil)
			f.SetString("")
			_, err := DecodeMethod(payload, nil)
			if refused := errors.Is(err, ErrMalformedUTF8); refused == id.HasContent() {
				t.Errorf("%v: malformed %s: %v", id, name, err)
			}
		}
	}
}

func isLongString(field string) bool {
	return strings.Contains("Mechanisms Locales Response Challenge NewSecret", field)
}

func TestTheShapeOfArgumentsIsCheckedBeforeTheirContents(t *testing.T) {
	const badQueue = "\x00\x32\x00\x0a" + "\x00\x00" + "\x01\xff" + "\x00" + "\x00\x00\x00\x00"
	if _, err := DecodeMethod([]byte(badQueue), nil); !errors.Is(err, ErrMalformedUTF8) {
		t.Errorf("malformed queue name: %v", err)
	}
	if _, err := DecodeMethod([]byte(badQueue+"\x00"), nil); !errors.Is(err, ErrArguments) {
		t.Errorf("malformed queue name and a byte too many: %v", err)
	}
}

func TestMalformedTableInArguments(t *testing.T) {
	const unknownType = "\x00\x32\x00\x0a" + "\x00\x00" + "\x01q" + "\x00" + "\x00\x00\x00\x03\x01kZ"
	if _, err := DecodeMethod([]byte(unknownType), nil); !errors.Is(err, ErrTable) {
		t.Errorf("unknown type in a table: %v", err)
	}
}

func TestUnknownMethods(t *testing.T) {
	for _, payload := range []string{"", "\x00", "\x00\x3c\x00", "\x00\x3c\x00\x63", "\x00\x63\x00\x0a"} {
		if _, err := DecodeMethod([]byte(payload), nil); !errors.Is(err, ErrUnknownMethod) {
			t.Errorf("% x: %v", payload, err)
		}
	}
}

func TestReservedArgumentsAreIgnored(t *testing.T) {
	const ticket258 = "\x00\x3c\x00\x46" + "\x01\x02" + "\x01q" + "\xff"
	m, err := DecodeMethod([]byte(ticket258), nil)
	if want := (&BasicGet{Queue: "q", NoAck: true}); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("decoded %+v, %v, want %+v", m, err, want)
	}
}

func TestDecodeReplacesAllFields(t *testing.T) {
	m := fill(new(QueueDeclare)).(*QueueDeclare)
	payload, _ := new(QueueDeclare).AppendTo(nil)
	_, args := SplitMethod(payload)
	if err := m.Decode(args, nil); err != nil || !reflect.DeepEqual(m, new(QueueDeclare)) {
		t.Errorf("decoded %+v, %v, want zeros", m, err)
	}
}

func TestWhatHasNoEncodingLeavesTheBufferAlone(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		method Method
		text   string
	}{
		{&BasicPublish{RoutingKey: long}, "basic.publish: wire: string too long: 256 bytes where 255 fit"},
		{&QueueDeclare{Arguments: Table{"x": struct{}{}}}, "queue.declare: wire: table field x: type struct {} has no AMQP field type"},
	} {
		for _, room := range []int{0, 1000} {
			before := append(make([]byte, 0, 3+room), "abc"...)
			b, err := AppendMethodFrame(before, 1, test.method)
			if string(b) != "abc" || err == nil || err.Error() != test.text {
				t.Errorf("%q, %v, want %q", b, err, test.text)
			}
		}
	}
}

func TestIDInWords(t *testing.T) {
	if id := IDBasicRecoverAsync; id.Class() != 60 || id.Method() != 100 || id.String() != "basic.recover-async" {
		t.Errorf("IDBasicRecoverAsync is %d, %d, %v", id.Class(), id.Method(), id)
	}
	if s := ID(60<<16 | 99).String(); s != "class 60 method 99" {
		t.Errorf("an unknown id is %q", s)
	}
}

func FuzzMethod(f *testing.F) {
	for _, id := range allIDs() {
		payload, _ := fill(NewMethod(id)).AppendTo(nil)
		f.Add(payload)
	}
	in := new(Interner)
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := DecodeMethod(payload, in)
		if err != nil {
			return
		}
		once := mustAppend(t, m.AppendTo)
		again, err := DecodeMethod(once, nil)
		if err != nil {
			t.Fatalf("%+v was written as % x and then: %v", m, once, err)
		}
		if twice := mustAppend(t, again.AppendTo); string(twice) != string(once) {
			t.Fatalf("% x became % x", once, twice)
		}
	})
}

// mustAppend returns what add appends.
func mustAppend(t testing.TB, add func([]byte) ([]byte, error)) []byte {
	t.Helper()
	b, err := add(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
