#!/bin/sh
# Times jailed commands against bare ones, in every tier this place has.
# usage: benches/run.sh BIN [ROUNDS]
set -eu
bin=$1
rounds=${2:-300}
for tier in full container; do
    [ "$tier" = container ] && [ "$(id -u)" != 0 ] && tier=rootless
    echo "== tier $tier"
    "$bin/strongroom-bench" "$bin" --tier "$tier" --rounds "$rounds"
done
echo "== audit log"
"$bin/strongroom-bench-audit" "${TMPDIR:-/tmp}"
echo "== redaction"
cargo run --release --locked -q -p strongroom-redact --example throughput
echo "== vault: unlock, look-up, changes"
cargo run --release --locked -q -p strongroom-vault --example speed
