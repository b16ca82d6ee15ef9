package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/pocketmq/pocketmq"
	here   = "the table in internal/layers/layers_test.go"

	uuid = "github.com/google/uuid"
)

// A layer says what the packages named in it may import, besides the standard
// library. Paths are relative to the module; "." is its root. A path that ends
// in /... stands for every package below it.
type layer struct {
	packages   []string
	ours       []string
	thirdParty []string
}

// What a program is built from, besides the root: everything that faces outwards.
var adapters = []string{"amqpserver", "amqptest", "forward"}

// layers lists every package of this module, the lowest first. A line may
// only allow what stands above it. Imports of _test.go files are free.
var layers = []layer{
	{packages: []string{"internal/ring", "internal/smap", "internal/invariant", "internal/memconn", "internal/erlang", "internal/skip", "internal/line"}},
	{packages: []string{"internal/hook", "internal/decimal"}}, // what the root shares with those that may not import it, or that it may not
	{packages: []string{"internal/wire"}, ours: []string{"internal/decimal"}},
	{packages: []string{"internal/layers", "internal/wire/gen"}}, // a test, and a program that writes code
	{packages: []string{"internal/topic"}, ours: []string{"internal/smap"}},
	{packages: []string{"internal/fifo"}, ours: []string{"internal/ring", "internal/line", "internal/invariant"}},
	{packages: []string{"internal/stream"}, ours: []string{"internal/fifo", "internal/ring", "internal/line", "internal/invariant"}},
	{
		packages:   []string{"."},
		ours:       []string{"internal/fifo", "internal/stream", "internal/topic", "internal/smap", "internal/invariant", "internal/ring", "internal/line", "internal/hook", "internal/decimal", "internal/erlang"},
		thirdParty: []string{uuid},
	},
	{packages: []string{"amqpserver"}, ours: []string{".", "internal/wire", "internal/invariant", "internal/hook", "internal/erlang"}},
	{packages: []string{"brokertest", "forward"}, ours: []string{"."}},
	{packages: []string{"amqptest"}, ours: []string{".", "amqpserver", "internal/memconn", "internal/wire"}},
	{packages: []string{"cmd/...", "examples/..."}, ours: append([]string{"."}, adapters...)},
}

// pkg is what `go list -json` says of a package that this test needs.
type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Module     *struct{ Path string }
}

func TestImportsPointDown(t *testing.T) {
	root := moduleRoot(t)
	for _, tags := range []string{"", "invariants"} {
		t.Run("tags="+tags, func(t *testing.T) {
			for _, complaint := range complaints(list(t, root, tags)) {
				t.Error(complaint)
			}
		})
	}
}

// The table is itself in order, or a cycle could be allowed by mistake.
func TestTableOnlyAllowsWhatStandsAbove(t *testing.T) {
	var above []string
	for _, l := range layers {
		for _, o := range l.ours {
			if !slices.Contains(above, o) {
				t.Errorf("%v may import %s, which is not above it in %s", l.packages, o, here)
			}
		}
		for _, p := range l.packages {
			if slices.Contains(above, p) {
				t.Errorf("%s is twice in %s", p, here)
			}
		}
		above = append(above, l.packages...)
	}
}

// A rule that never complains proves nothing.
func TestComplaints(t *testing.T) {
	ours := func(path string, imports ...string) pkg {
		return pkg{ImportPath: path, Imports: imports, Module: &struct{ Path string }{module}}
	}
	theirs := func(path, mod string) pkg {
		return pkg{ImportPath: path, Module: &struct{ Path string }{mod}}
	}
	std := pkg{ImportPath: "fmt", Standard: true}

	for _, tc := range []struct {
		name string
		pkgs []pkg
		want string // a part of the only complaint, or "" for none
	}{
		{"standard library", []pkg{std, ours(module+"/internal/ring", "fmt")}, ""},
		{"down", []pkg{ours(module, module+"/internal/fifo")}, ""},
		{"wildcard", []pkg{ours(module+"/cmd/pocketmq", module, module+"/amqpserver")}, ""},
		{"third party", []pkg{theirs(uuid, uuid), ours(module, uuid)}, ""},
		{"a package below an allowed module's root", []pkg{theirs(uuid+"/below", uuid), ours(module, uuid+"/below")}, ""},
		{"up", []pkg{ours(module+"/internal/fifo", module)}, "internal/fifo imports the root package"},
		{"sideways", []pkg{ours(module+"/forward", module+"/amqpserver")}, "forward imports amqpserver"},
		{"unknown package", []pkg{ours(module + "/surprise")}, "surprise is not in " + here},
		{"unknown package in a known folder", []pkg{ours(module + "/forward/below")}, "forward/below is not in " + here},
		{"third party in the wrong layer", []pkg{theirs(uuid, uuid), ours(module+"/internal/wire", uuid)}, "internal/wire imports " + uuid},
		{"third party of a third party", []pkg{theirs("example.com/left/pad", "example.com/left")}, "depends on example.com/left/pad"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := complaints(tc.pkgs)
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("unexpected complaints: %q", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)):
				t.Errorf("complaints are %q, want one with %q", got, tc.want)
			}
		})
	}
}

// complaints checks packages, together with all they depend on, against the table.
func complaints(pkgs []pkg) []string {
	owner := map[string]string{} // third-party package -> its module
	for _, p := range pkgs {
		if p.Module != nil && p.Module.Path != module {
			owner[p.ImportPath] = p.Module.Path
		}
	}

	var out []string
	for _, p := range pkgs {
		switch {
		case p.Standard:
			continue
		case owner[p.ImportPath] != "":
			// What we import directly is judged below, by layer. This catches what comes along with it.
			if m := owner[p.ImportPath]; m != uuid {
				out = append(out, "the module depends on "+p.ImportPath+" of "+m+", and may use only "+uuid)
			}
			continue
		}

		name := relative(p.ImportPath)
		l, ok := layerOf(name)
		if !ok {
			out = append(out, name+" is not in "+here+": add it there, with what it may import, and to docs/DESIGN.md")
			continue
		}
		for _, imp := range p.Imports {
			var allowed bool
			switch {
			case imp == module || strings.HasPrefix(imp, module+"/"):
				allowed = slices.Contains(l.ours, relative(imp))
			case owner[imp] != "":
				allowed = slices.Contains(l.thirdParty, owner[imp])
			default:
				allowed = true // the standard library
			}
			if !allowed {
				out = append(out, describe(name)+" imports "+describe(relative(imp))+", which "+here+" does not allow")
			}
		}
	}
	return out
}

func layerOf(name string) (layer, bool) {
	for _, l := range layers {
		for _, p := range l.packages {
			below, wild := strings.CutSuffix(p, "...")
			if name == p || wild && strings.HasPrefix(name, below) {
				return l, true
			}
		}
	}
	return layer{}, false
}

// relative turns an import path of this module into the table's notation.
func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func describe(name string) string {
	if name == "." {
		return "the root package"
	}
	return name
}

// list returns the module's packages and everything they depend on, without their tests.
func list(t *testing.T, root, tags string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard,Module", "-tags="+tags, "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}

	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

// moduleRoot returns the module's directory, and reads every directory below
// it: `go test` reuses a result as long as the files that the test itself
// looked at have not changed, and does not see what the go command reads.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's temporary file
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}
