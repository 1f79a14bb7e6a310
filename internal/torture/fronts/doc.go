// Package fronts holds the rows of the torture matrix for a single relay, on any
// platform: faults of clients (A), of the upstream (B), hostile
// input (D), exhaustion (E) and the edges of adapters (F). Each runs against
// every front it applies to: the program relay, the Lambda function in its
// emulator with streamed and with whole responses, the Google Cloud Function in
// its framework, the Vercel server, the Worker on Cloudflare's runtime, and a
// gateway of three relays. The rows of regions (C) are in the package above.
//
//	main_test.go      the programs, built once
//	rig_test.go       the fronts, and what must hold after every row
//	wire_test.go      clients and upstreams of raw bytes
//	clients_test.go   A
//	upstreams_test.go B
//	hostile_test.go   D
//	load_test.go      E
//	adapters_test.go  F
//	worker_test.go    the Worker, and the rows that it does not hold
//
// With TORTURE_LONG=1 in the environment the rows take as long as the matrix
// says; without, a short form of the same.
package fronts
