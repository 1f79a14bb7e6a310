# Every target explains itself behind "##"; make alone prints them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
LISTEN      ?= 127.0.0.1:8787
SDK_GO      := internal/sdktest/go
SDK_NODE    := internal/sdktest/node
CHAOS       := bench/chaos
PAGEBUILD   := internal/pagebuild
PAGE        := internal/pagetest
CLIENTS     := internal/clienttest

.DEFAULT_GOAL := help
.PHONY: help run demo test check format vet lint race sdk-go sdk-node clients clients-quick page page-shots vulnerabilities vercel conformance bench bench-quick chaos chaos-quick fuzz torture torture-quick dist sbom reproducible tf tf-update clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the relay on 127.0.0.1:8787 and print its base URL
	$(GO) run ./cmd/relay -listen $(LISTEN)

demo: ## the whole thing without a key: a fake OpenAI, the relay before it, a streamed answer
	@./scripts/demo

# The torture matrix wants the machine for itself.
PACKAGES = $$($(GO) list ./... | grep -v /internal/torture)

test: ## run the tests
	$(GO) test $(PACKAGES)

check: format vet lint race torture-quick sdk-go sdk-node clients-quick page tf vulnerabilities ## all that CI runs

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	cd $(SDK_GO) && $(GO) vet ./...
	cd $(CLIENTS) && $(GO) vet ./...
	cd $(CHAOS) && $(GO) vet ./...
	cd $(PAGEBUILD) && $(GO) vet ./...

lint:
	$(GO) run $(STATICCHECK) ./...
	cd $(SDK_GO) && $(GO) run $(STATICCHECK) ./...
	cd $(CLIENTS) && $(GO) run $(STATICCHECK) ./...
	cd $(CHAOS) && $(GO) run $(STATICCHECK) ./...
	cd $(PAGEBUILD) && $(GO) run $(STATICCHECK) ./...

race:
	$(GO) test -race -timeout 300s $(PACKAGES)
	cd $(CHAOS) && $(GO) test -race -timeout 180s ./...
	cd $(PAGEBUILD) && $(GO) test ./...

sdk-go: ## the official Go SDK, direct and through the relay
	cd $(SDK_GO) && $(GO) test -race -count=1 -timeout 180s ./...

sdk-node: ## the official Node SDK, the same
	@./scripts/sdk-node $(SDK_NODE)

clients: ## real clients from npm, coding agents and SDKs, through the relay (docs/clients.md; five minutes)
	@./scripts/clients $(CLIENTS)

clients-quick: ## Codex, the Agents SDK and the AI SDK of them
	@./scripts/clients $(CLIENTS) quick

page: ## the web page in a real Chromium
	@./scripts/page $(PAGE)

page-shots: ## the same, and write the pictures in docs/
	@PAGE_SHOTS=1 ./scripts/page $(PAGE)

vulnerabilities:
	@./scripts/vulnerabilities $(GOVULNCHECK)

vercel: ## the real vercel build of the function, tested (Linux, node 20 and npm)
	$(GO) test -count=1 -run TestBuild -v ./vercel

.PHONY: docs
docs: ## write the tables of settings, errors and clients in docs/
	$(GO) test -count=1 -run TestDocsAreUpToDate ./core ./core/page -update

conformance: ## run the adapters' contract and write its table into docs/platforms.md
	CONFORMANCE=update $(GO) test -count=1 -p 1 -run 'Adapter|TestBuild' ./cmd/relay ./lambda ./gcf ./vercel ./cloudflare

bench: ## benchmarks, and the comparisons that write docs/evidence/performance.md and its plots (15 minutes)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 300ms ./core
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=docs/evidence/performance.md
	$(GO) run ./bench -suite bounds -figures docs/evidence/performance.json -strict >/dev/null

bench-quick: ## a short look at the same, in dist/bench (2 minutes)
	@rm -rf dist/bench && mkdir -p dist/bench && cp docs/evidence/performance.md dist/bench
	$(GO) test -run '^$$' -bench . -benchtime 100x ./core ./bench
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=dist/bench/performance.md BENCH_QUICK=-quick
	@cat dist/bench/performance.md

