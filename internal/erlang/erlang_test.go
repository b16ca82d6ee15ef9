package erlang_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/erlang"
)

func TestText(t *testing.T) {
	for want, v := range map[string]any{
		"undefined":                     nil,
		"true":                          true,
		"-5":                            int32(-5),
		"2.5":                           2.5,
		"3.0":                           float32(3),
		"<<>>":                          "",
		`<<"abc">>`:                     "abc",
		`<<"q\"uo\\te\n">>`:             "q\"uo\\te\n",
		"<<97,1,195,169>>":              []byte("a\x01é"),
		"[]":                            []any{},
		`[1,<<"a">>]`:                   []any{1, "a"},
		`#{<<"a">> => 1,<<"b">> => []}`: map[string]any{"b": []any{}, "a": 1},
	} {
		require.Equal(t, want, erlang.Text(v))
	}
}

// All octets that Latin-1 has a character for can be printed.
func TestBinary(t *testing.T) {
	for octets, want := range map[string]string{
		"a\v\b\f\x1b\r\t": `<<"a\v\b\f\e\r\t">>`,
		"\xa0\xff":        "<<\"\xa0\xff\">>",
		"a\x7f":           "<<97,127>>",
		"a\x9f":           "<<97,159>>",
		"\x00":            "<<0>>",
	} {
		require.Equal(t, want, erlang.Binary(octets))
	}
	require.Equal(t, "<<97,98>>", erlang.Octets("ab"))
}

// Erlang breaks lines that are too long, and aligns what follows.
func TestLines(t *testing.T) {
	const text = "type 3, first 16 octets = "
	long := strings.Repeat("\x7f", 16)
	require.Equal(t, text+"<<127,127,127,127,127,127,127,127,127,127,127,127,\n                            127,127,127,127>>",
		erlang.AppendBinary(text, long))
	require.Equal(t, "type 3, all octets = <<127,127,127,127,127,127,127,127,127,127,127,127,127,127>>",
		erlang.AppendBinary("type 3, all octets = ", long[:14]))
	begin := strings.Repeat(" ", 50)
	require.Equal(t, begin+"{invalid_frame_end_marker,5}", erlang.AppendTuple(begin, "invalid_frame_end_marker", 5))
	require.Equal(t, begin+"{invalid_frame_end_marker,\n "+begin+"255}", erlang.AppendTuple(begin, "invalid_frame_end_marker", 255))
}

// What erlang:phash2 returns.
func TestHash(t *testing.T) {
	for _, tc := range []struct {
		want uint32
		list []string
	}{
		{63525141, []string{"abc"}},
		{53524942, []string{"abc", "d"}},
		{38220213, []string{""}},
		{8578898, []string{"", ""}},
		{95212267, []string{"0123456789abcdefghij"}},
		{74666403, []string{"0123456789abcdefghijklm", "é"}},
	} {
		require.Equal(t, tc.want, erlang.Hash(tc.list), "%q", tc.list)
	}
}
