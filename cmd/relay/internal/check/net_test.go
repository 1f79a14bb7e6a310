package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/proc"
)

func TestName(t *testing.T) {
	t.Parallel()
	// A label this long is not a valid name, so no resolver is queried.
	c := runCheck(t, "https://"+strings.Repeat("x", 64)+".invalid")
	c.want(t, exitError, map[string]string{
		"dns": "fail dns_not_found", "connect": "skip not_tried", "tls": "skip not_tried", "relay": "skip not_tried",
		"upstream": "skip not_tried", "access": "skip not_tried", "stream": "skip not_tried", "cors": "skip not_tried",
		"body": "skip not_tried", "websocket": "skip not_tried",
	})
	if detail := c.find(t, "websocket").Detail; detail != "not tried, as dns failed" {
		t.Errorf("detail = %q, want the probe that failed", detail)
	}
}

func TestJudgeAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, addrs, want string }{
		{"relay.example", "192.0.2.1 2001:db8::1", "ok "},
		{"relay.example", "10.0.0.1", "ok "},
		{"relay.example", "", "fail dns_empty"},
		{"relay.example", "0.0.0.0 ::", "fail dns_blocked"},
		{"relay.example", "127.0.0.1", "warn dns_loopback"},
		{"localhost", "127.0.0.1 ::1", "ok "},
		{"127.0.0.1", "127.0.0.1", "ok "},
	} {
		var addrs []netip.Addr
		for text := range strings.FieldsSeq(test.addrs) {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		if r := judgeAddresses(test.host, addrs); string(r.Verdict)+" "+r.Code != test.want {
			t.Errorf("judgeAddresses(%s, %s) = %s %s, want %s", test.host, test.addrs, r.Verdict, r.Code, test.want)
		}
	}
}

func TestRefusedPort(t *testing.T) {
	t.Parallel()
	runCheck(t, "http://"+proc.RefusingAddr(t)).want(t, exitError,
		map[string]string{"dns": "ok", "connect": "fail connect_refused", "relay": "skip not_tried"})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		serve func(t *testing.T) string
		want  string
	}{
		{"unknown authority", func(t *testing.T) string { return serveTLS(t, nil) }, "fail tls_unknown_authority"},
		{"wrong host", func(t *testing.T) string {
			return strings.Replace(serveTLS(t, nil), "127.0.0.1", "localhost", 1)
		}, "fail tls_wrong_host"},
		{"expired", func(t *testing.T) string {
			return serveTLS(t, &tls.Config{Certificates: []tls.Certificate{expiredCertificate(t)}})
		}, "fail tls_expired"},
		{"old version", func(t *testing.T) string {
			return serveTLS(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		}, "fail tls_refused"},
		{"plain http", func(t *testing.T) string {
			return "https" + strings.TrimPrefix(serveHandler(t, http.NotFoundHandler()), "http")
		}, "fail tls_not_tls"},
		{"cut", cutOff, "fail tls_reset"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			runCheck(t, test.serve(t)).want(t, exitError,
				map[string]string{"connect": "ok", "tls": test.want, "relay": "skip not_tried"})
		})
	}
	t.Run("http to https", func(t *testing.T) {
		t.Parallel()
		url := "http" + strings.TrimPrefix(serveTLS(t, nil), "https")
		runCheck(t, url).want(t, exitError,
			map[string]string{"tls": "skip", "relay": "fail platform_refused", "access": "skip not_tried"})
	})
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newRelay(t, openAI, nil))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	examine(t, server.URL, func(d *doctor) {
		d.transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		d.transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	}).want(t, exitOK, map[string]string{"tls": "ok", "access": "ok", "cors": "ok", "body": "ok"})
}

func TestThroughProxy(t *testing.T) {
	t.Parallel()
	relay, err := url.Parse(serveHandler(t, newRelay(t, openAI, nil)))
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := url.Parse(serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodConnect {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		httputil.NewSingleHostReverseProxy(relay).ServeHTTP(w, req)
	})))
	if err != nil {
		t.Fatal(err)
	}
	through := func(proxy *url.URL) func(*doctor) { return func(d *doctor) { d.proxy = proxy } }
	proxy.User = url.UserPassword("user", canaryKey)

	c := examine(t, "http://relay.invalid", through(proxy))
	c.want(t, exitOK,
		map[string]string{"dns": "skip", "connect": "ok", "tls": "warn tls_none", "relay": "ok", "access": "ok"})
	if c.report.Proxy != proxy.Host {
		t.Errorf("proxy = %q, want %q", c.report.Proxy, proxy.Host)
	}
	examine(t, "https://relay.invalid", through(proxy)).want(t, exitError,
		map[string]string{"tls": "skip", "relay": "fail proxy_refused"})
	nobody := &url.URL{Scheme: "http", Host: proc.RefusingAddr(t)}
	examine(t, "https://relay.invalid", through(nobody)).want(t, exitError,
		map[string]string{"connect": "fail proxy_unreachable"})
}

// Errors that take a real network to occur.
func TestExplain(t *testing.T) {
	t.Parallel()
	invalid := x509.CertificateInvalidError{Reason: x509.NameConstraintsWithoutSANs}
	op := func(err error) error {
		return &url.Error{Op: "Get", URL: "x", Err: &net.OpError{Op: "dial", Err: err}}
	}
	for _, test := range []struct {
		phase string
		err   error
		want  string
	}{
		{"dns", &net.DNSError{IsTimeout: true}, "dns_timeout"},
		{"dns", &net.DNSError{}, "dns_failed"},
		{"connect", op(os.NewSyscallError("connect", syscall.ENETUNREACH)), "connect_unreachable"},
		{"connect", op(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "connect_unreachable"},
		{"connect", op(os.NewSyscallError("connect", syscall.ETIMEDOUT)), "connect_timeout"},
		{"connect", op(os.NewSyscallError("connectex", wsaRefused)), "connect_refused"},
		{"connect", context.DeadlineExceeded, "connect_timeout"},
		{"connect", op(errors.New("odd")), "connect_failed"},
		{"tls", context.DeadlineExceeded, "tls_timeout"},
		{"http", op(context.DeadlineExceeded), "http_timeout"},
		{"http", op(io.EOF), "http_reset"},
		{"http", op(context.Canceled), "canceled"},
		{"http", &net.OpError{Op: "proxyconnect", Err: io.EOF}, "proxy_unreachable"},
		{"http", op(&tls.CertificateVerificationError{Err: invalid}), "tls_bad_certificate"},
	} {
		if r := explain(test.phase, test.err); r.Code != test.want || r.Detail == "" {
			t.Errorf("explain(%s, %v) = %q, %q, want code %s", test.phase, test.err, r.Code, r.Detail, test.want)
		}
	}
}

// serveTLS serves with config, or as httptest does, and returns the URL.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// expiredCertificate returns a certificate that was valid yesterday.
func expiredCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "relay"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(-24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// cutOff returns the https URL of a server that resets every connection at its
// first bytes, as firewalls do that block a name.
func cutOff(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	return "https://" + ln.Addr().String()
}