# Suites leave their figures beside the page; the plots and the bounds are made of those.
.PHONY: bench-page
bench-page:
	$(GO) run ./bench -suite relay $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench -suite lambda $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench -suite servers $(BENCH_QUICK) -out $(BENCH_PAGE)
	cd $(CHAOS) && $(GO) run . -performance ../../$(BENCH_PAGE:.md=.json) -plot ../../$(BENCH_PAGE:.md=.svg)
	$(GO) run ./bench -suite bounds -out $(BENCH_PAGE)

chaos: ## break regions under load, and write what clients notice into docs/evidence/failover.md (an hour)
	cd $(CHAOS) && $(GO) run . -out ../../docs/evidence/failover.md -plot ../../docs/evidence/failover.svg

chaos-quick: ## one run of each of the same, writing nothing
	cd $(CHAOS) && $(GO) run . -quick

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@./scripts/fuzz $(or $(FUZZTIME),60s)

torture: ## every fault and bad input on every adapter, and their table in docs/evidence/reliability.md (an hour; FUZZTIME is 10m)
	@./scripts/torture $(or $(FUZZTIME),10m)

# One package after the other, or each would make the other's times wrong.
torture-quick: ## the same in its short form (three minutes), writing nothing
	$(GO) test -race -count=1 -p 1 -timeout 300s ./internal/torture/...

dist: dist/relay dist/lambda.zip dist/gcf.zip dist/worker.js ## build what is deployed into dist/ (the Lambda function for arm64, or GOARCH=amd64)

.PHONY: pgo dist/relay dist/lambda.zip dist/gcf.zip
dist/relay dist/lambda.zip dist/gcf.zip:
	@GOOS= GOARCH= $(GO) run ./internal/build/cmd -os '$(GOOS)' -arch '$(GOARCH)' $@

# For Cloudflare: what is in the repository, with the page in it.
.PHONY: dist/worker.js
dist/worker.js:
	@GOOS= GOARCH= $(GO) run ./cloudflare/build -o $@

.PHONY: worker worker-cpu
worker: ## run the Cloudflare Worker on 127.0.0.1:8788, on Cloudflare's own runtime, with the RELAY_* variables
	$(GO) run ./cloudflare/serve

worker-cpu: ## the Worker's CPU time beside the fifteen lines that most people deploy (Linux, a minute)
	$(GO) run ./cloudflare/cpu

pgo: ## record what the relay spends its time on, for the compiler, into bench/relay.pgo
	$(GO) run -trimpath ./bench -suite profile -out bench/relay.pgo

# Read from the binaries, in which the go command notes what they are made of.
# Google and Vercel build from source, so theirs are built here.
bom = @GOARCH= GOOS= $(GO) run -trimpath $(CYCLONEDX) bin -json -noserial -notimestamp -short-purls -std \
	-version v$$(sed -n 's/^const Version = "\(.*\)"$$/\1/p' core/*.go) -output dist/sbom/$(1).cdx.json $(2)

sbom: dist ## write what is compiled into each artifact into dist/sbom/ (CycloneDX)
	@mkdir -p dist/sbom
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -trimpath -buildvcs=false -o dist/sbom/gcf ./gcf/cmd
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -trimpath -buildvcs=false -o dist/sbom/vercel ./vercel
	$(call bom,relay,dist/relay)
	$(call bom,lambda,dist/bootstrap)
	$(call bom,gcf,dist/sbom/gcf)
	$(call bom,vercel,dist/sbom/vercel)
	@rm dist/sbom/gcf dist/sbom/vercel

reproducible: ## build dist twice, in different folders, and compare
	@./scripts/reproducible

tf: export TF_MIRROR := $(TF_MIRROR)
tf: ## check the Terraform modules and examples, without any account (TF_MIRROR=program that prints a CLI configuration)
	@./scripts/tf

tf-update: export TF_MIRROR := $(TF_MIRROR)
tf-update: ## write what is generated for them: settings, tables, expected plans
	$(GO) test -count=1 ./terraform -update
	@./scripts/tf -update

clean: ## remove what the other targets made
	rm -rf dist $(SDK_NODE)/node_modules $(PAGE)/node_modules $(CLIENTS)/node_modules $(CLIENTS)/agents/node_modules
	$(GO) clean -testcache
