# Written by make tf-update from the settings of core. Do not edit.
locals {
  setting_names = [
    "RELAY_UPSTREAMS",
    "RELAY_ALLOW_PRIVATE_HTTP",
    "RELAY_POLICY",
    "RELAY_UPSTREAM_HTTP",
    "RELAY_RESEND_AMBIGUOUS",
    "RELAY_RESUME_RESPONSES",
    "RELAY_RETRY_QUOTA",
    "RELAY_PROBE_INTERVAL",
    "RELAY_ACCESS_TOKENS",
    "RELAY_ALLOW_ANYONE",
    "RELAY_API_KEY",
    "RELAY_API_KEY_SECRET",
    "RELAY_PATH_TOKENS",
    "RELAY_ALLOWED_ORIGINS",
    "RELAY_ALLOWED_HOSTS",
    "RELAY_PATHS",
    "RELAY_PAGE",
    "RELAY_MAX_BODY_BYTES",
    "RELAY_MAX_IN_FLIGHT",
    "RELAY_IDLE_TIMEOUT",
    "RELAY_MAX_STREAM_TIME",
    "RELAY_KEEPALIVE",
    "RELAY_BODY_TIMEOUT",
    "RELAY_WRITE_TIMEOUT",
    "RELAY_DRAIN_TIMEOUT",
    "RELAY_IDLE_CONNECTION_TIMEOUT",
    "RELAY_NAME",
    "RELAY_REGION",
    "RELAY_LOG_LEVEL",
    "RELAY_LOG_SAMPLE",
    "RELAY_LOG_USAGE",
    "RELAY_LAMBDA_INVOKE_MODE",
  ]

  # A value must match like and must not match unlike.
  setting_values = {
    RELAY_ALLOW_PRIVATE_HTTP      = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_POLICY                  = { like = "^\\s*(order|latency)?\\s*$", unlike = "^\\b$" }
    RELAY_UPSTREAM_HTTP           = { like = "^\\s*(auto|1\\.1|2)?\\s*$", unlike = "^\\b$" }
    RELAY_RESEND_AMBIGUOUS        = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_RESUME_RESPONSES        = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_RETRY_QUOTA             = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_PROBE_INTERVAL          = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))*(0*[1-9][0-9]{0,5}(\\.[0-9]{0,9})?(h|m|s)|0?\\.[1-9][0-9]{0,8}(h|m)|0*[1-9][0-9]{3,8}(\\.[0-9]{0,9})?ms)(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))*)?\\s*$", unlike = "^\\b$" }
    RELAY_ALLOW_ANYONE            = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_PATH_TOKENS             = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
    RELAY_ALLOWED_HOSTS           = { like = "^\\s*(\\*|\\s*(([A-Za-z0-9_-]+\\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\\.?|(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|\\[[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\\])\\s*(,\\s*(([A-Za-z0-9_-]+\\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\\.?|(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|\\[[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\\])\\s*)*)?\\s*$", unlike = "(^|[,.])\\s*0[xX][0-9A-Fa-f]*\\.?\\s*(,|$)" }
    RELAY_PATHS                   = { like = "^\\s*(\\s*/([A-Za-z0-9._~!$&'()*+=:@-]+/)+\\s*(,\\s*/([A-Za-z0-9._~!$&'()*+=:@-]+/)+\\s*)*)?\\s*$", unlike = "(^|,)\\s*/(relay|t)/|/\\.\\.?/" }
    RELAY_PAGE                    = { like = "^\\s*(on|off)?\\s*$", unlike = "^\\b$" }
    RELAY_MAX_BODY_BYTES          = { like = "^\\s*(\\+?0*([1-9][0-9]{0,11}|1099511627776|10[0-8][0-9]{10}|109[0-8][0-9]{9}|1099[0-4][0-9]{8}|10995[0-0][0-9]{7}|109951[0-0][0-9]{6}|1099511[0-5][0-9]{5}|10995116[0-1][0-9]{4}|109951162[0-6][0-9]{3}|1099511627[0-6][0-9]{2}|10995116277[0-6][0-9]{1}|109951162777[0-5][0-9]{0}))?\\s*$", unlike = "^\\b$" }
    RELAY_MAX_IN_FLIGHT           = { like = "^\\s*(off|\\+?0*([1-9][0-9]{0,8}|2147483647|[1-1][0-9]{9}|2[0-0][0-9]{8}|21[0-3][0-9]{7}|214[0-6][0-9]{6}|2147[0-3][0-9]{5}|21474[0-7][0-9]{4}|214748[0-2][0-9]{3}|2147483[0-5][0-9]{2}|21474836[0-3][0-9]{1}|214748364[0-6][0-9]{0}))?\\s*$", unlike = "^\\b$" }
    RELAY_IDLE_TIMEOUT            = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_MAX_STREAM_TIME         = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_KEEPALIVE               = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))*(0*[1-9][0-9]{0,5}(\\.[0-9]{0,9})?(h|m|s)|0?\\.[1-9][0-9]{0,8}(h|m)|0*[1-9][0-9]{3,8}(\\.[0-9]{0,9})?ms)(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))*)?\\s*$", unlike = "^\\b$" }
    RELAY_BODY_TIMEOUT            = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_WRITE_TIMEOUT           = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_DRAIN_TIMEOUT           = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_IDLE_CONNECTION_TIMEOUT = { like = "^\\s*(off|[+-]?0|[+-]?((0+(\\.0*)?|\\.0+)(h|m|s|ms|us|µs|ns))+|\\+?(([0-9]{1,6}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})(h|m|s|ms|us|µs|ns))+)?\\s*$", unlike = "^\\b$" }
    RELAY_LOG_LEVEL               = { like = "^\\s*(debug|info|warn|error|off)?\\s*$", unlike = "^\\b$" }
    RELAY_LOG_SAMPLE              = { like = "^\\s*(\\+?0*([1-9][0-9]{0,5}|1000000))?\\s*$", unlike = "^\\b$" }
    RELAY_LOG_USAGE               = { like = "^\\s*(true|false|1|0)?\\s*$", unlike = "^\\b$" }
  }

  origin_value = { like = "^(\\*|none|null|[a-z][a-z0-9+.-]*://(([A-Za-z0-9_-]+\\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\\.?|(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|\\[[0-9a-f:.]+\\])(:([1-9][0-9]{0,3}|65535|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]{1}|6553[0-4][0-9]{0}))?)$", unlike = "^https?://.*[A-Z]|^http://.*:80$|^https://.*:443$|^https?://(.*\\.)?0[xX][0-9A-Fa-f]*\\.?(:|$)|[\\[:]0:0[:\\]]" }

  upstream_value = { like = "^https://(rt_[!\"$-+\\-0-9;-?A-~]+@)?([A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\])(:0*([1-9][0-9]{0,3}|65535|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]{1}|6553[0-4][0-9]{0}))?(/[A-Za-z0-9_~.:-]+)*/*(#[!-+\\--~]*)?$", unlike = "/\\.\\.?(/|#|$)|[\"']$|/(chat/completions|v1/(completions|responses|embeddings|models|moderations|messages|files|batches|realtime|videos|conversations|assistants|threads|uploads|vector_stores|containers|evals|(audio|images|realtime|responses)/[a-z_]+))(/v1)?/*(#|$)" }
}
