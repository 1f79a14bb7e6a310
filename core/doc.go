// Package core is a stateless relay for api.openai.com, or any API of that
// shape, as an [http.Handler]. It changes nothing of what passes but for what
// its policies name, hands on every byte as it comes, and never lets a
// truncated answer look complete.
//
// The path of a request:
//
//	http.Server, or an adapter's bridge
//	  └─ Relay.ServeHTTP
//	       └─ record → cors → target       every request, relay.go lists them
//	            ├─ /relay/health           health.go
//	            ├─ /                       page/: the web page
//	            └─ access → paths → limits requests of the API
//	                 └─ exchange           exchange.go: outbound request, answer
//	                      ├─ failover      its own package: upstreams and connections
//	                      ├─ stream        stream.go: the answer's body, as it comes
//	                      └─ upgrade       upgrade.go: WebSocket
//
// Calls go downward only. A preflight carries no credentials, so cors comes
// before access; a body is read only for a caller who may pass; the record is
// closed by defer and sees everything.
//
// # The abort contract
//
// A response that cannot be completed must not look complete. The relay writes
// an error event into an uncompressed event stream and then panics with
// [http.ErrAbortHandler]; an adapter translates that panic into the most
// visible break which its platform knows. Official SDKs take a clean end of a
// stream for success, with or without its last event.
//
// # Use
//
// An adapter for a function platform calls [FromEnv], which never fails: a
// relay with a bad configuration answers every request with an error that says
// so. A program calls [ParseEnv] and [New], or fills in a [Config] by hand.
// Everything exported is safe for concurrent use.
package core
