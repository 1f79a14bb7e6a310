package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/relay/core"
)

const (
	// keyTime is how long a key that was read is used. The extension keeps it
	// for as long again.
	keyTime = 5 * time.Minute

	// retryTime is how long requests are refused, without another try, after
	// the secret could not be read.
	retryTime = time.Second

	// readTime is the time to read the secret in, starting the extension
	// included.
	readTime = 2 * time.Second
)

// A secretRelay is a relay whose API key lies in AWS Secrets Manager. It reads
// the key when a request needs it, since AWS's extension answers nothing before
// the first one, and reads it again from time to time, so that a key can be
// replaced. While there is no key, every request is answered by the error
// relay_misconfigured: it never relays without one.
type secretRelay struct {
	environ []string
	secret  *secret
	logger  *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	key     core.Secret
	relay   *core.Relay
	until   time.Time   // when to read again
	refuses *core.Relay // for the time without a key; nil until then
}

func newSecretRelay(environ []string, name string) *secretRelay {
	return &secretRelay{
		environ: environ,
		secret:  newSecret(environ, name),
		logger:  slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		now:     time.Now,
	}
}

func (s *secretRelay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.current(req.Context()).ServeHTTP(w, req)
}

// current returns the relay with the key as it was at most keyTime ago, or one
// that refuses.
func (s *secretRelay) current(ctx context.Context) *core.Relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	// By the wall clock: the other one stands still while the process is frozen.
	now := s.now().Round(0)
	if s.relay != nil && now.Before(s.until) {
		return s.relay
	}
	key, err := s.secret.read(ctx)
	if err != nil {
		s.logger.Error("the API key could not be read", "problem", err.Error())
		if s.refuses == nil {
			s.refuses = core.FromEnv(s.environ, platform)
		}
		s.key, s.relay, s.until = "", s.refuses, now.Add(retryTime)
		return s.relay
	}
	s.until = now.Add(keyTime)
	if key != s.key {
		s.key, s.relay = key, core.FromEnv(withAPIKey(s.environ, key), platform)
	}
	return s.relay
}

// withAPIKey returns environ with the key in place of its secret's name.
func withAPIKey(environ []string, key core.Secret) []string {
	rest := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, "RELAY_API_KEY_SECRET=")
	})
	return append(rest, "RELAY_API_KEY="+string(key))
}

// A secret is read through AWS's Parameters and Secrets extension, a process
// beside the function that speaks HTTP on a local port.
type secret struct {
	url       string
	token     string // shows the extension that the function asks
	transport http.RoundTripper
}

func newSecret(environ []string, name string) *secret {
	s := &secret{transport: &http.Transport{DisableKeepAlives: true}}
	port := "2773"
	for _, entry := range environ {
		switch key, value, _ := strings.Cut(entry, "="); key {
		case "AWS_SESSION_TOKEN":
			s.token = value
		case "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT":
			port = value
		}
	}
	s.url = "http://" + net.JoinHostPort("localhost", port) + "/secretsmanager/get?secretId=" + url.QueryEscape(name)
	return s
}

// errNotReady means that the request to the extension may be retried.
var errNotReady = errors.New("AWS's Parameters and Secrets extension does not respond; is its layer attached?")

// read returns the secret's value. Its errors hold nothing of it.
func (s *secret) read(ctx context.Context) (core.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	for {
		key, err := s.ask(ctx)
		if !errors.Is(err, errNotReady) {
			return key, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask sends one request to the extension.
func (s *secret) ask(ctx context.Context) (core.Secret, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return "", errors.New("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT must be a port")
	}
	req.Header.Set("X-Aws-Parameters-Secrets-Token", s.token)
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return "", errNotReady
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 128<<10))
	if err != nil {
		return "", errNotReady
	}
	if res.StatusCode != http.StatusOK {
		if strings.Contains(string(body), "not ready to serve traffic") {
			return "", errNotReady
		}
		return "", fmt.Errorf("AWS's Parameters and Secrets extension responds with %d: "+
			"is the secret in this region, and may the function's role read it?", res.StatusCode)
	}
	return parseSecret(body)
}

// parseSecret returns the value in a response of Secrets Manager's.
func parseSecret(body []byte) (core.Secret, error) {
	var answer struct{ SecretString string }
	if json.Unmarshal(body, &answer) != nil {
		return "", errors.New("AWS's Parameters and Secrets extension answers no JSON")
	}
	switch value := strings.TrimSpace(answer.SecretString); {
	case value == "":
		return "", errors.New("the secret is empty, or binary: store the API key as its plain text")
	case strings.HasPrefix(value, "{"):
		return "", errors.New("the secret holds JSON: store the API key alone, as plain text")
	default:
		return core.Secret(value), nil
	}
}
