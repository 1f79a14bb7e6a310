// The relay for Cloudflare Workers and Pages: the contract of core in one module
// without imports, to be pasted into the dashboard's editor, uploaded as a Worker,
// or put into the output folder of Pages as _worker.js. Its settings are the
// RELAY_* variables and secrets of docs/configuration.md. No compatibility flag is needed.
//
// A request meets the stages of core in the same order and under the same names:
//
//   record → cors → target → health · page → access → limits → models → forwarding → stream · websocket
//
// Each stage gets the exchange x, which is one request with its state. It returns
// nothing to let the request pass, or a response {status, headers, body}, or throws a
// RelayError, which record turns into a response. Tables are generated from core, and
// core's vectors (testdata/vectors.json) run here too.
//
// CPU time determines the design: a free plan ends a request after 10 ms of it, its
// stream included. So event streams are forwarded natively, without JavaScript for
// each event.

// begin generated: go test ./core -run TestWorker -update
const VERSION = "0.1.0-dev";

/** The names of all settings. Those without a parser below are not supported here. */
const SETTINGS = new Set([
  "RELAY_UPSTREAMS", "RELAY_ALLOW_PRIVATE_HTTP", "RELAY_POLICY", "RELAY_UPSTREAM_HTTP", "RELAY_RESEND_AMBIGUOUS",
  "RELAY_RESUME_RESPONSES", "RELAY_RETRY_QUOTA", "RELAY_PROBE_INTERVAL", "RELAY_ACCESS_TOKENS", "RELAY_ALLOW_ANYONE",
  "RELAY_API_KEY", "RELAY_API_KEY_SECRET", "RELAY_PATH_TOKENS", "RELAY_ALLOWED_ORIGINS", "RELAY_ALLOWED_HOSTS",
  "RELAY_PATHS", "RELAY_PAGE", "RELAY_MAX_BODY_BYTES", "RELAY_MAX_IN_FLIGHT", "RELAY_IDLE_TIMEOUT",
  "RELAY_MAX_STREAM_TIME", "RELAY_KEEPALIVE", "RELAY_BODY_TIMEOUT", "RELAY_WRITE_TIMEOUT", "RELAY_DRAIN_TIMEOUT",
  "RELAY_IDLE_CONNECTION_TIMEOUT", "RELAY_NAME", "RELAY_REGION", "RELAY_LOG_LEVEL", "RELAY_LOG_SAMPLE",
  "RELAY_LOG_USAGE", "RELAY_LAMBDA_INVOKE_MODE",
]);

/** The errors of the relay itself; see core/errors.go. */
const ERRORS = {
  invalidTarget: { status: 400, code: "invalid_target", retryAfterMs: 0, retry: false, message: "This relay does not forward such a request target. Send an absolute path such as /v1/models, without dot segments, double slashes, backslashes, semicolons, or encoded control characters." },
  method: { status: 405, code: "method_not_allowed", retryAfterMs: 0, retry: false, message: "This relay forwards GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS." },
  unknownPath: { status: 404, code: "unknown_path", retryAfterMs: 0, retry: false, message: "This relay does not forward this path. The API's paths begin with /v1/, so the base URL in your client must end in /v1. To forward other paths, its operator adds them to RELAY_PATHS." },
  uriTooLong: { status: 414, code: "uri_too_long", retryAfterMs: 0, retry: false, message: "The request's URL is longer than 8 KiB. Send long values in the body." },
  headersTooLarge: { status: 431, code: "headers_too_large", retryAfterMs: 0, retry: false, message: "The request's headers are larger than 64 KiB or more than 500. Send fewer or shorter ones." },
  headersRefused: { status: 431, code: "headers_too_large", retryAfterMs: 0, retry: false, message: "The request's headers are larger than any upstream of this relay accepts, so nothing was sent. Send fewer or shorter ones." },
  host: { status: 403, code: "host_not_allowed", retryAfterMs: 0, retry: false, message: "This relay may not be called by this host name. Use the address that it printed at start-up, or have its operator add the name to RELAY_ALLOWED_HOSTS." },
  origin: { status: 403, code: "origin_not_allowed", retryAfterMs: 0, retry: false, message: "This relay accepts no requests from web pages of this origin. Have its operator add the origin by name to RELAY_ALLOWED_ORIGINS, or call the relay from a program." },
  navigation: { status: 403, code: "browser_navigation_not_allowed", retryAfterMs: 0, retry: false, message: "A browser may not open the API's responses as a page, frame, script or worker on this relay's address. Use fetch or XMLHttpRequest in a page, or a program." },
  access: { status: 401, code: "invalid_access_token", retryAfterMs: 0, retry: false, message: "This relay's access token is missing or wrong. Send it in the X-Relay-Token header, or in front of your API key as rt_<token>.<key>. Ask the relay's operator for it." },
  tokenExpired: { status: 401, code: "token_expired", retryAfterMs: 0, retry: false, message: "This access token has expired. Ask the relay's operator to extend or replace it." },
  tokenNotAllowed: { status: 403, code: "token_not_allowed", retryAfterMs: 0, retry: false, message: "This access token does not allow this path or method. Request /relay/health with it to see what it allows, or ask the relay's operator." },
  modelNotAllowed: { status: 403, code: "token_not_allowed", retryAfterMs: 0, retry: false, message: "This access token does not allow this model. Request /relay/health with it to see which it allows, or ask the relay's operator." },
  modelUnknown: { status: 403, code: "token_not_allowed", retryAfterMs: 0, retry: false, message: "This access token allows certain models only, and the relay could not determine this request's model. Set model once, in a JSON object or multipart form that is not compressed, or in the query of a Realtime WebSocket; where the API has no such member, use another token." },
  tokenRate: { status: 429, code: "token_rate_limited", retryAfterMs: 8000, retry: true, message: "This access token has reached its max number of requests per minute at this relay; the API was not called. Retry after a pause, or have its operator raise per_minute." },
  tokenInFlight: { status: 429, code: "token_rate_limited", retryAfterMs: 1000, retry: true, message: "This access token has reached its max number of requests in flight at this relay; the API was not called. Retry in a moment, or have its operator raise max_in_flight." },
  duplicateAuthorization: { status: 400, code: "duplicate_authorization", retryAfterMs: 0, retry: false, message: "The request has several Authorization, X-Relay-Token, Api-Key, X-Api-Key or X-Goog-Api-Key headers. Send at most one of each." },
  misplacedToken: { status: 400, code: "misplaced_access_token", retryAfterMs: 0, retry: false, message: "The request has an access token of this relay where it would reach the API, so nothing was sent. Send it once, in the X-Relay-Token header or in front of your API key as rt_<token>.<key>." },
  bodyTooLarge: { status: 413, code: "body_too_large", retryAfterMs: 0, retry: false, message: "The request body is larger than this relay accepts." },
  tooLargeEverywhere: { status: 413, code: "body_too_large", retryAfterMs: 0, retry: false, message: "No upstream of this relay accepts a request body of this size, so nothing was processed. Send a smaller one, or add an upstream with a larger limit: Google Cloud Functions accept 32 MiB, relay serve up to RELAY_MAX_BODY_BYTES." },
  bodyTimeout: { status: 408, code: "body_timeout", retryAfterMs: 0, retry: true, message: "The request body was sent too slowly. Retry it; if that does not help, use a faster connection." },
  bodyIncomplete: { status: 400, code: "body_incomplete", retryAfterMs: 0, retry: true, message: "The request body ended before it was complete. Send it again." },
  overloaded: { status: 503, code: "relay_overloaded", retryAfterMs: 1000, retry: true, message: "This relay has reached its max number of requests in flight. Retry in a moment; its operator can raise RELAY_MAX_IN_FLIGHT." },
  sockets: { status: 503, code: "relay_overloaded", retryAfterMs: 1000, retry: true, message: "This access token has reached its max number of WebSockets, half of RELAY_MAX_IN_FLIGHT. Close some, or retry in a moment." },
  loop: { status: 508, code: "relay_loop", retryAfterMs: 0, retry: false, message: "This request has passed too many relays. RELAY_UPSTREAMS of one of them probably names a relay that leads back to it." },
  webSocket: { status: 426, code: "websocket_unsupported", retryAfterMs: 0, retry: false, message: "WebSockets do not work here: the platform has none, the handshake is incomplete, or a proxy removed its Upgrade header. Use the HTTP endpoints, or a relay on a platform with WebSockets: relay serve, Google Cloud Functions, Vercel or Cloudflare." },
  connect: { status: 502, code: "upstream_connect", retryAfterMs: 500, retry: true, message: "This relay could not connect to the API, so nothing was sent. Retry in a moment; if that does not help, run relay check." },
  reset: { status: 502, code: "upstream_reset", retryAfterMs: 500, retry: true, message: "The API closed the connection, or sent something that is not HTTP, before its response began. It may have processed the request. Retry it." },
  allFailed: { status: 502, code: "all_regions_failed", retryAfterMs: 1000, retry: true, message: "None of this relay's upstreams could take the request, so nothing was processed. Retry in a moment; run relay check to find out what is wrong with each." },
  platform: { status: 502, code: "platform_failed", retryAfterMs: 500, retry: true, message: "An upstream relay's platform returned its own error after the request was sent. The API may have processed the request. Retry it." },
  clientTimeout: { status: 504, code: "client_timeout", retryAfterMs: 0, retry: true, message: "The API did not respond within this client's timeout, so the relay cancelled the request. Request less output, or raise the client's timeout." },
  invalidResponse: { status: 502, code: "upstream_invalid_response", retryAfterMs: 500, retry: true, message: "The API returned an invalid HTTP status code. Retry the request." },
  interrupted: { status: 502, code: "upstream_interrupted", retryAfterMs: 500, retry: true, message: "The API closed the connection in the middle of this response, so it is incomplete. Retry the request." },
  idle: { status: 504, code: "upstream_idle_timeout", retryAfterMs: 0, retry: true, message: "The API stopped sending in the middle of this response, so it is incomplete. Retry the request." },
  upstreamConnect: { status: 502, code: "upstream_connect", retryAfterMs: 500, retry: true, message: "This relay could not connect to its upstream, so nothing was sent. Retry in a moment; if that does not help, run relay check." },
  upstreamReset: { status: 502, code: "upstream_reset", retryAfterMs: 500, retry: true, message: "An upstream of this relay closed the connection, or stopped responding, before its response began. The request may have been processed. Retry it: an upstream that is down is not used." },
  upstreamTimeout: { status: 504, code: "client_timeout", retryAfterMs: 0, retry: true, message: "The upstream of this relay did not respond within this client's timeout, so the relay cancelled the request. Request less output, or raise the client's timeout." },
  upstreamInvalid: { status: 502, code: "upstream_invalid_response", retryAfterMs: 500, retry: true, message: "An upstream of this relay returned an invalid HTTP status code. Retry the request." },
  upstreamInterrupted: { status: 502, code: "upstream_interrupted", retryAfterMs: 500, retry: true, message: "An upstream of this relay closed the connection in the middle of this response, so it is incomplete. Retry the request." },
  upstreamIdle: { status: 504, code: "upstream_idle_timeout", retryAfterMs: 0, retry: true, message: "An upstream of this relay stopped sending in the middle of this response, so it is incomplete. Retry the request." },
  streamLimit: { status: 504, code: "stream_limit", retryAfterMs: 0, retry: false, message: "This response reached the max duration that this relay's operator set in RELAY_MAX_STREAM_TIME, so it is incomplete." },
  deadline: { status: 504, code: "relay_deadline", retryAfterMs: 0, retry: false, message: "This response reached the platform's timeout, so it is incomplete. Request a shorter response, or have the operator raise the function's timeout." },
  shutdown: { status: 503, code: "relay_shutdown", retryAfterMs: 1000, retry: true, message: "This relay is shutting down, so the response is incomplete. Retry the request." },
  misconfigured: { status: 500, code: "relay_misconfigured", retryAfterMs: 0, retry: false, message: "This relay's configuration is invalid, so it forwards nothing. Its log has the reason." },
  internal: { status: 500, code: "relay_internal_error", retryAfterMs: 0, retry: true, message: "This relay failed while it handled the request. Its log has the details under the request id." },
};

/** What errors of a relay prove of the request, and whose fault they are; see core/protocol. Others are final. */
const MEANINGS = {
  all_regions_failed: { proof: "Unprocessed", fault: "API" },
  body_too_large: { proof: "Unprocessed", fault: "Client" },
  host_not_allowed: { proof: "Unprocessed", fault: "Operator" },
  invalid_access_token: { proof: "Unprocessed", fault: "Operator" },
  platform_failed: { proof: "Ambiguous", fault: "API" },
  relay_internal_error: { proof: "Ambiguous", fault: "Relay" },
  relay_loop: { proof: "Unprocessed", fault: "Operator" },
  relay_misconfigured: { proof: "Unprocessed", fault: "Operator" },
  relay_overloaded: { proof: "Unprocessed", fault: "Relay" },
  relay_shutdown: { proof: "Ambiguous", fault: "Relay" },
  token_expired: { proof: "Unprocessed", fault: "Operator" },
  token_not_allowed: { proof: "Unprocessed", fault: "Client" },
  unknown_path: { proof: "Unprocessed", fault: "Client" },
  upstream_connect: { proof: "Unprocessed", fault: "API" },
  upstream_interrupted: { proof: "Ambiguous", fault: "API" },
  upstream_invalid_response: { proof: "Ambiguous", fault: "API" },
  upstream_reset: { proof: "Ambiguous", fault: "API" },
  websocket_unsupported: { proof: "Unprocessed", fault: "Client" },
};

/** Request headers that never reach an upstream. */
const DROPPED_UP = new Set([
  "b3", "baggage", "cdn-loop", "client-ip", "connection", "content-length", "cookie", "cookie2", "dnt",
  "do-connecting-ip", "forwarded", "forwarded-for", "forwarded-proto", "from", "function-execution-id",
  "grpc-trace-bin", "host", "http2-settings", "keep-alive", "ms-client-ip", "origin", "priority",
  "proxy-authenticate", "proxy-authorization", "proxy-client-ip", "proxy-connection", "referer", "relay-hop",
  "sec-gpc", "sentry-trace", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "true-client-ip",
  "uber-trace-id", "upgrade", "via", "wl-proxy-client-ip", "x-client-ip", "x-cloud-trace-context",
  "x-cluster-client-ip", "x-correlation-ip", "x-forwarded", "x-host", "x-http-method", "x-http-method-override",
  "x-matched-path", "x-method-override", "x-original-forwarded-for", "x-original-host", "x-original-remote-addr",
  "x-original-url", "x-originating-ip", "x-override-url", "x-proxyuser-ip", "x-real-ip", "x-remote-addr",
  "x-remote-ip", "x-request-start", "x-rewrite-url", "x-serverless-authorization", "x-user-ip",
]);

