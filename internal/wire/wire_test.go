package wire

import (
	"strings"
	"testing"
	"unsafe"
)

func TestProtocolHeaders(t *testing.T) {
	for header, want := range map[string]Protocol{
		"AMQP\x00\x00\x09\x01": Protocol091,
		"AMQP\x01\x01\x00\x09": Protocol091,
		"AMQP\x01\x01\x08\x00": Protocol08,
		"AMQP\x01\x01\x09\x01": Protocol08,
		"AMQP\x00\x01\x00\x00": Protocol10,
		"AMQP\x03\x01\x00\x00": Protocol10,
		"AMQP\x00\x00\x09\x02": ProtocolUnknown,
		"AMQP\x00\x00\x0a\x00": ProtocolUnknown,
		"GET / HT":             ProtocolUnknown,
	} {
		if got := ParseProtocolHeader([ProtocolHeaderSize]byte([]byte(header))); got != want {
			t.Errorf("%q is %d, want %d", header, got, want)
		}
	}
}

func TestReplyCodes(t *testing.T) {
	const soft, hard = "311 312 313 403 404 405 406", "320 402 501 502 503 504 505 506 530 540 541"
	names := map[uint16]string{
		200: "REPLY_SUCCESS", 311: "CONTENT_TOO_LARGE", 312: "NO_ROUTE", 313: "NO_CONSUMERS", 320: "CONNECTION_FORCED",
		402: "INVALID_PATH", 403: "ACCESS_REFUSED", 404: "NOT_FOUND", 405: "RESOURCE_LOCKED", 406: "PRECONDITION_FAILED",
		501: "FRAME_ERROR", 502: "SYNTAX_ERROR", 503: "COMMAND_INVALID", 504: "CHANNEL_ERROR", 505: "UNEXPECTED_FRAME",
		506: "RESOURCE_ERROR", 530: "NOT_ALLOWED", 540: "NOT_IMPLEMENTED", 541: "INTERNAL_ERROR",
	}
	for code := range uint16(1000) {
		if got := ConstantName(code); got != names[code] {
			t.Errorf("%d is %q, want %q", code, got, names[code])
		}
		if names[code] == "" {
			continue
		}
		digits := string([]byte{'0' + byte(code/100), '0' + byte(code/10%10), '0' + byte(code%10)})
		if IsSoft(code) != strings.Contains(soft, digits) || IsHard(code) != strings.Contains(hard, digits) {
			t.Errorf("%d: soft %v, hard %v", code, IsSoft(code), IsHard(code))
		}
	}
}

func TestInterner(t *testing.T) {
	in := new(Interner)
	long := []byte(strings.Repeat("x", internMaxLen+1))
	for _, b := range [][]byte{nil, {}, []byte("a"), []byte("b"), []byte("a"), long} {
		if s := in.String(b); s != string(b) {
			t.Errorf("%q became %q", b, s)
		}
	}
	first, second := in.String([]byte("again")), in.String([]byte("again"))
	if unsafe.StringData(first) != unsafe.StringData(second) {
		t.Error("a string that repeats was copied twice")
	}
	b := []byte("mine")
	s := in.String(b)
	b[0] = 'M'
	if s != "mine" {
		t.Error("an interned string refers to the bytes it was made from")
	}
	if s := (*Interner)(nil).String([]byte("a")); s != "a" {
		t.Errorf("nil returned %q", s)
	}
}
