package core

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// origins decides which web origins may call the relay. Access-Control headers
// only keep pages from reading responses, not from sending requests, and do not
// apply to WebSockets. All fields but exposed are read-only once it is made.
type origins struct {
	denyAll  bool
	allowAll bool
	listed   []string

	// exposed says that the relay holds a credential that anyone who reaches it can
	// spend. Any page that its user opens can reach it, so only origins that are
	// listed by name may call.
	exposed atomic.Bool
}

func newOrigins(cfg Config) *origins {
	return &origins{
		denyAll:  slices.Contains(cfg.AllowedOrigins, "none"),
		allowAll: slices.Contains(cfg.AllowedOrigins, "*"),
		listed:   cfg.AllowedOrigins,
	}
}

// everyone reports whether every origin may call.
func (o *origins) everyone() bool { return o.allowAll && !o.exposed.Load() }

// byName reports whether origins are listed by name.
func (o *origins) byName() bool { return !o.denyAll && !o.allowAll }

// lists reports whether origin is listed by name.
func (o *origins) lists(origin string) bool { return o.byName() && slices.Contains(o.listed, origin) }

// check returns why req is refused, or nil. Requests of programs have neither of
// the headers by which browsers tell a request's origin.
func (o *origins) check(req *http.Request) error {
	if o.everyone() || isSameOrigin(req) {
		return nil
	}
	values := req.Header["Origin"]
	if len(values) == 0 || slices.ContainsFunc(values, func(origin string) bool { return !o.lists(origin) }) {
		return errOrigin
	}
	return nil
}

// isSameOrigin reports whether req is from the relay's own origin, from its user,
// or from a program, by the rules of [http.CrossOriginProtection], but for every
// method. Sec-Fetch-Site takes precedence: behind a proxy, the Host may differ.
func isSameOrigin(req *http.Request) bool {
	known := false
	for _, site := range req.Header["Sec-Fetch-Site"] {
		if site != "" && site != "same-origin" && site != "none" {
			return false
		}
		known = known || site != ""
	}
	if known {
		return true
	}
	return !slices.ContainsFunc(req.Header["Origin"], func(origin string) bool {
		if origin == "" {
			return false
		}
		u, err := url.Parse(origin)
		return err != nil || u.Host == "" || !strings.EqualFold(u.Host, req.Host)
	})
}
