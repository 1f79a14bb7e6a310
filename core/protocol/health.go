package protocol

// HealthPath is where a relay says how it is. With the query deep=1 it says
// whether it reaches the API, too.
const HealthPath = "/relay/health"

// Server is the platform in the health check of a relay that runs as a program of
// its own (relay serve), not as a function.
const Server = "server"

// Health is the JSON of a health check.
type Health struct {
	Status        string           `json:"status"` // ok or degraded
	Name          string           `json:"name"`
	Version       string           `json:"version"`
	Region        string           `json:"region"`
	Platform      string           `json:"platform"`
	TokenRequired bool             `json:"token_required"`
	HoldsKey      bool             `json:"holds_key"`
	MaxBodyBytes  int64            `json:"max_body_bytes"`
	WebSocket     bool             `json:"websocket"`
	Token         *TokenHealth     `json:"token,omitempty"`    // for those with a named token
	Upstream      *DeepCheck       `json:"upstream,omitempty"` // with deep=1
	Upstreams     []UpstreamHealth `json:"upstreams,omitzero"` // for those with a token: all that it leads to
}

// A TokenHealth is what the holder of a named token may know of it: see
// core.NamedToken.
type TokenHealth struct {
	Name        string   `json:"name"`
	Expires     string   `json:"expires,omitempty"` // RFC 3339, in UTC
	Paths       []string `json:"paths,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Models      []string `json:"models,omitempty"`
	Upstreams   []string `json:"upstreams,omitempty"` // names
	MaxInFlight int      `json:"max_in_flight,omitempty"`
	PerMinute   int      `json:"per_minute,omitempty"`
}

// An UpstreamHealth is what a relay with several upstreams knows of one.
type UpstreamHealth struct {
	Name      string  `json:"name"`
	State     string  `json:"state"` // by the newest observation: up; suspect from the first failure on; or down
	LatencyMS float64 `json:"latency_ms"`
	InFlight  int     `json:"in_flight"`
	LastError string  `json:"last_error,omitempty"` // class
	RetryInMS int64   `json:"retry_in_ms,omitempty"`

	CheckedMSAgo *int64 `json:"checked_ms_ago,omitempty"` // newest observation; nil if there is none
	ErrorMSAgo   *int64 `json:"error_ms_ago,omitempty"`   // LastError, which may be over
}

// A DeepCheck is what a request to the API without a key showed.
type DeepCheck struct {
	OK        bool    `json:"ok"`
	Status    int     `json:"status,omitempty"` // of the API's response
	Code      string  `json:"code,omitempty"`   // what is wrong
	LatencyMS float64 `json:"latency_ms"`
}
