# Every target explains itself behind "##"; make alone prints them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
LISTEN      ?= 127.0.0.1:8787
SDK_GO      := internal/sdktest/go
SDK_NODE    := internal/sdktest/node
CHAOS       := bench/chaos
PAGE        := internal/pagetest

.DEFAULT_GOAL := help
.PHONY: help run demo test check format vet lint race sdk-go sdk-node page page-shots vulnerabilities vercel conformance bench bench-quick chaos chaos-quick fuzz torture torture-quick dist sbom reproducible tf tf-update clean

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

check: format vet lint race torture-quick sdk-go sdk-node page tf vulnerabilities ## all that CI runs

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	cd $(SDK_GO) && $(GO) vet ./...
	cd $(CHAOS) && $(GO) vet ./...

lint:
	$(GO) run $(STATICCHECK) ./...
	cd $(SDK_GO) && $(GO) run $(STATICCHECK) ./...
	cd $(CHAOS) && $(GO) run $(STATICCHECK) ./...

race:
	$(GO) test -race -timeout 300s $(PACKAGES)
	cd $(CHAOS) && $(GO) test -race -timeout 180s ./...

sdk-go: ## the official Go SDK, direct and through the relay
	cd $(SDK_GO) && $(GO) test -race -count=1 -timeout 180s ./...

sdk-node: ## the official Node SDK, the same
	@./scripts/sdk-node $(SDK_NODE)

page: ## the web page in a real Chromium
	@./scripts/page $(PAGE)

page-shots: ## the same, and write the pictures in docs/
	@PAGE_SHOTS=1 ./scripts/page $(PAGE)

vulnerabilities:
	@./scripts/vulnerabilities $(GOVULNCHECK)

vercel: ## the real vercel build of the function, tested (Linux, node 20 and npm)
	$(GO) test -count=1 -run TestBuild -v ./vercel

conformance: ## run the adapters' contract and write its table into docs/platforms.md
	RELAYTEST_CONFORMANCE=update $(GO) test -count=1 -p 1 -run 'Adapter|TestBuild' ./cmd/relay ./lambda ./gcf ./vercel

bench: ## benchmarks, and the comparisons that write docs/performance.md and its plots (15 minutes)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 300ms ./core
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=docs/performance.md
	$(GO) run ./bench/verdict -figures docs/performance.json -strict >/dev/null

bench-quick: ## a short look at the same, in dist/bench (2 minutes)
	@rm -rf dist/bench && mkdir -p dist/bench
	$(GO) test -run '^$$' -bench . -benchtime 100x ./core ./bench
	$(MAKE) --no-print-directory bench-page BENCH_PAGE=dist/bench/performance.md BENCH_QUICK=-quick
	@cat dist/bench/performance.md

# What measures leaves its figures beside the page; the plots, bounds and costs are made of those.
.PHONY: bench-page
bench-page:
	$(GO) run ./bench/compare $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench/lambda $(BENCH_QUICK) -out $(BENCH_PAGE)
	$(GO) run ./bench/servers $(BENCH_QUICK) -out $(BENCH_PAGE)
	cd $(CHAOS) && $(GO) run ./performance -figures ../../$(BENCH_PAGE:.md=.json) -plot ../../$(BENCH_PAGE:.md=.svg)
	$(GO) run ./bench/verdict -figures $(BENCH_PAGE:.md=.json) -out $(BENCH_PAGE)

chaos: ## break regions under load, and write what clients notice into docs/failover.md (an hour)
	cd $(CHAOS) && $(GO) run . -out ../../docs/failover.md -plot ../../docs/failover.svg

chaos-quick: ## one run of each of the same, writing nothing
	cd $(CHAOS) && $(GO) run . -quick

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@./scripts/fuzz $(or $(FUZZTIME),60s)

torture: ## every fault and bad input on every adapter, and their table in docs/reliability.md (an hour; FUZZTIME is 10m)
	@./scripts/torture $(or $(FUZZTIME),10m)

# One package after the other, or each would make the other's times wrong.
torture-quick: ## the same in its short form (three minutes), writing nothing
	$(GO) test -race -count=1 -p 1 -timeout 300s ./internal/torture/...

# The same bytes on every machine: no paths, no version control, no build id.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -buildid='

dist: dist/relay dist/lambda.zip dist/gcf.zip ## build what is deployed into dist/ (the Lambda function for arm64, or GOARCH=amd64)

.PHONY: pgo dist/relay dist/lambda.zip dist/gcf.zip
dist/relay:
	$(BUILD) -pgo=bench/relay.pgo -o $@ ./cmd/relay

pgo: ## record what the relay spends its time on, for the compiler, into bench/relay.pgo
	$(GO) run -trimpath ./bench/profile -out bench/relay.pgo

dist/lambda.zip:
	GOOS=linux GOARCH=$(or $(GOARCH),arm64) $(BUILD) $$(cat internal/lambdabuild/flags) -o dist/bootstrap ./lambda
	@GOARCH= GOOS= $(GO) run ./internal/pack -o $@ bootstrap=dist/bootstrap

# Source, which Google builds. If the list fails, pack refuses to make an empty archive.
dist/gcf.zip:
	@mkdir -p dist
	@GOARCH= GOOS= $(GO) run ./internal/pack -o $@ $$(GOARCH= GOOS= $(GO) run ./gcf/source)

sbom: ## write what the programs are made of into dist/sbom.json (CycloneDX)
	@mkdir -p dist
	@GOARCH= GOOS= $(GO) run ./internal/sbom -o dist/sbom.json

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
	rm -rf dist $(SDK_NODE)/node_modules $(PAGE)/node_modules
	$(GO) clean -testcache
