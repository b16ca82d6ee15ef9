package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/skip"
)

// node returns the programs in js, with what they need installed.
func node(t *testing.T, url string) script {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		skip.For(t, "Node is not installed")
	}
	if _, err := os.Stat(filepath.Join("js", "node_modules", "amqplib")); err != nil {
		skip.For(t, "amqplib is not installed: npm ci in interop/js does")
	}
	return script{[]string{"node", "programs.js"}, "js", []string{"AMQP_URL=" + url}}
}

func TestJavaScript(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		js := node(t, url)
		for _, program := range []string{"hello", "workqueue", "pubsub", "rpc", "confirm"} {
			t.Run(program, func(t *testing.T) { assert.Equal(t, "ok", js.run(t, program)) })
		}
	})
}

// The lock file is the same wherever it is written.
func TestTheLockFileNamesNoOtherRegistry(t *testing.T) {
	lock, err := os.ReadFile("js/package-lock.json")
	require.NoError(t, err)
	for _, url := range regexp.MustCompile(`"resolved": "([^"]*)"`).FindAllSubmatch(lock, -1) {
		assert.Regexp(t, `^https://registry\.npmjs\.org/`, string(url[1]))
	}
}
