package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const clientModule = "github.com/rabbitmq/amqp091-go"

// needManagement are tests of amqp091-go that drop their connection with
// RabbitMQ's HTTP API at 127.0.0.1:15672, a plugin that is off by default.
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
	pocket := suite.run(t, standalone(t), needManagement)
	rabbit := suite.run(t, rabbitURL, append(tooSlow, needManagement...))
	t.Logf("of %d tests and examples %d pass against RabbitMQ, without %d excluded; %d against pocketmq",
		len(rabbit), len(passed(rabbit)), len(needManagement), len(passed(pocket)))
	for _, name := range append(passed(rabbit), tooSlow...) {
		if !assert.Equal(t, "pass", pocket[name], "%s passes against RabbitMQ", name) {
			t.Log(suite.output[name])
		}
	}
	assert.Greater(t, len(passed(rabbit)), 200, "the suite itself ran")
}

// suite is amqp091-go's tests, compiled.
type suite struct {
	dir, program string
	output       map[string]string // of each test in the last run
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

// run runs the suite against a server and returns how each test ended: "pass",
// "fail", or "skip".
func (s *suite) run(t *testing.T, url string, skip []string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json", "-t", s.program,
		"-test.v=test2json", "-test.timeout=4m", "-test.skip=^("+strings.Join(skip, "|")+")$")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "AMQP_URL="+url)
	cmd.WaitDelay = time.Second
	out, _ := cmd.Output() // that some test failed is seen below
	results := map[string]string{}
	s.output = map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		switch e.Action {
		case "pass", "fail", "skip":
			results[e.Test] = e.Action
		case "output":
			s.output[e.Test] += e.Output
		}
	}
	return results
}

func passed(results map[string]string) []string {
	maps.DeleteFunc(results, func(_, result string) bool { return result == "skip" })
	return slices.DeleteFunc(slices.Sorted(maps.Keys(results)), func(name string) bool { return results[name] != "pass" })
}
