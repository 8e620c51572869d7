# shellcheck shell=bash
# What must hold in every mode, judged from outside. Sourced; needs lib.sh.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Names a command's environment may have under builtin:base, and those that
# sh and env add.
ENVIRONMENT='^(PATH|HOME|TMPDIR|LANG|LC_ALL|TERM|COLORTERM|NO_COLOR|TZ|PWD|OLDPWD|SHLVL|_)$'

# Of the session: a line of agent.sh.
said=
told() { sed -n "s/^$1|[0-9]*|//p" <<<"$said"; }
status() { sed -n "s/^$1|\([0-9]*\)|.*/\1/p" <<<"$said"; }

# acceptance TIER UID WORKSPACE FLAG…
#   WORKSPACE: rw, or ro where commands cannot write there.
acceptance() {
    local tier=$1 uid=$2 workspace=$3
    shift 3
    local box notes began took doctor
    # No strongroom flag, no policy: the image as the two lines make it.
    box=$(docker run -d --network none -e MY_TOKEN=CANARY-TOKEN "$@" strongroom-test:tiny \
        sh -c "$(cat "$here/agent.sh")") || { fail "the container starts"; return; }
    if ! until_true 30 ready "$box"; then
        fail "the session gets through its commands" "$(docker logs "$box" 2>&1 | tail -n 5)"
        discard "$box"
        return
    fi
    said=$(docker logs "$box" 2>/dev/null)
    notes=$(docker logs "$box" 2>&1 >/dev/null)

    start_says "$tier" "$workspace" "$notes"
    doctor=$(docker run --rm --network none --entrypoint strongroom "$@" strongroom-test:tiny doctor --json 2>&1)
    contains "doctor says the same" "\"tier\":\"$tier\"" "$doctor"
    separation "$tier" "$uid"
    exit_statuses
    files "$workspace"
    nothing_stays "$box"
    operator "$box" "$tier"

    # docker stop: SIGTERM to the supervisor, which passes it on.
    began=$(now_ms)
    docker stop -t 10 "$box" >/dev/null
    took=$(($(now_ms) - began))
    equal "docker stop: the agent got SIGTERM, its status is the container's" 42 "$(exit_code "$box")"
    check "docker stop: in order, well within the grace" "$took ms" test "$took" -lt 4000
    notes=$(docker logs "$box" 2>&1 >/dev/null)
    log_closed "$box"
    lacks "no loss or internal error was reported" "SR6" "$(grep -v SR603 <<<"$notes")"
    # Where the layer is writable it shows every file that was changed.
    lacks "no file outside was written (docker diff)" was-here "$(docker diff "$box" 2>&1)"
    discard "$box"
}

ready() { docker logs "$1" 2>/dev/null | grep -q '^ready|' || ! running "$1"; }

start_says() { # TIER WORKSPACE NOTES
    contains "start line says tier $1" "strongroom: tier $1 (" "$3"
    contains "start line says what keeps processes apart" "landlock 7; seccomp)" "$3"
    contains "start says that a variable looks like a secret" "MY_TOKEN" "$3"
    lacks "start does not quote it" CANARY-TOKEN "$3"
    [ "$2" != ro ] || contains "start says that the workspace cannot be written" "commands can only read there" "$3"
}

separation() { # TIER UID
    equal "agent runs as uid $2" "$2" "$(told agent-uid)"
    equal "commands run as uid $2, never 0" "$2" "$(told uid)"
    contains "exec --json gives output, exit and receipt" '"exit":0' "$(told id-json)"
    contains "receipt says tier $1" "\"tier\":\"$1\"" "$(told id-json)"
    equal "control: /etc/hostname can be read" 0 "$(status readable)"
    for what in shadow srv root; do
        check "a command cannot read $what" "$(told "$what")" test "$(status "$what")" != 0
        lacks "nothing of $what comes out" CANARY "$(told "$what")"
    done
    contains "exec --json: /etc/shadow is refused" '"exit":1' "$(told shadow-json)"
    lacks "exec --json: nothing of it comes out" CANARY "$(told shadow-json)"
    check "a command cannot list vault and log folders" "$(told state)" test "$(status state)" != 0
    check "the agent cannot either" "$(told agent-state)" test "$(status agent-state)" != 0
    lacks "agent's environment has no secret of the container's" CANARY-TOKEN "$(told agent-env)"
    equal "command's environment has only what it needs" "" "$(odd_variables "$(told env)")"
    equal "no environment of another process can be read" 0 "$(told environs)"
    equal "no capability, no way to get one" "" "$(capabilities "$1" "$(told caps)")"
    check "no user namespace from inside" "$(told unshare)" test "$(status unshare)" != 0
    contains "control: the agent reaches a port on loopback" THE-AGENT "$(told agent-connects)"
    lacks "a command does not" THE-AGENT "$(told connects)"
}

