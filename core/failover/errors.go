package failover

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"example.com/relay/core/protocol"
)

// Classes of failures, for logs, health and messages. A platform's page adds its
// status, as in platform_429; a relay's own error has its code as its class.
const (
	ClassDNS           = "dns"            // the name could not be resolved
	ClassRefused       = "refused"        // connection refused
	ClassUnreachable   = "unreachable"    // no way there
	ClassCertificate   = "certificate"    // the certificate is not valid
	ClassTLS           = "tls"            // TLS failed otherwise
	ClassTimeout       = "timeout"        // no connection in time
	ClassConnect       = "connect"        // no connection, for another reason
	ClassReset         = "reset"          // connection broken before a response
	ClassUnresponsive  = "unresponsive"   // silent on established connections
	ClassInterrupted   = "interrupted"    // connection broken within a response
	ClassRegionRefused = "region_refused" // OpenAI does not serve the region
	ClassHeaders       = "headers"        // the request's headers are larger than it takes
	ClassRemoved       = "removed"        // no longer one of the upstreams
	classOutOfQuota    = "insufficient_quota"
)

// ClassPlatform is what the classes of a platform's pages begin with; the status
// follows.
const ClassPlatform = "platform_"

// classTooLarge is the class of a platform's page that a body is too large.
const classTooLarge = ClassPlatform + "413"

// A Failure is what went wrong with one upstream.
type Failure struct {
	Upstream string // its name
	Class    string // see the constants
	Err      error  // nil if there was a response
}

// Connecting reports whether it failed in making a connection. Its error then
// quotes nothing of what anybody sent.
func (f Failure) Connecting() bool {
	switch f.Class {
	case ClassDNS, ClassRefused, ClassUnreachable, ClassCertificate, ClassTLS, ClassTimeout, ClassConnect:
		return f.Err != nil
	}
	return false
}

// An Error says why no upstream responded to a request. Its text holds names and
// classes, no addresses and nothing of what anybody sent.
type Error struct {
	// Ambiguous says that an upstream may have processed the request.
	Ambiguous bool

	// Failures are those of the upstreams that were tried, in that order.
	Failures []Failure
}

func (e *Error) Error() string {
	if e.Ambiguous {
		return "no response, and the request may have been processed: " + e.Summary()
	}
	return "no upstream could take the request: " + e.Summary()
}

// Summary returns the upstreams' names and their failures, for people.
func (e *Error) Summary() string {
	texts := make([]string, len(e.Failures))
	for i, f := range e.Failures {
		texts[i] = f.Upstream + ": " + f.Class
	}
	return strings.Join(texts, ", ")
}

// Last returns the class of the last failure.
func (e *Error) Last() string {
	if len(e.Failures) == 0 {
		return ""
	}
	return e.Failures[len(e.Failures)-1].Class
}

// Only reports whether all failures are of that class, and nothing was
// processed.
func (e *Error) Only(class string) bool {
	return !e.Ambiguous && len(e.Failures) > 0 &&
		!slices.ContainsFunc(e.Failures, func(f Failure) bool { return f.Class != class })
}

// TooLarge reports whether nothing was processed and the request's body is too
// large for one of the upstreams at least: no retry can help.
func (e *Error) TooLarge() bool {
	return !e.Ambiguous && slices.ContainsFunc(e.Failures, func(f Failure) bool {
		return f.Class == protocol.BodyTooLarge || f.Class == classTooLarge
	})
}

// Unwrap returns the errors behind the failures.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, f := range e.Failures {
		if f.Err != nil {
			errs = append(errs, f.Err)
		}
	}
	return errs
}

// connectClass returns the class of an error that left no connection.
func connectClass(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case is[*net.DNSError](err):
		return ClassDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ClassUnreachable
	case is[*tls.CertificateVerificationError](err), is[x509.UnknownAuthorityError](err),
		is[x509.CertificateInvalidError](err), is[x509.HostnameError](err):
		return ClassCertificate
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case is[tls.RecordHeaderError](err), is[tls.AlertError](err):
		return ClassTLS
	}
	return ClassConnect
}

// is reports whether err is a T, or wraps one.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
