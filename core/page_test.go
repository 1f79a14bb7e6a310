package core

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// getPage asks f for a path as a browser does that knows no compression.
func getPage(t *testing.T, f *front, method, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// The page is for everyone who may call the relay by its host, token or not,
// and holds nothing of the configuration.
func TestPage(t *testing.T) {
	f := newFront(t, func(http.ResponseWriter, *http.Request) {}, func(cfg *Config) {
		cfg.AccessTokens, cfg.APIKey, cfg.Name = []Secret{canaryToken}, canaryKey, "paris-1"
	})
	for _, path := range []string{"/", "/?a=b"} {
		res, body := getPage(t, f, "GET", path)
		if res.StatusCode != http.StatusOK || res.Header.Get("X-Relay") != "paris-1; origin=relay" ||
			!strings.Contains(body, "<title>relay</title>") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		for _, secret := range []string{canaryToken, canaryKey, f.upstream.URL} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: the page holds %q", path, secret)
			}
		}
	}
	if res, body := getPage(t, f, "HEAD", "/"); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d, %d bytes", res.StatusCode, len(body))
	}
	// A client whose base URL lacks its /v1 is told so.
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		res, body := getPage(t, f, method, "/")
		wantError(t, res, body, errUnknownPath)
	}
	f.untouched(t)
	if log := f.log.String(); !strings.Contains(log, `"route":"page"`) {
		t.Errorf("the log has no page: %s", log)
	}
}

func TestPageOff(t *testing.T) {
	f := newFront(t, func(http.ResponseWriter, *http.Request) {}, func(cfg *Config) { cfg.NoPage = true })
	res, body := getPage(t, f, "GET", "/")
	wantError(t, res, body, errUnknownPath)
}

func TestPageMindsTheHost(t *testing.T) {
	f := newFront(t, func(http.ResponseWriter, *http.Request) {},
		func(cfg *Config) { cfg.AllowedHosts = []string{"relay.example"} })
	res, body := getPage(t, f, "GET", "/")
	wantError(t, res, body, errHost)
}
