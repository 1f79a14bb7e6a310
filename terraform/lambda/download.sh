# Fetches the function's zip and checks that it is the one that was meant. Terraform runs it.
set -eu
mkdir -p "$(dirname "$PACKAGE_FILE")"
curl --fail --silent --show-error --location --retry 3 --output "$PACKAGE_FILE.part" "$PACKAGE_URL" || {
  echo "$PACKAGE_URL cannot be fetched: see whether the release has it, or download it yourself and set package = { path = … }." >&2
  exit 1
}
sum=$( (sha256sum "$PACKAGE_FILE.part" 2>/dev/null || shasum -a 256 "$PACKAGE_FILE.part") | cut -d ' ' -f 1)
if [ "$sum" != "$PACKAGE_SHA256" ]; then
  rm -f "$PACKAGE_FILE.part"
  echo "$PACKAGE_URL has the SHA-256 $sum, and package.sha256 is $PACKAGE_SHA256: compare with SHA256SUMS of the release, and deploy nothing until you know why." >&2
  exit 1
fi
mv "$PACKAGE_FILE.part" "$PACKAGE_FILE"
