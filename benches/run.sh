#!/bin/sh
# Times jailed commands against bare ones, in every tier this place has.
# usage: benches/run.sh BIN [ROUNDS [SECONDS]]
# With DOCS=write the figures, the table and the picture in docs/ are replaced.
set -eu
bin=$1
rounds=${2:-300}
seconds=${3:-60}
place=$(dirname "$0")/..
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for tier in full container; do
    [ "$tier" = container ] && [ "$(id -u)" != 0 ] && tier=rootless
    echo "== tier $tier"
    "$bin/strongroom-bench" "$bin" --tier "$tier" --rounds "$rounds" --seconds "$seconds" \
        --json "$out/$tier.json"
done
if [ "${DOCS:-}" = write ]; then
    { echo '['; cat "$out/full.json"; echo ','; cat "$out/container.json"; echo ']'; } \
        | python3 -m json.tool --indent 1 >"$place/docs/performance.json"
    "$place/benches/report.py"
fi
echo "== audit log"
"$bin/strongroom-bench-audit" "${TMPDIR:-/tmp}"
echo "== redaction"
cargo run --release --locked -q -p strongroom-redact --example throughput
echo "== vault: unlock, look-up, changes"
cargo run --release --locked -q -p strongroom-vault --example speed
