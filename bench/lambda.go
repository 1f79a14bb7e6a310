package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/build"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

const onLambda = "AWS Lambda"

// A proxy on api-proxy cannot stream.
const nameAPIProxy = "api-proxy + ReverseProxy, BUFFERED"

// noRPC leaves out a server for a runtime that is gone.
var noRPC = []string{"-tags=lambda.norpc"}

var lambdaSuite = suite{
	full: plan{budget: 180 * time.Second, starts: 40, memory: 5, rounds: 6, chats: 500,
		paced: upstream.Slow, events: upstream.EventCount, freezes: 60},
	quick: plan{budget: 90 * time.Second, starts: 30, memory: 1, rounds: 1, chats: 300,
		paced: upstream.Slow, events: upstream.EventCount, freezes: 30},
	contenders: []contender{
		{"direct, no function", plain, build.Program{}, startDirect},
		{nameRelay, onLambda, build.Lambda, startFunction},
		{"lambdaurl + ReverseProxy", onLambda, stock("lambdaurl", noRPC...), startFunction},
		{nameAPIProxy, onLambda, stock("apiproxy", noRPC...), startFunction},
	},
	measure: (*results).measureLambda,
	report:  (*results).lambdaReport,
}

// measureLambda runs everything in the plan, as long as ctx lets it.
func (res *results) measureLambda(ctx context.Context, r *rig) error {
	strict := startStrict()
	defer strict.Close()
	return res.measurePlatform(ctx, r, []step{
		{"broken streams", 1, (*row).measureCut},
		{"uploads", 1, func(w *row, ctx context.Context, _ *rig) error { return w.measureUpload(ctx, strict) }},
		{"freezes", 1, func(w *row, ctx context.Context, _ *rig) error {
			return w.measureFreezes(ctx, strict, res.plan.freezes)
		}},
		{"starts", res.plan.starts, (*row).measureStart},
		{"starts with TLS", res.plan.starts / 4, (*row).measureTLS},
		{"memory", res.plan.memory, (*row).measureFunctionMemory},
	})
}

// A function is a contender on an emulated Lambda. It must be closed.
type function struct {
	*lambdaemu.Server
	front *http.Server
}

func (f *function) close() {
	_ = f.front.Close()
	f.Server.Close()
}

// usage returns what the function's process has used.
func (f *function) usage() (proc.Usage, error) {
	pids := f.PIDs()
	if len(pids) != 1 {
		return proc.Usage{}, fmt.Errorf("%d processes, want 1", len(pids))
	}
	return proc.UsageOf(pids[0])
}

func startFunction(_ context.Context, r *rig, w *row) (*running, error) {
	return w.serveFunction(r.url(plain), nil)
}

// serveFunction serves a function in front of an upstream. The first request starts its
// process; there is never a second one.
func (w *row) serveFunction(upstream string, change func(*lambdaemu.Function)) (*running, error) {
	mode, env := w.settings(upstream)
	f := lambdaemu.Function{Bootstrap: w.built.file, Mode: mode, Env: env, Concurrency: 1, MemoryMB: 256}
	if change != nil {
		change(&f)
	}
	server, err := lambdaemu.New(f)
	if err != nil {
		return nil, err
	}
	front, err := serve(server)
	if err != nil {
		server.Close()
		return nil, err
	}
	return &running{addr: front.Addr, function: &function{server, front}}, nil
}

// settings are those of a function. The relay leaves everything else as it is by
// default: it logs every request.
func (w *row) settings(upstream string) (lambdaemu.Mode, map[string]string) {
	mode := lambdaemu.ResponseStream
	if w.name == nameAPIProxy {
		mode = lambdaemu.Buffered
	}
	if w.name == nameRelay {
		return mode, map[string]string{"RELAY_UPSTREAMS": upstream, "RELAY_LAMBDA_INVOKE_MODE": string(mode)}
	}
	return mode, map[string]string{"UPSTREAM": upstream}
}

// What is uploaded. In base64 the file is as large as an event can be.
var (
	largeJSON = upstream.Call{Method: "POST", Target: upstream.Upload.Target, Type: "application/json", Body: 5_000_000}
	largeFile = upstream.Call{Method: "POST", Target: upstream.Upload.Target, Type: upstream.Upload.Type,
		Body: 4_000_000}
)

