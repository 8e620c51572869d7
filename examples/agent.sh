#!/bin/sh
# An agent as simple as can be. It does a piece of work through the broker,
# some of it with a token and a key that it does not have, then tries six
# things it must not get, and eight ways to the token and the key. It tells
# what it did on standard output, a line each; whether it is true is judged by
# demo.sh, from outside.
#
# usage: strongroom run -- sh agent.sh OUTSIDE PORT MARK TOOL
#   OUTSIDE  a folder outside the workspace that anyone may write
#   PORT     where a git server listens on loopback; "-" where there is none
#   MARK     a number no other process here sleeps for
#   TOOL     "openssl"; "-" where there is none
set -u
outside=$1 port=$2 mark=$3 tool=$4
state=${STRONGROOM_SOCKET%/run/agent.sock}

say() { printf '%s\n' "$*"; }

# Lets the judge look, and waits until it has.
look() {
    say "look $1"
    while [ ! -e "go-$1" ]; do sleep 0.1; done
}

# ---- work -------------------------------------------------------------------

mkdir upstream
cat >upstream/add.sh <<'END'
echo $(($1 + $2))
END
cat >upstream/add.c <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) { return argc != 3 || printf("%d\n", atoi(argv[1]) + atoi(argv[2])) < 0; }
END
cat >upstream/build.sh <<'END'
if cc -o add add.c 2>/dev/null; then echo "built with $(command -v cc)"; else cp add.sh add; chmod +x add; echo "no C compiler: took the script"; fi
END
cat >upstream/test.sh <<'END'
passed=0
for case in "1 1 2" "2 40 42" "0 7 7"; do
    set -- $case
    [ "$(./add "$1" "$2")" = "$3" ] && passed=$((passed + 1))
done
echo "$passed of 3 tests passed"
END
strongroom exec -- sh -c 'cd upstream && git init -q && git add . &&
    git -c user.name=agent -c user.email=agent@localhost commit -q -m "a program"' && say "did commit"
strongroom exec -- git clone -q upstream copy && say "did clone"
say "did $(strongroom exec --cwd copy -- sh build.sh)"
strongroom exec --cwd copy -- sh test.sh >result.txt
look work

# ---- work with a token and a key --------------------------------------------

# The token is in the environment of the one command that encrypts, the key
# behind the link that the one command that signs follows.
encrypt() { strongroom exec -- openssl enc -aes-256-cbc -pbkdf2 -pass env:DEPLOY_TOKEN -in result.txt -out result.enc; }
sign() { strongroom exec -- openssl dgst -sha256 -sign deploy.key -out result.sig result.txt; }
if [ "$tool" != - ]; then
    # shellcheck disable=SC2016 # the placeholder is for Strongroom
    printf '%s' '${credentials.SIGNING_KEY|raw}' | strongroom write deploy.key >/dev/null && say "did write"
    encrypt && say "did encrypt"
    sign && say "did sign"
    look secrets

    # Eight ways to what they were given. What comes of each is kept in got-N.
    got() { cat >"got-$1" 2>&1; say "tried $1"; }
    # 1. Ask for it.
    { printenv DEPLOY_TOKEN; strongroom exec -- printenv DEPLOY_TOKEN; strongroom exec --cred DEPLOY_TOKEN -- printenv DEPLOY_TOKEN; } 2>&1 | got 1
    # 2. Have a shell run the command, and more.
    strongroom exec -- sh -c 'openssl enc -aes-256-cbc -pbkdf2 -pass env:DEPLOY_TOKEN -in result.txt -out x; env' 2>&1 | got 2
    # 3. Put a program of the tool's name in its way.
    printf '#!/bin/sh\nenv >stolen; cat deploy.key >>stolen\n' >openssl
    chmod +x openssl
    { PATH=$PWD:$PATH encrypt; strongroom exec -- ./openssl enc; cat stolen; } 2>&1 | got 3
    rm -f openssl
    # 4. Read the file with the key.
    { cat deploy.key; strongroom exec -- sh -c 'cat deploy.key; base64 deploy.key; dd if=deploy.key'; } 2>&1 | got 4
    # 5. Copy it, link it, pack it, commit it.
    strongroom exec -- sh -c 'cp -L deploy.key k1; ln -L deploy.key k2; tar chf - deploy.key; cd copy && cp -P ../deploy.key . && git add -A && git show :deploy.key; cd .. && cat k1 k2' 2>&1 | got 5
    # 6. Use the tool, but for something else.
    { strongroom exec -- openssl pkey -in deploy.key; strongroom exec -- openssl enc -aes-256-cbc -pbkdf2 -P -pass env:DEPLOY_TOKEN; } </dev/null 2>&1 | got 6
    # 7. Look into a command that has them, while it runs.
    mkfifo slow
    { until [ -e over ]; do sleep 0.1; done >slow; } &
    strongroom exec -- openssl enc -aes-256-cbc -pbkdf2 -pass env:DEPLOY_TOKEN -in slow -out x &
    look holding
    for how in "" "strongroom exec --"; do
        # shellcheck disable=SC2016 # for the shell inside
        $how sh -c 'for p in /proc/[0-9]*; do cat $p/environ; grep -a "" $p/mem; done; cat "$(readlink deploy.key)"'
    done 2>/dev/null | got 7
    : >over
    wait
    # 8. Ask the broker, or say one is the operator.
    { strongroom credentials list; strongroom read deploy.key; strongroom credentials list --state "$state"
      echo 'a value of my own, 12345' | strongroom credentials put DEPLOY_TOKEN --state "$state"; cat "$state"/broker/*; } 2>&1 | got 8
    look tries
fi

# ---- what it must not get ---------------------------------------------------

# 1. The host's secrets: the password file, and a file anyone may read that
#    the policy does not name.
strongroom exec -- sh -c "cat /etc/shadow; cat '$outside/secret'" 2>&1
look files

# 2. What the broker and the recorder keep.
strongroom exec -- sh -c "cat '$state'/log/* '$state'/broker/*" 2>&1
cat "$state"/log/* "$state"/broker/* 2>&1
look state

# 3. A server on this machine. The agent itself has a network.
if [ "$port" != - ]; then
    git ls-remote "git://127.0.0.1:$port/served" >/dev/null 2>&1 && say "agent-reached-server"
    strongroom exec -- git ls-remote "git://127.0.0.1:$port/served" 2>&1 && say "command-reached-server"
fi
look network

# 4. The broker: end it, or read its environment and memory.
# shellcheck disable=SC2016
strongroom exec -- sh -c '
    for folder in /proc/[0-9]*; do
        read -r name <"$folder/comm" || continue
        case $name in strongroom-*) ;; *) continue ;; esac
        kill -9 "${folder#/proc/}" && echo "killed $name"
        for file in environ mem maps; do head -c 1 "$folder/$file" >/dev/null && echo "opened $file of $name"; done
    done
    kill -9 -1' 2>/dev/null
look broker

# 5. A place outside the workspace.
strongroom exec -- sh -c "echo x >'$outside/planted'; echo x >/tmp/planted-$mark; echo x >/etc/planted-$mark" 2>/dev/null
look outside

# 6. A process that stays when its command is over.
strongroom exec -- sleep "$mark" &
look running
strongroom exec -- sh -c "
    setsid sh -c \"trap '' TERM HUP INT; setsid sleep ${mark}1 & setsid sleep ${mark}2\" >/dev/null 2>&1 &
    sleep 0.3; echo started-daemons"
look daemons
say "end"
