# Freshet's build. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Packages tested at the same time, and the limit for one package's tests.
TEST_P ?= 2
TEST_TIMEOUT ?= 20m
# Packages whose tests need no server: they run once more with released memory overwritten, under the race detector where
# there is a C compiler.
FAST = $$($(GO) list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... | awk '!/\/testbed|\/e2e|\/demo/ { print $$1 }')
RACE = $(if $(shell command -v gcc),-race)
VERSION = $$(git describe --tags --always --dirty 2>/dev/null || echo dev)
# A module of its own, with dependencies that Freshet does not have.
EXAMPLE := examples/plugin-go
# Packages with benchmarks.
BENCHED = $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r dirname | sort -u)
BENCH ?= .
# Flags of `make bench` and `make demo-full`.
ARGS ?=

# How long `make fuzz` runs each target, and which ones.
FUZZTIME ?= 30s
FUZZ ?= Fuzz

# How many rounds `make faults` plays, and the tests that it runs beside them.
ROUNDS ?= 20
FAULTS ?= Promot|Failover
# What the rounds read: empty for PostgreSQL, MySQL or MariaDB.
FAULTS_OF ?= (|MySQL|MariaDB)

# How many turns `make interchange` takes with MySQL.
TURNS ?= 12

.PHONY: help build lint fmt test test-short test-python images demo demo-full bench microbench faults clusterfaults scale fuzz interchange clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build: ## bin/freshet
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/freshet ./cmd/freshet

fmt: ## format every file
	$(GO) run $(GOLANGCI) fmt

lint: ## formatting, vet, staticcheck, golangci-lint
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags poison ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(GOLANGCI) run
	cd $(EXAMPLE) && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) run $(GOLANGCI) run

images: ## a container engine and an image for every server of the tests
	@testdata/images/engine
	@testdata/images/images ready

test: ## everything needed, then all tests; ends with the counts
	@if testdata/images/engine; then testdata/images/images ready; elif [ $$? != 3 ]; then exit 1; fi
	@{ status=0; \
	  sdk/python/test >&2 || status=1; \
	  $(GO) test -json -count=1 -p $(TEST_P) -timeout $(TEST_TIMEOUT) ./... || status=1; \
	  $(GO) test -json -count=1 -p $(TEST_P) -timeout $(TEST_TIMEOUT) -tags poison $(RACE) $(FAST) || status=1; \
	  $(GO) -C $(EXAMPLE) test -json -count=1 -p $(TEST_P) -timeout $(TEST_TIMEOUT) ./... || status=1; \
	  exit $$status; } | $(GO) run ./testbed/summary

test-short: ## only tests that need no server
	@$(GO) test -json -p $(TEST_P) -timeout $(TEST_TIMEOUT) $(FAST) | $(GO) run ./testbed/summary

test-python: ## the SDK for plugins in Python and its examples
	@sdk/python/test

demo: ## two databases, a broker and a worker that is killed half-way; needs no Docker
	$(GO) run ./cmd/freshet demo

demo-full: build ## a Postgres in ClickHouse, Elasticsearch and TimescaleDB at once, in containers, until Ctrl-C; ARGS=--once ends by itself
	@testdata/images/engine || { echo "the full demo needs containers; make demo needs none" >&2; exit 1; }
	@for server in postgres clickhouse elasticsearch timescaledb; do \
	  image=$$(testdata/images/images get $$server); export FRESHET_IMAGE_$${server^^}="$$image"; \
	done; exec bin/freshet demo full $(ARGS)

bench: images ## throughput, freshness and memory as ratios, beside their budgets; ARGS="-quick" and others: ARGS=-help
	@$(GO) build -o bin/bench ./testbed/bench
	@bin/bench $(ARGS)

microbench: ## the hot paths' benchmarks; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(BENCHED)

faults: images ## ROUNDS rounds of kills, cuts and zombies under a known load for each source, and promotions of replicas; FRESHET_FAULTS_SEED=n plays a round again
	@status=0; \
	FRESHET_FAULTS_ROUNDS=$(ROUNDS) $(GO) test -v -count=1 -timeout 12h -run '^TestFaults$(FAULTS_OF)$$' ./e2e/faults | grep --line-buffered -v '^=== ' || status=1; \
	$(GO) test -json -count=1 -p 1 -timeout 1h -run '$(FAULTS)' ./connectors/postgres ./e2e | $(GO) run ./testbed/summary || status=1; \
	exit $$status

clusterfaults: images ## ROUNDS rounds of faults for three workers that share twelve connectors, as many with three brokers; FRESHET_FAULTS_SEED=n plays a round again
	@FRESHET_FAULTS_ROUNDS=$(ROUNDS) $(GO) test -v -count=1 -timeout 12h -run '^TestCluster(Faults|Brokers)$$' ./e2e/cluster | grep --line-buffered -v '^=== '

scale: images ## a thousand connectors on one worker and on three: times, CPU, memory
	@FRESHET_SCALE=1000 $(GO) test -v -count=1 -timeout 1h -run '^TestScale$$' ./e2e/cluster | grep --line-buffered -v '^=== '

fuzz: ## every fuzz target for FUZZTIME; FUZZ=regexp chooses
	@grep -rE --include='*_test.go' '^func ($(FUZZ))' . | sed -E 's,^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*,\1 \2,' | sort | \
	  while read -r dir target; do \
	    echo "$$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 1 "$$dir"; \
	  done

interchange: images ## Debezium and Freshet in turns: TURNS with MySQL; PostgreSQL needs Java, ORACLE_HOME, ORACLE_BOOTSTRAP and ORACLE_POSTGRES
	@FRESHET_INTERCHANGE_TURNS=$(TURNS) $(GO) test -v -count=1 -timeout 1h -run '^TestMySQLInTurns$$' ./e2e/interchange | grep --line-buffered -v '^=== '
	$(GO) run ./e2e/interchange/live $(INTERCHANGE)

clean: ## built files, and the containers that killed test runs left behind
	rm -rf bin
	@if docker version >/dev/null 2>&1; then \
	  docker ps -a --filter label=freshet.testbed --format '{{.ID}} {{.Label "freshet.testbed.owner"}}' | \
	  while read -r id owner; do if [ ! -d "/proc/$${owner##*/}" ]; then docker rm -fv "$$id"; fi; done; fi
