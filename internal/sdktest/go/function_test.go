package sdktest

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/relay/internal/build"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
)

// bootstrap returns the path of the executable that is deployed to AWS Lambda,
// built once for this machine. The relay's own module builds it: what it needs
// is not in this one's go.mod.
var bootstrap = sync.OnceValues(func() (string, error) {
	file := filepath.Join(buildDir, "bootstrap")
	return file, build.Lambda.Build(context.Background(), build.Target{}, file)
})

// streaming is a function behind a function URL that passes on what comes.
var streaming = lambdaemu.Function{Mode: lambdaemu.ResponseStream}

// looks are the two ways in which the platform may show a response that broke
// off. Which one it is today is not documented.
var looks = []lambdaemu.Cut{lambdaemu.CutBroken, lambdaemu.CutClean}

// showing returns a function whose cut responses have a look.
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
	file, err := bootstrap()
	if err != nil {
		t.Fatal(err)
	}
	f.Bootstrap = file
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

// bothOn is both for a relay that is f. It overlooks Accept-Encoding, in which a
// function asks for identity, so that it can write into event streams.
func bothOn[T any](t *testing.T, f lambdaemu.Function, call func(t *testing.T, a *api) T) {
	t.Helper()
	bothBy(t, "function", func(t *testing.T, u *fakeopenai.Upstream) string { return startFunction(t, u, f).URL }, call)
}