// measureFunctionMemory takes what processes are resident with after their start,
// when warm, and after uploads, each upload in a process of its own.
func (w *row) measureFunctionMemory(ctx context.Context, r *rig) error {
	_, env := w.settings(r.url(plain))
	trace, err := startIdle(ctx, w.built.file, env)
	if err != nil {
		return err
	}
	w.addUsage(idle, trace.used)
	for _, upload := range []struct {
		call  upstream.Call
		after metric
	}{{largeJSON, afterJSON}, {largeFile, afterFile}} {
		if err := w.measureAfter(ctx, r, upload.call, upload.after); err != nil {
			return err
		}
	}
	w.inits = append(w.inits, trace)
	return nil
}

// measureAfter takes what a new process is resident with when warm, and after an
// upload.
func (w *row) measureAfter(ctx context.Context, r *rig, upload upstream.Call, after metric) error {
	c, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer c.stop()
	if _, err := chat(ctx, c.addr, warmChats); err != nil {
		return err
	}
	used, err := c.usage()
	if err != nil {
		return err
	}
	w.addUsage(rss, used)
	client := load.NewClient(c.addr, life, nil)
	defer client.Close()
	if err := client.Do(upload.Request(c.addr)); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if used, err = c.usage(); err != nil {
		return err
	}
	w.addUsage(after, used)
	return nil
}

// measureTLS starts a new process in front of an upstream that speaks TLS. The
// process trusts it besides as many others as a machine does: reading them all
// is part of the first handshake.
func (w *row) measureTLS(ctx context.Context, r *rig) error {
	own, err := os.ReadFile(r.roots)
	if err != nil {
		return err
	}
	bundle, _ := systemRoots()
	roots := filepath.Join(r.dir, "all-roots.pem")
	if err := os.WriteFile(roots, append(bundle, own...), 0o600); err != nil {
		return err
	}
	c, err := w.serveFunction(r.url(https1), func(f *lambdaemu.Function) {
		f.Env["SSL_CERT_FILE"], f.Env["SSL_CERT_DIR"] = roots, filepath.Join(r.dir, "none")
	})
	if err != nil {
		return err
	}
	defer c.stop()
	_, took, err := c.askNew(2)
	if err != nil {
		return err
	}
	w.add(firstTLS, took[0])
	w.add(secondTLS, took[1])
	if _, err := chat(ctx, c.addr, warmChats-2); err != nil {
		return err
	}
	used, err := c.usage()
	w.addUsage(afterTLS, used)
	return err
}

// bundles are where distributions keep the roots that they trust.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
}

// systemRoots returns the roots that this machine trusts, and how many they are.
func systemRoots() (bundle []byte, n int) {
	for _, path := range bundles {
		if b, err := os.ReadFile(path); err == nil {
			return b, bytes.Count(b, []byte("BEGIN CERTIFICATE"))
		}
	}
	return nil, 0
}

// startStrict starts an upstream that says how much of an upload it got, and
// whose connections can be closed.
func startStrict() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc(upstream.Upload.Target, func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc(upstream.Chat.Target, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion"}`)
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = quiet
	s.Start()
	return s
}

// measureUpload looks at how much of a binary upload arrives.
func (w *row) measureUpload(ctx context.Context, strict *httptest.Server) error {
	c, err := w.serveFunction(strict.URL, nil)
	if err != nil {
		return err
	}
	defer c.stop()
	status, body, err := load.Post(ctx, c.addr, largeFile.Target, largeFile.Type, make([]byte, largeFile.Body), life)
	got := strings.TrimSpace(body)
	switch {
	case err != nil || status != http.StatusOK:
		w.words.upload = fmt.Sprintf("fails (%d)", status)
	case got == fmt.Sprint(largeFile.Body):
		w.words.upload = "whole"
	default:
		w.words.upload = fmt.Sprintf("**%s of %s bytes**, status %d", got, thousands(largeFile.Body), status)
	}
	return ctx.Err()
}

// measureFreezes counts the requests that fail when Lambda freezes the process
// after each and the upstream closes its connections meanwhile.
func (w *row) measureFreezes(ctx context.Context, strict *httptest.Server, times int) error {
	c, err := w.serveFunction(strict.URL, func(f *lambdaemu.Function) { f.Freeze = true })
	if err != nil {
		return err
	}
	defer c.stop()
	failed := 0
	for range times {
		status, _, err := load.Post(ctx, c.addr, upstream.Chat.Target, upstream.Chat.Type, []byte(`{"model":"m"}`),
			life)
		if err != nil || status != http.StatusOK {
			failed++
		}
		time.Sleep(5 * time.Millisecond) // until it is frozen
		strict.CloseClientConnections()
	}
	w.words.freeze = fmt.Sprintf("%d of %d", failed, times)
	return ctx.Err()
}
