// Command lambda is the relay as an AWS Lambda function: the bootstrap of a
// function on provided.al2023, built by make dist into dist/lambda.zip and
// deployed behind a function URL, an HTTP API, a REST API or an ALB.
//
// Function URLs in the invoke mode RESPONSE_STREAM, and REST APIs in the
// transfer mode STREAM, get answers as they come (stream.go). Everything else
// gets them whole (buffer.go). A function cannot find out its URL's mode, so
// RELAY_LAMBDA_INVOKE_MODE must say it; RESPONSE_STREAM is the default.
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

// platform is what Lambda is like.
var platform = core.Platform{
	Name: "AWS Lambda",
	// The limit is on the event, in which a binary body is base64.
	MaxBodyBytes:  6 << 20,
	NoWebSocket:   true,
	SingleRequest: true,
	Serverless:    true,
	HidesCuts:     true, // aws-lambda-go#495
}

// collectAt is how much the heap grows, in percent, before it is collected. A
// warm process takes 1.1 MiB less than with Go's 100, one with large bodies up to
// 20, for 3 µs of each answer. With less than 60 the first answer would take a
// millisecond longer: collections would get in between while it reads the roots
// for TLS.
const collectAt = 65

func main() {
	if !slices.ContainsFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "GOGC=") }) {
		debug.SetGCPercent(collectAt)
	}
	// The relay tells what is wrong with the settings; here only these two are of
	// interest.
	cfg, _ := core.ParseEnv(os.Environ())
	b := &bridge{stream: cfg.LambdaInvokeMode != "BUFFERED"}
	if cfg.APIKeySecret == "" {
		b.handler = core.FromEnv(os.Environ(), platform)
	} else {
		b.handler = newSecretRelay(os.Environ(), cfg.APIKeySecret)
	}
	lambda.StartWithOptions(b.invoke)
}
