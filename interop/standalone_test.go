package interop

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var readyLine = regexp.MustCompile(`^pocketmq \S+ is ready at amqp://(127\.0\.0\.1:\d+) \(vhost /, RabbitMQ 4\.0 semantics\)\n$`)

// binary is the standalone broker, compiled once. TestMain removes it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pocketmq")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "pocketmq")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/pocketmq/pocketmq/cmd/pocketmq").CombinedOutput()
	os.Stderr.Write(out)
	return program, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// standalone starts the standalone broker on a free port and returns its URL.
// When the test ends it is interrupted, and must end as it should.
func standalone(t *testing.T) string {
	t.Helper()
	program, err := binary()
	require.NoError(t, err)
	var log bytes.Buffer
	cmd := exec.Command(program, "-amqp", "127.0.0.1:0", "-log-level", "error")
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
		assert.Empty(t, log.String(), "the broker's log")
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	found := readyLine.FindStringSubmatch(line)
	require.NotNil(t, found, "it printed %q", line)
	return "amqp://guest:guest@" + found[1] + "/"
}
