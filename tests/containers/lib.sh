# shellcheck shell=bash
# Counting, and asking a container. Sourced.

passed=0
failed=0
skipped=0
mode=-

ok() { passed=$((passed + 1)); echo "ok    $mode: $*"; }
skip() { skipped=$((skipped + 1)); echo "SKIP  $mode: $*"; }

# fail WHAT [DETAIL]
fail() {
    failed=$((failed + 1))
    echo "FAIL  $mode: $1${2:+ ($2)}"
}

# check WHAT DETAIL COMMAND…: ok when the command succeeds.
check() {
    local what=$1 detail=$2
    shift 2
    if "$@"; then ok "$what"; else fail "$what" "${detail:0:600}"; fi
}

# equal WHAT WANT GOT
equal() { check "$1" "want '$2', got '${3-}'" test "$2" = "${3-}"; }

# contains WHAT NEEDLE TEXT, lacks WHAT NEEDLE TEXT
contains() { check "$1" "no '$2' in: $3" has "$3" "$2"; }
lacks() { check "$1" "'$2' in: $3" lacking "$3" "$2"; }
has() { case $1 in *"$2"*) return 0 ;; *) return 1 ;; esac; }
lacking() { ! has "$@"; }

# The plain last line, and 0 when nothing failed.
summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

# until_true SECONDS COMMAND…: waits for it, looking ten times a second.
until_true() {
    local left=$(($1 * 10))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

# Milliseconds of a clock that only goes forward.
now_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }

# processes CONTAINER: host pid and arguments of each that lives, a line each.
processes() {
    docker top "$1" -eo pid,stat,args 2>/dev/null | awk 'NR > 1 && $2 !~ /^Z/ { $2 = ""; print }'
}

# pids CONTAINER PATTERN: host pids of those whose arguments match.
pids() { processes "$1" | awk -v p="$2" '{ pid = $1; $1 = "" } $0 ~ p { print pid }'; }

running() { [ "$(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
exit_code() { docker inspect --format '{{.State.ExitCode}}' "$1"; }

# discard CONTAINER
discard() { docker rm -f -v "$1" >/dev/null 2>&1 || true; }
