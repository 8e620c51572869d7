#!/usr/bin/env bash
# Builds `strongroom:latest` and `strongroom:nonroot` from programs that are
# built already, without a network, and checks their size.
#
#   image.sh [FOLDER]      FOLDER: the programs, as `make build` leaves them
#
# Uses the daemon that the docker client uses (DOCKER_HOST).
set -euo pipefail

# Bytes of all layers. What an agent's image grows by.
LARGEST=12000000
PROGRAMS="strongroom strongroom-supervisor strongroom-broker strongroom-recorder strongroom-worker"

root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${1:-$root/target/x86_64-unknown-linux-gnu/release}" && pwd)
for name in $PROGRAMS; do
    [ -x "$bin/$name" ] || { echo "image.sh: $bin lacks $name; run \`make build\`" >&2; exit 1; }
done
docker version >/dev/null 2>&1 || {
    echo "image.sh: no Docker daemon answers; tests/containers/dockerd.sh starts one for a command" >&2
    exit 1
}
# The classic builder is in every daemon; the newer one is a plugin.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

build() { # TARGET TAG
    local said size
    # shellcheck disable=SC2086 # a list of names
    said=$(tar -c -C "$root" Dockerfile -C "$bin" $PROGRAMS |
        docker build --quiet --target "$1" --build-arg BIN=. --tag "$2" - 2>&1) || { echo "$said" >&2; exit 1; }
    size=$(docker image inspect --format '{{.Size}}' "$2")
    awk -v n="$size" -v name="$2" -v most="$LARGEST" 'BEGIN {
        printf "%s: %.1f MB (at most %.0f MB)\n", name, n / 1e6, most / 1e6; exit n > most }'
}

build runtime-local strongroom:latest
build nonroot-local strongroom:nonroot
