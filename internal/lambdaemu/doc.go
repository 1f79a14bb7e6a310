// Package lambdaemu emulates AWS Lambda for tests and benchmarks: a function's
// processes, the Runtime API that they speak, and the services that call them.
//
// Start serves a function for a test; the command in cmd serves a zip on the
// command line. The path of a request, file by file:
//
//	server.go       the emulator, and the path itself
//	function.go     its options
//	call.go         the request as a service sees it: header, query, body
//	front.go        the services and how they differ; load balancers
//	gateway.go      function URLs, HTTP APIs and REST APIs
//	pool.go         finds an environment: an idle one, a new one, or 429
//	environment.go  one environment from start to end: a process with Lambda's
//	                variables, or a goroutine in its place; and its logs
//	process_unix.go, process_other.go
//	                how a process is frozen, thawed and killed
//	runtime.go      the invocation, and its way through the runtime
//	runtimeapi.go   the Runtime API (next, response, error), and as much of the
//	                Extensions API as it takes to get a SIGTERM
//	receive.go      the response on its way in, with its limits
//	response.go     the response on its way out, streamed after its prelude or
//	                whole, and the headers that are not the function's
//
// A test that brings its own runtime and needs no service uses StartRuntime.
//
// # What it guarantees
//
// An environment has one event at a time, and is not free before its runtime
// requests the next. It is frozen while it waits (Function.Freeze), killed at
// the deadline, and gone when it exits. A client that disconnects stops nothing.
// A response of more than 6 MiB, or 200 MB if streamed, is refused with a 413,
// and one that fails before its head is a 502. A process gets a SIGTERM, half a
// second before SIGKILL, only if it has registered an extension.
//
// Upgrade, Connection and their like end at the service, as at any proxy:
// of a WebSocket handshake the function sees the Sec-WebSocket headers only.
//
// # What only AWS can show
//
// These are undocumented, or have not been measured; the emulator had to choose:
//
//   - what a client sees of a stream that fails, by trailers or by a dead
//     process: both are available, see Cut;
//   - whether the public front end holds back small chunks, or the head until
//     the first byte of the body: here each is sent at once;
//   - whether it undoes the Content-Encoding of a streamed response, as issue 96
//     of aws-lambda-nodejs-runtime-interface-client says: here it does not;
//   - the full list of renamed headers (X-Amzn-Remapped-...), and whether
//     services other than function URLs refuse responses with such names;
//   - how long a silent stream is tolerated: here for ever;
//   - the wording and headers of a 413, and of the gateways' errors;
//   - what becomes of a 1xx or an invalid status: here a 502;
//   - what a response of one invoke mode looks like in the other: here raw bytes;
//   - what becomes of a client's own X-Forwarded-For: here it is appended to;
//   - text bodies that are not UTF-8: here each bad byte becomes U+FFFD.
//
// Not emulated are memory limits, CPU shares, the bandwidth of streams, the
// shutdown of idle environments, a second init after a failed one, the gateways'
// own timeouts of 29 and 30 seconds, IAM, CORS, TLS, X-Ray, provisioned
// concurrency, SnapStart, and runtimes that take several events at once.
package lambdaemu
