// Package clienttest runs real clients from npm through the relay, offline,
// against the fake OpenAI: Codex and SDKs (package.json), and other coding agents
// (agents/package.json). It checks what the upstream saw and what the client
// printed. docs/clients.md names the versions; scripts/clients installs the
// packages and runs the tests:
//
//	make clients        all of them (Linux on x86-64)
//	make clients-quick  Codex, the Agents SDK and the AI SDK
//
// It has its own module so that the relay's has none of the packages.
//
//	stack_test.go   the upstream, and the ways to it: relay, gateway, Lambda
//	client_test.go  a client's process, and what is checked of every run
//	codex_test.go   Codex, over WebSocket, over HTTP, and falling back
//	agents_test.go  opencode, Qwen Code, Claude Code, Cline
//	sdk_test.go     SDKs, each by sdk.mjs
package clienttest