/** Response headers that never reach a client. */
const DROPPED_DOWN = new Set([
  "accept-ch", "accept-ch-lifetime", "activate-storage-access", "alt-svc", "clear-site-data", "connection",
  "content-security-policy-report-only", "critical-ch", "delegate-ch", "document-policy",
  "document-policy-report-only", "expect-ct", "feature-policy", "http2-settings", "idp-signin-status",
  "integrity-policy", "integrity-policy-report-only", "keep-alive", "link", "nel", "no-vary-search",
  "observe-browsing-topics", "origin-agent-cluster", "origin-trial", "p3p", "permissions-policy",
  "permissions-policy-report-only", "proxy-authenticate", "proxy-authorization", "proxy-connection",
  "public-key-pins", "public-key-pins-report-only", "refresh", "report-to", "reporting-endpoints",
  "require-document-policy", "sec-session-challenge", "sec-session-registration", "secure-session-challenge",
  "secure-session-registration", "secure-session-skipped", "server", "service-worker-allowed",
  "service-worker-navigation-preload", "set-cookie", "set-cookie2", "set-login", "shared-storage-write", "sourcemap",
  "speculation-rules", "strict-transport-security", "supports-loading-mode", "te", "tk", "trailer",
  "transfer-encoding", "upgrade", "use-as-dictionary", "x-accel-charset", "x-accel-expires", "x-accel-limit-rate",
  "x-accel-redirect", "x-content-security-policy", "x-dns-prefetch-control", "x-lighttpd-send-file",
  "x-lighttpd-send-tempfile", "x-relay", "x-reproxy-file", "x-reproxy-url", "x-sendfile", "x-sendfile2",
  "x-sourcemap", "x-webkit-csp",
]);

/** Request headers that Connection may not nominate away. */
const UNDROPPABLE = new Set([
  "authorization", "content-encoding", "content-type",
]);

/** Request headers that a stage reads or sets, so that no twin of theirs with an underscore goes up. */
const HANDLED_UP = new Set([
  "accept-encoding", "api-key", "authorization", "content-encoding", "content-type", "service-worker", "x-api-key",
  "x-goog-api-key",
]);

/** Response headers that a page may read anyway, or that say nothing to it. */
const SAFELISTED = new Set([
  "cache-control", "content-language", "content-length", "content-security-policy", "content-type", "expires",
  "last-modified", "pragma", "vary", "x-content-type-options",
]);

/** The uses to which a browser may put a response without running it. */
const INERT_DESTINATIONS = new Set([
  "", "audio", "empty", "font", "image", "track", "video", "websocket",
]);

/** The parts of the API by which the log classes requests. */
const FAMILIES = new Set([
  "assistants", "audio", "batches", "chat", "chatkit", "completions", "containers", "conversations", "embeddings",
  "evals", "files", "fine_tuning", "images", "models", "moderations", "organization", "projects", "realtime",
  "responses", "skills", "threads", "uploads", "vector_stores", "videos",
]);

/** The beginnings of more names in DROPPED_UP. */
const DROPPED_UP_PREFIXES = [
  "akamai-", "ali-cdn-", "cf-", "cloudfront-", "fastly-", "fly-", "sec-ch-", "sec-fetch-", "x-akamai-", "x-amz-",
  "x-amzn-", "x-appengine-", "x-arr-", "x-azure-", "x-b3-", "x-datadog-", "x-envoy-", "x-forwarded-",
  "x-goog-authenticated-user-", "x-goog-iap-", "x-ms-client-principal", "x-nf-", "x-now-", "x-railway-", "x-relay-",
  "x-vercel-",
];

/** The beginnings of more names in DROPPED_DOWN. */
const DROPPED_DOWN_PREFIXES = [
  "access-control-", "ad-auction-", "attribution-reporting-", "x-relay-", "x-fledge-", "x-relay-",
];

/** Where clients put API keys besides Authorization. */
const KEY_HEADERS = [
  "api-key", "x-api-key", "x-goog-api-key",
];

/** What may be a part of the API that FAMILIES lacks. */
const PLAIN_WORDS = /^[a-z]+(_[a-z]+)*$/;

/** The paths of endpoints, which are no base URLs. */
const ENDPOINT = /(^|\/)chat\/completions$|\/v1\/(completions|responses|embeddings|models|moderations|messages|files|batches|realtime|videos|conversations|assistants|threads|uploads|vector_stores|containers|evals|(audio|images|realtime|responses)\/[a-z_]+)$/;

const DEFAULTS = {
  upstream: "https://api.openai.com", paths: ["/v1/", "/dashboard/"], name: "relay",
  maxBodyBytes: 33554432, maxURIBytes: 8192, maxHeaderBytes: 65536, maxHeaderLines: 500, maxHops: 2,
  maxPreflightNames: 64, maxPreflightBytes: 4096, maxFamily: 20, maxDecodings: 4,
};
// end generated

// begin page: make dist/worker.js puts core's page here
const PAGE = null;
// end page

const PLATFORM = 'Cloudflare Workers';
const HEALTH_PATH = '/relay/health';
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export default {
  /** Handles one request. It never throws; a stream that is cut breaks on purpose. */
  fetch(request, env) {
    return record(newExchange(relayOf(env), request));
  },
};

/** An error whose response is its entry in ERRORS. Its own message is the code, as workerd prints it when a stream breaks. */
class RelayError extends Error {
  constructor(entry, message = entry.message, retryAfterMs = entry.retryAfterMs) {
    super(entry.code);
    this.entry = entry;
    this.text = message;
    this.retryAfterMs = retryAfterMs;
  }
}

// relay: the settings, parsed once

/** The relays by the env that configured them; env is the same object for all requests of an isolate. */
const relays = new WeakMap();

function relayOf(env) {
  let relay = relays.get(env);
  if (!relay) {
    relay = newRelay(env);
    relays.set(env, relay);
  }
  return relay;
}

/** Returns the relay that env configures. One with problems refuses every request. */
function newRelay(env) {
  const { problems, ...settings } = parseEnv(env);
  const relay = { ...defaultSettings(), deep: { until: 0 }, budget: { left: 30, at: 0 } };
  relay.platform = env.ASSETS ? 'Cloudflare Pages' : PLATFORM;
  if (problems.length > 0) {
    relay.misconfigured = true;
    write('error', relay.logLevel, { msg: 'misconfigured', problems: problems.join('; ') });
    return relay;
  }
  Object.assign(relay, settings);
  relay.holdsKey = relay.apiKey !== '' || relay.upstreams.every((u) => u.apiKey !== '');
  for (const { name } of relay.accessTokens.filter((t) => t.ends <= Date.now())) {
    write('warn', relay.logLevel, { msg: 'token', token: name, problem: 'it has expired: remove it, or give it a later date' });
  }
  if (relay.accessTokens.length === 0 && !relay.allowAnyone) {
    write('warn', relay.logLevel, {
      msg: 'open',
      problem: "RELAY_ACCESS_TOKENS is not set, so anyone who finds this Worker's URL may use it with a key of their own; set RELAY_ALLOW_ANYONE=true if that is intended",
    });
  }
  return relay;
}

const defaultSettings = () => ({
  upstreams: [parseUpstream(DEFAULTS.upstream)], accessTokens: [], apiKey: '', pathTokens: false, origins: ['*'], hosts: [],
  paths: DEFAULTS.paths, page: true, maxBodyBytes: DEFAULTS.maxBodyBytes, idleTimeout: 0, maxStreamTime: 0, keepalive: 0,
  resendAmbiguous: false, retryQuota: false, allowAnyone: false, name: DEFAULTS.name, region: '', logLevel: 'info', logSample: 1,
});

/** Parses the RELAY_* bindings of env. It returns the settings, and a sentence for each that is wrong, without its value. */
function parseEnv(env) {
  const settings = {};
  const problems = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('RELAY_')) continue;
    try {
      if (!SETTINGS.has(name)) throw new Error('no such setting');
      if (typeof value !== 'string') throw new Error('must be a variable or a secret of type text');
      const text = value.trim();
      mustBeUnquoted(text);
      if (text === '') continue;
      if (!PARSERS[name]) throw new Error(`is not supported on ${PLATFORM}: remove it`);
      Object.assign(settings, PARSERS[name](text));
    } catch (problem) {
      problems.push(`${name}: ${problem.message}`);
    }
  }
  if (settings.accessTokens?.some((t) => !mayHavePaths(t, settings.paths ?? DEFAULTS.paths))) {
    problems.push('RELAY_ACCESS_TOKENS: a named token has a path that is not below one of RELAY_PATHS, such as /v1/responses is');
  }
  if (!settings.accessTokens && settings.apiKey) {
    problems.push('RELAY_API_KEY: needs RELAY_ACCESS_TOKENS too, or anyone who finds the relay could spend it');
  }
  problems.push(...keyProblems(settings));
  if (!settings.accessTokens && settings.upstreams?.some((u) => u.token)) {
    problems.push('RELAY_UPSTREAMS: holds an access token, so it needs RELAY_ACCESS_TOKENS too, or anyone who finds this relay could spend it');
  }
  return { problems: problems.sort(), ...settings };
}

/** Returns what is wrong with the API keys of upstreams, and with the upstreams that tokens name. */
function keyProblems({ upstreams = [parseUpstream(DEFAULTS.upstream)], accessTokens, apiKey }) {
  const problems = [];
  if (upstreams.some((u) => u.apiKey !== '')) {
    if (!accessTokens) problems.push('RELAY_UPSTREAMS: holds an API key, so it needs RELAY_ACCESS_TOKENS too, or anyone who finds the relay could spend it');
    if (!apiKey && upstreams.some((u) => u.apiKey === '' && u.token === '')) {
      problems.push('RELAY_UPSTREAMS: one has neither an API key nor a token, but another upstream has a key: give it one too, or set RELAY_API_KEY for all that have none');
    }
  }
  if (accessTokens?.some((t) => (t.upstreams ?? []).some((name) => !upstreams.some((u) => u.name === name)))) {
    problems.push('RELAY_ACCESS_TOKENS: a named token names an upstream that is not in RELAY_UPSTREAMS: its name is what follows #, or else its host and path');
  }
  return problems;
}

/** The parsers of settings. A parser throws a sentence without the value. A setting without one is not supported here. */
const PARSERS = {
  RELAY_UPSTREAMS: (v) => ({ upstreams: unique(v.startsWith('[') ? parseUpstreamList(v) : each(v, parseUpstream)) }),
  RELAY_POLICY: (v) => must(v === 'order', `must be order on ${PLATFORM}: there are no probes to tell which is the fastest`) ?? {},
  RELAY_UPSTREAM_HTTP: (v) => must(v === 'auto', `must be auto on ${PLATFORM}, which chooses the version itself`) ?? {},
  RELAY_RESEND_AMBIGUOUS: (v) => ({ resendAmbiguous: parseBool(v) }),
  RELAY_RESUME_RESPONSES: (v) => must(!parseBool(v), `is not supported on ${PLATFORM}, where streams pass without being read: remove it`) ?? {},
  RELAY_RETRY_QUOTA: (v) => ({ retryQuota: parseBool(v) }),
  RELAY_LOG_USAGE: (v) => must(!parseBool(v), `is not supported on ${PLATFORM}, where responses pass without being read: remove it`) ?? {},
  RELAY_PROBE_INTERVAL: off('nothing runs between requests'),
  RELAY_ACCESS_TOKENS: (v) => ({ accessTokens: v.startsWith('[') ? parseNamedTokens(v) : each(v, parseToken) }),
  RELAY_ALLOW_PRIVATE_HTTP: (v) => must(!parseBool(v), `is not supported on ${PLATFORM}, which reaches no private networks: remove it`) ?? {},
  RELAY_ALLOW_ANYONE: (v) => ({ allowAnyone: parseBool(v) }),
  RELAY_API_KEY: (v) => must(isHeaderValue(v), 'has a character that no API key has, such as a space or a line break') ?? { apiKey: v },
  RELAY_PATH_TOKENS: (v) => ({ pathTokens: parseBool(v) }),
  RELAY_ALLOWED_ORIGINS: (v) => ({ origins: each(v, parseOrigin) }),
  RELAY_ALLOWED_HOSTS: (v) => ({ hosts: v === '*' ? [] : each(v, parseHost) }),
  RELAY_PATHS: (v) => ({ paths: each(v, parsePrefix) }),
  RELAY_PAGE: (v) => must(v === 'on' || v === 'off', 'must be on or off') ?? { page: v === 'on' },
  RELAY_MAX_BODY_BYTES: (v) => ({ maxBodyBytes: parseSize(v) }),
  RELAY_MAX_IN_FLIGHT: off('each isolate knows its own requests only'),
  RELAY_IDLE_TIMEOUT: (v) => ({ idleTimeout: parseTimeout(v) }),
  RELAY_MAX_STREAM_TIME: (v) => ({ maxStreamTime: parseTimeout(v) }),
  RELAY_KEEPALIVE: (v) => ({ keepalive: atLeastASecond(parseTimeout(v)) }),
  RELAY_BODY_TIMEOUT: off('the edge takes bodies in'),
  RELAY_WRITE_TIMEOUT: off('the edge hands responses out'),
  RELAY_DRAIN_TIMEOUT: off('an update lets requests finish by itself'),
  RELAY_IDLE_CONNECTION_TIMEOUT: off('the edge keeps the connections of clients'),
  RELAY_NAME: (v) => must(isToken(v), 'may have letters, digits, hyphens and dots only') ?? { name: v },
  RELAY_REGION: (v) => must(/^[ -~]*$/.test(v), 'may have printable ASCII characters only') ?? { region: v },
  RELAY_LOG_SAMPLE: (v) => ({ logSample: parseSample(v) }),
  RELAY_LOG_LEVEL: (v) => must(Object.hasOwn(LEVELS, v), 'must be debug, info, warn, error or off') ?? { logLevel: v },
};

