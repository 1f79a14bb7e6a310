# Written by make tf-update from the settings of core. Do not edit.
locals {
  setting_names = [
    "RELAY_UPSTREAMS",
    "RELAY_ACCESS_TOKENS",
    "RELAY_API_KEY",
    "RELAY_API_KEY_SECRET",
    "RELAY_PATH_TOKENS",
    "RELAY_ALLOWED_ORIGINS",
    "RELAY_ALLOWED_HOSTS",
    "RELAY_PATHS",
    "RELAY_MAX_BODY_BYTES",
    "RELAY_MAX_IN_FLIGHT",
    "RELAY_IDLE_TIMEOUT",
    "RELAY_MAX_STREAM_TIME",
    "RELAY_KEEPALIVE",
    "RELAY_BODY_TIMEOUT",
    "RELAY_WRITE_TIMEOUT",
    "RELAY_NAME",
    "RELAY_REGION",
    "RELAY_LOG_LEVEL",
    "RELAY_LAMBDA_INVOKE_MODE",
  ]
}
