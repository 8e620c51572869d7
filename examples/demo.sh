#!/bin/sh
# What Strongroom does, as a short story.
# usage: examples/demo.sh FOLDER-OF-PROGRAMS [FLAG OF strongroom run]...
#
# Starts a session with examples/agent.sh as its agent and judges from outside
# what came of it. Every verdict has a control: the same thing done without
# the jail, which must work, or there would be nothing to prevent.
# Needs git, and openssl for the part with credentials; works as root and as an
# ordinary user. Ends with 1 when any verdict is wrong.
set -u
programs=${1:?usage: examples/demo.sh FOLDER-OF-PROGRAMS}
shift
here=$(cd "$(dirname "$0")" && pwd)
command -v git >/dev/null || { echo "demo: needs git" >&2; exit 2; }

demo=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-demo-XXXXXX") || exit 2
demo=$(cd "$demo" && pwd -P)
session='' server=''
# shellcheck disable=SC2329 # called by the trap
clean() {
    [ -z "$session" ] || kill "$session" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$demo"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

chmod 755 "$demo"
mkdir "$demo/bin" "$demo/job" "$demo/outside" "$demo/served"
for program in strongroom strongroom-supervisor strongroom-broker strongroom-recorder strongroom-worker; do
    cp "$programs/$program" "$demo/bin/" || exit 2
done
cp "$here/agent.sh" "$demo/job/agent.sh"
strongroom=$demo/bin/strongroom state=$demo/state work=$demo/job outside=$demo/outside
mark=47$$
secret="canary-$$-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')"
echo "$secret" >"$outside/secret"
chmod 777 "$outside"
chmod 644 "$outside/secret"

# ---- telling ----------------------------------------------------------------

good='' bad='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    good=$(printf '\033[32m') bad=$(printf '\033[31m') plain=$(printf '\033[0m')
fi
wrong=0
# verdict WHAT TRUE-OR-FALSE-COMMAND…: a line of the story.
verdict() {
    what=$1
    shift
    if "$@"; then
        printf '  %s✓%s %s\n' "$good" "$plain" "$what"
    else
        printf '  %s✗ WRONG:%s %s\n' "$bad" "$plain" "$what"
        wrong=$((wrong + 1))
    fi
}
# shellcheck disable=SC2329 # called through verdict
not() { ! "$@"; }
heard() { grep -q "$1" "$demo/said"; }

# ---- a token and a key ------------------------------------------------------

# Each may be used for one thing. What the agent writes where the key should
# be is a placeholder.
tool=-
command -v openssl >/dev/null && tool=openssl
cat >"$demo/policy.toml" <<'END'
version = 1
extends = ["builtin:base"]

[credential.DEPLOY_TOKEN]
deliver = ["env"]

[credential.SIGNING_KEY]
deliver = ["file"]

[[rule]]
name = "encrypt"
match = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", "env:DEPLOY_TOKEN", "-in", "*", "-out", "*"]
profile = "worker"
action = "allow"
credentials = ["DEPLOY_TOKEN"]

[[rule]]
name = "sign"
match = ["openssl", "dgst", "-sha256", "-sign", "deploy.key", "-out", "result.sig", "result.txt"]
profile = "worker"
action = "allow"
credentials = ["SIGNING_KEY"]
END
token=tok-$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
mkdir -m 700 "$demo/keys"
[ "$tool" = - ] || openssl ecparam -name prime256v1 -genkey -noout -out "$demo/keys/signing.pem" || exit 2
line=$(sed -n 2p "$demo/keys/signing.pem" 2>/dev/null)
# Whether a file has the token or the key, as it is or in base64.
# shellcheck disable=SC2329 # called through verdict
has() {
    for text in "$token" "${line:-$token}"; do
        grep -qaF "$text" "$1" && return 0
        base64 -di "$1" 2>/dev/null | grep -qaF "$text" && return 0
    done
    return 1
}
# shellcheck disable=SC2329 # called through verdict
decrypts() { printf %s "$token" | openssl enc -d -aes-256-cbc -pbkdf2 -pass stdin -in "$work/result.enc" | cmp -s - "$work/result.txt"; }
# shellcheck disable=SC2329 # called through verdict
verifies() {
    openssl pkey -in "$demo/keys/signing.pem" -pubout -out "$demo/keys/public.pem" &&
        openssl dgst -sha256 -verify "$demo/keys/public.pem" -signature "$work/result.sig" "$work/result.txt" >/dev/null
}

# ---- the session ------------------------------------------------------------

# A git server on loopback, if this git has one: the only server that needs
# nothing but git.
port=-
git init -q --bare "$demo/served" && touch "$demo/served/git-daemon-export-ok"
for try in 9419 19419 29419; do
    git daemon --reuseaddr --listen=127.0.0.1 --port=$try --base-path="$demo" "$demo" >/dev/null 2>&1 &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.1
        kill -0 "$server" 2>/dev/null || break
        git ls-remote "git://127.0.0.1:$try/served" >/dev/null 2>&1 && { port=$try; break 2; }
    done
    kill "$server" 2>/dev/null
    server=''
done

: >"$demo/said"
cd "$work" || exit 2
"$strongroom" run --policy "$demo/policy.toml" --state "$state" --workspace "$work" "$@" -- \
    sh agent.sh "$outside" "$port" "$mark" "$tool" \
    >"$demo/said" 2>"$demo/notes" </dev/null &
session=$!

# Waits until the agent wants us to look.
reach() {
    tries=0
    until heard "^look $1\$"; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ] || ! kill -0 "$session" 2>/dev/null; then
            echo "demo: the session did not get to \"$1\":" >&2
            cat "$demo/notes" "$demo/said" >&2
            exit 1
        fi
        sleep 0.1
    done
}
go() { : >"$work/go-$1"; }
# Whether any process sleeps for one of these times.
sleeps() {
    for time in "$@"; do
        for folder in /proc/[0-9]*; do
            [ "$(tr '\0' ' ' 2>/dev/null <"$folder/cmdline")" = "sleep $time " ] && return 0
        done 2>/dev/null
    done
    return 1
}
# The process of this session's broker: a child of the supervisor, which
# `strongroom run` has become.
broker() {
    for folder in /proc/[0-9]*; do
        grep -qs '^Name:.strongroom-brok' "$folder/status" && grep -qs "^PPid:.$session\$" "$folder/status" &&
            echo "${folder#/proc/}"
    done
}
# shellcheck disable=SC2329 # called through verdict
answers() { "$strongroom" status --state "$state" --json >/dev/null; }
# shellcheck disable=SC2329 # called through verdict
planted() { [ -e "$outside/planted" ] || [ -e "/tmp/planted-$mark" ] || [ -e "/etc/planted-$mark" ]; }
soon() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        "$@" && return 0
        sleep 0.1
    done
    return 1
}

echo "An agent works in $work."
reach work
sed -n 's/^strongroom: \(tier [^|]*\)|.*/This place gives \1/p' "$demo/notes"
echo
echo "It gets on with its work, each command in a jail of its own:"
verdict "it committed and cloned a git repository" heard '^did clone$'
verdict "it built a program: $(sed -n 's/^did \(built.*\|no C.*\)/\1/p' "$demo/said")" test -s "$work/copy/add"
verdict "its tests ran: $(cat "$work/result.txt")" grep -qx '3 of 3 tests passed' "$work/result.txt"
if [ "$tool" != - ]; then
    printf %s "$token" | "$strongroom" credentials put DEPLOY_TOKEN --state "$state" >/dev/null || exit 1
    "$strongroom" credentials put SIGNING_KEY --state "$state" <"$demo/keys/signing.pem" >/dev/null || exit 1
fi
go work

echo
if [ "$tool" = - ]; then
    echo "It would use a token and a key, but there is no openssl here."
else
    echo "We have entered a token and a key. It uses both, and has neither:"
    reach secrets
    verdict "it encrypted its result with the token: we decrypt it with ours" decrypts
    verdict "it signed its result with the key: our public key says so" verifies
    verdict "where the key should be it sees a link: $(readlink "$work/deploy.key" | sed "s|^$demo/||")" test -h "$work/deploy.key"
    go secrets

    echo
    echo "It tries eight ways to get at them:"
    reach holding
    # shellcheck disable=SC2329 # called through verdict
    held() {
        name=$(grep -lx openssl /proc/[0-9]*/comm 2>/dev/null | head -n 1)
        [ -n "$name" ] && has "${name%/comm}/environ"
    }
    if [ "$(id -u)" = 0 ]; then
        verdict "   a command has the token right now: root sees it (control)" soon held
    fi
    go holding
    reach tries
    number=0
    for way in "ask for the variable, and for the grant" "a shell around the command" "a program of its own named openssl" \
        "cat, base64 and dd of the key's file" "copies, links, archives and commits of it" "openssl with other arguments" \
        "the environment and memory of a command that has it" "the broker, and the operator's channel"; do
        number=$((number + 1))
        verdict "$number. $way: nothing of it" not has "$work/got-$number"
        printf '       it got: %s\n' "$(head -c 300 "$work/got-$number" | tr -c '[:print:]' ' ' | cut -c 1-72)"
    done
    printf 'xyz%s' "$token" | base64 >"$demo/keys/found"
    verdict "   control: where we put it, in base64, the same look finds it" has "$demo/keys/found"
    verdict "   no file of the workspace, the log or its home has it" \
        test -z "$(grep -rlaF -e "$token" -e "$line" "$work" "$state/log" "$state/home" 2>/dev/null)"
    verdict "   no word of it came out" not has "$demo/said"
    go tries
fi

echo
echo "It tries what it must not get:"
reach files
verdict "1. a secret file outside: not read (control: it is there, and anyone may read it)" \
    test "$(cat "$outside/secret")" = "$secret"
verdict "   nothing of it, nor of /etc/shadow, came out" not heard "$secret\|^root:[^x]"
go files
reach state
records=$("$strongroom" status --state "$state" --json | sed -n 's/.*"accepted":\([0-9]*\).*/\1/p')
verdict "2. the audit log and the operator's token: not read (control: we read both)" \
    test -s "$state/log/audit.jsonl" -a -s "$state/broker/operator.token"
verdict "   nothing of the log came out" not heard '"session"'
verdict "   the broker counts $records commands, the log has a record before each" \
    test "$(grep -c '"event":"\(intent\|write\)"' "$state/log/audit.jsonl")" = "$records"
go state
before=$(broker)
reach network
if [ "$port" != - ]; then
    verdict "3. a server on this machine: reached by the agent, which has a network (control)" \
        heard '^agent-reached-server$'
    verdict "   not by its command, which has none" not heard '^command-reached-server$'
else
    echo "  - 3. a server on this machine: not tried, this git has no \`git daemon\`"
fi
go network
reach broker
verdict "4. the broker: not ended (control: it is there, process $before)" test "${before:-none}" = "$(broker)"
verdict "   it still answers us" answers
verdict "   no part of Strongroom was ended, or its memory or environment opened" not heard '^killed\|^opened'
go broker
reach outside
verdict "5. a folder anyone may write: not written (control: we can)" touch "$outside/control"
verdict "   nothing was planted there, in /tmp or in /etc" \
    not planted
go outside
reach running
verdict "6. a process that stays: we see a command's processes while it runs (control)" soon sleeps "$mark"
go running
reach daemons
verdict "   it started daemons that ignore SIGTERM" heard '^started-daemons$'
verdict "   none is left now that their command is over" not sleeps "${mark}1" "${mark}2"
go daemons

"$strongroom" kill --state "$state" --shutdown 2>/dev/null
wait "$session"
session=''
verdict "   and when the session ends, the command still running ends with it" not sleeps "$mark"

echo
if [ "$wrong" -eq 0 ]; then
    echo "It got its work done, and nothing else."
else
    echo "$wrong verdicts are wrong. What the agent said:"
    cat "$demo/said" "$demo/notes"
    exit 1
fi
