// Package cloudflare holds the relay for Cloudflare Workers and Pages, which is
// worker.js: the contract of core once more, in the platform's own language.
// Module is that file with core's web page in it, as make dist/worker.js writes
// it. How the two stay the same contract:
//
//	tables      generated into worker.js by go test ./core -run TestWorker -update
//	decisions   testdata/vectors.json, written by core and run by both
//	behavior    the adapters' contract, on the runtime of Cloudflare
package cloudflare

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"

	"example.com/relay/core/page"
)

//go:embed worker.js
var source []byte

// pagePlace is what stands in worker.js for the page.
const pagePlace = "const PAGE = null;\n"

// Module returns worker.js with the page in it: the same bytes every time.
func Module() ([]byte, error) {
	if bytes.Count(source, []byte(pagePlace)) != 1 {
		return nil, errors.New("worker.js has no place for the page")
	}
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	page.Handler().ServeHTTP(rec, req)
	if _, err := gzip.NewReader(bytes.NewReader(rec.Body.Bytes())); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(map[string]string{
		"etag":   rec.Header().Get("Etag"),
		"policy": rec.Header().Get("Content-Security-Policy"),
		"gzip":   base64.StdEncoding.EncodeToString(rec.Body.Bytes()),
	})
	if err != nil {
		return nil, err
	}
	return bytes.Replace(source, []byte(pagePlace), []byte("const PAGE = "+string(encoded)+";\n"), 1), nil
}
