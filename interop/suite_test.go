package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/amqptest"
	"github.com/pocketmq/pocketmq/internal/skip"
)

const clientModule = "github.com/rabbitmq/amqp091-go"

// needManagement are tests of amqp091-go that drop their connection with
// RabbitMQ's HTTP API at 127.0.0.1:15672. That is a plugin which is off by
// default, so they are not run against RabbitMQ.
var needManagement = []string{
	"TestConnectionRecoveryPublish",
	"TestConnectionRecoveryConsume",
	"TestConnectionRecoveryCustomSASLPlainAuth",
	"TestConnectionRecoveryChannelIDReservation",
	"TestConnectionRecoveryLifeCycleNotifyStateChange",
	"TestConnectionRecoveryCancelInterrupt",
	"TestConnectionRecoveryExclusiveQueue",
	"TestConnectionRecoveryDeletedQueueSkip",
	"TestConnectionRecoveryTopologyOnlyTransient",
	"TestConnectionRecoveryMultiChannelTopology",
	"TestConnectionRecoveryTopologyAllEnabled",
	"TestConnectionRecoveryTopologyDisabled",
	"TestConnectionRecoveryExhaustionDoesNotPanic",
	"TestConnectionRecoveryAutoDeleteTopologyForgotten",
	"TestConnectionRecoveryAutoDeleteExchangeCascade",
	"TestConnectionRecoverySkipAndContinue",
	"TestConnectionRecoverySkipAndContinueNoInfiniteLoop",
	"TestConnectionRecoveryConsumerNotForgottenAfterFailedResubscribe",
}

// tooSlow are tests that RabbitMQ passes, and takes a minute for. They must
// pass here, too.
var tooSlow = []string{"TestChannelCounterShouldNotPanicIssue136"}

// What amqp091-go's own tests expect of RabbitMQ, pocketmq does: each of them
// that passes against RabbitMQ passes against the standalone pocketmq.
func TestTheClientsOwnTestSuite(t *testing.T) {
	needRabbitMQ(t)
	suite := buildSuite(t)
	pocket := suite.run(t, standalone(t), "-test.skip="+exactly(needManagement))
	rabbit := suite.run(t, rabbitURL, "-test.skip="+exactly(append(tooSlow, needManagement...)))
	t.Logf("pass against RabbitMQ: %d of %d, in %v; against pocketmq: %d of %d, in %v; excluded from both: %d",
		len(rabbit.passed()), len(rabbit.tests), rabbit.took, len(pocket.passed()), len(pocket.tests), pocket.took, len(needManagement))
	assert.Greater(t, len(rabbit.passed()), 200, "the suite itself ran")
	for _, name := range append(rabbit.passed(), tooSlow...) {
		if !assert.Equal(t, "pass", pocket.tests[name], "%s", name) {
			t.Log(pocket.output[name])
		}
	}
}

// exactly is the pattern that selects these tests.
func exactly(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }

// The tests that drop connections with RabbitMQ's HTTP API run against a server
// with as much of that API as they need.
func TestTheClientsOwnRecoveryTests(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:15672")
	if err != nil {
		skip.For(t, "the port of RabbitMQ's HTTP API, which the tests are bound to, is in use")
	}
	srv := amqptest.NewServer(t, quiet())
	api := &http.Server{Handler: connectionsAPI(srv.Server()), ReadHeaderTimeout: patience}
	go func() { _ = api.Serve(l) }()
	defer api.Close()
	suite, url := buildSuite(t), srv.Listen()
	start := time.Now()
	outcomes := make([]outcome, len(needManagement))
	var wg sync.WaitGroup
	for i, name := range needManagement { // they mostly wait: one after the other would take minutes
		wg.Go(func() { outcomes[i] = suite.run(t, url, "-test.run="+exactly([]string{name})) })
	}
	wg.Wait()
	for i, name := range needManagement {
		assert.Equal(t, "pass", outcomes[i].tests[name], outcomes[i].output[name])
	}
	t.Logf("%d tests in %v", len(needManagement), time.Since(start).Round(time.Second))
}

// connectionsAPI is the part of RabbitMQ's HTTP API that lists and closes
// connections.
func connectionsAPI(server *amqpserver.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/connections/{$}", func(w http.ResponseWriter, _ *http.Request) {
		all := []map[string]any{}
		for _, c := range server.Connections() {
			all = append(all, map[string]any{"name": c.Name, "client_properties": c.ClientProperties})
		}
		_ = json.NewEncoder(w).Encode(all)
	})
	mux.HandleFunc("DELETE /api/connections/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := server.CloseConnection(r.PathValue("name"), "Closed via management plugin"); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// suite is amqp091-go's tests, compiled.
type suite struct{ dir, program string }

// outcome is what came of a run of the suite, by test.
type outcome struct {
	tests  map[string]string // "pass" or "fail"; those that were skipped are missing
	output map[string]string
	took   time.Duration
}

// buildSuite copies the module, because go test does not write to the module
// cache, and compiles its tests.
func buildSuite(t *testing.T) *suite {
	t.Helper()
	where, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", clientModule).Output()
	require.NoError(t, err)
	s := &suite{dir: t.TempDir()}
	require.NoError(t, os.CopyFS(s.dir, os.DirFS(strings.TrimSpace(string(where)))))
	s.program = filepath.Join(s.dir, "suite.test")
	build := exec.Command("go", "test", "-c", "-mod=mod", "-buildvcs=false", "-tags=integration", "-o", s.program, ".")
	build.Dir = s.dir
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return s
}

// run runs the suite, or those of its tests that a flag selects, against a server.
func (s *suite) run(t *testing.T, url, selection string) outcome {
	t.Helper()
	start := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json", "-t", s.program,
		"-test.v=test2json", "-test.timeout=3m", selection)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "AMQP_URL="+url)
	cmd.WaitDelay = time.Second
	out, _ := cmd.Output() // that some test failed is seen below
	o := outcome{tests: map[string]string{}, output: map[string]string{}, took: time.Since(start).Round(time.Second)}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		o.add(lines.Bytes())
	}
	return o
}

// add reads a line of test2json.
func (o *outcome) add(line []byte) {
	var e struct{ Action, Test, Output string }
	if json.Unmarshal(line, &e) != nil || e.Test == "" {
		return
	}
	switch e.Action {
	case "pass", "fail":
		o.tests[e.Test] = e.Action
	case "output":
		o.output[e.Test] += e.Output
	}
}

// passed returns the tests that passed, in order.
func (o *outcome) passed() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o.tests)), func(name string) bool { return o.tests[name] != "pass" })
}
