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
	// keyMaxAge is how long a key is used before it is read again. The extension
	// caches it for as long, so a new key takes up to twice that.
	keyMaxAge = 5 * time.Minute

	// retryInterval is how long requests are refused after the secret could not be
	// read, before the next request reads it again.
	retryInterval = time.Second

	// readTimeout limits reading the secret, including the start of the extension.
	readTimeout = 2 * time.Second
)

// A secretRelay is a relay whose API key is in AWS Secrets Manager. It reads the
// key when a request needs it, as AWS's extension serves nothing before the first
// event, and again after keyMaxAge, so that a key can be replaced. Without a key it
// forwards nothing: every request gets the error relay_misconfigured.
type secretRelay struct {
	environ []string
	secret  *secret
	logger  *slog.Logger
	now     func() time.Time

	mu       sync.Mutex // guards the following fields
	key      core.Secret
	relay    *core.Relay // the relay with key, or refusing
	until    time.Time   // when to read the key again
	refusing *core.Relay // serves while there is no key; nil until needed
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

// current returns the relay with a key read at most keyMaxAge ago, or one that
// refuses every request.
func (s *secretRelay) current(ctx context.Context) *core.Relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Wall-clock time: the monotonic clock stops while the process is frozen.
	now := s.now().Round(0)
	if s.relay != nil && now.Before(s.until) {
		return s.relay
	}
	key, err := s.secret.read(ctx)
	if err != nil {
		s.logger.Error("the API key could not be read", "problem", err.Error())
		if s.refusing == nil {
			s.refusing = core.FromEnv(s.environ, platform)
		}
		s.key, s.relay, s.until = "", s.refusing, now.Add(retryInterval)
		return s.relay
	}
	s.until = now.Add(keyMaxAge)
	if key != s.key {
		s.key, s.relay = key, core.FromEnv(withAPIKey(s.environ, key), platform)
	}
	return s.relay
}

// withAPIKey returns a copy of environ with the key in place of the secret's name.
func withAPIKey(environ []string, key core.Secret) []string {
	rest := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, "RELAY_API_KEY_SECRET=")
	})
	return append(rest, "RELAY_API_KEY="+string(key))
}

// A secret is a secret in AWS Secrets Manager, read through AWS's Parameters and
// Secrets extension: a process next to the function with HTTP on a local port.
type secret struct {
	url       string
	token     string // the session token, which authenticates the function to the extension
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

// read returns the secret's value, retrying until the extension is ready or
// readTimeout has passed. Its errors never contain the value.
func (s *secret) read(ctx context.Context) (core.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		key, err := s.fetch(ctx)
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

// fetch sends one request to the extension and returns the secret's value.
func (s *secret) fetch(ctx context.Context) (core.Secret, error) {
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
		return "", fmt.Errorf("AWS's Parameters and Secrets extension responded with %d: "+
			"is the secret in this region, and may the function's role read it?", res.StatusCode)
	}
	return parseSecret(body)
}

// parseSecret returns the value in a response of GetSecretValue.
func parseSecret(body []byte) (core.Secret, error) {
	var response struct{ SecretString string }
	if json.Unmarshal(body, &response) != nil {
		return "", errors.New("AWS's Parameters and Secrets extension did not return JSON")
	}
	switch value := strings.TrimSpace(response.SecretString); {
	case value == "":
		return "", errors.New("the secret is empty or binary: store the API key as plain text")
	case strings.HasPrefix(value, "{"):
		return "", errors.New("the secret holds JSON: store the API key alone, as plain text")
	default:
		return core.Secret(value), nil
	}
}
