#!/usr/bin/env bash
# The container tests: Strongroom, without a flag of its own, in every way
# people start containers, under a real Docker daemon with its real profile.
#
#   run.sh            everything: two minutes, and one more for the first Debian tree
#   run.sh --quick    one busybox image, fewer modes: half a minute
#
# STRONGROOM_BIN names the programs' folder (target/…/release). Ends with
# `N passed, N failed, N skipped`. Where no daemon can be had it fails if
# CI=true, and is one loud skip elsewhere.
# shellcheck disable=SC2034,SC2100 # mode is for lib.sh
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${STRONGROOM_BIN:-$here/../../target/x86_64-unknown-linux-gnu/release}

# shellcheck source=tests/containers/lib.sh
. "$here/lib.sh"

quick=false
[ "${1-}" != --quick ] || quick=true

if [ -z "${STRONGROOM_OWN_DOCKERD-}" ]; then
    if "$here/dockerd.sh" --check; then
        STRONGROOM_OWN_DOCKERD=1 exec "$here/dockerd.sh" "$0" "$@"
    fi
    mode=docker
    if [ "${CI-}" = true ]; then fail "no Docker daemon can be started here"; else
        skip "NO DOCKER DAEMON CAN BE STARTED HERE: NOTHING ABOUT CONTAINERS WAS TESTED"; fi
    summary
    exit
fi

# shellcheck source=tests/containers/acceptance.sh
. "$here/acceptance.sh"
# shellcheck source=tests/containers/lifecycle.sh
. "$here/lifecycle.sh"
# shellcheck source=tests/containers/images.sh
. "$here/images.sh"

if ! { "$here/image.sh" "$bin" && "$here/rootfs.sh" tiny; }; then
    mode=images
    fail "the images are built"
    summary
    exit
fi

# A workspace of the host's, owned by uid 1000, as `-v` brings one.
mounted=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-workspace.XXXXXX")
chmod 0755 "$mounted"
trap 'rm -rf --one-file-system "$mounted"' EXIT
fresh() { rm -rf --one-file-system "${mounted:?}"/*; chown 1000:1000 "$mounted"; }

restricted=(--cap-drop ALL --read-only --security-opt no-new-privileges)
few=(--cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add KILL --cap-add SETGID --cap-add SETPCAP --cap-add SETUID)
profile=(--security-opt "seccomp=$here/seccomp-namespaces.json")

# try MODE TIER UID WORKSPACE FLAG…
try() {
    mode=$1
    fresh
    acceptance "${@:2}"
}

platform
own_images

try root              container 64101 rw
try user-1000         rootless  1000  ro --user 1000
try user-1000-mount   rootless  1000  rw --user 1000 -v "$mounted:/workspace"
mode=restricted-root; refused "CAP_SETUID" "${restricted[@]}"
try restricted-user   rootless  1000  ro --user 1000 "${restricted[@]}"
try restricted-tmpfs  rootless  1000  rw --user 1000 "${restricted[@]}" --tmpfs /workspace:uid=1000,exec
try seccomp-profile   full      64101 rw "${profile[@]}"
try sys-admin         full      64101 rw --cap-add SYS_ADMIN
try random-uid        rootless  123456 ro --user 123456
mode=random-uid; without_home
if ! $quick; then
    try root-few-caps     container 64101 rw --cap-drop ALL "${few[@]}"
    try root-mount        container 1000  rw -v "$mounted:/workspace"
    try seccomp-user      full      1000  rw --user 1000 "${profile[@]}" -v "$mounted:/workspace"
    try unconfined        full      64101 rw --security-opt seccomp=unconfined
    try unconfined-proc   full      64101 rw --security-opt seccomp=unconfined --security-opt systempaths=unconfined
    try sys-admin-open    full      64101 rw --cap-add SYS_ADMIN --security-opt seccomp=unconfined
    try sys-admin-ro      full      64101 ro --cap-add SYS_ADMIN --read-only
fi

mode=root; lifecycle
mode=restricted-user; lifecycle --user 1000 "${restricted[@]}"
mode=sys-admin; lifecycle --cap-add SYS_ADMIN
if ! $quick; then
    mode=seccomp-profile; lifecycle "${profile[@]}"
    mode=root; stubborn
    mode=restricted-user; stubborn --user 1000 "${restricted[@]}"
    mode=sys-admin; stubborn --cap-add SYS_ADMIN

    mode=debian
    if "$here/rootfs.sh" debian; then
        mode=debian-root; work
        mode=debian-restricted; work --user 1000 "${restricted[@]}" --tmpfs /workspace:uid=1000,exec --tmpfs /tmp:exec
        mode=debian-user; fresh; work --user 1000 -v "$mounted:/workspace"
        mode=debian-profile; work "${profile[@]}"
        mode=debian-sys-admin; work --cap-add SYS_ADMIN
    else
        fail "the Debian image is built"
    fi
fi

summary
