package interop

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/skip"
)

// script is a program in another language, and the broker it talks to.
type script struct {
	command []string // what stands before the program's own arguments
	dir     string
	env     []string
}

// python returns the programs in examples/python, to talk to the broker at url.
func python(t *testing.T, url string) script {
	t.Helper()
	if out, err := exec.Command("/usr/bin/python3", "-c", "import pika").CombinedOutput(); err != nil {
		skip.For(t, "Python's pika is not installed: "+lastLine(string(out)))
	}
	dir, err := filepath.Abs("../examples/python")
	require.NoError(t, err)
	port := strings.TrimSuffix(url[strings.LastIndexByte(url, ':')+1:], "/")
	return script{[]string{"/usr/bin/python3", "-B"}, dir, []string{"AMQP_URL=", "AMQP_PORT=" + port, "SECONDS_PER_DOT=0.05"}}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func (s script) cmd(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.command[0], append(s.command[1:len(s.command):len(s.command)], args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a program to its end and returns what it printed.
func (s script) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := s.cmd(ctx, args).CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// start starts a program that goes on until the test ends, and waits until it is
// ready. The lines that it prints then come from the channel.
func (s script) start(t *testing.T, args ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := s.cmd(ctx, args)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	lines, ended := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed in the end
		w.Close()
	}()
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	require.Equal(t, "waiting", receive(t, lines), "%v", args)
	return lines
}

// onBoth runs a test against RabbitMQ and the standalone broker.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("rabbitmq", func(t *testing.T) { needRabbitMQ(t); test(t, rabbitURL) })
	t.Run("pocketmq", func(t *testing.T) { test(t, standalone(t)) })
}

func TestPythonTutorials(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		if url == rabbitURL {
			t.Cleanup(func() { removeAll("hello", "tasks", "rpc_queue", "logs", "direct_logs", "topic_logs") })
		}
		py := python(t, url)
		t.Run("1 hello", py.hello)
		t.Run("2 work queues", py.workQueues)
		t.Run("3 publish and subscribe", py.publishSubscribe)
		t.Run("4 routing", py.routing)
		t.Run("5 topics", py.topics)
		t.Run("6 rpc", py.rpc)
	})
}

func removeAll(names ...string) {
	for _, n := range names {
		(&server{url: rabbitURL}).remove(n)
	}
}

func (s script) hello(t *testing.T) {
	assert.Equal(t, "sent 'Hello World!'", s.run(t, "send.py"))
	assert.Equal(t, "received 'Hello World!'", receive(t, s.start(t, "receive.py")))
}

func (s script) workQueues(t *testing.T) {
	workers := []<-chan string{s.start(t, "worker.py"), s.start(t, "worker.py")}
	for _, task := range []string{"First.", "Second.", "Third.", "Fourth."} {
		assert.Equal(t, "sent '"+task+"'", s.run(t, "new_task.py", task))
	}
	var all []string
	for _, w := range workers { // each of them gets two, and reports twice for each
		for range 4 {
			all = append(all, receive(t, w))
		}
	}
	assert.ElementsMatch(t, []string{
		"working on 'First.'", "done with 'First.'", "working on 'Second.'", "done with 'Second.'",
		"working on 'Third.'", "done with 'Third.'", "working on 'Fourth.'", "done with 'Fourth.'",
	}, all)
}

func (s script) publishSubscribe(t *testing.T) {
	a, b := s.start(t, "receive_logs.py"), s.start(t, "receive_logs.py")
	s.run(t, "emit_log.py", "info:", "it", "works")
	assert.Equal(t, "received 'info: it works'", receive(t, a))
	assert.Equal(t, "received 'info: it works'", receive(t, b))
}

func (s script) routing(t *testing.T) {
	errors, all := s.start(t, "receive_logs_direct.py", "error"), s.start(t, "receive_logs_direct.py", "info", "error")
	s.run(t, "emit_log_direct.py", "info", "Fine")
	s.run(t, "emit_log_direct.py", "error", "Boom")
	assert.Equal(t, "received error: 'Boom'", receive(t, errors))
	assert.Equal(t, "received info: 'Fine'", receive(t, all))
	assert.Equal(t, "received error: 'Boom'", receive(t, all))
}

func (s script) topics(t *testing.T) {
	kern, critical := s.start(t, "receive_logs_topic.py", "kern.*"), s.start(t, "receive_logs_topic.py", "*.critical", "#.nothing")
	s.run(t, "emit_log_topic.py", "kern.info", "Up")
	s.run(t, "emit_log_topic.py", "cron.critical", "Late")
	s.run(t, "emit_log_topic.py", "kern.critical", "Panic")
	assert.Equal(t, "received kern.info: 'Up'", receive(t, kern))
	assert.Equal(t, "received kern.critical: 'Panic'", receive(t, kern))
	assert.Equal(t, "received cron.critical: 'Late'", receive(t, critical))
	assert.Equal(t, "received kern.critical: 'Panic'", receive(t, critical))
}

func (s script) rpc(t *testing.T) {
	requests := s.start(t, "rpc_server.py")
	assert.Equal(t, "fibonacci(30) = 832040", s.run(t, "rpc_client.py", "30"))
	assert.Equal(t, "fibonacci(30)", receive(t, requests))
}
