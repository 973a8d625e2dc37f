# `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= dev
LDFLAGS := -s -w -X github.com/docker-kasm/docker-kasm/internal/version.release=$(VERSION)
PLUGIN_DIR := $(or $(DOCKER_CONFIG),$(HOME)/.docker)/cli-plugins
ENGINE := contrib/engines/engine
LINT := go tool -modfile=contrib/lint/go.mod golangci-lint

export CGO_ENABLED := 0

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

# What the helper's container can run on; the plugin sends it there.
HELPERS := linux-amd64 linux-arm64

.PHONY: build
build: $(HELPERS:%=bin/kasm-helper-%) ## Build the plugin and the helper in bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/docker-kasm ./plugin/docker-kasm

.PHONY: $(HELPERS:%=bin/kasm-helper-%)
$(HELPERS:%=bin/kasm-helper-%): bin/kasm-helper-linux-%:
	GOOS=linux GOARCH=$* go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./helper/kasm-helper

.PHONY: install
install: build ## Install the plugin and the helper for this user
	install -D -m 0755 bin/docker-kasm "$(PLUGIN_DIR)/docker-kasm"
	install -m 0755 $(HELPERS:%=bin/kasm-helper-%) "$(PLUGIN_DIR)"
	@echo "installed $(PLUGIN_DIR)/docker-kasm; try: docker kasm --help"

# What a release is for; the helper's programs are packed into each of them.
PLUGINS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64
EMBEDDED := plugin/commands/helper/embedded

.PHONY: release
release: $(HELPERS:%=bin/kasm-helper-%) ## Build VERSION for all platforms in dist, the helper in the plugin
	rm -rf dist $(EMBEDDED)
	mkdir -p dist $(EMBEDDED)
	for helper in $(HELPERS:%=kasm-helper-%); do \
	  install -m 0755 bin/$$helper dist; \
	  gzip -n9 <bin/$$helper >$(EMBEDDED)/$$helper.gz; \
	done
	for platform in $(PLUGINS); do \
	  ext=; case $$platform in windows-*) ext=.exe;; esac; \
	  GOOS=$${platform%-*} GOARCH=$${platform#*-} go build -tags embedhelper -trimpath -ldflags '$(LDFLAGS)' \
	    -o dist/docker-kasm-$$platform$$ext ./plugin/docker-kasm; \
	done
	KASM_TEST_VERSION='$(VERSION)' go test -tags embedhelper -count=1 -timeout 5m -run '^TestRelease' ./plugin/commands/helper
	cd dist && sha256sum -- * >SHA256SUMS

.PHONY: demo
demo: install ## Do the whole main job on a demo workspace, step by step
	contrib/demo/demo

# Engines take their time on a slow machine: a test run that hangs ends by the
# limits of its commands, not by this one.
GOTEST := go test -timeout 30m

.PHONY: test
test: ## Run all tests against a 20.10 engine, installing what is missing
	contrib/engines/test 20.10 overlay2 --second 20.10 -- $(GOTEST) ./...

SESSIONS ?= 200
.PHONY: test-engines
test-engines: test-29 test-many ## Run the end-to-end tests on every engine and image store
	contrib/engines/test 20.10 overlay2 --second 20.10 -- $(GOTEST) -count=1 ./plugin/e2e

.PHONY: test-many
test-many: ## Start, stop, pause and delete SESSIONS (200) at once, on one engine
	contrib/engines/test 29 overlay2 -- env KASM_TEST_SESSIONS=$(SESSIONS) $(GOTEST) -count=1 -v -run '^TestManySessionsAtOnce$$' ./plugin/e2e

.PHONY: test-29
test-29: ## Run the end-to-end tests on 29 only, with either image store
	contrib/engines/test 29 overlay2 --second 20.10 -- $(GOTEST) -count=1 ./plugin/e2e
	contrib/engines/test 29 containerd --second 20.10 -- $(GOTEST) -count=1 ./plugin/e2e

DESKTOP := -- $(GOTEST) -count=1 -run '^TestDesktop' ./plugin/e2e
.PHONY: test-desktop
test-desktop: ## Launch, snapshot and launch again a real X desktop, on every engine
	contrib/engines/test 20.10 overlay2 --desktop $(DESKTOP)
	contrib/engines/test 29 overlay2 --desktop $(DESKTOP)
	contrib/engines/test 29 containerd --desktop $(DESKTOP)

ROUNDS ?= 20
FAULTS = KASM_TEST_FAULTS=$(ROUNDS) go test -count=1 -timeout 3h -v -run '^Test(Helper)?Faults$$' ./plugin/e2e
.PHONY: test-faults
test-faults: ## Fail pushes, kill plugin, helper and engine ROUNDS times (20) at each step, on every engine
	contrib/engines/test 20.10 overlay2 -- env $(FAULTS)
	contrib/engines/test 29 overlay2 -- env $(FAULTS)
	contrib/engines/test 29 containerd -- env $(FAULTS)

.PHONY: test-faults-short
test-faults-short: ## Fail a few pushes and kill the plugin once at each step, on one engine
	contrib/engines/test 20.10 overlay2 -- env KASM_TEST_FAULTS=1 $(GOTEST) -count=1 -v -run '^TestFaults$$/^(registry|kill_plugin)' ./plugin/e2e

.PHONY: bench
bench: build ## Compare with plain docker: ratios, size, start-up; measure the helper
	{ hash hyperfine jq && test -x /usr/bin/time; } 2>/dev/null || apt-get install -y --no-install-recommends hyperfine jq time >/dev/null
	contrib/engines/test 20.10 overlay2 -- contrib/bench/bench
	contrib/engines/test 29 overlay2 -- contrib/bench/bench
	contrib/engines/test 29 containerd -- contrib/bench/bench

FUZZTIME ?= 60s
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (60s)
	for target in $$(grep -rhoE '^func Fuzz[A-Za-z]+' --include='*_test.go' internal helper plugin | sed 's/^func //' | sort -u); do \
	  dir=$$(dirname $$(grep -rlE "^func $$target\(" --include='*_test.go' internal helper plugin)); \
	  go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./$$dir; \
	done

.PHONY: lint
lint: ## Check the code and the scripts
	$(LINT) run ./...
	$(LINT) fmt --diff
	command -v shellcheck >/dev/null || apt-get install -y --no-install-recommends shellcheck >/dev/null
	shellcheck -x -P SCRIPTDIR -P contrib/engines contrib/engines/engine contrib/engines/test contrib/engines/lib/*.sh contrib/demo/demo contrib/bench/bench contrib/bench/helper/bench contrib/systemd/check contrib/systemd/try .ci/run

.PHONY: systemd
systemd: ## Check the systemd units
	contrib/systemd/check

.PHONY: test-systemd
test-systemd: build ## Try the systemd units under a systemd
	contrib/engines/test 20.10 overlay2 -- contrib/systemd/try

.PHONY: docs
docs: ## Generate contrib/docs/reference from the commands
	go run ./contrib/docs/generate contrib/docs/reference

.PHONY: generated
generated: docs ## Fail unless generated files and go.mod are current
	go mod tidy -diff
	git diff --exit-code -- contrib/docs/reference
	test -z "$$(git status --porcelain -- contrib/docs/reference)"

.PHONY: clean
clean: ## Remove what was built, and the test engines with their data
	rm -rf bin dist $(EMBEDDED)
	$(ENGINE) clean --all
