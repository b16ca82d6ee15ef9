package rabbitmq_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/brokertest"
	"github.com/pocketmq/pocketmq/internal/skip"
	"github.com/pocketmq/pocketmq/rabbitmq"
)

// The suite, with clients of a server in memory, of the program in another
// process, and of RabbitMQ. That it holds for the broker in the process is tested
// in the root.
func TestContract(t *testing.T) {
	t.Run("amqptest", func(t *testing.T) {
		srv := amqptest.NewServer(t)
		run(t, srv.URL(), rabbitmq.Dialer(srv.Dial))
	})
	t.Run("standalone", func(t *testing.T) { run(t, standalone(t)) })
	t.Run("rabbitmq", func(t *testing.T) { run(t, realURL(t)) })
}

func run(t *testing.T, url string, opts ...rabbitmq.Option) {
	brokertest.Run(t, func(t testing.TB) pocketmq.Client { return dial(t, url, opts...) }, brokertest.Remote)
}

// dial returns a client that is closed when the test ends.
func dial(t testing.TB, url string, opts ...rabbitmq.Option) *rabbitmq.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := rabbitmq.Dial(ctx, url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// realURL returns the URL of a real RabbitMQ.
func realURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := rabbitmq.Dial(ctx, url)
	if err != nil {
		skip.For(t, "there is no RabbitMQ: "+err.Error())
	}
	_ = c.Close()
	return url
}

var readyLine = regexp.MustCompile(`amqp://(127\.0\.0\.1:\d+)`)

// standalone starts the program on a free port and returns its URL.
func standalone(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pocketmq")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/pocketmq/pocketmq/cmd/pocketmq")
	build.Stderr = os.Stderr
	require.NoError(t, build.Run())
	cmd := exec.Command(program, "-amqp", "127.0.0.1:0", "-log-level", "error")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	found := readyLine.FindStringSubmatch(line)
	require.NotNil(t, found, "it printed %q", line)
	return "amqp://guest:guest@" + found[1] + "/"
}