/** Throws if a value begins or ends with a quotation mark, which forms and env files keep as part of the value. */
function mustBeUnquoted(value) {
  must(!/^["']|["']$/.test(value), 'is in quotes, which would be part of the value: leave them out');
}

/** Throws sentence unless ok. It returns undefined, so that it can be followed by ??. */
function must(ok, sentence) {
  if (!ok) throw new Error(sentence);
}

/** Returns the parser of a setting that can only be off here, for a reason. */
function off(reason) {
  return (v) => must(v === 'off' || parseTimeout(v) === 0, `is not supported on ${PLATFORM}, where ${reason}: remove it, or set it to off`) ?? {};
}

/** Parses each entry of a comma-separated list. */
function each(value, parse) {
  const entries = value.split(',').map((entry) => entry.trim());
  entries.forEach(mustBeUnquoted);
  must(!entries.includes(''), 'has an empty entry next to a comma');
  return entries.map((entry, i) => {
    try {
      return parse(entry, entries.length);
    } catch (problem) {
      throw new Error(entries.length > 1 ? `value ${i + 1} ${problem.message}` : problem.message);
    }
  });
}

function unique(upstreams) {
  must(new Set(upstreams.map((u) => u.base)).size === upstreams.length, 'names an upstream twice');
  return upstreams;
}

function parseBool(v) {
  must(['true', '1', 'false', '0'].includes(v), 'must be true or false');
  return v === 'true' || v === '1';
}

function parseSample(v) {
  must(/^\+?[0-9]+$/.test(v) && Number(v) >= 1 && Number(v) <= 1e6, 'must be a number of requests from 1 to 1000000');
  return Number(v);
}

function parseSize(v) {
  must(/^[0-9]{1,13}$/.test(v) && Number(v) >= 1 && Number(v) <= 2 ** 40, 'must be a whole number of bytes up to 1 TiB, such as 33554432');
  return Number(v);
}

const UNITS = { ns: 1e-6, us: 1e-3, 'µs': 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3 };

/** Returns the milliseconds of a duration such as 1m30s; 0 for off. */
function parseTimeout(v) {
  if (v === 'off' || v === '0') return 0;
  must(/^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$/.test(v), 'must be a duration such as 90s or 10m, or off');
  let ms = 0;
  for (const [, n, unit] of v.matchAll(/([0-9.]+)([a-zµ]+)/g)) ms += Number(n) * UNITS[unit];
  return ms;
}

function atLeastASecond(ms) {
  must(ms === 0 || ms >= 1000, 'must be 1s or longer, or off');
  return ms;
}

/** Returns a configured token: its text, if known, and its digest, which is computed from the text when it is needed. */
function parseToken(token) {
  const hex = /^sha256:([0-9a-fA-F]{64})$/.exec(token)?.[1];
  if (hex) return { text: '', digest: Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16)) };
  must(token.startsWith('sha256:') || !/^sha256:/i.test(token), 'must begin with sha256: in lower case if it is a hash');
  must(!token.startsWith('sha256:'), 'must have 64 hexadecimal digits after its sha256: prefix');
  must(token.replace(/^rt_/, '') !== '', 'is empty');
  must(isHeaderValue(token) && !token.includes('.'), 'may have no spaces, commas, dots or control characters; openssl rand -hex 32 makes a good one');
  return { text: token, digest: null };
}

const TOKEN_MEMBERS = ['name', 'sha256', 'token', 'expires', 'paths', 'methods', 'models', 'upstreams', 'max_in_flight', 'per_minute'];

/** Parses a JSON list of access tokens: objects with a name, an end and limits, or strings as in the list with commas. */
function parseNamedTokens(text) {
  let entries;
  try {
    entries = JSON.parse(text);
  } catch {
    throw new Error('begins with a bracket, but is not a JSON list'); // the error would quote it
  }
  must(entries.length > 0, 'is an empty list, which would admit everyone: leave the setting out if that is meant');
  const tokens = entries.map((entry, i) => {
    try {
      return typeof entry === 'string' ? parseToken(entry) : parseNamedToken(entry);
    } catch (problem) {
      throw new Error(`entry ${i + 1}: ${problem.message}`);
    }
  });
  const names = tokens.filter((t) => t.name).map((t) => t.name);
  must(new Set(names).size === names.length, 'has a name twice');
  const texts = tokens.map((t) => withoutPrefix(t.text) || String(t.digest)); // a text and its own hash are told apart by requests only
  must(tokens.every((t, i) => !t.name || texts.filter((text) => text === texts[i]).length === 1), 'has a token twice');
  return tokens;
}

/** Parses a named token. A null is as good as no member. */
function parseNamedToken(entry) {
  must(entry !== null && typeof entry === 'object' && !Array.isArray(entry), 'must be an object or a string');
  must(Object.keys(entry).every((name) => TOKEN_MEMBERS.includes(name)), `has a member other than ${TOKEN_MEMBERS.join(', ')}`);
  const { name, sha256, token, expires, paths, methods, models, upstreams, max_in_flight: inFlight, per_minute: perMinute } = entry;
  const isText = (v) => v == null || typeof v === 'string';
  const isList = (v) => v == null || (Array.isArray(v) && v.length > 0 && v.every((s) => typeof s === 'string'));
  must(isText(name) && isText(sha256) && isText(token), 'name, sha256 and token must be strings');
  must(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(name ?? ''), 'must have a name of up to 64 letters, digits and the characters ._@- that begins with a letter or digit');
  must(sha256 || token, 'has neither sha256 nor token');
  must(!sha256 || !token, 'has both sha256 and token: leave one of them out');
  must(sha256 || !/^sha256:/i.test(token), 'has a hash as its token: name it sha256');
  must(!token || !name.includes(withoutPrefix(token)) || withoutPrefix(token) === '', 'its name must not contain the token, because names are logged');
  must(expires == null || isTime(expires), 'expires must be a time such as 2027-01-31T00:00:00Z');
  must(isList(paths), 'paths must be a list of strings that is not empty');
  must(isList(methods), 'methods must be a list of strings that is not empty');
  must(isList(upstreams), 'upstreams must be a list of strings that is not empty');
  must(!methods || methods.every((m) => METHODS.includes(m)), `has another method than ${METHODS.join(', ')}, in capitals`);
  must(isList(models), 'models must be a list of strings that is not empty');
  must((models ?? []).every((m) => /^[A-Za-z0-9._:/@+-]{1,100}\*?$/.test(m)), 'has a model that is not 1 to 100 letters, digits and the characters ._:/@+-, of which a * may follow');
  must(inFlight == null, `max_in_flight is not supported on ${PLATFORM}, where each isolate knows its own requests only: remove it`);
  must(perMinute == null || (Number.isInteger(perMinute) && perMinute >= 1 && perMinute <= 1e6), 'per_minute must be a whole number from 1 to 1000000');
  return {
    ...parseToken(sha256 ? `sha256:${sha256.replace(/^sha256:/, '')}` : token), name, expires: expires ?? '', ends: expires ? Date.parse(expires) : Infinity,
    paths: paths ?? [], methods: methods ?? [], models: models ?? [], upstreams: upstreams ?? [],
    perMinute: perMinute ?? 0, paidTill: 0,
  };
}

