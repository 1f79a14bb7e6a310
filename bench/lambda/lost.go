package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/load"
)

// losses is what does not arrive as it left, in words.
type losses struct {
	upload, cut, freeze string
}

// A strictUpstream says what it got, and breaks streams off.
type strictUpstream struct {
	*httptest.Server
	tls *httptest.Server // serves the same
}

func startStrict() *strictUpstream {
	mux := http.NewServeMux()
	mux.HandleFunc(upstream.Upload.Target, func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if req.URL.RawQuery != "cut" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"object":"chat.completion"}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"n\":1}\n\ndata: {\"n\":2}\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := &strictUpstream{Server: newQuiet(mux), tls: newQuiet(mux)}
	s.Start()
	s.tls.StartTLS()
	return s
}

func newQuiet(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	return s
}

// Close ends both.
func (s *strictUpstream) Close() {
	s.Server.Close()
	s.tls.Close()
}

// measureLosses sends what is likely to get lost.
func (w *row) measureLosses(ctx context.Context, r *rig, freezes int) error {
	f, err := w.serve(r.strict.URL, nil)
	if err != nil {
		return err
	}
	defer f.close()
	w.lost.upload = uploaded(ctx, f)
	w.lost.cut = cutShort(ctx, f)
	w.lost.freeze, err = w.frozen(ctx, r, freezes)
	return err
}

// uploaded says how much of a binary upload arrives.
func uploaded(ctx context.Context, f *function) string {
	status, body, err := load.Post(ctx, f.addr, upstream.Upload.Target, largeFile.Type, make([]byte, largeFile.Body), life)
	got := strings.TrimSpace(body)
	switch {
	case err != nil || status != http.StatusOK:
		return fmt.Sprintf("fails (%d)", status)
	case got == fmt.Sprint(largeFile.Body):
		return "whole"
	}
	return fmt.Sprintf("**%s of %s bytes**, answered %d", got, figures.Thousands(float64(largeFile.Body)), status)
}

// cutShort says what a client sees of a stream that the upstream breaks off.
func cutShort(ctx context.Context, f *function) string {
	status, body, err := load.Post(ctx, f.addr, "/v1/chat/completions?cut", "application/json", []byte(`{"stream":true}`), life)
	return load.Ending(status, body, err)
}

// frozen says how many requests fail when Lambda freezes the process after each
// and the upstream closes its connections meanwhile.
func (w *row) frozen(ctx context.Context, r *rig, times int) (string, error) {
	f, err := w.serve(r.strict.URL, func(f *lambdaemu.Function) { f.Freeze = true })
	if err != nil {
		return "", err
	}
	defer f.close()
	failed := 0
	for range times {
		status, _, err := load.Post(ctx, f.addr, "/v1/chat/completions", "application/json", []byte(`{"model":"m"}`), life)
		if err != nil || status != http.StatusOK {
			failed++
		}
		time.Sleep(5 * time.Millisecond) // until it is frozen
		r.strict.CloseClientConnections()
	}
	return fmt.Sprintf("%d of %d", failed, times), ctx.Err()
}
