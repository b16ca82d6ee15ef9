package wire

import (
	"errors"
	"math/bits"
	"reflect"
	"strings"
	"testing"
	"time"
)

// allProperties has every property, and propertyBytes each of them on the wire, in order.
var allProperties = Properties{
	Flags:           FlagAll,
	ContentType:     "text/plain",
	ContentEncoding: "gzip",
	Headers:         Table{"k": true},
	DeliveryMode:    2,
	Priority:        9,
	CorrelationID:   "corr",
	ReplyTo:         "reply",
	Expiration:      "60000",
	MessageID:       "id",
	Timestamp:       time.Date(2009, 11, 10, 23, 0, 0, 0, time.UTC),
	Type:            "type",
	UserID:          "guest",
	AppID:           "app",
	ClusterID:       "c",
}

var propertyBytes = []string{
	"\x0atext/plain", "\x04gzip", "\x00\x00\x00\x04\x01kt\x01", "\x02", "\x09", "\x04corr", "\x05reply", "\x0560000",
	"\x02id", "\x00\x00\x00\x00\x4a\xf9\xf0\x70", "\x04type", "\x05guest", "\x03app", "\x01c",
}

// subset is allProperties with only those flagged, and its bytes.
func subset(flags uint16) (Properties, string) {
	p, encoded := Properties{Flags: flags}, string(be.AppendUint16(nil, flags))
	from, to := reflect.ValueOf(allProperties), reflect.ValueOf(&p).Elem()
	for i, b := range propertyBytes {
		if flags&(1<<(15-i)) != 0 {
			to.Field(i + 1).Set(from.Field(i + 1))
			encoded += b
		}
	}
	return p, encoded
}

func TestPropertiesWithEverySubsetOfFlags(t *testing.T) {
	in := new(Interner)
	for flags := 0; flags <= int(FlagAll); flags += 1 << 2 {
		want, encoded := subset(uint16(flags))
		if got, err := want.AppendTo(nil); err != nil || string(got) != encoded {
			t.Fatalf("flags %016b: encoded %q, %v, want %q", flags, got, err, encoded)
		}
		got := allProperties
		if err := got.Decode([]byte(encoded), in); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("flags %016b: decoded %+v, %v, want %+v", flags, got, err, want)
		}
	}
}

func TestFlagsAreInTheOrderOfTheProperties(t *testing.T) {
	if FlagContentType != 0x8000 || FlagDeliveryMode != 0x1000 || FlagClusterID != 0x0004 || bits.OnesCount16(FlagAll) != 14 {
		t.Errorf("flags are %04x %04x %04x %04x", FlagContentType, FlagDeliveryMode, FlagClusterID, FlagAll)
	}
}

func TestAnEmptyPropertyIsNotAnAbsentOne(t *testing.T) {
	const emptyTypeAndHeaders = "\x20\x20" + "\x00\x00\x00\x00" + "\x00"
	var p Properties
	if err := p.Decode([]byte(emptyTypeAndHeaders), nil); err != nil || !p.Has(FlagType) || !p.Has(FlagHeaders) || p.Has(FlagAppID) {
		t.Errorf("decoded %+v, %v", p, err)
	}
	if got := mustAppend(t, p.AppendTo); string(got) != emptyTypeAndHeaders {
		t.Errorf("encoded %q, want %q", got, emptyTypeAndHeaders)
	}
	if got := mustAppend(t, (&Properties{}).AppendTo); string(got) != "\x00\x00" {
		t.Errorf("no properties encoded %q", got)
	}
}

func TestFieldsWithoutTheirFlagAreNotWritten(t *testing.T) {
	p := allProperties
	p.Flags = FlagPriority
	if got := mustAppend(t, p.AppendTo); string(got) != "\x08\x00\x09" {
		t.Errorf("encoded %q", got)
	}
}

func TestNonZero(t *testing.T) {
	for i := range propertyBytes {
		flag := uint16(1) << (15 - i)
		if p, _ := subset(flag); p.NonZero() != flag {
			t.Errorf("flags %016b of %+v, want %016b", p.NonZero(), p, flag)
		}
	}
}

