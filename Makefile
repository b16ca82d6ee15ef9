# Nothing here needs more than Go: the linter is built from internal/tools/go.mod.

FUZZTIME ?= 60s
BENCH    ?= .
COUNT    ?= 1

SEQUENCES ?= 100
OPS       ?= 200
FOR       ?= 0

LINT = go tool -modfile=$(CURDIR)/internal/tools/go.mod golangci-lint

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

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

.PHONY: scenarios
scenarios: ## play the scenarios of interop on RabbitMQ and on pocketmq, and write what they show into docs/COMPAT.md
	cd interop && go test -count=1 -run='TestScenarios|TestEveryRule' ./scenario -update

.PHONY: scenarios40
scenarios40: ## play them also on a RabbitMQ 4.0, installed beside this system's as root (.ci/rabbitmq40), and then as above
	url=$$(.ci/rabbitmq40 start) && (cd interop && AMQP_URL=$$url RABBITMQCTL="$(CURDIR)/.ci/rabbitmq40 ctl" \
		go test -count=1 -run=TestScenarios ./scenario -update); rc=$$?; .ci/rabbitmq40 stop; exit $$rc
	$(MAKE) scenarios

.PHONY: random
random: ## play SEQUENCES (100) new random scenarios of OPS (200) steps on both, or as many as FOR (such as 1h) allows
	cd interop && go test -count=1 -timeout=0 -v -run='TestRandom$$' ./scenario -sequences=$(SEQUENCES) -ops=$(OPS) -for=$(FOR) -seed=0

.PHONY: mutations
mutations: ## check that the scenarios notice each fault of interop/mutations.txt, and random ones some
	cd interop && go run ./scenario/mutate -v

.PHONY: ci
ci: ## run everything that must pass before a change lands
	.ci/run
