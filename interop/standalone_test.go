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

// binary is the standalone broker, compiled once; scratch is where.
var (
	scratch string
	binary  = sync.OnceValues(func() (string, error) {
		program := filepath.Join(scratch, "pocketmq")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/pocketmq/pocketmq/cmd/pocketmq")
		build.Stderr = os.Stderr
		return program, build.Run()
	})
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "pocketmq-interop"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	return m.Run()
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
