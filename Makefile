# Bare make lists the targets. What comes after ## in a target's line is its help.

RELEASE  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.release=$(RELEASE)
BUILD    := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

FUZZTIME ?= 60s
SEEDS    ?= 200
KILLS    ?= 200
FLIPS    ?= 500
MINUTES  ?= 5
N        ?= 5

# What runs goroutines against each other; the rest is pure and gains nothing from the detector.
RACE := ./chunker/... ./p2p/... ./node/... ./gateway/... ./cmd/...

.DEFAULT_GOAL := help
.PHONY: help build run test race lint tidy fuzz sim e2e e2e-crash e2e-damage e2e-cluster e2e-faults e2e-s3 e2e-clients cluster bench bench-cluster generate check release deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## leave the program at bin/shoal
	$(BUILD) -o bin/shoal ./cmd/shoal

run: build ## build and start a server on ./data
	bin/shoal server --data ./data

cluster: build ## build and run a cluster of N (5) nodes and a gateway on ./data-cluster
	go run ./e2e/cluster/run -nodes $(N)

deps: ## install the clients that the tests use, where this is CI
	@.ci/deps

test: deps ## all packages and the short suites against the real program
	go test -timeout 9m ./...

race: ## the race detector over whatever is concurrent, in tests and in the program itself
	@.ci/race $(RACE)
	E2E_RACE=1 go test -count=1 -timeout 15m -run 'Atomicity|Crash|History|Gateway|Copy|Space|Clients' ./e2e

lint: ## gofmt, vet, staticcheck
	@files=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

tidy: ## import table, locks, links, rules of the source
	go test -count=1 ./e2e/tidy
	go test -count=1 -run Lock ./cmd/shoal

fuzz: ## every fuzz target for FUZZTIME (60s) each
	@.ci/fuzz $(FUZZTIME)

sim: ## simulations and random runs, SEEDS (200) of each, and half a minute of failure detection and of the controller
	SHOAL_SIM_SEEDS=$(SEEDS) go test -count=1 -timeout 40m -run 'Simulation' ./node/consensus
	SHOAL_SIM_SEEDS=$(SEEDS) go test -count=1 -timeout 60m -run 'Simulation|Mutants' ./e2e/sim
	SHOAL_SIM_RUNS=4 go test -count=1 -timeout 20m -run 'DetectsCrash|Sites|SiteCutOff|Stalls' ./p2p/gossip
	go test -count=1 -timeout 20m -run Random ./node/controller -controller.runs 400
	GOGC=800 SHOAL_CRASH_POINTS=$(SEEDS) SHOAL_META_SEEDS=$(SEEDS) go test -count=1 -timeout 20m -run 'Crash|Fault|Random' ./node/shardstore ./node/meta

e2e: ## every suite against the real program, at full length
	E2E_FULL=1 .ci/verbose -count=1 -timeout 60m ./e2e ./e2e/s3 ./e2e/history

e2e-crash: ## KILLS (200) times kill -9 under load, then everything is checked
	KILLS=$(KILLS) .ci/verbose -count=1 -timeout 50m -run 'TestCrash|TestHistory' ./e2e ./e2e/history

e2e-damage: ## FLIPS (500) bit flips and cuts in the files of a stopped store
	FLIPS=$(FLIPS) .ci/verbose -count=1 -timeout 50m -run 'TestDamage' ./e2e

e2e-cluster: ## clusters of real processes: growth, losses, restarts, failover
	E2E_FULL=1 .ci/verbose -count=1 -timeout 60m -skip 'TestFaults' ./e2e/cluster ./e2e/netns ./e2e/faults ./e2e/history ./e2e/workloads

e2e-s3: ## the conformance suite against one node and against a cluster
	E2E_FULL=1 .ci/verbose -count=1 -timeout 20m ./e2e/s3

e2e-clients: deps ## SDKs and tools made for S3, with their default settings; installs them into the user's cache
	E2E_FULL=1 .ci/verbose -count=1 -timeout 30m -parallel 4 ./e2e/clients

e2e-faults: ## MINUTES (5) of faults under load, then every answer is checked
	E2E_MINUTES=$(MINUTES) .ci/verbose -count=1 -timeout $$(($(MINUTES) * 2 + 15))m -run 'TestFaults' ./e2e/faults

bench: build ## one table of speed, latency, processor time and memory, beside this machine's floors; BENCH='-quick'
	go run ./e2e/bench $(BENCH)

bench-cluster: build ## the same of four nodes and a gateway, each a process: loads, failover, repair, far sites, idle; BENCH='-quick'
	go run ./e2e/bench -nodes 4 $(BENCH)

generate: ## rewrite what is made from the code; the tree must be clean afterwards
	go generate ./...
	go test -count=1 -run 'Lock|Compatibility' ./cmd/shoal ./e2e/tidy ./gateway/s3op -update
	git diff --exit-code

check: build lint tidy test race ## the bar for every commit
	$(MAKE) sim SEEDS=20

release: ## programs for the usual platforms in bin/release, with their digests, signed by the SSH key RELEASE_KEY
	@rm -rf bin/release && mkdir -p bin/release
	@for target in linux/amd64 linux/arm64 darwin/arm64; do \
		name=bin/release/shoal-$(RELEASE)-$${target%/*}-$${target#*/}; \
		echo $$name; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -o $$name ./cmd/shoal || exit 1; \
	done
	@cd bin/release && sha256sum shoal-$(RELEASE)-* > shoal-$(RELEASE).sha256
	@test -z "$(RELEASE_KEY)" || ssh-keygen -Y sign -f "$(RELEASE_KEY)" -n shoal-release bin/release/shoal-$(RELEASE).sha256

clean: ## remove what build made
	rm -rf bin
