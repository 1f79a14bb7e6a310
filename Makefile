# Targets are documented after "##"; make alone prints them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
LISTEN      ?= 127.0.0.1:8787
SDK_GO      := internal/sdktest/go
SDK_NODE    := internal/sdktest/node
CHAOS       := bench/chaos
PAGEBUILD   := internal/pagebuild
RELEASE     := internal/release
PAGE        := internal/pagetest
CLIENTS     := internal/clienttest

.DEFAULT_GOAL := help
.PHONY: help run demo test check format vet lint workflows race release-test release version sdk-go sdk-node clients clients-quick page page-shots vulnerabilities vercel conformance bench bench-quick chaos chaos-quick fuzz torture torture-quick dist sbom reproducible tf tf-update clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the relay on 127.0.0.1:8787 and print its base URL
	$(GO) run ./cmd/relay -listen $(LISTEN)

demo: ## try it without a key: a fake OpenAI, a relay in front of it, a streamed response
	@./scripts/demo

# The torture matrix needs the machine for itself.
PACKAGES = $$($(GO) list ./... | grep -v /internal/torture)

test: ## run the tests
	$(GO) test $(PACKAGES)

# Torture and the smoke test of speed are measured by the clock. Torture waits most of the
# time, so what is not measured gets the rest of it, at the lowest priority. The last ones
# wait for processes that they start: three go at a time.
check: format vet lint race ## everything that CI runs
	$(MAKE) -j2 --output-sync=target torture-quick beside-torture
	$(MAKE) bench-smoke
	$(MAKE) -j3 --output-sync=target sdk-go clients-quick release-test sdk-node vulnerabilities workflows

.PHONY: beside-torture
beside-torture:
	nice -n 19 $(MAKE) tf page

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	cd $(SDK_GO) && $(GO) vet ./...
	cd $(CLIENTS) && $(GO) vet ./...
	cd $(CHAOS) && $(GO) vet ./...
	cd $(PAGEBUILD) && $(GO) vet ./...
	cd $(RELEASE) && $(GO) vet ./...

lint:
	$(GO) run $(STATICCHECK) ./...
	cd $(SDK_GO) && $(GO) run $(STATICCHECK) ./...
	cd $(CLIENTS) && $(GO) run $(STATICCHECK) ./...
	cd $(CHAOS) && $(GO) run $(STATICCHECK) ./...
	cd $(PAGEBUILD) && $(GO) run $(STATICCHECK) ./...
	cd $(RELEASE) && $(GO) run $(STATICCHECK) ./...

race:
	$(GO) test -race -p 3 -timeout 500s $(PACKAGES)
	cd $(CHAOS) && $(GO) test -race -timeout 180s ./...
	cd $(PAGEBUILD) && $(GO) test ./...

release-test: ## a release for this platform, twice, and what runs of it: the archive, the image on an empty root, the unit
	cd $(RELEASE) && CYCLONEDX=$(CYCLONEDX) $(GO) test -count=1 -timeout 900s -v ./...

