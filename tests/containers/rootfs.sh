#!/usr/bin/env bash
# Makes the images that the container tests run in, from Debian packages and
# without a registry, and adds Strongroom by the two lines that the Dockerfile
# documents. `strongroom:latest` must be there (image.sh).
#
#   rootfs.sh tiny                  strongroom-test:tiny: busybox alone
#   rootfs.sh debian [PACKAGE…]     strongroom-test:debian: git, gcc, python3, and PACKAGEs
#
# The Debian tree takes a minute to make, and is kept in
# $STRONGROOM_TEST_CACHE (/var/cache/strongroom-tests).
set -euo pipefail

CACHE=${STRONGROOM_TEST_CACHE:-/var/cache/strongroom-tests}
SUITE=bookworm
PACKAGES="git,gcc,libc6-dev,python3"

[ "$(id -u)" = 0 ] || { echo "rootfs.sh: file owners need root" >&2; exit 1; }

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null && return
    echo "rootfs.sh: installing $2" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null
}

# What the checks look for: secrets and files that commands must not get at.
canaries() { # TREE
    mkdir -p "$1/etc" "$1/root" "$1/srv" "$1/tmp"
    chmod 1777 "$1/tmp"
    chmod 0700 "$1/root"
    printf 'root:CANARY-SHADOW:19000:0:99999:7:::\n' >"$1/etc/shadow"
    chmod 0640 "$1/etc/shadow"
    # Everybody may read it, so only the jail is in the way.
    echo CANARY-SRV >"$1/srv/canary"
    chmod 0644 "$1/srv/canary"
    echo CANARY-ROOT >"$1/root/canary"
}

tiny() {
    need busybox busybox-static
    local busybox tree applet
    busybox=$(command -v busybox)
    tree=$work/tree
    mkdir -p "$tree/bin" "$tree/etc"
    cp "$busybox" "$tree/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
    printf 'root:x:0:\n' >"$tree/etc/group"
    tar -C "$tree" -cf "$work/tar" .
    image tiny "$work/tar"
}

debian() {
    local list kept
    list=$(IFS=,; echo "$PACKAGES${*:+,$*}")
    kept=$CACHE/$SUITE-$(echo "$list" | cksum | cut -d' ' -f1).tar
    [ -f "$kept" ] || debian_tree "$list" "$kept"
    image debian "$kept"
}

debian_tree() { # PACKAGES TAR
    need debootstrap debootstrap
    echo "rootfs.sh: making a Debian tree with $1 (a minute or two)" >&2
    debootstrap --variant=minbase --include="$1" "$SUITE" "$work/tree" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }
    rm -rf "$work"/tree/{var/cache/apt,var/lib/apt/lists,usr/share/doc,usr/share/man,usr/share/locale}/*
    mkdir -p "$CACHE"
    # At once or not at all.
    tar -C "$work/tree" -cf "$2.new" .
    mv "$2.new" "$2"
}

# The tree as an image, the canaries, then the two lines.
image() { # NAME TAR
    docker import "$2" "strongroom-test:$1-base" >/dev/null
    mkdir "$work/context"
    canaries "$work/context/canaries"
    cat >"$work/context/Dockerfile" <<EOF
FROM strongroom-test:$1-base
COPY canaries/ /
COPY --from=strongroom:latest /usr/bin/strongroom* /usr/bin/
WORKDIR /workspace
ENTRYPOINT ["strongroom", "run", "--"]
EOF
    docker build --quiet --tag "strongroom-test:$1" "$work/context" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
}

work=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-rootfs.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

case "${1-}" in
tiny) tiny ;;
debian) shift; debian "$@" ;;
*) echo "usage: rootfs.sh tiny | debian [PACKAGE…]" >&2; exit 2 ;;
esac
