# Builds the image of the relay from its source in Cloud Build, with Google's buildpacks. Terraform runs it. It uses
# Terraform's login (gcloud auth application-default login), or else gcloud's own.
token=$(gcloud auth application-default print-access-token 2>/dev/null || gcloud auth print-access-token 2>/dev/null) || {
  # No error, as the image may have been built in another way; if not, Cloud Run reports that it is missing.
  echo "gcloud is not installed here or not logged in, so $BUILD_IMAGE was not built. Install it (cloud.google.com/sdk)," >&2
  echo "run gcloud auth application-default login, and terraform apply -replace='module.relay.terraform_data.build[0]'" >&2
  exit 0
}
export CLOUDSDK_AUTH_ACCESS_TOKEN="$token"
set -- --project="$BUILD_PROJECT" --pack="image=$BUILD_IMAGE,env=GOOGLE_FUNCTION_TARGET=Relay" --suppress-logs --quiet
if [ -n "$BUILD_SERVICE_ACCOUNT" ]; then
  set -- "$@" --service-account="$BUILD_SERVICE_ACCOUNT" --default-buckets-behavior=regional-user-owned-bucket
fi
exec gcloud builds submit "$BUILD_SOURCE" "$@"