# A Python or a shellcheck of the machine's would make it find other things elsewhere.
workflows: ## check the workflows for GitHub Actions
	$(GO) run $(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

sdk-go: ## test with the official Go SDK, directly and through the relay
	cd $(SDK_GO) && $(GO) test -race -count=1 -timeout 400s ./...

sdk-node: ## test with the official Node SDK, in the same way
	@./scripts/sdk-node $(SDK_NODE)

clients: ## test with coding agents and SDKs from npm (docs/clients.md; five minutes)
	@./scripts/clients $(CLIENTS)

clients-quick: ## test with three of them: Codex, the Agents SDK and the AI SDK
	@./scripts/clients $(CLIENTS) quick

page: ## test the web page in Chromium
	@./scripts/page $(PAGE)

page-shots: ## test the page, and write the pictures in docs/
	@PAGE_SHOTS=1 ./scripts/page $(PAGE)

vulnerabilities:
	@./scripts/vulnerabilities $(GOVULNCHECK)

vercel: ## build the function with Vercel's CLI, and test it (Linux, node 20 and npm)
	$(GO) test -count=1 -run TestBuild -v ./vercel

.PHONY: docs
docs: ## write the tables of settings, errors and clients in docs/
	$(GO) test -count=1 -run TestDocsAreUpToDate ./core ./core/page -update

conformance: ## run the adapters' contract and write its table into docs/platforms.md
	CONFORMANCE=update $(GO) test -count=1 -p 1 -run 'Adapter|TestBuild' ./cmd/relay ./lambda ./gcf ./vercel ./cloudflare

bench: ## run the benchmarks and comparisons, and write docs/evidence/performance.md and its plots (25 minutes)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 300ms ./core
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=docs/evidence/performance.md
	$(GO) run ./bench -suite bounds -figures docs/evidence/performance.json -strict >/dev/null

bench-quick: ## run a short form of bench, into dist/bench (3 minutes)
	@rm -rf dist/bench && mkdir -p dist/bench && cp docs/evidence/performance.md dist/bench
	$(GO) test -run '^$$' -bench . -benchtime 100x ./core ./bench
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=dist/bench/performance.md BENCH_QUICK=-quick
	@cat dist/bench/performance.md

# A ratio within one run, so it holds on any machine.
.PHONY: bench-smoke
bench-smoke: ## fail if the relay's CPU time per request is over twice that of copying alone (20 seconds)
	$(GO) run ./bench -suite smoke

# Suites write their figures next to the page; the plots and the bounds are made from those.
.PHONY: bench-page
bench-page:
	$(GO) run ./bench -suite relay $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench -suite streams $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench -suite lambda $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench -suite servers $(BENCH_QUICK) -out $(BENCH_PAGE)
	cd $(CHAOS) && $(GO) run . -performance ../../$(BENCH_PAGE:.md=.json) -plot ../../$(BENCH_PAGE:.md=.svg)
	$(GO) run ./bench -suite bounds -out $(BENCH_PAGE)

chaos: ## break regions under load, and write what clients notice to docs/evidence/failover.md (an hour)
	cd $(CHAOS) && $(GO) run . -out ../../docs/evidence/failover.md -plot ../../docs/evidence/failover.svg

chaos-quick: ## run each case of chaos once, and write nothing
	cd $(CHAOS) && $(GO) run . -quick

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@./scripts/fuzz $(or $(FUZZTIME),60s)

torture: ## test every fault and bad input on every adapter, and write docs/evidence/reliability.md (an hour; FUZZTIME is 10m)
	@./scripts/torture $(or $(FUZZTIME),10m)

# One package at a time: in parallel they would distort each other's timing.
torture-quick: ## run a short form of torture (three minutes), and write nothing
	$(GO) test -race -count=1 -p 1 -timeout 500s ./internal/torture/...

dist: dist/relay dist/lambda.zip dist/gcf.zip dist/worker.js ## build the deployed artifacts into dist/ (the Lambda function for arm64, or GOARCH=amd64)

.PHONY: pgo dist/relay dist/lambda.zip dist/gcf.zip
dist/relay dist/lambda.zip dist/gcf.zip:
	@GOOS= GOARCH= $(GO) run ./internal/build/cmd -os '$(GOOS)' -arch '$(GOARCH)' $@

# The repository's worker.js with the page in it.
.PHONY: dist/worker.js
dist/worker.js:
	@GOOS= GOARCH= $(GO) run ./cloudflare/build -o $@

.PHONY: worker
worker: ## run the Cloudflare Worker on 127.0.0.1:8788, in Cloudflare's own runtime, with the RELAY_* variables
	$(GO) run ./cloudflare/serve

pgo: ## record a CPU profile for the compiler into bench/relay.pgo
	$(GO) run -trimpath ./bench -suite profile -out bench/relay.pgo

release: ## make all that users download, and its checksums and SBOMs, in dist/release (VERSION=1.2.3; else what git describes)
	@cd $(RELEASE) && GOOS= GOARCH= $(GO) run -trimpath . -sbom $(CYCLONEDX) -version '$(VERSION)' -source '$(SOURCE)' -o $(CURDIR)/dist/release

version: ## write VERSION into the source, before its tag
	@./scripts/version '$(VERSION)'

# Read from the binaries, in which the go command records their modules. Google
# and Vercel build from source, so theirs are built here.
bom = @GOARCH= GOOS= $(GO) run -trimpath $(CYCLONEDX) bin -json -noserial -notimestamp -short-purls -std \
	-version v$$(sed -n 's/^var Version = "\(.*\)"$$/\1/p' core/version.go) -output dist/sbom/$(1).cdx.json $(2)

sbom: dist ## write a bill of materials of each artifact to dist/sbom/ (CycloneDX)
	@mkdir -p dist/sbom
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -trimpath -buildvcs=false -o dist/sbom/gcf ./gcf/cmd
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -trimpath -buildvcs=false -o dist/sbom/vercel ./vercel
	$(call bom,relay,dist/relay)
	$(call bom,lambda,dist/bootstrap)
	$(call bom,gcf,dist/sbom/gcf)
	$(call bom,vercel,dist/sbom/vercel)
	@rm dist/sbom/gcf dist/sbom/vercel

reproducible: ## build dist, its SBOMs and the release twice, in different folders, and compare the bytes
	@./scripts/reproducible

tf: export TF_MIRROR := $(TF_MIRROR)
tf: ## check the Terraform modules and examples, without any account (TF_MIRROR=program that prints a CLI configuration)
	@./scripts/tf

tf-update: export TF_MIRROR := $(TF_MIRROR)
tf-update: ## write their generated parts: settings, tables, expected plans
	$(GO) test -count=1 ./terraform -update
	@./scripts/tf -update

clean: ## remove what the other targets wrote
	rm -rf dist $(SDK_NODE)/node_modules $(PAGE)/node_modules $(CLIENTS)/node_modules $(CLIENTS)/agents/node_modules
	$(GO) clean -testcache
