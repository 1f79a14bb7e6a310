// Command lambda is the relay as an AWS Lambda function: the bootstrap of a
// function on provided.al2023, built by make dist into dist/lambda.zip and
// deployed behind a function URL, an HTTP API, a REST API or an ALB.
//
// Function URLs in the invoke mode RESPONSE_STREAM, and REST APIs in the
// transfer mode STREAM, get responses as they arrive (stream.go). Everything else
// gets them buffered (buffer.go). A function cannot look up its URL's mode, so
// RELAY_LAMBDA_INVOKE_MODE must name it; RESPONSE_STREAM is the default.
//
// With RELAY_API_KEY_SECRET the API key comes from AWS Secrets Manager (secret.go).
package main

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"example.com/relay/core"
)

// platform describes Lambda.
var platform = core.Platform{
	Name: "AWS Lambda",
	// The limit is on the event, in which a binary body is base64.
	MaxBodyBytes:  6 << 20,
	NoWebSocket:   true,
	SingleRequest: true,
	Serverless:    true,
	HidesCuts:     true, // aws-lambda-go#495
}

// gcPercent is the GOGC that the function sets unless the environment has one. A
// warm process takes 1.1 MiB less than with Go's default of 100, one with large
// bodies up to 20 MiB less, at the cost of 3 µs per request. Below 60 the first
// response would take a millisecond longer, as the garbage collector would run
// while the TLS roots are parsed.
const gcPercent = 65

func main() {
	if !slices.ContainsFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "GOGC=") }) {
		debug.SetGCPercent(gcPercent)
	}
	// Only these two settings matter here. The relay reports any error in them.
	cfg, _ := core.ParseEnv(os.Environ())
	b := &bridge{stream: cfg.LambdaInvokeMode != "BUFFERED"}
	if cfg.APIKeySecret == "" {
		b.handler = core.FromEnv(os.Environ(), platform)
	} else {
		b.handler = newSecretRelay(os.Environ(), cfg.APIKeySecret)
	}
	lambda.StartWithOptions(b.invoke)
}