odd_variables() { tr ' ' '\n' <<<"$1" | grep -a = | cut -d= -f1 | grep -v -E "$ENVIRONMENT" | tr '\n' ' '; }

# What is wrong with the capabilities in a /proc/self/status. A start without
# CAP_SETPCAP (tier rootless) cannot empty the bounding set; there
# no_new_privs alone makes it useless.
capabilities() { # TIER LINES
    awk -v tier="$1" '{
        for (i = 1; i < NF; i++) {
            if ($i ~ /^Cap/ && $(i + 1) !~ /^0+$/ && !($i == "CapBnd:" && tier == "rootless")) print $i, $(i + 1)
            if ($i == "NoNewPrivs:" && $(i + 1) == 1) nnp = 1
        }
    } END { if (!nnp) print "no_new_privs is off" }' <<<"$2"
}

exit_statuses() {
    equal "exit status: the command's own" 3 "$(status status)"
    equal "exit status: not found" 127 "$(status not-found)"
    equal "exit status: cannot be executed" 126 "$(status not-executable)"
    equal "exit status: by a signal" 137 "$(status signalled)"
    equal "exit status: out of time" 124 "$(status out-of-time)"
    contains "out of time has its code" SR201 "$(told out-of-time)"
    equal "exit status: denied" 77 "$(status denied)"
    contains "a denial has its code" SR120 "$(told denied)"
    equal "output and errors come through" "out err" "$(told streams)"
    equal "input goes through" in "$(told input)"
}

files() { # WORKSPACE
    if [ "$1" = rw ]; then
        equal "a command writes to the workspace" made "$(told write)"
        equal "the agent sees it" made "$(told write-seen)"
        equal "files are linked, moved between folders, given modes and times" 640 "$(told moves)"
    else
        check "a command cannot write to a workspace that is read-only" "$(told write)" test "$(status write)" != 0
        contains "and is told so" "made-by-command" "$(told write)"
    fi
    check "a command cannot change the mode of a folder outside" "$(told mode-outside)" test "$(status mode-outside)" != 0
    equal "it has not" 700 "$(told mode-kept)"
    equal "a command has a private folder" x "$(told private)"
    equal "the next one does not see what was in it" 0 "$(status private-gone)"
    equal "a command writes nowhere else" "" "$(told outside)"
}

nothing_stays() { # BOX
    local left
    equal "control: daemons were started" started "$(told daemons)"
    left=$(processes "$1" | grep -E '^[0-9]+ +sleep 471[123]' || true)
    equal "they ended with their command" "" "$left"
    check "control: a running command shows in docker top" "" test -n "$(pids "$1" '^ *sleep 4714')"
}

# The operator comes by docker exec, as the user of the container.
operator() { # BOX TIER
    local state
    state=$(docker logs "$1" 2>&1 | sed -n 's/^strongroom: tier .*| state \([^ ]*\)$/\1/p')
    contains "the operator sees the session from outside" "\"tier\":\"$2\"" \
        "$(docker exec "$1" strongroom status --state "$state" --json 2>&1)"
    check "the agent cannot ask as the operator" "$(told agent-operates)" test "$(status agent-operates)" != 0
}

# Where the state folder is in the container's layer it can be looked at
# afterwards.
log_closed() { # BOX
    local last
    last=$(docker cp "$1:/var/lib/strongroom/log/audit.jsonl" - 2>/dev/null | tar -xO 2>/dev/null |
        grep -v '"writer":"recorder"' | tail -n 1)
    [ -z "$last" ] || contains "the log ends with the session's end" '"event":"ended","status":42' "$last"
}
