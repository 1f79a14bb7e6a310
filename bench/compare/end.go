package main

// An end is a kind of upstream.
type end int

const (
	plain  end = iota // HTTP/1.1 without TLS
	https1            // HTTP/1.1 over TLS
	https2            // HTTP/2 over TLS, for those who can
	ends
)

func (e end) String() string {
	return [...]string{"plain HTTP", "TLS, HTTP/1.1", "TLS, HTTP/2"}[e]
}

// url returns the base URL of the upstream of a kind.
func (r *rig) url(e end) string {
	if e == plain {
		return "http://" + r.upstreams[e]
	}
	return "https://" + r.upstreams[e]
}