/** Reports whether text is a time of RFC 3339. Date.parse takes the 30th of February for a day in March. */
function isTime(text) {
  const [, day] = /^([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$/.exec(text) ?? [];
  const at = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day);
}

/** Reports whether the paths of a token are ones that the relay forwards, or below. */
function mayHavePaths(token, prefixes) {
  return (token.paths ?? []).every((path) => {
    const below = path.replace(/\/$/, '') + '/';
    return isCleanPath(below) && !/%2f/i.test(below) && prefixes.some((prefix) => below.startsWith(prefix));
  });
}

function parseOrigin(origin, n) {
  if (origin === '*' || origin === 'none') {
    must(n === 1, `is ${origin}, which must stand alone`);
    return origin;
  }
  must(origin === 'null' || isOrigin(origin),
    "must be *, none, or origins as browsers send them, such as https://chat.example: lower case, without a path, a trailing slash, a wildcard or the scheme's default port");
  return origin;
}

/** Reports whether a browser can send origin. One in another form would never match. */
function isOrigin(origin) {
  const [, scheme, host, port] = /^([a-z][a-z0-9+.-]*):\/\/([A-Za-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/.exec(origin) ?? [];
  if (!host || (port && (Number(port) > 65535 || port !== String(Number(port))))) return false;
  if (scheme !== 'http' && scheme !== 'https') return true; // of an extension or an app, whose hosts are opaque
  return port !== (scheme === 'http' ? '80' : '443') && host === canonicalHost(host) && isHost(host);
}

function parseHost(host) {
  must(isHost(host), 'must be * or host names such as relay.example, without a scheme, a port, a path or a wildcard');
  return hostname(host);
}

const IPV4 = /^(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/;

/** Reports whether host is a host name or an IP address. A host that ends in a number is parsed as an address (URL standard, section 3.5). */
function isHost(host) {
  if (IPV4.test(host) || isIPv6(host.replace(/^\[|\]$/g, ''))) return true;
  return /^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i.test(host) && !/(^|\.)([0-9]+|0x[0-9a-f]*)\.?$/i.test(host);
}

const isIPv6 = (s) => /^[0-9a-f:.]+$/i.test(s) && s.includes(':') && URL.canParse(`http://[${s}]/`);

/** Returns a host as browsers write it: in lower case, IPv6 addresses in their shortest form and, if there were any, in brackets. */
function canonicalHost(host) {
  const bare = host.replace(/^\[|\]$/g, '');
  return isIPv6(bare) ? host.replace(bare, new URL(`http://[${bare}]/`).hostname.slice(1, -1)) : host.toLowerCase();
}

function parsePrefix(prefix) {
  must(/^\/.+\/$/.test(prefix) && isCleanPath(prefix) && !/%2f/i.test(prefix), 'must be path prefixes with a slash at both ends, such as /v1/ here');
  must(!/^\/(relay|t)\//.test(prefix), 'must leave /, /relay/ and /t/ to the relay itself');
  return prefix;
}

const UPSTREAM_MEMBERS = ['url', 'name', 'token', 'api_key'];

/** Parses a JSON list of upstreams: of objects, or of base URLs. */
function parseUpstreamList(text) {
  let entries;
  try {
    entries = JSON.parse(text);
  } catch {
    throw new Error(`must be a JSON list of objects with ${UPSTREAM_MEMBERS.join(', ')}`); // the error would quote it
  }
  must(entries.length > 0, 'names no upstream');
  const parse = entries.every((entry) => typeof entry === 'string') ? parseUpstream : parseUpstreamEntry;
  return entries.map((entry, i) => {
    try {
      return parse(entry);
    } catch (problem) {
      throw new Error(`entry ${i + 1}: ${problem.message}`);
    }
  });
}

/** Parses an upstream of a JSON list. As in core, the names of members may be in capitals, and a null is as good as none. */
function parseUpstreamEntry(entry) {
  must(entry !== null && typeof entry === 'object' && !Array.isArray(entry), `must be an object with ${UPSTREAM_MEMBERS.join(', ')}`);
  const members = Object.entries(entry).map(([name, value]) => [name.toLowerCase(), value]);
  must(members.every(([name]) => UPSTREAM_MEMBERS.includes(name)), `has a member other than ${UPSTREAM_MEMBERS.join(', ')}`);
  must(members.every(([, value]) => value === null || typeof value === 'string'), 'must have strings only');
  const { url, name, token, api_key: apiKey } = Object.fromEntries(members);
  const upstream = parseUpstream(url ?? '');
  must(!token || upstream.token === '', 'has a token in its url and another beside it');
  must(/^[!-~]*$/.test(name ?? ''), 'has a name with characters that are not visible ASCII');
  must(isHeaderValue(apiKey ?? ''), 'has an API key with a character that no API key has, such as a space or a line break');
  return {
    ...upstream, name: name || upstream.name, apiKey: apiKey ?? '',
    token: token ? upstreamToken(withoutPrefix(token), upstream.official) : upstream.token,
  };
}

/** Parses an upstream: a base URL, which may hold an access token as user name and its name as fragment. */
function parseUpstream(address) {
  const [, scheme, user, host, path, name] = /^([a-zA-Z]+):\/\/(?:([^@/?#]*)@)?([^@/?#\s]+)(\/[^?#]*)?(?:#(.*))?$/s.exec(address) ?? [];
  must(host && URL.canParse(`${scheme}://${host}`) && !host.endsWith(':'), 'must be a base URL such as https://api.openai.com, without a query');
  const hostname = host.replace(/:[0-9]+$/, '').toLowerCase();
  must(/^https?$/i.test(scheme), 'must begin with https://');
  must(/^https$/i.test(scheme) || isLoopback(hostname), 'must be https: plain http would show keys to the network, and is allowed to loopback addresses only');
  must(/^[!-~]*$/.test(name ?? ''), 'has a name, after #, with characters that are not visible ASCII');
  const official = hostname === 'api.openai.com' || hostname.endsWith('.api.openai.com');
  const prefix = (path ?? '').replace(/\/+$/, '').replace(/\/v1$/, '');
  must(prefix === '' || (isCleanPath(prefix) && !/%2f/i.test(prefix)), 'has a path that cannot be relayed to');
  must(!ENDPOINT.test(prefix), 'is the address of an endpoint: leave out what follows /v1, which clients add');
  return {
    base: `${scheme.toLowerCase()}://${host.toLowerCase()}${prefix}`, host: host.toLowerCase(), prefix, name: name || host + prefix,
    official, token: parseUser(user, official), apiKey: '', marked: false, strikes: 0, avoidUntil: 0, lastError: '', checkedAt: 0, errorAt: 0,
  };
}

/** Returns the access token in the URL's user name, or "". */
function parseUser(user, official) {
  if (user === undefined) return '';
  must(/^rt_[^:]*$/.test(user), 'must not hold a user name or password, only an access token as https://rt_token@host');
  return upstreamToken(decode(user).slice(3), official);
}

function upstreamToken(token, official) {
  must(token !== '' && isHeaderValue(token), 'holds an access token with other than visible ASCII characters, or an empty one');
  must(!official, "must not hold an access token: OpenAI's own hosts take none");
  return token;
}

const isLoopback = (hostname) => hostname === 'localhost' || hostname === '[::1]' || /^127(\.[0-9]{1,3}){3}$/.test(hostname);
const isHeaderValue = (s) => /^[!-+\--~]*$/.test(s); // visible ASCII but for the comma
const isToken = (s) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(s); // RFC 9110, section 5.6.2

// record: one line for each request, a response to every failure

/** Returns the exchange of one request: its state in the stages and for the log. */
function newExchange(relay, request) {
  const { host, path, query } = splitURL(request.url);
  return {
    relay, request, host, path, query,
    method: request.method,
    headers: new Map(request.headers), // those of the client, read once: each look into Headers itself costs
    outbound: null, // a copy of them without the access token and with the key that is due; from access
    pathToken: '', // what access has cut from the path
    id: '', start: Date.now(), firstByte: 0,
    attempts: 0, upstream: null, // how it was sent
    bytesIn: 0,
    body: null, // all of it, if models has read it
    abort: new AbortController(), cause: null, // the error that ended the exchange early
    token: null, // the named one that was shown; from access
    clientKey: false, // the key in outbound is the client's; from access
    keyless: false, // no key may be added
    error: '', logged: false,
  };
}

/** Runs the stages and returns the response, also if they throw. */
async function record(x) {
  x.bytesIn = Number(x.headers.get('content-length') ?? 0);
  let response;
  try {
    response = await stages(x);
  } catch (failure) {
    response = refusal(x, failure);
  }
  const { status, headers, body, later, ...more } = response;
  if (!headers.has('X-Relay')) headers.set('X-Relay', `${x.relay.name}; origin=relay`);
  describe(x, headers);
  exposeTo(x, headers);
  x.status = status;
  x.firstByte = Date.now();
  if (!later) log(x, Number(headers.get('content-length') ?? 0)); // else its stream logs it
  return new Response(x.method === 'HEAD' ? null : body, { status, headers, ...more });
}

/** The stages after record, in the order in which a request meets them. */
async function stages(x) {
  if (isPreflight(x)) return preflight(x);
  if (x.relay.misconfigured) throw new RelayError(ERRORS.misconfigured);
  checkOrigin(x);
  checkTarget(x);
  if (x.path === HEALTH_PATH) return health(x);
  if (isPage(x) && x.relay.page) return page(x);
  checkPath(x, x.relay.pathTokens);
  checkNavigation(x);
  x.outbound = await admit(x);
  checkGrant(x);
  checkPath(x, false);
  checkLimits(x);
  checkRate(x.token);
  await checkModel(x);
  return forward(x);
}

/** Returns the response to a failure, in the shape of the API's errors. Anything but a RelayError is a bug of the relay's. */
function refusal(x, failure) {
  if (!(failure instanceof RelayError)) {
    // The message may quote what a client or an upstream sent; the stack's locations do not.
    const stack = String(failure?.stack).split('\n').filter((line) => /^\s+at /.test(line)).join('\n');
    write('error', x.relay.logLevel, { msg: 'panic', request_id: requestID(x), stack });
    failure = new RelayError(ERRORS.internal);
  }
  const { entry, text, retryAfterMs } = failure;
  x.error = entry.code;
  const headers = new Headers({
    'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestID(x), 'X-Relay-Error': entry.code,
  });
  if (retryAfterMs > 0) headers.set('Retry-After-Ms', String(retryAfterMs));
  if (!entry.retry) headers.set('X-Should-Retry', 'false');
  if (entry.status === 401) headers.set('WWW-Authenticate', 'Bearer'); // RFC 9110, section 11.6.1
  if (entry.status === 405) headers.set('Allow', METHODS.join(', '));
  const body = new TextEncoder().encode(errorBody(entry, text));
  headers.set('Content-Length', String(body.byteLength));
  return { status: entry.status, headers, body };
}

const errorBody = (entry, text) => JSON.stringify({ error: errorFields(entry, text) });
const errorFields = (entry, text) => ({ message: text, type: 'relay_error', param: null, code: entry.code });

/** Reports how the request was sent, if there was a choice. */
function describe(x, headers) {
  if (x.relay.upstreams.length > 1 && x.attempts > 0) {
    headers.set('X-Relay-Attempts', String(x.attempts));
    headers.set('X-Relay-Upstream', x.upstream.name);
  }
}

const LEVELS = { debug: 0, info: 1, warn: 2, error: 3, off: 4 };

/** Writes the record line: an allow-list, without any header, path, query, body or key. */
function log(x, bytesOut) {
  const level = x.error === '' && x.status < 500 && x.status !== 429 ? 'info' : 'warn';
  const sample = level === 'info' ? x.relay.logSample : 1;
  if (x.logged || LEVELS[level] < LEVELS[x.relay.logLevel] || Math.random() * sample >= 1) return;
  x.logged = true;
  write(level, x.relay.logLevel, {
    msg: 'request', request_id: requestID(x), method: METHODS.includes(x.method) ? x.method : 'other', route: loggedRoute(x),
    status: x.status, bytes_in: x.bytesIn, bytes_out: bytesOut, first_byte_ms: x.firstByte - x.start, duration_ms: Date.now() - x.start,
    region: regionOf(x), attempts: x.attempts,
    ...(x.token && { token: x.token.name }),
    ...(x.upstream && x.relay.upstreams.length > 1 && { upstream: x.upstream.name }),
    ...(x.error && { error: x.error }),
    ...(sample > 1 && { sample }),
  });
}

/** Writes a line of JSON with the console function for its level, from which Workers Logs take the level. */
function write(level, threshold, fields) {
  if (LEVELS[level] < LEVELS[threshold]) return;
  console[level === 'info' ? 'log' : level](JSON.stringify({ time: new Date().toISOString(), level: level.toUpperCase(), ...fields }));
}

/** Returns the random id of the request, which is made on first use. */
function requestID(x) {
  if (x.id === '') {
    x.id = 'relay_' + crypto.randomUUID().replaceAll('-', '').slice(0, 24);
  }
  return x.id;
}

/** Returns the class of a path, never the path itself, which may hold ids and tokens. */
function routeClass(path) {
  if (path === HEALTH_PATH) return 'health';
  if (path === '/') return 'page';
  if (path.startsWith('/dashboard/')) return 'dashboard';
  const family = familyOf(path);
  return FAMILIES.has(family) ? family : 'other';
}

/** Returns the path segment after /v1/, or "". */
function familyOf(path) {
  const at = path.indexOf('/v1/');
  return at < 0 ? '' : path.slice(at + 4).split('/', 1)[0];
}

/**
 * Returns the route to log. An unknown family is logged by its name if the API has
 * accepted it and it can be neither an id nor a secret.
 */
function loggedRoute(x) {
  const route = routeClass(x.path);
  const family = familyOf(x.path);
  const succeeded = x.status === 101 || (x.status >= 200 && x.status <= 299);
  return route === 'other' && succeeded && family.length <= DEFAULTS.maxFamily && PLAIN_WORDS.test(family) ? family : route;
}

/** Returns where the Worker runs: RELAY_REGION, or the airport code of Cloudflare's location. */
const regionOf = (x) => x.relay.region || x.request.cf?.colo || '';

// cors: preflights, and which origins may call

function isPreflight(x) {
  return x.method === 'OPTIONS' && x.headers.has('origin') && x.headers.has('access-control-request-method');
}

/** Responds to a preflight. An origin that is not allowed gets no permission rather than an error. */
function preflight(x) {
  const headers = new Headers({ Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network' });
  if (allowedOrigin(x) !== '') {
    headers.set('Access-Control-Allow-Methods', METHODS.join(', '));
    headers.set('Access-Control-Max-Age', '7200');
    if (x.headers.get('access-control-request-private-network') === 'true') headers.set('Access-Control-Allow-Private-Network', 'true');
    const names = reflected(x.headers.get('access-control-request-headers') ?? '');
    if (names !== '') headers.set('Access-Control-Allow-Headers', names);
  }
  return { status: 204, headers, body: null };
}

/** Returns the header names in value: valid ones only, up to 64 and 4 KiB. */
function reflected(value) {
  const names = [];
  let bytes = 0;
  for (const name of value.split(',').map((entry) => entry.trim()).filter(isToken)) {
    bytes += name.length + 2;
    if (names.length === DEFAULTS.maxPreflightNames || bytes - 2 > DEFAULTS.maxPreflightBytes) break;
    names.push(name);
  }
  return names.join(', ');
}

/** Returns the value for Access-Control-Allow-Origin, or "" for none. */
function allowedOrigin(x) {
  const origin = x.headers.get('origin') ?? '';
  const { origins } = x.relay;
  if (origin === '' || origins[0] === 'none') return '';
  if (origins[0] === '*') return '*';
  return origins.includes(origin) ? origin : '';
}

/** Refuses origins that are not allowed, except for the page, to which any site may link. */
function checkOrigin(x) {
  const { origins } = x.relay;
  if (origins[0] === '*' || isPage(x) || isSameOrigin(x)) return;
  if (origins[0] === 'none' || !origins.includes(x.headers.get('origin') ?? '')) throw new RelayError(ERRORS.origin);
}

/**
 * Reports whether the request is from the relay's own origin, from the user, or from a
 * program, by the rules of net/http's CrossOriginProtection, but for every method.
 */
function isSameOrigin(x) {
  const sites = (x.headers.get('sec-fetch-site') ?? '').split(',').map((site) => site.trim()).filter((site) => site !== '');
  if (sites.length > 0) return sites.every((site) => site === 'same-origin' || site === 'none');
  const origin = x.headers.get('origin') ?? '';
  return origin === '' || /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)$/i.exec(origin)?.[1].toLowerCase() === x.host.toLowerCase();
}

/** Adds the CORS headers to a response, whose headers must be complete, as their names are exposed. */
function exposeTo(x, headers) {
  const { origins } = x.relay;
  const allowed = allowedOrigin(x);
  if (allowed !== '') headers.set('Access-Control-Allow-Origin', allowed);
  if (isPreflight(x)) return;
  if (origins[0] !== '*' && origins[0] !== 'none') headers.append('Vary', 'Origin');
  if (allowed === '') return;
  const names = [...headers.keys()].filter((name) => !SAFELISTED.has(name) && !name.startsWith('access-control-'));
  headers.set('Access-Control-Expose-Headers', names.join(', '));
}

// target: refuses what the relay and an upstream could read differently

/**
 * Splits a raw URL. Its parts remain as they were sent: URL's parser would resolve the
 * dot segments that checkTarget must see.
 */
function splitURL(url) {
  const [, host, path, query] = /^[a-z]+:\/\/([^/?#\\*]*)([^?]*)(\?.*)?$/is.exec(url) ?? [null, '', '', ''];
  return { host, path, query: query ?? '' };
}

function checkTarget(x) {
  if (!METHODS.includes(x.method)) throw new RelayError(ERRORS.method);
  if (!isCleanPath(x.path)) throw new RelayError(ERRORS.invalidTarget);
  if (!isAllowedHost(x) && !isLoadBalancer(x)) throw new RelayError(ERRORS.host);
}

const isAllowedHost = (x) => x.relay.hosts.length === 0 || x.relay.hosts.includes(hostname(x.host));

/** Reports whether the request may be a load balancer's, which checks health by IP address. */
const isLoadBalancer = (x) => x.path === HEALTH_PATH && x.query === '' && /^([0-9.]*|[0-9a-f:]+)$/i.test(hostname(x.host));

/** Returns the host of a Host header in lower case, without its port, the brackets of an IPv6 address and the dot at the end of a full name. */
const hostname = (host) => canonicalHost(isIPv6(host) ? host : host.replace(/:[0-9]*$/, '')).replace(/^\[|\]$/g, '').replace(/\.$/, '');

/**
 * Reports whether a path means the same to every server: absolute, without empty or
 * dot segments. An encoded slash is part of an id, such as org%2Fmodel: servers that
 * decode it see more segments, which must not lead out of the prefix either. The path
 * is decoded only for this check, and forwarded unchanged.
 */
function isCleanPath(path) {
  if (/^(\/[A-Za-z0-9_-]+)*\/?$/.test(path)) return path !== ''; // nearly all
  if (path[0] !== '/' || path.includes('//') || path.includes('#')) return false;
  let plain;
  try {
    plain = decodeURIComponent(path); // refuses bad escapes, and what is not UTF-8
  } catch {
    return false;
  }
  if (/[\x00-\x1f\x7f\\;#?]|\/\//.test(plain) || (plain.endsWith('/') && !path.endsWith('/'))) return false;
  for (let i = 0; i < DEFAULTS.maxDecodings; i++) { // a second server may decode again
    if (plain.split('/').some((segment) => segment === '.' || segment === '..')) return false;
    plain = decode(plain);
  }
  return true;
}

const isPage = (x) => x.path === '/' && (x.method === 'GET' || x.method === 'HEAD');

/** Lets only the relayed paths pass; with tokens, paths that carry one as well. */
function checkPath(x, tokens) {
  if (x.relay.paths.some((prefix) => x.path.startsWith(prefix)) || (tokens && x.path.startsWith('/t/'))) return;
  throw new RelayError(ERRORS.unknownPath, ERRORS.unknownPath.message.replace('/v1/', x.relay.paths.join(' or ')));
}

/**
 * Keeps an upstream's response from becoming a document or a script of the relay's
 * origin, which has the page and its keys. Programs send none of these headers.
 */
function checkNavigation(x) {
  const values = (name) => (x.headers.get(name) ?? '').split(',').map((value) => value.trim()); // of repeated headers, too
  const inert = values('sec-fetch-dest').every((dest) => INERT_DESTINATIONS.has(dest));
  const navigates = values('sec-fetch-mode').some((mode) => mode === 'navigate' || mode === 'nested-navigate');
  if (!inert || navigates || x.headers.has('service-worker')) throw new RelayError(ERRORS.navigation);
}

// health: what this relay is, and whether it reaches the API

const DEEP_MS = 8000; // how long a deep check takes at most
const DEEP_FOR_MS = 5000; // how long its result is given again

async function health(x) {
  if (x.method !== 'GET' && x.method !== 'HEAD') throw new RelayError(ERRORS.method);
  const query = new URLSearchParams(x.query);
  if (query.get('stream') === '1' && x.method === 'GET') return streamProbe(x);
  const { relay } = x;
  const report = {
    status: 'ok', name: relay.name, version: VERSION, region: regionOf(x), platform: relay.platform,
    token_required: relay.accessTokens.length > 0, holds_key: relay.holdsKey, max_body_bytes: relay.maxBodyBytes, websocket: true,
  };
  let status = 200;
  if (query.get('deep') === '1') {
    report.upstream = await deepCheck(x);
    if (!report.upstream.ok) [report.status, status] = ['degraded', 503];
  }
  if (isAllowedHost(x) && (await isAdmitted(x))) {
    if (x.token) report.token = tokenReport(x.token);
    report.upstreams = namedUpstreams(x).map((u) => upstreamReport(u, relay.upstreams.length > 1));
  }
  const headers = new Headers({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  return { status, headers, body: JSON.stringify(report) + '\n' };
}

/** Reports whether the caller may use the relay, and sets x.token; others do not see the names of upstreams. */
async function isAdmitted(x) {
  const copy = { ...x };
  const admitted = await admit(copy).then(() => true, () => false);
  x.token = copy.token;
  return admitted;
}

/** Returns what the holder of a named token may know of it. */
function tokenReport({ name, expires, ends, paths, methods, models, upstreams, perMinute }) {
  return {
    name, ...(expires && { expires: new Date(ends).toISOString().replace(/\.[0-9]+Z$/, 'Z') }), ...(paths.length > 0 && { paths }),
    ...(methods.length > 0 && { methods }), ...(models.length > 0 && { models }),
    ...(upstreams.length > 0 && { upstreams }), ...(perMinute && { per_minute: perMinute }),
  };
}

/** Returns what is known of an upstream. A single one is never down. */
function upstreamReport(u, several) {
  const left = several ? Math.max(0, u.avoidUntil - Date.now()) : 0;
  const state = left > 0 || u.strikes >= 3 ? 'down' : u.strikes > 0 ? 'suspect' : 'up';
  return {
    name: u.name, state, latency_ms: 0, in_flight: 0, ...(u.lastError && { last_error: u.lastError }), ...(left > 0 && { retry_in_ms: left }),
    ...(u.checkedAt && { checked_ms_ago: Date.now() - u.checkedAt }), ...(u.errorAt && { error_ms_ago: Date.now() - u.errorAt }),
  };
}

/** Returns the result of a keyless request for the models: a 401 means that the API serves this region. One check runs at a time. */
async function deepCheck(x) {
  const { deep } = x.relay;
  while (!deep.report && deep.until > Date.now()) await sleep(50); // another request's check
  if (deep.until > Date.now()) return deep.report;
  Object.assign(deep, { report: null, until: Date.now() + DEEP_MS });
  deep.report = await probe(x);
  deep.until = Date.now() + DEEP_FOR_MS;
  return deep.report;
}

async function probe(x) {
  const request = new Request(x.request.url, { headers: { ...QUESTION, 'user-agent': `relay/${VERSION}` } });
  const headers = new Map(request.headers);
  const probing = { ...x, method: 'GET', path: '/v1/models', query: '', request, headers, outbound: headers, keyless: true };
  const timer = setTimeout(() => end(probing, { code: 'upstream_timeout' }), DEEP_MS);
  const start = Date.now();
  const report = { ok: false };
  try {
    const sent = await send(probing, null);
    const { response, error } = await peek(sent.response);
    report.status = response.status;
    report.code = saysRefused(response, error) ? REGION_REFUSED : [200, 401, 429].includes(response.status) ? '' : 'upstream_unexpected_status';
    await response.body?.cancel();
  } catch (failure) {
    report.code = failure.entry?.code ?? 'upstream_reset';
  } finally {
    clearTimeout(timer);
  }
  report.ok = report.code === '';
  report.latency_ms = Date.now() - start;
  if (report.ok) delete report.code;
  if (report.code === REGION_REFUSED) report.hint = REGION_HINT;
  return report;
}

const REGION_REFUSED = 'unsupported_country_region_territory';
const REGION_HINT = 'OpenAI does not serve the region in which this Worker runs, which is near the client. Set a placement region such as ' +
  'aws:us-east-1, or Smart Placement, in the settings of the Worker, or by wrangler.';

/** The headers of a keyless request whose response must not be encoded. */
const QUESTION = { accept: 'application/json', 'accept-encoding': 'identity' };

/** Reports whether the response to a keyless request is the API's refusal of the region. A 403 that cannot be read is: elsewhere the API returns 401. */
const saysRefused = ({ status, headers }, error) => status === 403 && (error?.code === REGION_REFUSED || isUnreadable(headers, error));

/** Reports whether peek cannot have found an error: the body is encoded, or its headers deny that and it is not JSON. */
const isUnreadable = (headers, error) => isEncoded(headers) || (mediaType(headers) === 'application/json' && error === undefined);

/**
 * Reports whether a 403, of which peek found the error, is the API's refusal of the
 * region. If peek cannot read its encoding, a keyless request to the API decides, whose
 * result is remembered. A relay reports a refusal in a header.
 */
async function isRefusal(x, upstream, { status, headers }, error) {
  if (status !== 403) return false;
  if (error?.code === REGION_REFUSED) return true;
  if (headers.has('x-relay')) return upstream.token !== '' && headers.get('x-relay-refusal') === REGION_REFUSED;
  if (!isUnreadable(headers, error)) return false;
  if (!(upstream.refusal?.until > Date.now())) upstream.refusal = { is: await asksInVain(x, upstream), until: Date.now() + DEEP_FOR_MS };
  return upstream.refusal.is;
}

async function asksInVain(x, upstream) {
  try {
    const asked = await fetch(`${upstream.base}/v1/models`, { headers: QUESTION, redirect: 'manual', signal: AbortSignal.any([x.abort.signal, AbortSignal.timeout(PEEK_MS)]) });
    const { response, error } = await peek(asked);
    await response.body?.cancel();
    return saysRefused(response, error);
  } catch {
    return false;
  }
}

/** Responds with a few events, which show a client whether anything in between buffers. */
function streamProbe(x) {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const run = async () => {
    const start = Date.now();
    for (let i = 1; i <= 5; i++) {
      if (i > 1) await sleep(100);
      await writer.write(encode(`data: {"event":${i},"of":5,"at_ms":${Date.now() - start}}\n\n`));
    }
    await writer.write(encode('data: [DONE]\n\n'));
    log(x, 0);
    await writer.close();
  };
  run().catch(() => {}); // the client has gone
  const headers = new Headers({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store, no-transform', 'X-Accel-Buffering': 'no' });
  return { status: 200, headers, body: readable, later: true };
}

// page: core's web page, or a sentence if it is not built in

let pageBytes; // decoded once in an isolate

function page(x) {
  if (!PAGE) {
    const text = `This is ${x.relay.name}, a relay. The base URL for clients is https://${x.host}/v1; its state is at ${HEALTH_PATH}.\n`;
    return { status: 200, headers: new Headers({ 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-cache', 'X-Robots-Tag': 'noindex' }), body: text };
  }
  const headers = new Headers({
    'Cache-Control': 'no-cache', 'Content-Security-Policy': PAGE.policy, 'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin', Etag: PAGE.etag, 'Referrer-Policy': 'no-referrer', Vary: 'Accept-Encoding',
    'X-Content-Type-Options': 'nosniff', 'X-Robots-Tag': 'noindex',
  });
  const weak = (tag) => tag.trim().replace(/^W\//, '');
  const tags = (x.headers.get('if-none-match') ?? '').split(',').map(weak);
  if (tags.includes('*') || tags.includes(weak(PAGE.etag))) return { status: 304, headers, body: null };
  headers.set('Content-Type', 'text/html; charset=utf-8');
  const bytes = (pageBytes ??= Uint8Array.from(atob(PAGE.gzip), (c) => c.charCodeAt(0)));
  if (!/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(acceptedEncoding(x) ?? '')) {
    return { status: 200, headers, body: new Response(bytes).body.pipeThrough(new DecompressionStream('gzip')) };
  }
  headers.set('Content-Encoding', 'gzip');
  headers.set('Content-Length', String(bytes.byteLength));
  return { status: 200, headers, body: bytes, encodeBody: 'manual' };
}

// access: the client's access token, and the API key for the upstream

const TOKEN_PREFIX = 'rt_';
const KEY_PROTOCOL = 'openai-insecure-api-key.';
const ACCOUNT_PROTOCOLS = ['openai-organization.', 'openai-project.'];

/**
 * Returns the request's headers without the access token and with the API key for the
 * upstream, or throws. Of several tokens, the first one counts: header, path, key. A
 * token in the path is removed from x.path.
 */
async function admit(x) {
  const { relay } = x;
  const headers = new Map(x.headers);
  for (const name of ['authorization', 'x-relay-token', ...KEY_HEADERS]) {
    if (headers.get(name)?.includes(',')) throw new RelayError(ERRORS.duplicateAuthorization); // which is how repeated ones look here
  }
  const shown = [(headers.get('x-relay-token') ?? '').trim()];
  headers.delete('x-relay-token');
  if (relay.pathTokens && x.path.startsWith('/t/')) shown.push(cutPathToken(x));
  shown.push(...cutKeyTokens(relay, headers));
  const token = shown.find((t) => t !== '') ?? '';
  if (relay.accessTokens.length > 0) {
    const known = token === '' ? null : await find(relay, token);
    if (!known) throw new RelayError(ERRORS.access);
    if (known.name) x.token = known;
    if (x.token?.ends <= Date.now()) throw new RelayError(ERRORS.tokenExpired);
  }
  if (relay.holdsKey) replaceKeys(headers, relay.apiKey); // an upstream with a key of its own gets that
  x.clientKey = relay.apiKey === '' && hasKey(headers);
  if (leaks(x, headers, token)) throw new RelayError(ERRORS.misplacedToken);
  return headers;
}

/** Reports whether headers have an API key, wherever clients send one. */
function hasKey(headers) {
  return ['authorization', ...KEY_HEADERS].some((name) => !/^\s*(bearer\s*)?$/i.test(headers.get(name) ?? '')) ||
    (headers.get('sec-websocket-protocol') ?? '').split(',').some((protocol) => plainProtocol(protocol).startsWith(KEY_PROTOCOL));
}

/** Removes every API key, with what names its organization and project, and sets key as the only one, unless it is "". */
function replaceKeys(headers, key) {
  for (const name of ['openai-organization', 'openai-project', ...KEY_HEADERS]) headers.delete(name);
  const offered = headers.get('sec-websocket-protocol')?.split(',').map((entry) => entry.trim()) ?? [];
  if (offered.some(isCredential)) set(headers, 'sec-websocket-protocol', offered.filter((protocol) => !isCredential(protocol)).join(', '));
  set(headers, 'authorization', key && `Bearer ${key}`);
}

/** Lets a named token request only what it may. */
function checkGrant(x) {
  if (!x.token) return;
  const { paths, methods } = x.token;
  const isBelow = (path) => x.path === path || x.path.startsWith(path + '/');
  const allowed = (paths.length === 0 || paths.some((path) => isBelow(path.replace(/\/$/, '')))) && (methods.length === 0 || methods.includes(x.method));
  if (!allowed) throw new RelayError(ERRORS.tokenNotAllowed);
}

/** Removes the token from /t/<token>/v1/…; there must be only one, and it must not need escaping. */
function cutPathToken(x) {
  const [, token, path] = /^\/t\/([^/%]+)(\/.*)$/s.exec(x.path) ?? [];
  if (!token || path.startsWith('/t/')) throw new RelayError(ERRORS.access);
  [x.path, x.pathToken] = [path, token];
  return token;
}

/** Removes the tokens from the places where clients put API keys, and returns them. */
function cutKeyTokens(relay, headers) {
  const tokens = [];
  const value = (headers.get('authorization') ?? '').trim();
  const [, scheme, credentials] = /^(\S+)[ \t]+(.*)$/s.exec(value) ?? [null, '', value];
  const bearer = cutToken(relay, credentials, scheme.toLowerCase() === 'bearer');
  if (bearer) {
    tokens.push(bearer.token);
    set(headers, 'authorization', bearer.key && `Bearer ${bearer.key}`);
  }
  for (const name of KEY_HEADERS) {
    const cut = cutToken(relay, headers.get(name) ?? '', false);
    if (!cut) continue;
    tokens.push(cut.token);
    set(headers, name, cut.key);
  }
  tokens.push(cutProtocols(relay, headers));
  return tokens;
}

/**
 * Splits credentials that carry a token. Without the prefix they are a token only if
 * the relay holds the key, and only as Bearer. A key that looks like a token is not
 * one.
 */
function cutToken(relay, credentials, isBearer) {
  if (!credentials.startsWith(TOKEN_PREFIX) && (!relay.holdsKey || !isBearer)) return null;
  const dot = credentials.indexOf('.');
  const [token, key] = dot < 0 ? [credentials, ''] : [credentials.slice(0, dot), credentials.slice(dot + 1)];
  return { token, key: key.startsWith(TOKEN_PREFIX) ? '' : key };
}

/** Removes the token from the subprotocol with which browsers send the key of a WebSocket and, if the relay holds the key, all that belongs to another key. */
function cutProtocols(relay, headers) {
  const offered = headers.get('sec-websocket-protocol');
  if (offered === undefined) return '';
  const kept = [];
  let [token, key] = ['', ''];
  for (const protocol of offered.split(',').map((entry) => entry.trim())) {
    if (protocol.startsWith(KEY_PROTOCOL)) {
      const credentials = protocol.slice(KEY_PROTOCOL.length);
      ({ token, key } = cutToken(relay, credentials, true) ?? { token, key: credentials });
    } else if (!relay.holdsKey || !isCredential(protocol)) {
      kept.push(protocol);
    }
  }
  if (key !== '' && !relay.holdsKey) kept.push(KEY_PROTOCOL + key);
  if (token !== '' || relay.holdsKey) set(headers, 'sec-websocket-protocol', kept.join(', '));
  return token;
}

/** Reports whether a subprotocol carries a key or what belongs to one, even in another spelling than clients use. */
function isCredential(protocol) {
  return [KEY_PROTOCOL, ...ACCOUNT_PROTOCOLS].some((prefix) => plainProtocol(protocol).startsWith(prefix));
}

const plainProtocol = (protocol) => protocol.toLowerCase().replace(/^["' \t]+/, '');

/** Sets a header, or deletes it if value is "". */
function set(headers, name, value) {
  if (value === '') headers.delete(name);
  else headers.set(name, value);
}

/**
 * Returns the configured token that token is, or undefined, in a time that depends only
 * on the token's length. A hash in the settings may be of a token with its
 * prefix or without.
 */
async function find(relay, token) {
  for (const t of relay.accessTokens) t.digest ??= await sha256(withoutPrefix(t.text)); // once in an isolate
  const bare = withoutPrefix(token);
  const shown = [await sha256(bare)];
  if (relay.accessTokens.some((t) => t.text === '')) shown.push(await sha256(TOKEN_PREFIX + bare));
  let found = -1;
  relay.accessTokens.forEach(({ digest }, i) => {
    let match = 0;
    for (const sum of shown) match |= crypto.subtle.timingSafeEqual(digest, sum);
    found = -match & i | ~-match & found; // i if it matches
  });
  return relay.accessTokens[found];
}

const sha256 = async (text) => new Uint8Array(await crypto.subtle.digest('SHA-256', encode(text)));
const withoutPrefix = (token) => (token.startsWith(TOKEN_PREFIX) ? token.slice(TOKEN_PREFIX.length) : token);

/** The min length of tokens that are found anywhere. Shorter ones are found as whole words only. */
const CLEAR_LENGTH = 16;

/** Reports whether what goes to the upstream still contains an access token, plain or encoded once. */
function leaks(x, headers, shown) {
  const { accessTokens } = x.relay;
  if (accessTokens.length === 0) return false;
  const sent = [x.path, x.query];
  for (const [name, value] of headers) {
    if (goesUp(name)) sent.push(name, value, basicCredentials(value));
  }
  const text = sent.join('\n');
  const decoded = text.includes('%') ? decode(text) : '';
  const stands = (token) => contains(text, token) || contains(decoded, token) || (token !== token.toLowerCase() && contains(text, token.toLowerCase()));
  return [shown, ...accessTokens.map((t) => t.text)].map(withoutPrefix).some((token) => token !== '' && stands(token));
}

/** Reports whether token is in s, as a word if it is short. */
function contains(s, token) {
  for (let at = s.indexOf(token); at >= 0; at = s.indexOf(token, at + 1)) {
    if (token.length >= CLEAR_LENGTH) return true;
    if (!/[a-z0-9]/i.test(s[at - 1] ?? ' ') && !/[a-z0-9]/i.test(s[at + token.length] ?? ' ')) return true;
  }
  return false;
}

/** Returns user and password of Basic credentials, or "". */
function basicCredentials(value) {
  const encoded = /^\s*basic\s+([a-z0-9+/=]+)\s*$/i.exec(value)?.[1];
  try {
    return encoded ? atob(encoded) : '';
  } catch {
    return '';
  }
}

/** Decodes the valid escapes in s. */
const decode = (s) => s.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));

// limits: the max sizes of one request

function checkLimits(x) {
  if (x.path.length + x.query.length - 1 > DEFAULTS.maxURIBytes) throw new RelayError(ERRORS.uriTooLong);
  let bytes = 0;
  let lines = 0;
  for (const [name, value] of x.headers) {
    bytes += name.length + value.length + 4;
    lines++;
  }
  if (bytes > DEFAULTS.maxHeaderBytes || lines > DEFAULTS.maxHeaderLines) throw new RelayError(ERRORS.headersTooLarge);
  if (hops(x) >= DEFAULTS.maxHops) throw new RelayError(ERRORS.loop);
  if (x.bytesIn > x.relay.maxBodyBytes) throw tooLarge(x);
}

const MINUTE_MS = 60e3;

/** Counts a request of a named token in this isolate, or throws if it is one too many. As core: a minute's requests may come at once, then one in each part of it. */
function checkRate(token) {
  if (!token?.perMinute) return;
  const now = Date.now();
  const gap = MINUTE_MS / token.perMinute;
  if (token.paidTill < now || token.paidTill > now + MINUTE_MS) token.paidTill = now; // the latter if the clock was set back
  const wait = token.paidTill - now + gap - MINUTE_MS;
  // Parts of a minute do not add up to it exactly.
  if (wait > gap / 1e3) throw new RelayError(ERRORS.tokenRate, undefined, Math.min(Math.floor(wait) + 1, ERRORS.tokenRate.retryAfterMs));
  token.paidTill += gap;
}

/** Returns how many relays the request has passed; an invalid count is too many. */
function hops(x) {
  const value = x.headers.get('relay-hop');
  if (value === undefined) return 0;
  return /^[0-9]{1,3}$/.test(value) ? Number(value) : DEFAULTS.maxHops;
}

function tooLarge(x) {
  const limit = x.relay.maxBodyBytes;
  const text = limit % 2 ** 20 === 0 ? `${limit / 2 ** 20} MiB` : limit % 1024 === 0 ? `${limit / 1024} KiB` : `${limit} bytes`;
  return new RelayError(ERRORS.bodyTooLarge, `The request body is too large: this relay on ${x.relay.platform} accepts up to ${text}. Send a smaller one, ` +
    "or use a relay with a larger limit: RELAY_MAX_BODY_BYTES raises this one's up to the 100 MB that Cloudflare's free zones accept, relay serve accepts what it is set to there.");
}

// models: what a named token with a list of models may request; core/models.go says why

const STORING = /^(\/openai)?\/v1\/((files|uploads|conversations)(\/|$)|[a-z_]+\/.+\/cancel$)/;
const ELSEWHERE = /\/(batches|evals|graders|realtime|chatkit|remix|deployments|engines|models)(\/|$)/i;

/** Lets a token with a list of models request those only. It reads the body, which other tokens' requests are spared. */
async function checkModel(x) {
  if (!x.token?.models.length) return;
  const path = decode(x.path);
  const named = checkQuery(x);
  if (isWebSocket(x)) {
    if (!named || !path.endsWith('/realtime') || ELSEWHERE.test(path.slice(0, -'/realtime'.length))) throw new RelayError(ERRORS.modelUnknown); // elsewhere, messages name the model
    return;
  }
  if (!['POST', 'PUT', 'PATCH'].includes(x.method) || STORING.test(path)) return;
  const find = finder(x.headers);
  if (ELSEWHERE.test(path) || !find || !x.request.body) throw new RelayError(ERRORS.modelUnknown);
  x.body = await wholeBody(x);
  const model = find(latin1.decode(x.body));
  if (model === undefined || model.length > MAX_MODEL_TEXT) throw new RelayError(ERRORS.modelUnknown);
  if (!permits(x.token, model)) throw new RelayError(ERRORS.modelNotAllowed);
}

const MAX_MODEL_TEXT = 1024;
const permits = ({ models }, model) => models.some((m) => (m.endsWith('*') ? model.startsWith(m.slice(0, -1)) : model === m));

/** Reports whether the query names a model. It throws unless that is a permitted one, named once. */
function checkQuery(x) {
  let named = false;
  for (const pair of x.query.slice(1).replaceAll('+', ' ').split(/[&;]/)) {
    const [, name, value] = /^([^=]*)=?(.*)$/s.exec(pair);
    if (/^(deployment|deployment_id|engine)$/i.test(decode(name))) throw new RelayError(ERRORS.modelUnknown); // Azure's
    if (!isModelMember(decode(name), named)) continue;
    named = true;
    if (!permits(x.token, decode(value))) throw new RelayError(ERRORS.modelNotAllowed);
  }
  return named;
}

/** Reports whether a member of an object, form or query names the model. It throws if only some servers would read it so, or if there was one before. */
function isModelMember(name, before) {
  if (name === 'model' && !before) return true;
  const plain = name.replace(/^[ \t\r\n]+/, '').toLowerCase().split(/[ \t\r\n[]/, 1)[0];
  if (plain === 'model' || plain === 'models') throw new RelayError(ERRORS.modelUnknown);
  return false;
}

/** Returns the function that finds the model in a body with these headers, or null. */
function finder(headers) {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  if (/[\\*]/.test(headers.get('content-type') ?? '')) return null; // servers differ in what these mean
  const [, type, rest] = new RegExp(`^(${token}/${token})((?:\\s*;\\s*${token}=(?:"[^"\\\\]*"|${token}))*)\\s*;?\\s*$`).exec(headers.get('content-type') ?? '') ?? [];
  if (!type || isEncoded(headers)) return null;
  const params = [...rest.matchAll(new RegExp(`;\\s*(${token})=("[^"]*"|${token})`, 'g'))].map(([, name, value]) => [name.toLowerCase(), value.replaceAll('"', '')]);
  const { charset = 'utf-8', boundary = '' } = Object.fromEntries(params);
  if (charset.toLowerCase() !== 'utf-8' || new Set(params.map(([name]) => name)).size < params.length) return null;
  switch (type.toLowerCase()) {
    case 'application/json':
      return modelInJSON;
    case 'multipart/form-data':
      return /^[0-9A-Za-z'()+_,./:=?-]{1,70}$/.test(boundary) ? (text) => modelInForm(text, boundary) : null;
  }
  return null;
}

/** The max size of a body that is read here. Core reads while it forwards, and has no such limit. */
const MAX_READ = 8 * 2 ** 20;

async function wholeBody(x) {
  const chunks = [];
  let size = 0;
  const isTooLong = (n) => {
    if (n > x.relay.maxBodyBytes) throw tooLarge(x);
    if (n > MAX_READ) throw new RelayError(ERRORS.modelUnknown, `This access token permits certain models only, and this relay on ${x.relay.platform} reads up to 8 MiB to find the model: send a smaller body, or use another token.`);
  };
  isTooLong(x.bytesIn);
  try {
    for await (const chunk of x.request.body) {
      isTooLong((size += chunk.byteLength));
      chunks.push(chunk);
    }
  } catch (failure) {
    throw failure instanceof RelayError ? failure : new RelayError(ERRORS.bodyIncomplete);
  }
  x.bytesIn = size;
  return new Blob(chunks).arrayBuffer();
}

/** Returns the model that a JSON object names, if it names one once. In text each character is a byte. */
function modelInJSON(text) {
  let object;
  try {
    object = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (object === null || typeof object !== 'object' || Array.isArray(object)) return undefined;
  let named = false;
  for (const name of memberNames(text)) named = isModelMember(name, named) || named;
  return named && typeof object.model === 'string' ? object.model : undefined;
}

/** Returns the names of the members of the outermost object in valid JSON, also those that are there twice. */
function memberNames(text) {
  const names = [];
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) { // a quote
      const from = i;
      i = endOfString(text, i);
      let next = i + 1;
      while (' \t\r\n'.includes(text[next])) next++;
      if (depth === 1 && text[next] === ':') names.push(JSON.parse(text.slice(from, i + 1)));
    } else if (c === 0x7b || c === 0x5b) { // { or [
      depth++;
    } else if (c === 0x7d || c === 0x5d) { // } or ]
      depth--;
    }
  }
  return names;
}

/** Returns the position of the quote that ends the string which begins at another. */
function endOfString(text, at) {
  for (;;) {
    at = text.indexOf('"', at + 1);
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at;
  }
}

/** Returns the field model of a multipart form that is written as clients do, if there is one. Of other forms, servers could see different parts. */
function modelInForm(text, boundary) {
  const [before, ...parts] = text.split(`--${boundary}`);
  const end = parts.pop();
  if (before !== '' || (end !== '--' && end !== '--\r\n')) return undefined;
  let model;
  for (const part of parts) {
    const at = part.indexOf('\r\n\r\n', 2);
    if (!part.startsWith('\r\n') || !part.endsWith('\r\n') || at < 0 || at > MAX_PART_HEADER || at + 6 > part.length) return undefined;
    const is = isModelPart(part.slice(2, at), model !== undefined);
    if (is === undefined) return undefined;
    if (is) model = part.slice(at + 4, -2);
  }
  return model;
}

const MAX_PART_HEADER = 4 << 10;
const TEXT_PART = /^(content-type: *text\/plain(; *charset="?(utf-8|us-ascii)"?)?|content-length: *[0-9]+|content-transfer-encoding: *(7bit|8bit|binary))$/i;

/** Reports whether the part with that header is the field model; undefined if that cannot be told. */
function isModelPart(header, before) {
  const lines = header.split('\r\n');
  if (!lines.every((line) => /^[A-Za-z0-9-]+:[^\r\n\0]*$/.test(line))) return undefined;
  const [dispositions, others] = [true, false].map((is) => lines.filter((line) => /^content-disposition:/i.test(line) === is));
  const [name, isFile] = dispositions.length === 1 ? partName(dispositions[0].replace(/^[^:]*:/, '').trim()) : [''];
  if (name === '') return undefined;
  const is = isModelMember(name, before);
  return is && (isFile || !others.every((line) => TEXT_PART.test(line))) ? undefined : is; // servers look for the model among the fields
}

/** Returns the name in a Content-Disposition, or "" if it is not in the form in which clients write it, and whether the part is a file. */
function partName(value) {
  const names = [];
  let isFile = false;
  const rest = value.replace(/^form-data/, '\0').replace(/;[ \t]*(name|filename\*?)=("[^"\\]*"|[A-Za-z0-9!#$&+.^_|~%'-]+)/g, (_, param, text) => {
    if (param === 'name') names.push(text.replaceAll('"', ''));
    else isFile = true;
    return '';
  });
  return [rest === '\0' && names.length === 1 && /^[A-Za-z0-9_.[\]-]+$/.test(names[0]) ? names[0] : '', isFile];
}

// forwarding: the request to an upstream, its response to the client

async function forward(x) {
  const { relay } = x;
  if (isWebSocket(x) && !canUpgrade(x)) throw new RelayError(ERRORS.webSocket);
  const body = await outboundBody(x);
  if (relay.maxStreamTime > 0) setTimeout(() => end(x, ERRORS.streamLimit), relay.maxStreamTime);
  const patience = clientTimeout(x, body);
  const timer = patience > 0 ? setTimeout(() => end(x, ERRORS.clientTimeout), patience) : 0;
  const sent = await send(x, body);
  clearTimeout(timer);
  if (sent.response.status === 403 && hops(x) > 0) await lookForRefusal(x, sent); // there is a gateway to be told
  return relayed(x, sent.upstream, sent.response);
}

/** Reports to a gateway in front whether the API refused the region. */
async function lookForRefusal(x, sent) {
  const { response, error } = await peek(sent.response);
  sent.response = response;
  x.refused = await isRefusal(x, sent.upstream, response, error);
}

/** Ends the exchange with an error: aborts the request, or truncates its stream. */
function end(x, error) {
  x.cause ??= error;
  x.abort.abort(new Error(error.code));
}

/**
 * Returns the client's timeout for the beginning of a response in milliseconds, which
 * official SDKs send, or 0. openai-python's is a timeout between reads, so it begins
 * when the client has sent its body; of one that is not buffered, that is unknown here.
 */
function clientTimeout(x, body) {
  const reads = body === null || body instanceof ArrayBuffer ? x.headers.get('x-stainless-read-timeout') : 0;
  const seconds = Number(x.headers.get('x-stainless-timeout') ?? reads ?? 0);
  return seconds >= 1 && seconds < 86400 ? seconds * 1000 : 0;
}

const MAX_REPLAYED = 2 ** 20;

/**
 * Returns the body to send: buffered if another upstream may have to get it, or its end
 * matters; otherwise the stream, which is counted if its length is unknown.
 */
async function outboundBody(x) {
  const { body } = x.request;
  if (!body || x.method === 'GET' || x.method === 'HEAD') return null; // fetch has none there
  if (x.body) return x.body;
  if (!x.headers.has('content-length')) return body.pipeThrough(counter(x));
  const needed = x.relay.upstreams.length > 1 || (x.headers.has('x-stainless-read-timeout') && !x.headers.has('x-stainless-timeout'));
  if (needed && x.bytesIn <= MAX_REPLAYED) return x.request.arrayBuffer().catch(() => { throw new RelayError(ERRORS.bodyIncomplete); });
  return body;
}

/** Returns a transformer that lets bytes pass up to the limit of bodies. */
function counter(x) {
  return new TransformStream({
    transform(chunk, controller) {
      x.bytesIn += chunk.byteLength;
      if (x.bytesIn <= x.relay.maxBodyBytes) return controller.enqueue(chunk);
      end(x, ERRORS.bodyTooLarge);
      controller.error(new Error(ERRORS.bodyTooLarge.code));
    },
  });
}

/**
 * Sends the request to one upstream after the other until there is a response to
 * forward, and returns both. It throws if there is none.
 */
async function send(x, body) {
  const { relay } = x;
  const failures = [];
  let spare = null; // a response that is better than an error of our own
  refill(relay.budget, 0.2);
  for (const upstream of candidates(x)) {
    if (failures.length > 0 && !takeRetry(relay.budget)) break;
    x.attempts++;
    x.upstream = upstream;
    const { response, failure } = await attempt(x, upstream, body);
    if (!failure) return { upstream, response };
    failures.push(failure);
    note(upstream, failure);
    if (failure.ambiguous || (failure.own && (spare?.response.status !== 413 || response.status === 413))) {
      spare?.response.body?.cancel(); // it would say that nothing was processed, or this one is better
      spare = failure.own ? { upstream, response } : null;
    }
    if (!mayRetry(x, body, failure)) break;
  }
  if (spare && (spare.response.status === 413 || !isTooLarge(failures))) {
    x.upstream = spare.upstream;
    return spare;
  }
  throw noResponse(x, failures);
}

/** Returns the upstreams to try, at most three: the healthy ones as configured, then the others by how soon they are retried. */
function candidates(x) {
  const now = Date.now();
  const wait = (u) => Math.max(0, u.avoidUntil - now);
  return route(x).sort((a, b) => wait(a) - wait(b)).slice(0, 3);
}

/**
 * Returns the upstreams that may get the request: those that its token names. A client's
 * own key goes to those that hold none, unless all do, where it is replaced.
 */
function route(x) {
  const named = namedUpstreams(x);
  const keyless = x.clientKey ? named.filter((u) => u.apiKey === '') : [];
  return keyless.length > 0 ? keyless : named;
}

/** Returns a list of the upstreams that the request's token names, or of all if it names none. */
function namedUpstreams(x) {
  const names = x.token?.upstreams ?? [];
  return x.relay.upstreams.filter((u) => names.length === 0 || names.includes(u.name));
}

/** Reports whether an account without credit sends the request on: not if it is the client's own. */
const retriesQuota = (x) => x.relay.retryQuota && x.relay.upstreams.length > 1 && !x.clientKey && !x.keyless;

/** The isolate's retry budget: a fifth of the requests and three a second, so that retries do not overload failing upstreams. */
function refill(budget, share) {
  const now = Date.now();
  budget.left = Math.min(30, budget.left + share + (3 * (now - budget.at)) / 1000);
  budget.at = now;
}

function takeRetry(budget) {
  refill(budget, 0);
  if (budget.left < 1) return false;
  budget.left--;
  return true;
}

function mayRetry(x, body, failure) {
  if (body !== null && !(body instanceof ArrayBuffer)) return false; // it is read
  if (!failure.ambiguous) return true;
  if (x.method === 'GET' || x.method === 'HEAD') return !isWebSocket(x);
  return x.relay.resendAmbiguous && x.attempts === 1;
}

/** Sends the request to one upstream. It returns its response, and a failure if the response is not to be forwarded, or there is none. */
async function attempt(x, upstream, body) {
  let response;
  try {
    response = await fetch(upstream.base + x.path + escapedQuery(x.query), {
      method: x.method, headers: outboundHeaders(x, upstream), body, redirect: 'manual', signal: x.abort.signal,
    });
  } catch {
    if (x.cause) throw x.cause === ERRORS.bodyTooLarge ? tooLarge(x) : new RelayError(blaming(x, x.cause));
    return { failure: { upstream, class: 'reset', ambiguous: true, avoid: AVOID_MS } }; // fetch does not tell more
  }
  return judge(x, upstream, response);
}

/** Returns a query that fetch does not change: its parser would drop tabs and line breaks. */
const escapedQuery = (query) => query.replace(/[\x00-\x20]/g, (c) => '%' + c.charCodeAt(0).toString(16).padStart(2, '0'));

/** Returns the error if there is no response to forward. */
function noResponse(x, failures) {
  const last = failures.at(-1);
  const several = x.relay.upstreams.length > 1;
  const each = failures.map((f) => `${f.upstream.name}: ${f.class}`).join(', ');
  const naming = (entry, intro) => new RelayError(entry, several ? `${entry.message} ${intro}: ${each}.` : entry.message);
  if (isTooLarge(failures)) return naming(ERRORS.tooLargeEverywhere, 'They are');
  if (last.ambiguous && last.class.startsWith('platform_')) return naming(ERRORS.platform, 'What happened');
  if (last.ambiguous) return several ? naming(ERRORS.upstreamReset, 'What happened') : new RelayError(blaming(x, ERRORS.reset));
  return several ? naming(ERRORS.allFailed, 'They are') : new RelayError(blaming(x, ERRORS.connect));
}

/** Reports whether nothing was processed and at least one upstream refused the body as too large: a retry cannot help. */
const isTooLarge = (failures) => !failures.some((f) => f.ambiguous) && failures.some((f) => ['body_too_large', 'platform_413'].includes(f.class));

/** The errors that blame an upstream in place of the API, by code. */
const OF_UPSTREAM = new Map([ERRORS.upstreamConnect, ERRORS.upstreamReset, ERRORS.upstreamTimeout, ERRORS.upstreamInvalid, ERRORS.upstreamInterrupted, ERRORS.upstreamIdle]
  .map((entry) => [entry.code, entry]));

/** Returns the variant of an error that blames the upstream in place of the API, if relays are in between. */
function blaming(x, entry) {
  const { upstreams } = x.relay;
  const other = OF_UPSTREAM.get(entry.code);
  if (!other || (upstreams.length === 1 && upstreams[0].token === '')) return entry;
  return upstreams.length > 1 && x.upstream ? { ...other, message: `${other.message} The upstream was ${x.upstream.name}.` } : other;
}

// What a response proves, and what it means for its upstream.

const AVOID_MS = 10_000; // a failed connection
const BROKEN_MS = 30_000; // what only the operator can fix
const REFUSED_MS = 600_000; // a region that OpenAI does not serve
const NEVER = -1;

/** The API's word that the account of a key has no credit. */
const OUT_OF_QUOTA = 'insufficient_quota';

/** Statuses of Cloudflare's edge for a host that it could not reach, so nothing was processed. */
const EDGE_UNREACHED = new Set([521, 522, 523, 525, 526, 530]);

/**
 * Returns {response} to forward it, or {response, failure}. A failure's avoid is how
 * long its upstream is skipped: 0 for only after three in a row, NEVER if the client's
 * request may have caused it. Its own is set if the response tells the client what to
 * do, so that it is forwarded if no upstream has a better one.
 */
async function judge(x, upstream, response) {
  const { status, headers } = response;
  const marker = headers.get('x-relay') ?? '';
  const fail = (name, ambiguous, avoid, own) => ({ response, failure: { upstream, class: name, ambiguous, avoid, own } });
  if (!upstream.official && marker === '' && EDGE_UNREACHED.has(status)) return fail('connect', false, AVOID_MS, false);
  if (x.relay.upstreams.length === 1) return { response: respondedWell(upstream, response) };
  upstream.marked ||= marker !== '';
  let error;
  ({ response, error } = await peek(response));
  if (await isRefusal(x, upstream, response, error)) return fail('region_refused', false, REFUSED_MS, true);
  if (status === 429 && error?.code === OUT_OF_QUOTA && retriesQuota(x)) return fail(OUT_OF_QUOTA, false, BROKEN_MS, true);
  if (status === 429 && upstream.apiKey !== '' && upstream.token === '' && !upstream.marked) return { response: respondedWell(upstream, response) }; // the API's own limit
  if (status >= 300 && !upstream.official) {
    const code = headers.get('x-relay-error') ?? '';
    const verdict = marker === '' ? judgePage(upstream, response, error) : isRelayError(upstream, response) && judgeRelay(upstream, code);
    if (verdict) return fail(...verdict);
  }
  return { response: respondedWell(upstream, response) };
}

/** Records that upstream responded, and returns the response. */
function respondedWell(upstream, response) {
  Object.assign(upstream, { strikes: 0, avoidUntil: 0, checkedAt: Date.now() });
  return response;
}

/** Reports whether a response is the error of a relay. Only an upstream whose URL has an access token counts as a relay, since others could pretend to be one. */
function isRelayError(upstream, { status, headers }) {
  return upstream.token !== '' && status >= 400 && headers.has('x-relay-error') && (headers.get('x-relay') ?? '').includes('; origin=relay');
}

/** Classifies a relay's own error by its code. It returns the arguments of fail, or nothing. */
function judgeRelay(upstream, code) {
  const meaning = MEANINGS[code];
  if (!meaning) return undefined;
  const provoked = meaning.fault === 'Client' || code === 'relay_loop' || (meaning.proof === 'Ambiguous' && code !== 'relay_shutdown');
  return [code, meaning.proof === 'Ambiguous', provoked ? NEVER : meaning.fault === 'Operator' ? BROKEN_MS : 0, true];
}

/**
 * Classifies a response without a relay's marker: it is that of a relay's platform, or
 * of an API that is not behind a relay, against which it does not count.
 */
function judgePage(upstream, { status, headers }, error) {
  const fromAPI = Boolean(error?.message && error?.type);
  const isRelay = upstream.token !== '' || upstream.marked;
  const own = fromAPI || !isRelay;
  const page = (ambiguous, avoid) => [`platform_${status}`, ambiguous, isRelay ? avoid : NEVER, own];
  if (status === 503 && headers.has('cf-ray')) return page(true, 0); // perhaps a Worker that used up its CPU time, error 1102
  if (status === 429 || status === 503) return page(false, 0); // throttled or no instance, before a function is started
  if (status === 413) return page(false, NEVER);
  if (fromAPI || status === 304) return undefined;
  if ([401, 403, 404].includes(status)) return page(false, NEVER); // no such deployment, or a firewall's word to this one request
  if (status < 400) return page(false, BROKEN_MS); // to somebody's login page
  return status >= 500 ? page(true, 0) : undefined; // the function crashed, or was ended
}

/** Counts a failure against its upstream. */
function note(upstream, { class: name, avoid }) {
  if (avoid === NEVER) return;
  upstream.lastError = name;
  upstream.checkedAt = upstream.errorAt = Date.now();
  upstream.strikes++;
  if (avoid === 0 && upstream.strikes >= 3) avoid = AVOID_MS;
  if (avoid > 0) upstream.avoidUntil = Date.now() + avoid;
}

const MAX_PEEK = 16 << 10;
const PEEK_MS = 2000;

/** Reads the error in a JSON response. It returns the error's fields, if there are any, and a response with the whole body. */
async function peek(response) {
  const { status, headers } = response;
  const length = Number(headers.get('content-length') ?? MAX_PEEK);
  if (status < 400 || mediaType(headers) !== 'application/json' || isEncoded(headers) || !response.body || length > MAX_PEEK) return { response };
  const [looked, kept] = response.body.tee();
  const reader = looked.getReader();
  const timer = setTimeout(() => reader.cancel(), PEEK_MS);
  let text = '';
  try {
    const decoder = new TextDecoder();
    for (let r = await reader.read(); !r.done && text.length < MAX_PEEK; r = await reader.read()) text += decoder.decode(r.value, { stream: true });
  } catch {
    // The reader of the rest gets the same error.
  }
  clearTimeout(timer);
  reader.cancel().catch(() => {});
  return { response: new Response(kept, response), error: parseError(text) };
}

function parseError(text) {
  try {
    return JSON.parse(text)?.error;
  } catch {
    return undefined;
  }
}

// Which headers are forwarded in each direction.

/**
 * Returns the headers for an upstream: a copy of the request's, in which repeated
 * values remain separate, without those that are dropped and with what access changed.
 */
function outboundHeaders(x, upstream) {
  const headers = new Headers(x.request.headers);
  const nominated = nominations(x.headers);
  for (const [name, value] of x.headers) {
    const due = x.outbound.get(name);
    if (due === undefined || !goesUp(name) || (nominated.has(name) && !UNDROPPABLE.has(name))) headers.delete(name);
    else if (due !== value) headers.set(name, due);
  }
  if (!x.headers.has('authorization') && x.outbound.has('authorization')) headers.set('authorization', x.outbound.get('authorization'));
  const encoding = acceptedEncoding(x);
  if (encoding !== x.headers.get('accept-encoding')) headers.set('accept-encoding', encoding);
  if (retriesQuota(x)) headers.set('accept-encoding', 'identity'); // peek reads no other
  if (upstream.apiKey !== '' && !x.keyless) {
    replaceKeys(headers, upstream.apiKey);
    for (const name of ['cf-aig-authorization', 'ocp-apim-subscription-key']) headers.delete(name); // of a gateway in front of another API
  }
  if (!upstream.official) headers.set('relay-hop', String(hops(x) + 1));
  if (upstream.token !== '') headers.set('x-relay-token', upstream.token);
  if (isWebSocket(x)) {
    for (const name of ['sec-websocket-key', 'sec-websocket-version', 'sec-websocket-extensions']) headers.delete(name); // fetch makes its own
    headers.set('upgrade', 'websocket');
  }
  return headers;
}

/** Returns test with a cache: there are few header names, and each lookup in the lists costs CPU. */
function remembering(test) {
  const known = new Map();
  return (name) => {
    const was = known.get(name);
    if (was !== undefined) return was;
    const is = test(name);
    if (known.size < 1000) known.set(name, is); // those of clients who make names up are not kept
    return is;
  };
}

/** Reports whether a request header goes to the upstream. Some servers read an underscore as a hyphen, so its twin must go too. */
const goesUp = remembering((name) => {
  if (name.includes('_')) {
    const twin = name.replaceAll('_', '-').replace(/^-+|-+$/g, '');
    return goesUp(twin) && !HANDLED_UP.has(twin) && !twin.startsWith('openai-') && !twin.startsWith('sec-websocket-');
  }
  if (name.startsWith('x-stainless-')) return true; // half of what official SDKs send
  if (name.startsWith('cf-aig-')) return true; // Cloudflare's AI gateway, as an upstream
  return name !== 'expect' && name !== 'service-worker' && !DROPPED_UP.has(name) && !DROPPED_UP_PREFIXES.some((prefix) => name.startsWith(prefix));
});

const NONE = new Set();

/** Returns the header names in Connection. */
function nominations(headers) {
  const value = headers.get('connection');
  return value === undefined ? NONE : new Set(value.split(',').map((name) => name.trim().toLowerCase()));
}

/** Returns the client's Accept-Encoding, which Cloudflare's edge replaces with its own, or undefined. */
function acceptedEncoding(x) {
  const { cf } = x.request;
  return cf?.colo ? cf.clientAcceptEncoding || 'identity' : x.headers.get('accept-encoding');
}

/** Returns the headers of a response for the client. They must not let it run as, or affect, the relay's origin. */
function inboundHeaders(x, upstream, response) {
  const headers = new Headers(response.headers);
  const got = new Map(response.headers);
  checkHeader(got);
  const nominated = nominations(got);
  for (const name of got.keys()) {
    if (!goesDown(name) || nominated.has(name)) headers.delete(name);
  }
  const byRelay = isRelayError(upstream, response);
  headers.set('X-Relay', `${x.relay.name}; origin=${byRelay ? 'relay' : 'upstream'}`);
  if (byRelay) headers.set('X-Relay-Error', response.headers.get('x-relay-error'));
  if (x.refused) headers.set('X-Relay-Refusal', REGION_REFUSED);
  headers.set('Content-Security-Policy', "sandbox; default-src 'none'");
  headers.set('X-Content-Type-Options', 'nosniff');
  if (promptsUser(got.get('www-authenticate') ?? '')) headers.delete('www-authenticate');
  if (!got.has('cache-control')) headers.set('Cache-Control', 'no-store'); // a cache must never share responses between keys
  rewriteLocation(x, upstream, response.status, headers);
  return headers;
}

const MAX_RESPONSE_HEADER_BYTES = 256 << 10; // as in core/failover/internal/conn

/** Refuses a response with a header that fetch accepts but HTTP does not allow, as core does. */
function checkHeader(got) {
  let bytes = 0;
  let bad = (got.get('transfer-encoding') ?? 'chunked').trim().toLowerCase() !== 'chunked'; // then the body is not what it seems
  for (const [name, value] of got) {
    bytes += name.length + value.length + 4;
    bad ||= /[\x00-\x08\x0a-\x1f\x7f]/.test(value);
  }
  if (bad || bytes > MAX_RESPONSE_HEADER_BYTES) throw new RelayError(ERRORS.reset);
}

/** Reports whether a response header goes to the client. */
const goesDown = remembering((name) => !DROPPED_DOWN.has(name) && !DROPPED_DOWN_PREFIXES.some((prefix) => name.startsWith(prefix)));

/** Challenges for which a browser asks its user for a password to the relay's host, which would then go upstream. */
const PROMPTS = new Set(['basic', 'digest', 'ntlm', 'negotiate', 'kerberos', 'passport1.4']);

/** Reports whether challenges may contain such a one. In doubt it returns true, since browsers parse them differently. */
function promptsUser(challenges) {
  const parts = challenges.split('"'); // every second one is quoted
  const open = parts.length % 2 === 0 || challenges.includes('\\') ? challenges : parts.filter((_, i) => i % 2 === 0).join();
  return open.toLowerCase().split(/[,\s]+/).some((word) => PROMPTS.has(word));
}

/** Rewrites a redirect within the upstream to the relay, and drops any other: a client that follows it would send its token along. */
function rewriteLocation(x, upstream, status, headers) {
  const location = headers.get('location');
  if (location === null || status < 300 || status > 399) return;
  headers.delete('location');
  const [, scheme, host, raw, rest] = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is.exec(location);
  if (host === undefined ? scheme !== undefined : host.toLowerCase() !== upstream.host) return;
  const path = raw === '' && host !== undefined ? '/' : raw;
  if (!isCleanPath('/' + path.replace(/^\//, ''))) return; // it must be a path in the eyes of every client
  if (!path.startsWith('/')) return headers.set('Location', path + rest);
  const token = x.pathToken === '' ? '' : `/t/${x.pathToken}`;
  headers.set('Location', token + withoutBase(path, upstream.prefix) + rest);
}

/** Returns a path of the upstream without the base path. An API that does not know its base path sends paths without it. */
function withoutBase(path, base) {
  if (path === base) return '/';
  return path.startsWith(base + '/') ? path.slice(base.length) : path;
}

/** Forwards a response. */
async function relayed(x, upstream, response) {
  const { status } = response;
  if (response.webSocket) return upgraded(x, upstream, response);
  if (status < 200 || status > 599) throw new RelayError(blaming(x, ERRORS.invalidResponse));
  const headers = inboundHeaders(x, upstream, response);
  if ([204, 205, 304].includes(status) || x.method === 'HEAD') return { status, headers, body: null };
  if (isEventStream(response.headers) && response.body) return events(x, response, headers);
  return { status, headers, body: (await held(x, response)) ?? response.body };
}

const MAX_HELD = 2 ** 20;

/**
 * Returns the whole body of a short JSON response if there are several upstreams: if
 * one fails between header and body, SDKs raise an error; a 502 they retry.
 */
async function held(x, response) {
  const { headers, body } = response;
  const length = headers.get('content-length');
  if (x.relay.upstreams.length === 1 || !body || length === null || Number(length) > MAX_HELD || mediaType(headers) !== 'application/json' || isEncoded(headers)) return null;
  try {
    return await response.arrayBuffer();
  } catch {
    throw new RelayError(blaming(x, x.cause ?? ERRORS.interrupted));
  }
}

const mediaType = (headers) => (headers.get('content-type') ?? '').split(';', 1)[0].trim().toLowerCase();
const isEncoded = (headers) => (headers.get('content-encoding') ?? '').split(',').some((coding) => !['', 'identity'].includes(coding.trim().toLowerCase()));

/** Reports whether headers begin an event stream that an error event can be written into. */
const isEventStream = (headers) => mediaType(headers) === 'text/event-stream' && !isEncoded(headers);

// stream: events as they arrive; if they are truncated, an error event and a broken connection

/** Forwards an event stream: natively, or chunk by chunk if a setting requires it. */
function events(x, response, headers) {
  headers.delete('content-length'); // an error event may come on top
  headers.set('X-Accel-Buffering', 'no');
  if (!/no-transform/i.test(headers.get('cache-control'))) headers.append('cache-control', 'no-transform');
  const { idleTimeout, keepalive } = x.relay;
  const body = idleTimeout > 0 || keepalive > 0 ? pulled(x, response.body) : piped(x, response.body);
  return { status: response.status, headers, body, later: true };
}

/**
 * How long a truncated pipe stays open after its error event: a slow client would lose
 * what it has not read yet. In several sleeps, since after a single one that ends late,
 * on a busy machine, the runtime may not have had a turn to write.
 */
const LAST_WORDS_MS = 25;
const LAST_WORDS_TURNS = 20;

/** Returns body through a pipe that runs without JavaScript until its end. Not in waitUntil, which would keep the upstream request of a client that has disconnected. */
function piped(x, body) {
  const { readable, writable } = new IdentityTransformStream();
  pipe(x, body, writable).catch(() => {}); // the client has gone
  return readable;
}

async function pipe(x, body, writable) {
  let cut = false;
  try {
    await body.pipeTo(writable, { preventAbort: true, preventClose: true });
  } catch {
    cut = true;
  }
  const writer = writable.getWriter();
  if (!cut) {
    log(x, 0);
    await writer.close();
    return;
  }
  const error = cutError(x);
  await writer.write(errorEvent(x, error));
  await writer.write(encode('\n'));
  log(x, 0);
  for (let i = 0; i < LAST_WORDS_TURNS; i++) await sleep(LAST_WORDS_MS);
  await writer.abort(new RelayError(error));
}

/** Returns why a stream was truncated, and records it for the log. */
function cutError(x) {
  const error = blaming(x, x.cause ?? ERRORS.interrupted);
  x.error = error.code;
  return error;
}

/**
 * Returns error as the last event; no [DONE] follows. In a stream of the Responses API
 * or of Anthropic's Messages API it is that API's own error event as well, so that SDKs
 * show its message. With lines, it is known whether an event is incomplete; otherwise a
 * blank line in front ends one that may be.
 */
function errorEvent(x, error, lines) {
  const fields = errorFields(error, error.message);
  const { code, message, param } = fields;
  const events = {
    '': `data: ${JSON.stringify({ error: fields })}`,
    responses: `data: ${JSON.stringify({ type: 'error', sequence_number: 0, code, message, param, error: fields })}`,
    messages: `event: error\ndata: ${JSON.stringify({ type: 'error', error: { ...fields, type: 'api_error' } })}`,
  };
  return encode(`${lines ? lines.separator() : '\n\n'}${events[lines?.shape || shapeOfPath(x.path)]}\n\n`);
}

/** Returns how the API of a path writes its error event, as core does. */
const shapeOfPath = (path) => /\/responses(\/|$)/.test(path) ? 'responses' : /\/v1\/messages$/.test(path) ? 'messages' : '';

/** Tracks the lines of an event stream as they are written, as core's eventLines does. */
class EventLines {
  head = ''; // beginning of the current line
  size = 0; // of the current line so far
  open = false; // an event is incomplete
  cr = false; // the last byte was a CR, of which an LF may follow
  lf = false; // there was an LF: a CR ends no line by itself
  shape = ''; // of the error event, by the events so far; '': by the path

  note(bytes) {
    for (const piece of latin1.decode(bytes).split(/(\r\n|\n|\r)/)) {
      if (piece === '') continue;
      if (this.cr && piece === '\n') {
        [this.cr, this.lf] = [false, true];
      } else if (piece === '\r' || piece.endsWith('\n')) {
        this.endLine();
        [this.cr, this.lf] = [piece === '\r', this.lf || piece.endsWith('\n')];
      } else {
        if (this.size < 32) this.head += piece.slice(0, 32 - this.size);
        this.size += piece.length;
        this.cr = false;
      }
    }
  }

  endLine() {
    if (this.size === 0) this.open = false;
    else if (this.head[0] !== ':') this.open = true;
    const type = /^(?:event: *|data: *\{ *"type" *: *")(response\.|message_start)/.exec(this.head)?.[1];
    if (type) this.shape = type === 'response.' ? 'responses' : 'messages';
    [this.head, this.size] = ['', 0];
  }

  /** Reports whether a comment can be written: no event and no line is incomplete. */
  between() {
    return this.size === 0 && !this.open && !(this.cr && this.lf);
  }

  /** Returns the line breaks that end an incomplete event, or an empty string: clients would read a further blank line as an event. */
  separator() {
    if (this.between()) return '';
    if (this.size === 0) return this.open && this.cr ? '\n\n' : '\n';
    return !this.open && this.head[0] === ':' ? '\n' : '\n\n';
  }
}

const latin1 = new TextDecoder('latin1'); // a character for each byte

/** Returns body chunk by chunk, with keepalive comments, and ends it after the idle timeout. */
function pulled(x, body) {
  const reader = body.getReader();
  const s = { reader, lines: new EventLines(), last: Date.now(), commented: Date.now(), idle: 0, failing: [], controller: null };
  const watch = setInterval(() => watchSilence(x, s), Math.min(1000, ...[x.relay.idleTimeout, x.relay.keepalive].filter((ms) => ms > 0)) / 4);
  return new ReadableStream({
    start: (controller) => void (s.controller = controller),
    async pull(controller) {
      if (s.failing.length > 0) return fail(s, controller);
      const chunk = await reader.read().catch(() => undefined);
      if (chunk?.value) return pass(s, chunk.value);
      clearInterval(watch);
      if (chunk?.done && !x.cause) {
        log(x, 0);
        return controller.close();
      }
      const error = cutError(x);
      log(x, 0);
      // The error drops what was enqueued just before, hence the filler in between.
      s.failing = [encode('\n'), new RelayError(error)];
      controller.enqueue(errorEvent(x, error, s.lines));
    },
    cancel(reason) {
      clearInterval(watch);
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** Takes the next step of a failing stream. */
function fail(s, controller) {
  const next = s.failing.shift();
  if (next instanceof Error) controller.error(next);
  else controller.enqueue(next);
}

function pass(s, bytes) {
  s.last = s.commented = Date.now();
  s.lines.note(bytes);
  s.controller.enqueue(bytes);
}

/** Writes a comment into a silent stream between two events, and ends one that is silent for too long. */
function watchSilence(x, s) {
  const { idleTimeout, keepalive } = x.relay;
  const now = Date.now();
  if (idleTimeout > 0 && now - s.last >= idleTimeout && s.controller.desiredSize >= 0) {
    end(x, ERRORS.idle);
    s.reader.cancel().catch(() => {}); // ends the read that waits
  } else if (keepalive > 0 && now - s.commented >= keepalive && s.lines.between()) {
    s.commented = now;
    s.controller.enqueue(encode(': keepalive\n'));
  }
}

// websocket: forwarded natively after the handshake

/** Reports whether the client requests a WebSocket, even if a proxy removed the Upgrade header. */
const isWebSocket = (x) => /^websocket$/i.test(x.headers.get('upgrade') ?? '') || x.headers.has('sec-websocket-key');
const canUpgrade = (x) => x.method === 'GET' && x.headers.has('upgrade');

/** Returns the upstream's socket to the client. It is never accepted here, so that messages pass without JavaScript. */
function upgraded(x, upstream, response) {
  const headers = inboundHeaders(x, upstream, response);
  for (const name of ['sec-websocket-accept', 'sec-websocket-extensions']) headers.delete(name); // the runtime makes its own
  return { status: 101, headers, body: null, webSocket: response.webSocket };
}

const encoder = new TextEncoder();
const encode = (text) => encoder.encode(text);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
