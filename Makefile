# Go alone is enough for everything here.
GO    ?= go
TOOLS  = $(GO) tool -modfile=tools/go.mod

# Compilers and tests end soon: they collect garbage seldom, which leaves more time for the rest.
vet lint test race report recordings clients generated: export GOGC = 400

.PHONY: check soak fuzz test generate build bench evals fmt vet lint race report generated recordings clients live packages release snapshot

check: fmt vet lint test race report recordings clients generated
	@echo "check: all is well"

test:
	$(GO) test ./...

generate:
	$(GO) generate ./...
	$(GO) test ./internal/mcpserver -run Golden -update
	$(GO) test ./internal/toolset -run Requests -update
	$(GO) test ./pve/apischema -run Changes -update
	$(GO) test ./internal/archtest -run ExportedAPI -update
	$(GO) test ./evals -run Recipes -update

# VERSION is for a release; without it the version is what Go knows of the commit.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -X github.com/pve-mcp/pve-mcp/internal/cli.release=$(VERSION)" -o bin/pve-mcp ./cmd/pve-mcp

# Some minutes. What the benchmarks print goes to bin/bench.txt too, for benchstat; where
# one failed, report refuses it.
BENCHCOUNT = 3
bench:
	@mkdir -p bin
	@echo "go: $$($(GO) env GOVERSION)" | tee bin/bench.txt
	@echo "load: $$(uptime | sed 's/.*average[s]*: *//; s/,* .*//')" | tee -a bin/bench.txt
	$(GO) test -run '^$$' -bench 'Start|Call' -benchtime 60x -count $(BENCHCOUNT) -timeout 1h ./bench | tee -a bin/bench.txt
	$(GO) test -run '^$$' -bench Toolsets -benchtime 200x -timeout 1h ./bench | tee -a bin/bench.txt
	$(GO) test -run '^$$' -bench 'Survey|Change|Screen' -benchtime 2x -count $(BENCHCOUNT) -timeout 1h ./bench | tee -a bin/bench.txt
	$(GO) test -run '^$$' -bench HTTP -benchtime 2x -count $(BENCHCOUNT) -timeout 1h ./bench | tee -a bin/bench.txt
	$(GO) -C bench/report run . -docs ../../docs ../../bin/bench.txt

# All requests of evals/tasks, each with its reference solution and a wrong one; and how often
# the search of hosts finds the right tool. test plays some of them.
evals:
	@mkdir -p bin
	@$(GO) test ./evals -count=1 -run 'Tasks|Choice' -v -every >bin/evals.txt || { grep -vE '^(===|---| *--- PASS)' bin/evals.txt; exit 1; }
	@grep -vE '^(===|---| *---|PASS|ok)' bin/evals.txt

fmt:
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt -w these files:"; echo "$$out"; exit 1; }

vet:
	$(GO) vet ./...

lint:
	$(TOOLS) staticcheck ./...
	$(TOOLS) errcheck -exclude tools/errcheck.txt ./...
	$(TOOLS) nilness ./...

# The stories, and packages that start goroutines. With -short, tests of data do
# the least that shows their kind, or nothing: test has run them. soak runs all packages so.
# internal/toolset calls each tool with much data, and the toolsets' own tests call them here.
# The stories start many processes, and the detector would let each sleep a second at its end.
RACE   = GORACE=atexit_sleep_ms=0 $(GO) test -race -vet=off
STARTS = \bgo (func|[a-zA-Z.]+)\(|\.Go\(|cluster\.Ask\(
race:
	$(RACE) -short ./cmd/pve-mcp $$(grep -rlE '$(STARTS)' --include='*.go' --exclude='*_test.go' evals internal lazyregexp proxmox pve pvesim | \
		xargs -n1 dirname | sort -u | grep -vE '^internal/(archtest|toolset)$$' | sed 's#^#./#')

# What needs not be known at every commit, for an hour or more: all tests as long as they
# can be and several times, also under the race detector, and each fuzz test for FUZZTIME.
SOAKS    = 3
FUZZTIME = 1m
soak: fuzz
	PVE_MCP_SOAK=1 PVE_MCP_CLIENTS=1 $(GO) test -count=$(SOAKS) -timeout 2h ./...
	PVE_MCP_SOAK=1 $(RACE) -count=1 -timeout 2h ./...

fuzz:
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
		for name in $$(grep -hoE '^func Fuzz[A-Za-z]+' "$$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

# The module of its own that writes docs/performance.md, which race does not see.
report:
	$(GO) -C bench/report vet ./...
	$(GO) -C bench/report test ./...

# How many rows of a real node's recordings were compared, or why none.
recordings:
	@$(GO) test -run Recorded -v ./pve/... ./pvesim ./internal/toolset | grep -E '(rows|roles|recordings|operations)' | sed 's/^ *[a-z_]*\.go:[0-9]*: */recordings: /' | sort | uniq -c

# Real MCP clients and the conformance suite, from npm, talk to the binary, and PVE
# clients of others to pve-mcp sim; replicas serve behind nginx, and what is in deploy is
# read by those for whom it is, as are the packages of a release. Or a reason why not.
clients:
	PVE_MCP_CLIENTS=1 $(GO) test -count=1 -v $$($(GO) list ./test/... | grep -vE '/test/(live|memory)$$')

# The tools' stories that can run anywhere, against the PVE node in the environment.
live:
	@$(GO) run ./test/live

# What make clients leaves out, because compiling goreleaser and fetching Claude Code takes
# minutes: both read what is theirs of a release.
packages:
	PVE_MCP_CLIENTS=1 PVE_MCP_PACKAGES=1 $(GO) test -count=1 -v -timeout 40m ./test/packages

# What a release is made of, in dist/: docs/release.md. A snapshot is for nobody but you.
GORELEASER = $(GO) tool -modfile=tools/release/go.mod goreleaser
release:
	who=$$($(GO) run ./packaging env) && env $$who $(GORELEASER) release --clean
	$(GO) run ./packaging server --dist dist

snapshot:
	who=$$($(GO) run ./packaging env --snapshot) && env $$who $(GORELEASER) release --clean --snapshot $(if $(SKIP),--skip=$(SKIP))

GENERATED = README.md .env.example docs/*.md internal/mcpserver/*.json internal/mcpserver/testdata/*.json internal/mcpserver/testdata/*/*.json internal/toolset/instructions/*.txt pve/apischema/*.json.gz pve/apischema/testdata/*.txt internal/archtest/testdata/api/*.txt
generated:
	@before=$$(cat $(GENERATED) | cksum); $(MAKE) -s generate; \
	test "$$before" = "$$(cat $(GENERATED) | cksum)" || { echo "generated files were not up to date; commit what make generate has made"; exit 1; }
