// Package conn keeps the connections to one upstream. A [Set] makes and pools
// them; a [Conn] carries requests, one at a time over HTTP/1.1 and several over
// HTTP/2. Two clients implement the same methods, those of [http.ClientConn]:
// one of our own for HTTP/1.1, which needs no goroutine per connection, and
// net/http's for HTTP/2, for proxies and for connections that switch protocols.
// Which one it is, [Set.Connect] decides; no caller needs to know.
//
//	set.go           the pool of one upstream's connections
//	protocols.go     HTTP/1.1 or HTTP/2, and connects that requests share
//	client.go        what both clients can do, and net/http's
//	http1.go         our own client: the connection
//	roundtrip.go     one request and its response on it
//	write.go         how a request is written
//	parse.go         a fast path for the headers of ordinary responses
//	headerreader.go  limits of headers, before they are parsed
//	errors.go        what an error says about the request
//	transport.go     TLS, and net/http's connections
//	socket*.go       what the kernel knows of a TCP connection
package conn
