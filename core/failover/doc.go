// Package failover sends HTTP requests to the first of several upstreams that
// can take them: relays of one API in several regions and clouds, or the API
// itself. A [Pool] is an [http.RoundTripper] for any client of the API, which
// never notices that a region is gone:
//
//	pool, err := failover.New([]string{"https://rt_token@eu.example", "https://us.example"}, failover.Options{})
//	client := openai.NewClient(option.WithHTTPClient(&http.Client{Transport: pool}))
//
// # The law
//
// An attempt has phases: P0 resolving, connecting, TLS; P1 a connection is held
// and nothing written; P2 bytes of the request are written; P3 the answer's
// header is there; P4 a byte of it was given to the client.
//
// A request that the API may have processed is never sent again, unless it is a
// GET or HEAD, or [Options.ResendAmbiguous] says so. Another upstream gets it
// from P0 and P1, and upon an answer which proves that it was not processed
// (verdict.go lists them). An answer of the API itself passes untouched, 429
// and 5xx too: every upstream would give the same. After P4 nothing is sent
// again; only a Responses stream that can be resumed losslessly goes on
// elsewhere, if [Options.ResumeResponses] says so.
//
// Connections are hedged, never requests: if an upstream takes more than 250 ms
// to connect, the next one is tried alongside, and the first connection that
// stands carries the request. It is written to that one connection
// ([http.ClientConn]), so it cannot be sent twice.
//
//	Pool.Send              pool.go: one request
//	  └─ order             order.go: which upstreams, in which order
//	       └─ race         race.go: hedged connects
//	            └─ attempt attempt.go: one upstream, one connection, one sending
//	                 └─ verdict   what an answer, or its absence, proves
//	health.go   strikes, backoff, half-open trials
//	silence.go  upstreams that went dead behind established connections
//	probe.go    active probes, in a gateway
//	resume.go   Responses streams that go on elsewhere
package failover
