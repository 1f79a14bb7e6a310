package sdktest

import (
	"strings"
	"testing"

	"example.com/relay/internal/build"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
)

// bootstrap returns the path of the executable that is deployed to AWS Lambda,
// built once for this machine. The relay's own module builds it: what it needs
// is not in this one's go.mod.
var bootstrap = proc.NewProgram("bootstrap", build.Lambda.BuildHere)

// streaming is a function behind a function URL that streams.
var streaming = lambdaemu.Function{Mode: lambdaemu.ResponseStream}

// looks are the two ways in which the platform may show a truncated response. Which
// one it is today is not documented.
var looks = []lambdaemu.Cut{lambdaemu.CutBroken, lambdaemu.CutClean}

// showing returns a function whose truncated responses look like that.
func showing(look lambdaemu.Cut) lambdaemu.Function {
	f := streaming
	f.Cut = look
	return f
}

// startFunction serves f as a relay to u until the test ends, with more of its
// settings in environ. Then it fails the test if a process crashed or if the
// log holds a secret.
func startFunction(t *testing.T, u *fakeopenai.Upstream, f lambdaemu.Function, environ ...string) *lambdaemu.Server {
	t.Helper()
	f.Bootstrap = bootstrap.Path(t)
	f.Env = map[string]string{
		"RELAY_UPSTREAMS":          u.URL,
		"RELAY_LAMBDA_INVOKE_MODE": string(f.Mode),
		"RELAY_LOG_LEVEL":          "debug",
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		f.Env[name] = value
	}
	var s *lambdaemu.Server
	t.Cleanup(func() { // after it was closed
		if stats := s.Stats(); stats.Crashed != 0 || stats.TimedOut != 0 || stats.Throttled != 0 {
			t.Errorf("the function did not survive: %+v\n%s", stats, s.Logs())
		}
		if strings.Contains(s.Logs(), canary) {
			t.Errorf("the function's log holds a secret:\n%s", s.Logs())
		}
	})
	s = lambdaemu.Start(t, f)
	return s
}

// onFunction returns the way through a function. It must write error events into
// streams, and therefore requests them without compression.
func onFunction(f lambdaemu.Function) way {
	return way{
		name:     "function",
		serve:    func(t *testing.T, u *fakeopenai.Upstream) string { return startFunction(t, u, f).URL },
		upload:   4 << 20, // the platform accepts events of 6 MB, in which a file is base64
		chunked:  true,
		identity: true,
		deaf:     true,
	}
}
