// Package core is a stateless relay for api.openai.com, or any API of that
// shape, as an [http.Handler]. It changes nothing in requests and responses but
// what its policies name, forwards every byte as soon as it is read, and never
// lets a truncated response look complete.
//
// The path of a request:
//
//	http.Server, or an adapter's bridge
//	  └─ Relay.ServeHTTP                   relay.go; drain.go counts requests for Shutdown
//	       └─ record → cors → target       stages that every request passes
//	            └─ routes                  paths.go
//	                 ├─ /relay/health      health.go
//	                 ├─ /                  page/: the web page
//	                 └─ navigation → access → paths → limits → models
//	                      └─ forwarder     forward.go: an exchange for each request
//	                           ├─ failover      its own package: upstreams and connections
//	                           ├─ respond       response.go: the response's header
//	                           │    └─ stream   stream.go: the response's body; detach.go
//	                           └─ upgrade       websocket.go
//
// Each stage is in the file of its name, and New lists them in this order. A
// preflight carries no credentials, so cors comes before access; a body is read
// only for a caller who may pass; the record is closed by defer and sees
// everything. Calls go downward, with two exceptions: health asks access whether a
// caller may see the upstreams, and a detached stream ends in record, where it began.
//
// What they use:
//
//	origins.go    which web origins may call, for cors and SetUpstreams
//	leak.go       access tokens that would still be forwarded after access
//	jsonmodel.go  the model in a JSON body, for models
//	formmodel.go  the model in a multipart form, for models
//	sockets.go    how many WebSockets each caller has open, for limits
//	lines.go      header lines, counted before net/http parses them
//	detach.go     event streams that go on when their handlers have returned
//	reuse.go      hands their connections back to the server
//	headers.go    which headers are forwarded, in both directions
//	deadlines.go  timeouts of an exchange, and the exchanges in flight
//	buffer.go     responses that are buffered before any of them is forwarded
//	failure.go    which error a failed exchange is reported as
//	errors.go     all errors that a client can get
//	config.go     Config; validate.go checks it, settings.go reads the environment
//	version.go    which version this is
//	keys.go       API keys of upstreams: what they must agree with
//	secret.go     strings that are never printed
//	logline.go    the line that is logged for a record
//	stdlog.go     what must not get into the standard logger
//
// # The abort contract
//
// A response that cannot be completed must not look complete. The relay writes
// an error event into an uncompressed event stream and then panics with
// [http.ErrAbortHandler]; an adapter translates that panic into whatever
// a client of its platform notices best. Official SDKs take a clean end of a
// stream for success, with or without its last event.
//
// # Use
//
// An adapter for a function platform calls [FromEnv], which never fails: a
// relay with an invalid configuration responds to every request with an error
// that says so. A program calls [ParseEnv] and [New], or fills in a [Config] by hand.
// Everything exported is safe for concurrent use.
package core
