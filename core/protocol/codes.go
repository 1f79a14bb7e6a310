package protocol

// RegionRefused is the code of OpenAI's error for a region that it does not
// serve. OpenAI responds with it before it looks at the request.
const RegionRefused = "unsupported_country_region_territory"

// A Proof is what an error proves of the request to whoever sent it through a
// relay.
type Proof int

const (
	// Final errors would be the same through any other relay, or come too late
	// for another attempt.
	Final Proof = iota
	// Unprocessed requests have not reached the API: another relay may send them.
	Unprocessed
	// Ambiguous requests may have reached it.
	Ambiguous
)

// A Fault says who is to blame for an error.
type Fault int

const (
	Client   Fault = iota // whoever sent the request
	Relay                 // the relay, which may be well in a moment
	API                   // what lies behind the relay, which its own health does not show
	Operator              // the relay's settings: only its operator can fix them
)

// A Meaning is what an error code means to a gateway.
type Meaning struct {
	Proof Proof
	Fault Fault
}

// Meanings are those of all codes of errors that relays make. A code which is
// not listed, of a newer relay, is Final and nobody's fault but the client's.
var Meanings = map[string]Meaning{
	"invalid_target":          {Final, Client},
	"duplicate_authorization": {Final, Client},
	"misplaced_access_token":  {Final, Client},
	"origin_not_allowed":      {Final, Client},

	"browser_navigation_not_allowed": {Final, Client},

	// Another relay would lift a limit that the operator set for the token.
	"token_rate_limited": {Final, Client},

	"body_incomplete":       {Final, Client},
	"invalid_event":         {Final, Client},
	"method_not_allowed":    {Final, Client},
	"body_timeout":          {Final, Client},
	"uri_too_long":          {Final, Client},
	"headers_too_large":     {Final, Client},
	"client_timeout":        {Final, Client},
	"stream_limit":          {Final, Client},
	"relay_deadline":        {Final, Client},
	"response_too_large":    {Final, Client},
	"upstream_idle_timeout": {Final, API},

	// Another relay may have larger limits, other paths, or be newer.
	BodyTooLarge:            {Unprocessed, Client},
	"unknown_path":          {Unprocessed, Client},
	"websocket_unsupported": {Unprocessed, Client},

	"relay_overloaded":   {Unprocessed, Relay},
	"upstream_connect":   {Unprocessed, API},
	"all_regions_failed": {Unprocessed, API},

	InvalidToken:          {Unprocessed, Operator},
	TokenExpired:          {Unprocessed, Operator},
	TokenNotAllowed:       {Unprocessed, Client},
	"host_not_allowed":    {Unprocessed, Operator},
	"relay_misconfigured": {Unprocessed, Operator},
	Loop:                  {Unprocessed, Operator},

	"upstream_reset":            {Ambiguous, API},
	"upstream_invalid_response": {Ambiguous, API},
	"upstream_interrupted":      {Ambiguous, API},
	"platform_failed":           {Ambiguous, API},
	Internal:                    {Ambiguous, Relay},
	"relay_shutdown":            {Ambiguous, Relay},
}

// Codes that a gateway treats by more than their meaning.
const (
	BodyTooLarge = "body_too_large"       // another relay may take it; if none does, no retry helps
	InvalidToken = "invalid_access_token" // the client's fault, unless the gateway sent the token
	// As InvalidToken, but with a token that the relay knows.
	TokenExpired    = "token_expired"
	TokenNotAllowed = "token_not_allowed"
	Loop            = "relay_loop"           // the client's fault, if it said that it had passed relays
	Internal        = "relay_internal_error" // the client's fault, if its request made the relay panic
)

// IsOfToken reports whether an error of that code is about the access token which
// came with the request.
func IsOfToken(code string) bool {
	return code == InvalidToken || code == TokenExpired || code == TokenNotAllowed
}
