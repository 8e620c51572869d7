#!/bin/sh
# Says plainly what the tests need and installs nothing behind anybody's back:
# as root on Debian it installs what is missing, elsewhere it names it.
set -eu
missing=""
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v git >/dev/null 2>&1 || missing="$missing git"
[ -x /usr/bin/python3 ] || missing="$missing python3-minimal"
command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "tests need:$missing (installing)"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "tests need:$missing (please install; without them tests are skipped loudly)"
fi
