# Every target explains itself behind "##"; make alone prints them.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 60s
LISTEN      ?= 127.0.0.1:8787
SDK_GO      := internal/sdktest/go
SDK_NODE    := internal/sdktest/node

.DEFAULT_GOAL := help
.PHONY: help run demo test check format vet lint race sdk-go sdk-node vulnerabilities bench bench-quick fuzz dist tf clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start the relay on 127.0.0.1:8787 and print its base URL
	$(GO) run ./cmd/relay -listen $(LISTEN)

demo: ## the whole thing without a key: a fake OpenAI, the relay before it, a streamed answer
	@./scripts/demo

test: ## run the tests
	$(GO) test ./...

check: format vet lint race sdk-go sdk-node vulnerabilities ## all that CI runs

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	cd $(SDK_GO) && $(GO) vet ./...

lint:
	$(GO) run $(STATICCHECK) ./...
	cd $(SDK_GO) && $(GO) run $(STATICCHECK) ./...

race:
	$(GO) test -race ./...

sdk-go: ## the official Go SDK, direct and through the relay
	cd $(SDK_GO) && $(GO) test -race ./...

sdk-node: ## the official Node SDK, the same
	@./scripts/sdk-node $(SDK_NODE)

vulnerabilities:
	@./scripts/vulnerabilities $(GOVULNCHECK)

bench: ## benchmarks, and the comparison that writes docs/performance.md
	$(GO) test -run '^$$' -bench . -benchmem ./core
	$(GO) run ./bench/compare -out docs/performance.md

bench-quick: ## a short look at the same, writing nothing
	$(GO) test -run '^$$' -bench . -benchtime 100x ./core ./bench
	$(GO) run ./bench/compare -quick

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@./scripts/fuzz $(FUZZTIME)

dist: ## build what is deployed into dist/
	@mkdir -p dist
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -buildid=' -o dist/relay ./cmd/relay
	@sha256sum dist/relay 2>/dev/null || shasum -a 256 dist/relay

tf: ## check the Terraform modules
	@test -d terraform || { echo "tf: no Terraform modules yet"; exit 0; }

clean: ## remove what the other targets made
	rm -rf dist $(SDK_NODE)/node_modules
	$(GO) clean -testcache