func TestMalformedProperties(t *testing.T) {
	for words, bytes := range map[string]string{
		"no flags":                     "",
		"half the flags":               "\x80",
		"a byte too many":              "\x00\x00\x00",
		"missing":                      "\x80\x00",
		"cut short":                    "\x80\x00\x02x",
		"string longer than the rest":  "\x80\x00\xff",
		"half a timestamp":             "\x00\x40\x00\x00\x00\x00",
		"headers of an unknown type":   "\x20\x00\x00\x00\x00\x03\x01kZ",
		"headers longer than the rest": "\x20\x00\xff\xff\xff\xff\x01kV",
		"a second word of flags":       "\x00\x01\x00\x00",
	} {
		if err := new(Properties).Decode([]byte(bytes), nil); !errors.Is(err, ErrProperties) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// As RabbitMQ: the bit that stands for no property and announces no word is not looked at.
func TestTheUnusedFlagIsIgnored(t *testing.T) {
	var p Properties
	if err := p.Decode([]byte("\x08\x02\x05"), nil); err != nil || p.Flags != FlagPriority || p.Priority != 5 {
		t.Errorf("decoded %+v, %v", p, err)
	}
}

func TestPropertiesWithoutEncodingLeaveTheBufferAlone(t *testing.T) {
	for text, p := range map[string]*Properties{
		"properties: wire: string too long: 256 bytes where 255 fit":              {Flags: FlagType, Type: strings.Repeat("x", 256)},
		"properties: wire: table field h: type complex128 has no AMQP field type": {Flags: FlagHeaders, Headers: Table{"h": 1i}},
	} {
		b, err := AppendHeaderFrame([]byte("before"), 1, 0, p)
		if string(b) != "before" || err == nil || err.Error() != text {
			t.Errorf("%q, %v, want %q", b, err, text)
		}
	}
}

func TestHeader(t *testing.T) {
	const class60, weight1, size258 = "\x00\x3c\x00\x00", "\x00\x3c\x00\x01", "\x00\x00\x00\x00\x00\x00\x01\x02"
	want := Header{Class: ClassBasic, BodySize: 258, Properties: []byte("\x08\x00\x05")}
	if h, err := ParseHeader([]byte(class60 + size258 + "\x08\x00\x05")); err != nil || !reflect.DeepEqual(h, want) {
		t.Errorf("parsed %+v, %v, want %+v", h, err, want)
	}
	written, err := AppendHeader(nil, 258, &Properties{Flags: FlagPriority, Priority: 5})
	if string(written) != class60+size258+"\x08\x00\x05" || err != nil {
		t.Errorf("written %q, %v", written, err)
	}
	if h, err := ParseHeader([]byte(weight1 + size258 + "\x00\x00")); err != ErrWeight || h.Weight != 1 || h.Class != ClassBasic {
		t.Errorf("weight 1: %+v, %v", h, err)
	}
	if _, err := ParseHeader([]byte(class60 + size258[:7])); err != ErrHeader {
		t.Errorf("a byte too few: %v", err)
	}
}

func FuzzProperties(f *testing.F) {
	for i := range propertyBytes {
		_, encoded := subset(1 << (15 - i))
		f.Add([]byte(encoded))
	}
	_, encoded := subset(FlagAll)
	f.Add([]byte(encoded))
	in := new(Interner)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Properties
		if p.Decode(b, in) != nil {
			return
		}
		once := mustAppend(t, p.AppendTo)
		if !p.Has(FlagHeaders) && string(once[2:]) != string(b[2:]) {
			t.Fatalf("% x became % x", b, once)
		}
		if err := q.Decode(once, nil); err != nil || q.Flags != p.Flags {
			t.Fatalf("%+v was written as % x and then: %v", p, once, err)
		}
		if twice := mustAppend(t, q.AppendTo); string(twice) != string(once) {
			t.Fatalf("% x became % x", once, twice)
		}
	})
}

// The bits of the flags that are no property's are not looked at.
func TestOddFlags(t *testing.T) {
	var p Properties
	err := p.Decode([]byte{0x80, 3, 1, 'a'}, nil)
	if want := (Properties{Flags: FlagContentType, ContentType: "a"}); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, %v", p, err)
	}
}
