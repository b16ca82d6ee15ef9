// Mutate checks that the scenarios notice deliberate faults: it compiles them with
// a pocketmq that has the mutations of mutations.txt, each of which a test turns
// on in turn. The repository's files stay as they are.
//
// Run it in interop; arguments are those of go test, after the package. So
//
//	POCKETMQ_MUTATION=round-robin-off go run ./scenario/mutate -run=TestRandom
//
// shows what random scenarios make of one.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run() error {
	mutations, err := read("mutations.txt")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := apply(mutations, "..", dir)
	if err != nil {
		return err
	}
	names := make([]string, len(mutations))
	for i, m := range mutations {
		names[i] = m.name
	}
	args := []string{"test", "-overlay=" + overlay, "-tags=mutations", "-count=1", "-run=Mutations$", "./scenario"}
	cmd := exec.Command("go", append(args, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), "POCKETMQ_MUTATIONS="+strings.Join(names, " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// mutation replaces a piece of a file.
type mutation struct{ name, file, before, after string }

var head = regexp.MustCompile(`^mutation (\S+) in (\S+)$`)

// read reads mutations.txt.
func read(file string) ([]mutation, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []mutation
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		m := head.FindStringSubmatch(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case m != nil:
			all = append(all, mutation{name: m[1], file: m[2]})
		case len(all) > 0 && strings.HasPrefix(line, "- "):
			all[len(all)-1].before = line[2:]
		case len(all) > 0 && strings.HasPrefix(line, "+ "):
			all[len(all)-1].after = line[2:]
		default:
			return nil, fmt.Errorf("%s:%d: %s", file, n, line)
		}
	}
	return all, nil
}

var clause = regexp.MustCompile(`(?m)^package \w+`)

// apply writes files with mutations to dir, and what tells the compiler to take
// them for those of the repository.
func apply(mutations []mutation, root, dir string) (overlay string, err error) {
	files := map[string]string{} // contents by path
	for _, m := range mutations {
		path, err := filepath.Abs(filepath.Join(root, m.file))
		if err != nil {
			return "", err
		}
		if files[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			files[path] = string(b)
		}
		if n := strings.Count(files[path], m.before); n != 1 || m.before == "" || m.after == "" {
			return "", fmt.Errorf("%s: %q occurs %d times in %s, not once: has it changed?", m.name, m.before, n, m.file)
		}
		after := strings.ReplaceAll(m.after, "BROKEN", fmt.Sprintf("mutated(%q)", m.name))
		files[path] = strings.Replace(files[path], m.before, after, 1)
		files[filepath.Join(filepath.Dir(path), "mutated.go")] = clause.FindString(files[path]) +
			"\n\nimport \"os\"\n\nfunc mutated(name string) bool { return os.Getenv(\"POCKETMQ_MUTATION\") == name }\n"
	}
	replace := map[string]string{}
	for path, text := range files {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o644)
}
