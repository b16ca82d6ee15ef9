package amqpserver_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// The table in docs/COMPAT.md has every method with its arguments, and says of
// each who may send it. The server takes those of clients, and no others.
func TestCompatibilityTableIsTrue(t *testing.T) {
	table := compatTable(t)
	for _, m := range methodList(t) {
		row, ok := table[m.name]
		require.True(t, ok, "docs/COMPAT.md does not list %s", m.name)
		require.Equal(t, m.arguments, row.arguments, m.name)
		delete(table, m.name)
	}
	require.Empty(t, table, "docs/COMPAT.md lists methods that do not exist")
	for name, row := range compatTable(t) {
		if strings.HasPrefix(name, "connection.") {
			continue // they belong to the handshake, or to a channel that this test does not use
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				taken := row.from != "server" && row.here != "refused" && name != "channel.close-ok"
				require.Equal(t, taken, s.takes(t, methodOf(name)))
			})
		})
	}
}

// takes reports whether the server knows what to do with a method on an open
// channel; it may still object to what the method says.
func (s *server) takes(t *testing.T, m wire.Method) bool {
	c := s.channel(t)
	c.send(1, m)
	require.NoError(t, c.nc.SetReadDeadline(time.Now().Add(time.Second)))
	for {
		f, err := c.r.ReadFrame()
		if err != nil {
			return true // no answer
		}
		if f.Type != wire.FrameMethod {
			continue
		}
		answer, err := wire.DecodeMethod(f.Payload, nil)
		require.NoError(t, err)
		if closed, ok := answer.(*wire.ConnectionClose); ok {
			return closed.ReplyCode != wire.CodeCommandInvalid
		}
	}
}

type compatRow struct{ from, here, arguments string }

// compatTable reads the section "On the wire" of docs/COMPAT.md.
func compatTable(t *testing.T) map[string]compatRow {
	text, err := os.ReadFile("../docs/COMPAT.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "## On the wire")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]compatRow{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || !strings.Contains(cells[1], ".") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[cells[1]] = compatRow{cells[2], cells[3], cells[4]}
	}
	return rows
}

type listedMethod struct{ name, arguments string }

// methodList reads the list from which the codec is generated.
func methodList(t *testing.T) (all []listedMethod) {
	text, err := os.ReadFile("../internal/wire/methods.txt")
	require.NoError(t, err)
	class := ""
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "--")
		words := strings.Fields(line)
		switch {
		case len(words) < 2 || words[0] == "#":
		case words[0] == "class":
			class = words[1]
		default:
			var arguments []string
			for _, w := range words[2:] {
				if name, _, ok := strings.Cut(w, ":"); ok && name != "-" {
					arguments = append(arguments, name)
				}
			}
			all = append(all, listedMethod{class + "." + words[0], strings.Join(arguments, ", ")})
		}
	}
	return all
}

// methodOf returns a method of this name, with all arguments zero.
func methodOf(name string) wire.Method {
	for class := range 100 {
		for method := range 200 {
			if m := wire.NewMethod(wire.ID(class<<16 | method)); m != nil && m.ID().Name() == name {
				return m
			}
		}
	}
	panic("there is no method " + name)
}
