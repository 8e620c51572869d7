# shellcheck shell=bash disable=SC2034,SC2154 # mode and here are run.sh's
# Strongroom's own images, the refusals, and the work in a real distribution.
# Sourced; needs lib.sh and acceptance.sh.

# What the rest relies on: this is Docker with its own profile switched on.
platform() {
    local facts
    mode=docker
    facts=$(docker run --rm --network none --entrypoint /bin/sh strongroom-test:tiny -c '
        grep ^Seccomp: /proc/self/status; unshare -U true && echo made; echo ok' 2>/dev/null)
    contains "control: the default seccomp profile is on" "Seccomp:	2" "$facts"
    lacks "control: it refuses user namespaces" made "$facts"
    facts=$(docker run --rm --network none --security-opt seccomp=unconfined --entrypoint /bin/sh strongroom-test:tiny \
        -c 'unshare -U true && echo made')
    equal "control: without it they can be made" made "$facts"
}

# The runtime images have no shell, no /tmp, no /etc/passwd.
own_images() {
    local image said code
    for image in strongroom:latest strongroom:nonroot; do
        mode=$image
        said=$(docker run --rm --network none --entrypoint /usr/bin/strongroom "$image" doctor 2>&1)
        equal "doctor finds a tier" 0 $?
        check "and the programs" "$said" grep -q 'programs .*all in /usr/bin' <<<"$said"
        said=$(docker run --rm --network none "$image" strongroom exec -- strongroom --version 2>&1)
        code=$?
        equal "a command runs in an empty root" 0 "$code"
        check "and says its version" "$said" grep -q '^strongroom [0-9]' <<<"$said"
        docker run --rm --network none "$image" no-such-agent >/dev/null 2>&1
        equal "an agent that is not there: 127" 127 $?
        docker run --rm --network none "$image" >/dev/null 2>&1
        equal "no agent: a usage error" 2 $?
    done
    mode=strongroom:latest
    said=$(docker run --rm --network none --user 1000 --cap-drop ALL --read-only --security-opt no-new-privileges \
        "$image" strongroom exec -- strongroom --version 2>&1)
    equal "the same under the restricted flags" 0 $?
    mode=strongroom:nonroot
    said=$(docker run --rm --network none "$image" strongroom exec -- strongroom man /workspace 2>&1)
    equal "its workspace can be written" 0 $?
}

# refused REASON FLAG…: no start, status 78, and why.
refused() {
    local said
    said=$(docker run --rm --network none "${@:2}" strongroom-test:tiny true 2>&1)
    equal "refuses to start: 78" 78 $?
    contains "says what is missing" "$1" "$said"
    contains "says how to get it" "--user 1000" "$said"
}

# No passwd entry, no HOME at all (runc sets one where there is none).
without_home() {
    local said
    said=$(docker run --rm --network none --user 123456:0 --entrypoint /bin/sh strongroom-test:tiny -c '
        unset HOME; exec strongroom run --quiet -- sh -c "strongroom exec -- id -u; strongroom exec -- sh -c \"exit 9\""' 2>/dev/null)
    equal "no HOME: the agent's status" 9 $?
    equal "no HOME: the command's uid" 123456 "$said"
}

# work FLAG…: everyday programs in a Debian image.
work() {
    local said name code out
    said=$(timeout 120 docker run --rm --network none "$@" strongroom-test:debian sh -c "$(cat "$here/workload.sh")" 2>&1)
    equal "the work is done in time" 0 $?
    for name in git-init git-commit git-clone gcc python tools; do
        IFS='|' read -r _ code out <<<"$(grep "^$name|" <<<"$said")"
        check "$name" "status ${code:-none}: ${out:-$(tail -n 3 <<<"$said")}" test "${code:-none}" = 0
    done
}
