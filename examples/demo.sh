#!/bin/sh
# What Strongroom does, as a short story.
# usage: examples/demo.sh FOLDER-OF-PROGRAMS [FLAG OF strongroom run]...
#
# Starts a session with examples/agent.sh as its agent and judges from outside
# what came of it. Every verdict has a control: the same thing done without
# the jail, which must work, or there would be nothing to prevent.
# Needs git; works as root and as an ordinary user. Ends with 1 when any
# verdict is wrong.
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
"$strongroom" run --state "$state" --workspace "$work" "$@" -- sh agent.sh "$outside" "$port" "$mark" \
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
go work

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
    test "$(grep -c '"event":"intent"' "$state/log/audit.jsonl")" = "$records"
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
