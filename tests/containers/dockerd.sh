#!/usr/bin/env bash
# A Docker daemon of our own, for as long as one command runs:
#
#   dockerd.sh COMMAND [ARG…]     runs it with DOCKER_HOST set
#   dockerd.sh --check            says whether that is possible here; 0 or 1
#
# Everything of the daemon's is in one temporary folder. It touches no
# firewall and makes no bridge, so containers have no network, and it neither
# talks to nor stops any other daemon: it is ended by the pid it gave us.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: dockerd.sh COMMAND [ARG…]" >&2; exit 2; }

# Docker's default seccomp profile is compiled into the daemon, so a daemon it
# must be; the client alone does not do.
need_docker() {
    command -v dockerd >/dev/null && command -v docker >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "dockerd.sh: dockerd and docker are needed (Debian: docker.io)" >&2
        return 1
    fi
    echo "dockerd.sh: installing docker.io" >&2
    # The daemon of the package is not ours to start.
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends docker.io; } >&2
}

can_run() {
    [ "$(id -u)" = 0 ] || { echo "dockerd.sh: a daemon of our own needs root" >&2; return 1; }
    need_docker
}

wait_ready() {
    for _ in $(seq 150); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}

start() {
    # Overlay where the file system has it, else plain copies.
    for driver in overlay2 vfs; do
        dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver="$driver" \
            --data-root="$dir/data" --exec-root="$dir/exec" --pidfile="$dir/pid" \
            --host="$DOCKER_HOST" >"$dir/log" 2>&1 &
        daemon=$!
        wait_ready && return
        stop_daemon
    done
    echo "dockerd.sh: the daemon does not start:" >&2
    tail -n 5 "$dir/log" >&2
    return 1
}

# It ends its containers and its containerd itself when it is asked to.
stop_daemon() {
    kill "$daemon" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
}

clean_up() {
    [ -z "${daemon-}" ] || stop_daemon
    # What a container left mounted would be emptied with the folder.
    awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r mount; do
        umount "$mount" || true
    done
    rm -rf --one-file-system "$dir"
}

can_run || exit 1
[ "$1" != --check ] || exit 0

dir=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-dockerd.XXXXXX")
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
export DOCKER_HOST="unix://$dir/docker.sock"
start
"$@"
