package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"syscall"
)

const (
	adviceName = "check the spelling; if it is right, this network blocks the name: use another resolver, or a " +
		"domain of your own for the relay"
	adviceCut = "a firewall on the way may block the relay's name or address: try another network, or a domain of " +
		"your own for the relay"
	adviceSpeak = "check scheme and port: it may be http rather than https, or no web server at all"
)

// explain returns the failure for a network error. The phase, which is dns,
// connect, tls or http, is the prefix of codes that several phases share. Errors
// are distinguished by type.
func explain(phase string, err error) result {
	for _, look := range []func(string, error) (result, bool){
		explainCanceled, explainProxy, explainDNS, explainCertificate, explainHandshake, explainConnection,
	} {
		if r, ok := look(phase, err); ok {
			return r
		}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return failure(phase+"_failed", err.Error(), adviceSpeak)
}

func explainCanceled(_ string, err error) (result, bool) {
	return failure("canceled", "interrupted", ""), errors.Is(err, context.Canceled)
}

// A proxyRefusal is the status with which a proxy refused to connect.
type proxyRefusal int

func (status proxyRefusal) Error() string {
	return fmt.Sprintf("the proxy responded with %d", int(status))
}

// refusedByProxy gives the refusal of a proxy a type of its own.
func refusedByProxy(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return proxyRefusal(res.StatusCode)
	}
	return nil
}

func explainProxy(_ string, err error) (result, bool) {
	if status, ok := errors.AsType[proxyRefusal](err); ok {
		return failure("proxy_refused", fmt.Sprintf("the proxy responds with %d instead of connecting", int(status)),
			"the proxy may need a password in HTTPS_PROXY, or not allow the relay's host; "+
				"NO_PROXY bypasses it"), true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return failure("proxy_unreachable", "the proxy cannot be reached or does not speak HTTP",
			"correct or unset HTTPS_PROXY and HTTP_PROXY, or add the relay's host to NO_PROXY"),
		ok && op.Op == "proxyconnect"
}

func explainDNS(_ string, err error) (result, bool) {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return result{}, false
	case e.IsNotFound:
		return failure("dns_not_found", "the name does not exist", adviceName), true
	case e.IsTimeout:
		return failure("dns_timeout", "no resolver responded in time",
			"check this machine's network and resolver"), true
	}
	return failure("dns_failed", "the resolver could not look up the address",
		"check this machine's network and resolver"), true
}

// explainCertificate explains what is wrong with a certificate.
func explainCertificate(_ string, err error) (result, bool) {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return failure("tls_expired", "the certificate has expired, or is not valid yet",
			"renew the certificate; if it is valid, set this machine's clock"), true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return failure("tls_wrong_host", "the certificate is for another name",
			"use the name that the certificate is for; "+
				"if this is the right name, the network resolves it to another server"), true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return failure("tls_unknown_authority",
			"the certificate is signed by an authority that this machine does not trust",
			"something on the way may intercept TLS, such as a company's firewall or a virus scanner; a relay's own "+
				"certificate must come with its chain"), true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return failure("tls_bad_certificate", "the certificate cannot be verified",
		"make the relay's host serve a valid certificate with its chain"), ok
}

// explainHandshake explains why the TLS handshake failed, apart from certificates.
func explainHandshake(phase string, err error) (result, bool) {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return failure("tls_not_tls", "the server does not speak TLS", adviceSpeak), true
	}
	// A TLS alert has no exported type, but the net.OpError around it has an Op.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return failure("tls_refused", "the server refuses the TLS handshake",
			"the server may not know this name, "+
				"or require a TLS version or client certificate that clients do not have"), true
	}
	if phase == "tls" && wasCut(err) {
		return failure("tls_reset", "the connection was cut during the TLS handshake", adviceCut), true
	}
	return result{}, false
}

// explainConnection explains why a connection failed.
func explainConnection(phase string, err error) (result, bool) {
	switch {
	case isErrno(err, syscall.ECONNREFUSED, wsaRefused):
		return failure("connect_refused", "nothing listens at this address and port",
			"check host and port, and whether the server runs"), true
	case isErrno(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, wsaHostUnreachable, wsaNetUnreachable):
		return failure("connect_unreachable", "there is no route to this address",
			"check this machine's network; without IPv6, an IPv6 address cannot be reached"), true
	case timedOut(err) && phase == "http":
		return failure("http_timeout", "no complete response in time",
			"retry with a longer -timeout; if that does not help, see the platform's log"), true
	case timedOut(err):
		return failure(phase+"_timeout", "no response in time", adviceCut), true
	case wasCut(err):
		return failure(phase+"_reset", "the connection was cut", adviceCut), true
	}
	return result{}, false
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func wasCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		isErrno(err, syscall.ECONNRESET, syscall.EPIPE, wsaReset)
}

// What Windows returns instead of ENETUNREACH and the like, whose values in package
// syscall are invented there. Other systems have no such numbers.
const (
	wsaNetUnreachable  = syscall.Errno(10051)
	wsaReset           = syscall.Errno(10054)
	wsaRefused         = syscall.Errno(10061)
	wsaHostUnreachable = syscall.Errno(10065)
)

// isErrno reports whether err is one of the system's errors in list.
func isErrno(err error, list ...syscall.Errno) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(list, errno)
}
