package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/load"
)

// measureStart starts a new process and asks it once.
func (w *row) measureStart(r *rig) error {
	f, err := w.serve(r.url(), nil)
	if err != nil {
		return err
	}
	defer f.close()
	init, answers, err := askNew(f, 1)
	if err != nil {
		return err
	}
	w.init = append(w.init, figures.Millis(init))
	w.first = append(w.first, figures.Millis(answers[0]))
	return nil
}

// askNew asks a function that has no process yet n times. It returns how long
// the process took to its first /next, and from there to the first answer.
func askNew(f *function, n int) (init time.Duration, answers []time.Duration, err error) {
	client := load.NewClient(f.addr, life)
	defer client.Close()
	request := upstream.Chat.Request(f.addr)
	for range n {
		began := time.Now()
		if err := client.Do(request); err != nil {
			return 0, nil, err
		}
		answers = append(answers, time.Since(began))
	}
	inits := f.Stats().Init
	if len(inits) != 1 {
		return 0, nil, errors.New("took not one process")
	}
	answers[0] -= inits[0]
	return inits[0], answers, nil
}

// bundles are where distributions keep the roots that they trust.
var bundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"}

// measureTLS starts a new process in front of an upstream that speaks TLS. The
// process trusts it besides as many others as a machine does: reading them all
// is part of the first handshake.
func (w *row) measureTLS(ctx context.Context, r *rig) error {
	server := r.strict.tls
	roots, err := trust(r.dir, server)
	if err != nil {
		return err
	}
	f, err := w.serve(server.URL, func(f *lambdaemu.Function) {
		f.Env = maps.Clone(f.Env)
		f.Env["SSL_CERT_FILE"], f.Env["SSL_CERT_DIR"] = roots, filepath.Join(r.dir, "none")
	})
	if err != nil {
		return err
	}
	defer f.close()
	_, answers, err := askNew(f, 2)
	if err != nil {
		return err
	}
	w.firstTLS = append(w.firstTLS, figures.Millis(answers[0]))
	w.againTLS = append(w.againTLS, figures.Millis(answers[1]))
	if _, err := chat(ctx, f.addr, warmChats-2); err != nil {
		return err
	}
	resident, err := f.resident()
	w.warmTLS = append(w.warmTLS, resident)
	return err
}

// trust writes a bundle of this machine's roots and the server's certificate.
func trust(dir string, server *httptest.Server) (file string, err error) {
	file = filepath.Join(dir, "roots.pem")
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	roots, _ := systemRoots()
	return file, os.WriteFile(file, append(roots, own...), 0o600)
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
