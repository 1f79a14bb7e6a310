package core

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// origins decides which web origins may call the relay. Access-Control headers
// alone keep no page from calling, only from reading, and WebSockets not even
// from that.
type origins struct {
	none, any bool
	listed    []string

	// exposed says that the relay holds a credential which it spends for
	// whoever reaches it. Any page that its user opens reaches it, so that only
	// origins which are listed by name may call.
	exposed atomic.Bool
}

func newOrigins(cfg Config) *origins {
	return &origins{
		none:   slices.Contains(cfg.AllowedOrigins, "none"),
		any:    slices.Contains(cfg.AllowedOrigins, "*"),
		listed: cfg.AllowedOrigins,
	}
}

// everyone reports whether every origin may call.
func (o *origins) everyone() bool { return o.any && !o.exposed.Load() }

// byName reports whether origins are allowed by their names.
func (o *origins) byName() bool { return !o.none && !o.any }

// lists reports whether origin is allowed by its name.
func (o *origins) lists(origin string) bool { return o.byName() && slices.Contains(o.listed, origin) }

// check reports why req may not pass, or nil if it may. Requests of programs
// have neither of the headers by which browsers say where a request is from.
func (o *origins) check(req *http.Request) error {
	if o.everyone() || isSameOrigin(req) {
		return nil
	}
	from := req.Header["Origin"]
	if len(from) == 0 || slices.ContainsFunc(from, func(origin string) bool { return !o.lists(origin) }) {
		return errOrigin
	}
	return nil
}

// isSameOrigin reports whether req is from the relay's own origin, from its user,
// or from a program, as [http.CrossOriginProtection] tells it, but for every
// method. Sec-Fetch-Site goes first: behind a proxy, the Host may be another.
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
