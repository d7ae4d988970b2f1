#!/usr/bin/env bash
# Builds the console into gateway/assets/console.
#
#   gateway/console/build.sh           installs what the lock file says, and builds
#   gateway/console/build.sh --check   the same, and fails if anything changed
#
# Needs Node and npm. The same sources give the same bytes.
set -euo pipefail
cd "$(dirname "$0")"

npm ci --silent --no-audit --no-fund
npx --no-install tsc

if [ "${1:-}" = --check ]; then
    before=$(mktemp -d)
    trap 'rm -r "$before"' EXIT
    cp -r ../assets/console/. "$before"
fi
node build.mjs
if [ "${1:-}" = --check ] && ! diff -rq "$before" ../assets/console >&2; then
    echo "gateway/assets/console was not what its sources make; now it is: commit it." >&2
    exit 1
fi
