package erlang_test

import (
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
