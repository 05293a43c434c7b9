# Guichet. "make help" tells what each target does; CONTRIBUTING.md tells when.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
BENCH    ?= .

# The program has no C. Whatever is built without it is compiled once; the race
# detector, which needs it, asks for it (scripts/test).
export CGO_ENABLED := 0


.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Running ---------------------------------------------------------------------

.PHONY: run
run: build ## build, and start the demo on http://127.0.0.1:8080: sample data, a simulated bank, a simulated DataPass
	exec bin/guichet demo

.PHONY: build
build: assets ## build bin/guichet: one static file, pages included
	@scripts/needs go >/dev/null
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/guichet ./cmd/guichet

.PHONY: envoy
envoy: ## build bin/guichet-envoy: the gateway for Envoy, in a module of its own
	@scripts/needs go >/dev/null
	cd gateway/envoy && go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o ../../bin/guichet-envoy ./guichet-envoy

.PHONY: assets
assets: web/asset/dist/manifest.json

web/asset/dist/manifest.json: web/node_modules/.made $(wildcard web/script/* web/style/* web/assetgen/*.go)
	go run ./web/assetgen

# The name of the stamp is ours: npm writes its own before it is done.
web/node_modules/.made: web/package.json web/package-lock.json
	@scripts/needs npm >/dev/null
	npm ci --prefix web --ignore-scripts --no-audit --no-fund
	@touch $@

# Testing ---------------------------------------------------------------------

.PHONY: test
test: tools assets woob openid ## run all tests on both databases, with the race detector; install what they need where that can be done
	@scripts/test

.PHONY: check
check: ## everything a change must pass: format, lint, generated files, modules, tests
	@scripts/check

.PHONY: fmt
fmt: tools ## format all Go and templ files
	.bin/gofumpt -w $$(git ls-files '*.go' | grep -v -e '_templ\.go$$' -e '\.sql\.go$$')
	git ls-files '*.templ' | xargs -r .bin/templ fmt

.PHONY: lint
lint: tools ## run the linters
	.bin/golangci-lint run --allow-serial-runners ./...

.PHONY: generate
generate: tools ## write the generated files anew: queries (sqlc), pages (templ), scripts and styles (esbuild)
	.bin/sqlc generate -f store/sqlc.yaml
	.bin/templ generate -log-level warn
	@rm -f web/asset/dist/manifest.json
	@$(MAKE) assets

.PHONY: bench
bench: build ## measure: load programs beside references of the same run, then the Go benchmarks (BENCH=Receive chooses)
	@scripts/needs postgresql >/dev/null
	go run ./bench
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: bench-hydra
bench-hydra: build ## measure checks beside Ory Hydra, which is built once and kept in your cache: some minutes
	@scripts/needs postgresql >/dev/null
	go run ./bench -only hydra

.PHONY: fuzz
fuzz: ## fuzz each fuzz test for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -c6-); do \
	    echo "$$dir $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null; \
	  done; done

# SHOTS is where all pictures go; the two of README.md are copied from there.
SHOTS ?= .cache/shots

.PHONY: shots
shots: assets ## write pictures of every page to .cache/shots, and those of README.md to docs/images
	@scripts/needs chromium >/dev/null
	GUICHET_SHOTS='$(abspath $(SHOTS))' go test -count=1 -run '^TestGallery$$' ./web
	GUICHET_SHOTS='$(abspath $(SHOTS))' go test -count=1 -run '^TestPages$$' ./cmd/guichet
	@mkdir -p docs/images
	cp $(SHOTS)/question-wide-light-fr.png docs/images/bank.png
	cp $(SHOTS)/request-revoked-wide-light-fr.png docs/images/grant.png

# Tools -----------------------------------------------------------------------

.PHONY: tools
tools: ## build the tools of tools/go.mod into .bin, when their pins changed
	@scripts/needs go >/dev/null
	@scripts/tools

# A Python of its own with woob, for the tests of the connector that runs it. The
# stamp is the last thing written, so an interrupted installation begins again.
.PHONY: woob
woob: .cache/woob/.made ## install woob into .cache/woob, from the pins of worker/woob/constraints.txt

.cache/woob/.made: worker/woob/constraints.txt
	@scripts/woob

# Likewise, somebody else's OpenID provider, to sign in at.
.PHONY: openid
openid: .cache/openid/.made ## install an OpenID provider into .cache/openid, from the pins of web/testdata

.cache/openid/.made: web/testdata/openid-constraints.txt
	@scripts/openid

.PHONY: hooks
hooks: ## have git format and vet before each commit
	git config core.hooksPath .githooks

.PHONY: clean
clean: ## remove what was built: bin, .bin, .cache, bundles, node_modules
	rm -rf bin .bin .cache web/node_modules
	find web/asset/dist -mindepth 1 ! -name .gitkeep -delete
