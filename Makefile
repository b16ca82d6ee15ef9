# Nothing here needs more than Go: the linter is built from internal/tools/go.mod.

FUZZTIME ?= 60s
BENCH    ?= .
COUNT    ?= 1

LINT = go tool -modfile=$(CURDIR)/internal/tools/go.mod golangci-lint

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: test
test: ## run the tests
	go test ./...

.PHONY: race
race: ## run the tests under the race detector, which also compiles the invariants in
	go test -race ./...

.PHONY: lint
lint: ## run golangci-lint on every module (the first run builds it, for some minutes)
	.ci/run lint

.PHONY: fmt
fmt: ## format the code and its imports
	$(LINT) fmt

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (60s)
	FUZZTIME=$(FUZZTIME) .ci/run fuzz

.PHONY: bench
bench: ## run the benchmarks that match BENCH (all), COUNT (1) times
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) ./...

.PHONY: ci
ci: ## run everything that must pass before a change lands
	.ci/run
