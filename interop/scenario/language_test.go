package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// What is wrong in a script is said before anything is played, with its line.
func TestParseErrors(t *testing.T) {
	for script, want := range map[string]string{
		"conn a":                                                         "A.txt:1: a script begins with",
		"scenario s":                                                     "expected: scenario NAME rules",
		"scenario s rules ack9":                                          `"ack9" is not the name of a rule`,
		"scenario s rules A-1":                                           "scenario s has no steps",
		"scenario s rules A-1\nconn a b=1":                               "A.txt:2: b is not one of: user",
		"scenario s rules A-1\na.1 queue.declared":                       "AMQP has no method queue.declared",
		"scenario s rules A-1\na.1 queue.declare x=1":                    "queue.declare has no x",
		"scenario s rules A-1\na.1 queue.declare queue=\"":               "a quote or bracket is not closed",
		"scenario s rules A-1\na.1 basic.ack delivery-tag=x":             "delivery-tag",
		"scenario s rules A-1\na.1 queue.declare arguments={a:1}":        "arguments: table {a:1}",
		"scenario s rules A-1\npipeline\nconn a":                         "a pipeline has no end",
		"scenario s rules A-1\nconn a\ngiven user u1":                    "what is given comes before the first step",
		"scenario s rules A-1\ngiven users u1":                           `there is no "users" to be given`,
		"scenario s rules A-1\nconn a\nours a closed":                    `ours follows: differs "REASON"`,
		"scenario s rules A-1\nconn a\nin 5.0 a closed":                  "there is no version 5.0",
		"scenario s rules A-1\nconn a\nscenario s rules A-1":             "there is another scenario s",
		"scenario s rules A-1\nconn a\nwait long":                        "invalid duration",
		"scenario s rules A-1\nconn a\nsome thing":                       "thing is not one of: header, raw, drop",
		"scenario s rules A-1\nconn a\nadmin set-policy p colour=red":    "colour is not one of: vhost pattern",
		"scenario s rules A-1\nconn a\nadmin reboot":                     "an administrator cannot reboot",
		"scenario s rules A-1\nconn a\na.1 frame payload=xyz":            "neither hexadecimal octets nor a quoted string",
		"scenario s rules A-1\nconn a\na.1 basic.publish colour=red":     "basic.publish has no colour",
		"scenario s rules A-1\nconn a\na.1 method basic.publish body=m1": "basic.publish has no body",
	} {
		_, err := Parse("A", script)
		require.ErrorContains(t, err, want, "%s", script)
	}
}

// Every kind of value is written as it is read.
func TestValuesSurvive(t *testing.T) {
	const text = `{A:A:[I:1, A:[], F:{}], B:B:255, D:D:-314e2, F:F:{k:V}, I:I:-5, S:S:"", T:T:1700000000, V:V, b:b:-1, d:d:1.5, f:f:0.1, i:i:5, l:l:-5, "odd key:":S:"a, b}", s:s:-2, t:t:true, u:u:7, x:x:"\x00\xff"}`
	table, err := parseTable(text)
	require.NoError(t, err)
	require.Equal(t, text, formatTable(table))
	b, err := wire.AppendTable(nil, table)
	require.NoError(t, err)
	read, _, err := wire.ReadTable(b)
	require.NoError(t, err)
	require.Equal(t, table["x"], read["x"])
	require.Len(t, read, len(table))
}

// A scenario's text is the script that it was read from.
func TestStringIsTheScript(t *testing.T) {
	const script = "scenario s rules A-1 A-2\nconn a\npipeline\na.1 queue.declare queue=q1\na drop\nend\nunordered a.1 basic.get queue=q1\n"
	all, err := Parse("A", script)
	require.NoError(t, err)
	require.Equal(t, script, all[0].String())
}

// Generated names are numbered in their order, others are left alone.
func TestNormalize(t *testing.T) {
	n := newNormalizer(names{prefix: "s1f.001"})
	require.Equal(t, "a amq.gen-*1 amq.ctag-*1", n.line("a amq.gen-0123456789abcdefghijkl amq.ctag-0123456789abcdefghijkl"))
	require.Equal(t, "amq.gen-*2 amq.gen-*1", n.line("amq.gen-0123456789abcdefghijkm amq.gen-0123456789abcdefghijkl"))
	require.Equal(t, "'/' v2 amq.gen-short", n.line("'s1f.001' s1f.001.v2 amq.gen-short"))
}
