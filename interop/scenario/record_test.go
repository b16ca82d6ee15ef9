package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A record is read as it was written. Of scripts that are not what was played then it
// knows nothing, whatever changed in them, but comments.
func TestRecord(t *testing.T) {
	parse := func(script string) *Scenario {
		all, err := Parse("A", script)
		require.NoError(t, err)
		return all[0]
	}
	const script = "scenario s rules A-1\ngiven user u1\nconn a\na.1 queue.declare queue=q1\n"
	played, other := parse(script), parse("scenario t rules A-2\nconn a\n")
	dir := t.TempDir()
	require.NoError(t, newRecord("4.0.5", map[*Scenario]Outcome{played: Deliberate, other: Same}).write(dir))
	r, err := readRecord(dir, "4.0")
	require.NoError(t, err)
	require.Equal(t, "4.0.5", r.Version)
	require.Equal(t, Same, r.outcome(other))
	require.Equal(t, Deliberate, r.outcome(parse("# A comment\n\n"+script)))
	for _, changed := range []string{
		script + "in 4.0 nothing\n", "scenario s rules A-1 A-3\n" + script[21:], "scenario u" + script[10:],
		"scenario s rules A-1\ngiven user u2\n" + script[35:],
	} {
		require.Equal(t, NotPlayed, r.outcome(parse(changed)), changed)
	}
	_, err = readRecord(dir, "4.3")
	require.Error(t, err)
}
