package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/load"
	"example.com/relay/internal/regions"
)

// trusted returns a certificate, and clients' trust in it.
func trusted(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	authority, err := regions.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Certificate(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return cert, authority.Pool()
}

func TestTLS(t *testing.T) {
	cert, roots := trusted(t)
	up, err := upstream.StartTLS(cert)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	c := load.NewClient(up.Addr(), 10*time.Second, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	defer c.Close()
	for range 2 {
		if err := c.Do(upstream.Chat.Request(up.Addr())); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := upstream.Connections("https://" + up.Addr()); n != 2 || err != nil {
		t.Errorf("Connections() = %d, %v, want 2", n, err)
	}
	if proto, _ := ask(t, roots, "https://"+up.Addr(), upstream.Chat); proto != "HTTP/1.1" {
		t.Errorf("the upstream answers by %s, want HTTP/1.1", proto)
	}
}

func TestHTTP2(t *testing.T) {
	cert, roots := trusted(t)
	up, err := upstream.StartHTTP2(cert)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	for _, test := range []struct {
		call upstream.Call
		size int
	}{
		{upstream.Chat, upstream.ChatSize},
		{upstream.Embeddings, upstream.EmbedSize},
		{upstream.Paced, upstream.PacedCount * upstream.EventSize},
	} {
		if proto, n := ask(t, roots, "https://"+up.Addr(), test.call); proto != "HTTP/2.0" || n != test.size {
			t.Errorf("%s: %d bytes by %s, want %d by HTTP/2.0", test.call.Target, n, proto, test.size)
		}
	}
	if n, err := upstream.Connections("https://" + up.Addr()); n != 4 || err != nil {
		t.Errorf("Connections() = %d, %v, want 4", n, err)
	}
}

// ask sends a call over a connection of its own and returns by what protocol
// the response came, and how long it is.
func ask(t *testing.T, roots *x509.CertPool, base string, call upstream.Call) (proto string, size int) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(call.Method, base+call.Target, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", call.Target, res.Status, err)
	}
	return res.Proto, len(b)
}
