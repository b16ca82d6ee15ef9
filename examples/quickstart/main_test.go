package main

import (
	"os"
	"strings"
	"testing"
)

func Example() {
	main()
	// Output: mail to ann@example.com
}

// What the README shows is this program.
func TestReadmeShowsThisProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "package main\n")
	if !strings.Contains(string(readme), "```go\npackage main\n"+code+"```\n") {
		t.Error("the program in README.md is not that of main.go")
	}
}
