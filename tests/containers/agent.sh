# shellcheck shell=sh disable=SC2016 # what the command expands is quoted
# The agent of the acceptance checks. It asks for commands and tells what came
# of each, a line each: NAME|STATUS|OUTPUT. Run as `sh -c` in the container,
# by whatever sh that has; what is right is decided outside (acceptance.sh).

# probe NAME COMMAND…
probe() {
    probe_name=$1
    shift
    probe_out=$("$@" 2>&1 </dev/null)
    printf '%s|%s|%s\n' "$probe_name" $? "$(printf %s "$probe_out" | tr '\n' ' ')"
}

# Ends with a status of its own, so that it shows whose status comes out.
trap 'exit 42' TERM
state=${STRONGROOM_SOCKET%/run/*}

probe agent-uid id -u
probe agent-env env
probe agent-state ls "$state/broker" "$state/log"
probe agent-operates strongroom status --state "$state"
probe uid strongroom exec -- id -u
probe id-json strongroom exec --json -- id -u
probe readable strongroom exec -- cat /etc/hostname
probe shadow strongroom exec -- cat /etc/shadow
probe shadow-json strongroom exec --json -- cat /etc/shadow
probe srv strongroom exec -- cat /srv/canary
probe root strongroom exec -- cat /root/canary
probe state strongroom exec -- ls "$state/broker" "$state/log"
probe env strongroom exec -- env
# Whose environments a command can read, its own aside.
probe environs strongroom exec -- sh -c '
    for p in /proc/[0-9]*; do tr "\0" "\n" <"$p/environ"; done 2>/dev/null | grep -c CANARY-TOKEN; true'
probe caps strongroom exec -- grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):' /proc/self/status

probe status strongroom exec -- sh -c 'exit 3'
probe not-found strongroom exec -- no-such-program
probe not-executable strongroom exec -- /etc/hostname
probe signalled strongroom exec -- sh -c 'kill -9 $$'
probe out-of-time strongroom exec --timeout 300ms -- sleep 20
probe denied strongroom exec --cwd /etc -- true
probe streams strongroom exec -- sh -c 'echo out; echo err >&2'
probe input sh -c 'echo in | strongroom exec -- cat'

probe write strongroom exec -- sh -c 'echo made >made-by-command && cat made-by-command'
probe write-seen cat "$STRONGROOM_WORKSPACE/made-by-command"
# Landlock has a right of its own for names that move between folders, and
# modes are changed by a deputy in the tiers without mounts.
probe moves strongroom exec -- sh -ec 'mkdir d; echo x >f; ln f d/linked; mv f d/moved; chmod 640 d/moved
    touch -d 2020-01-01 d/moved; test d/linked -ef d/moved; stat -c %a d/moved'
probe mode-outside strongroom exec -- chmod 777 "$state/home"
probe mode-kept stat -c %a "$state/home"
probe private strongroom exec -- sh -c 'echo x >"$TMPDIR/left" && cat "$TMPDIR/left"'
probe private-gone strongroom exec -- sh -c 'ls -A "$TMPDIR"; test ! -e "$TMPDIR/left"'
probe outside strongroom exec -- sh -c '
    for d in / /etc /usr/bin /srv /var /var/lib /root /home /dev /sys /proc /bin; do
        echo x >"$d/strongroom-was-here" && echo "WROTE $d"
    done 2>/dev/null; true'
probe unshare strongroom exec -- unshare -U true

# The agent has a network, a command has none.
nc -ll -p 7999 -e echo THE-AGENT >/dev/null 2>&1 &
sleep 0.3
probe agent-connects nc -w 2 127.0.0.1 7999
probe connects strongroom exec -- nc -w 2 127.0.0.1 7999

# Three ways to stay behind; docker top tells whether one works.
probe daemons strongroom exec -- sh -c '
    setsid sleep 4711 >/dev/null 2>&1 &
    setsid sh -c "trap \"\" TERM HUP; setsid sleep 4712 >/dev/null 2>&1 & sleep 4713 >/dev/null 2>&1" >/dev/null 2>&1 &
    sleep 0.3; echo started'
# And one that is running when the session is ended.
strongroom exec -- sleep 4714 >/dev/null 2>&1 &
sleep 0.5
echo 'ready|0|'
while :; do sleep 0.1; done
