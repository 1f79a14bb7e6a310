// Package lambdaemu emulates AWS Lambda for tests and benchmarks: a function's
// processes, the Runtime API that they speak, and the services that call them.
//
// Start serves a function for a test; the command in cmd serves a zip for a
// person. The way of a request, file by file:
//
//	server.go       what the test holds in its hands, and the way itself
//	function.go     what there is to choose
//	call.go         the request as a service sees it: header, query, body
//	front.go        the services, and what they differ in:
//	gateway.go      function URLs, HTTP APIs and REST APIs
//	alb.go          load balancers
//	pool.go         an environment for it: an idle one, a new one, or 429
//	environment.go  one environment, from its start to its end: a process with
//	                Lambda's variables, or a goroutine that stands in for it
//	process_unix.go, process_linux.go, process_other.go
//	                how a process is frozen, thawed and killed
//	runtime.go      the invocation on its way through the runtime
//	invocation.go   the invocation itself, and what may become of it
//	runtimeapi.go   the Runtime API (next, response, error), and as much of the
//	                Extensions API as SIGTERM takes
//	receive.go      the answer on its way in, with its limits and Lambda's pace
//	deliver.go      the answer on its way out, streamed after its prelude or whole
//	reply.go        an answer as HTTP, and the headers that are not the function's
//	logs.go         what the function and the platform print
//
// A test that brings its own runtime and wants no service uses StartRuntime.
//
// # What it keeps to
//
// An environment has one event at a time, and is not free before its runtime
// asks for the next. It is frozen while it waits (Function.Freeze), killed at
// the deadline, and gone when it exits. A client that leaves stops nothing. An
// answer of more than 6 MiB, or 200 MB streamed, is refused with a 413, and
// whatever breaks off before its head is a 502. A process hears a SIGTERM,
// half a second before SIGKILL, only if it has registered an extension.
//
// Upgrade, Connection and their like end at the service, as at any proxy:
// of a WebSocket handshake the function sees the Sec-WebSocket headers only.
//
// # What only AWS can show
//
// These are undocumented, or have not been measured; the emulator had to choose:
//
//   - what a client sees of a stream that fails, by trailers or by a dead
//     process: both are there, see Cut;
//   - whether the public front end holds small chunks back, or the head until
//     the first byte of the body: here each leaves at once;
//   - whether it undoes the Content-Encoding of a streamed answer, as issue 96
//     of aws-lambda-nodejs-runtime-interface-client says: here it does not;
//   - the full list of renamed headers (X-Amzn-Remapped-...), and whether
//     others than function URLs refuse answers that have such names;
//   - how long a silent stream is tolerated: here for ever;
//   - the words and headers of a 413, and of the gateways' errors;
//   - what becomes of a 1xx or an impossible status: here a 502;
//   - how an answer of one invoke mode looks in the other: here as raw bytes;
//   - what a client's own X-Forwarded-For becomes: here it is added to;
//   - bodies of text that are not UTF-8: here each bad byte becomes U+FFFD.
//
// Not emulated are memory limits and CPU shares, the shutdown of idle
// environments, a second init after a failed one, the gateways' own timeouts of
// 29 and 30 seconds, IAM, CORS, TLS, X-Ray, provisioned concurrency, SnapStart,
// and runtimes that take several events at once.
package lambdaemu
