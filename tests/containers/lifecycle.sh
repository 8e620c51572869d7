# shellcheck shell=bash
# How a session ends, and what is left when it is made to. Sourced; needs
# lib.sh. The container's own first process is a shell that only reaps, so
# that everything else that still runs is something that stayed behind.

# lifecycle FLAG…
lifecycle() {
    local box code
    box=$(docker run -d --network none --entrypoint /bin/sh "$@" strongroom-test:tiny \
        -c 'trap "exit 0" TERM; while :; do sleep 0.2; done') || { fail "the container starts"; return; }

    docker exec "$box" strongroom run -- sh -c 'strongroom exec -- true; exit 5' >/dev/null 2>&1
    equal "the agent's status is strongroom's" 5 $?
    equal "nothing runs after the end" "" "$(left "$box")"

    # Exit and last word of the agent come in any order.
    equal "twenty ends, the agent's status each time" "20 5" "$(ends "$box")"

    killed "$box" strongroom-supervisor 137
    killed "$box" strongroom-broker 70
    killed "$box" strongroom-recorder 70

    docker exec "$box" strongroom run -- strongroom exec -- true >/dev/null 2>&1
    code=$?
    equal "it starts again after all that" 0 "$code"
    equal "nothing runs after the end" "" "$(left "$box")"
    discard "$box"
}

ends() { for _ in $(seq 20); do docker exec "$1" strongroom run -q -- sh -c 'exit 5' >/dev/null 2>&1; echo $?; done | sort | uniq -c | awk '{ print $1, $2 }'; }

# Everything but the container's own shell, its sleep, and what asks.
left() { processes "$1" | grep -v -E 'trap "exit 0"|^[0-9]+ +sleep 0\.2$' || true; }
none_left() { [ -z "$(left "$1")" ]; }

# killed BOX PROGRAM STATUS: kill -9 from the host, amid work.
killed() {
    local box=$1 program=$2 want=$3 session
    docker exec "$box" strongroom run -- sh -c '
        strongroom exec -- sh -c "setsid sleep 4721 & trap \"\" TERM; sleep 4722; sleep 4723" &
        setsid sleep 4724 &
        sleep 4725' >/dev/null 2>&1 &
    session=$!
    if ! until_true 10 busy "$box"; then
        fail "kill -9 of $program: the session gets to work" "$(processes "$box")"
    else
        # shellcheck disable=SC2046 # pids
        kill -9 $(pids "$box" "$program")
        until_true 1 none_left "$box"
        equal "kill -9 of $program: nothing runs a second later" "" "$(left "$box")"
    fi
    wait "$session"
    equal "kill -9 of $program: exit status" "$want" $?
    # Do not let one failure spoil the next check.
    left "$box" | awk '{ print $1 }' | xargs -r kill -9 2>/dev/null
    until_true 2 none_left "$box" || true
}

busy() { local all; all=$(processes "$1"); has "$all" "sleep 4721" && has "$all" "sleep 4722" && has "$all" "sleep 4725"; }

# stubborn FLAG…: an agent, and a command, that do not end when asked.
stubborn() {
    local box began took
    box=$(docker run -d --network none "$@" strongroom-test:tiny sh -c '
        trap "" TERM
        strongroom exec -- sh -c "trap \"\" TERM; echo up; while :; do sleep 1; done"') ||
        { fail "the container starts"; return; }
    until_true 10 up "$box" || fail "the session gets to work" "$(docker logs "$box" 2>&1)"
    began=$(now_ms)
    docker stop -t 10 "$box" >/dev/null
    took=$(($(now_ms) - began))
    equal "docker stop, deaf agent: status of SIGTERM" 143 "$(exit_code "$box")"
    check "docker stop, deaf agent: ended by strongroom after its grace, not by docker" "$took ms" \
        test "$took" -gt 4000 -a "$took" -lt 9000
    discard "$box"
}
up() { docker logs "$1" 2>/dev/null | grep -q '^up'; }
