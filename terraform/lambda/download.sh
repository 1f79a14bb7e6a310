# Downloads the function's zip and verifies its checksum. Terraform runs it.
set -eu
mkdir -p "$(dirname "$PACKAGE_FILE")"
curl --fail --silent --show-error --location --retry 3 --output "$PACKAGE_FILE.part" "$PACKAGE_URL" || {
  echo "$PACKAGE_URL cannot be downloaded: see whether the release has it, or download it yourself and set package = { path = … }." >&2
  exit 1
}
sum=$( (sha256sum "$PACKAGE_FILE.part" 2>/dev/null || shasum -a 256 "$PACKAGE_FILE.part") | cut -d ' ' -f 1)
if [ "$sum" != "$PACKAGE_SHA256" ]; then
  rm -f "$PACKAGE_FILE.part"
  echo "$PACKAGE_URL has the SHA-256 $sum, but package.sha256 is $PACKAGE_SHA256: compare it with the release's SHA256SUMS, and do not deploy until you know why they differ." >&2
  exit 1
fi
mv "$PACKAGE_FILE.part" "$PACKAGE_FILE"
