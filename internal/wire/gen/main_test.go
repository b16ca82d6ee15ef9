package main

import (
	"os"
	"strings"
	"testing"
)

func TestGeneratedFileIsUpToDate(t *testing.T) {
	list, err := os.ReadFile("../methods.txt")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(string(list))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../methods_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("methods_gen.go differs from what methods.txt says: run go generate ./internal/wire")
	}
}

func TestGoName(t *testing.T) {
	for name, words := range map[string][]string{
		"BasicRecoverAsync": {"basic", "recover-async"},
		"ClassID":           {"class-id"},
		"NoWait":            {"no-wait"},
	} {
		if got := goName(words...); got != name {
			t.Errorf("goName(%q) = %s, want %s", words, got, name)
		}
	}
}

func TestBitsShareAnOctetUntilAnotherTypeFollows(t *testing.T) {
	m, err := parseMethod(strings.Fields("m 1 a:bit b:bit c:short d:bit"))
	if err != nil {
		t.Fatal(err)
	}
	groups := m.groups()
	if len(groups) != 3 || len(groups[0]) != 2 || len(groups[2]) != 1 {
		t.Errorf("groups are %v, want a with b, c, d", groups)
	}
}

func TestMistakesInTheListAreNamedWithTheirLine(t *testing.T) {
	for list, want := range map[string]string{
		"declare 10 -- too early":                  "line 1",
		"class queue 50\ndeclare ten -- x":         "line 2",
		"class queue 50\ndeclare 10 q:word -- x":   "unknown type",
		"class queue 50\n# a comment\ndeclare 10":  "line 3",
		"class queue fifty\n":                      "line 1",
		"class queue 50\ndeclare 10 queue -- none": "unknown type",
	} {
		if _, err := generate(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("generate(%q) says %v, want %q in it", list, err, want)
		}
	}
}
