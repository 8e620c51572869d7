#!/bin/sh
# The inbox in a real browser: Chromium, headless. Installs it as root on
# Debian; elsewhere says what is missing, and that the test was skipped. In CI
# that is a failure.
# usage: tests/inbox/run.sh PROGRAMS [SCREENSHOTS]
#   PROGRAMS      folder with strongroom-inbox and examples/broker
#   SCREENSHOTS   folder for pictures of every page; none are kept without it
set -eu
programs=$(realpath "$1")
here=$(dirname "$0")

missing() {
    for program in chromium chromedriver python3; do
        command -v "$program" >/dev/null 2>&1 || printf ' %s' "$program"
    done
}
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "test-inbox needs$(missing) (installing)"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium chromium-driver python3 fonts-dejavu-core >/dev/null
fi
lacking=$(missing)
if [ -n "$lacking" ]; then
    echo "test-inbox: 0 run, 1 SKIPPED: this place lacks$lacking" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi
exec python3 "$here/test.py" "$programs" ${2:+"$2"}
