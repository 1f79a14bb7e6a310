// Package failover sends HTTP requests to the first of several upstreams that
// can take them: relays of one API in several regions and clouds, or the API
// itself. A [Pool] is an [http.RoundTripper] for any client of the API, which
// never notices that a region is gone:
//
//	pool, err := failover.New([]string{"https://rt_token@eu.example", "https://us.example"}, failover.Options{})
//	client := openai.NewClient(option.WithHTTPClient(&http.Client{Transport: pool}))
//
// # When a request is retried
//
// A request that the API may have processed is never sent again, unless it is a
// GET or HEAD, or [Options.ResendAmbiguous] says so. Before anything of it is
// written to a connection, another upstream may always have it. Afterwards that
// takes a response which proves that nothing was processed: package protocol
// says what each error code of a relay proves, verdict.go what the pages of
// platforms do. A response of the API itself is forwarded unchanged, 429 and 5xx
// included: every upstream would give the same. Once the client has a byte of a
// response, nothing is retried; only an event stream of a background response
// can continue through another upstream, if [Options.ResumeResponses] says so. A
// response that is held back ([Route]) has not begun before Hold returns.
//
// Connections are hedged, requests never: if an upstream takes more than 250 ms
// to connect, the next one is tried alongside, and the first connection to be
// established carries the request. It is written to that one connection, so it
// cannot be sent twice. A body over 1 MiB can be sent only once: unless the upstream
// took one of that length before, it is sent after a 100 (Continue).
//
// # The path of a request
//
//	Pool.Send               pool.go
//	  └─ call               call.go: one request: what follows from each attempt
//	       ├─ order         order.go: the upstreams, in which order
//	       ├─ choose        route.go: which of them may get the request, with whose key
//	       ├─ chooseBySize  size.go: which of them take the body
//	       ├─ acquire       queue.go: the next candidate, and a connection to it
//	       │    └─ race     race.go, connecting.go: hedged connects
//	       ├─ attempt       attempt.go: the request on one connection
//	       ├─ judge         verdict.go, encoding.go: what a response proves
//	       └─ hold          hold.go: a response that counts only when its reader says so
//
// Beside it stands what is known of each upstream:
//
//	health.go     strikes, ejection and backoff
//	suspicion.go  checks before a response is held against an upstream
//	refusal.go    whether the API refuses an upstream's region
//	silence.go    upstreams that stopped responding on established connections
//	liveness.go   a check before a request, of an upstream not heard of for a while
//	stall.go      checks of upstreams that let a request wait
//	probe.go      health checks: on schedule in a gateway, on trial, on suspicion
//	budget.go     how many retries all requests together may make
//	freeze.go     processes that were frozen, and lost their connections meanwhile
//	resume.go     event streams that continue through another upstream: a read of
//	              such a stream makes a call of its own
package failover
