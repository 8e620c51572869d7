# shellcheck shell=sh disable=SC2016 # what the command expands is quoted
# Everyday work of an agent, each piece a command of its own in its own jail.
# NAME|STATUS|OUTPUT a line, like agent.sh; every status must be 0.

probe() {
    probe_name=$1
    shift
    probe_out=$("$@" 2>&1 </dev/null)
    printf '%s|%s|%s\n' "$probe_name" $? "$(printf %s "$probe_out" | tail -n 3 | tr '\n' ' ')"
}
run() { probe_as=$1; shift; probe "$probe_as" strongroom exec -- "$@"; }

run git-init git init -q project
run git-commit sh -ec 'cd project
    git config user.name A; git config user.email a@example.org
    echo one >file; git add file; git commit -qm one; git log --oneline | grep -q one'
run git-clone sh -ec 'git clone -q project copy; cd copy; git checkout -qb work
    echo two >>file; git -c user.name=A -c user.email=a@example.org commit -qam two
    git push -q origin work; git -C ../project branch | grep -q work'
run gcc sh -ec 'cat >hello.c <<EOF
#include <pthread.h>
#include <stdio.h>
static void *say(void *what) { puts(what); return 0; }
int main(void) { pthread_t t; pthread_create(&t, 0, say, "hello"); return pthread_join(t, 0); }
EOF
    gcc -O2 -pthread -o hello hello.c; test "$(./hello)" = hello'
run python sh -ec 'cat >work.py <<EOF
import asyncio, multiprocessing, sqlite3, subprocess, tempfile

def square(n):
    return n * n

async def main():
    child = await asyncio.create_subprocess_exec("echo", "child", stdout=subprocess.PIPE)
    out, _ = await child.communicate()
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(20)))
    return out

if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool:
        assert sum(pool.map(square, range(100))) == 328350
    assert asyncio.run(main()) == b"child\n"
    with sqlite3.connect("data.db") as db:
        db.execute("pragma journal_mode=wal")
        db.execute("create table t(n)")
        db.executemany("insert into t values(?)", ((n,) for n in range(1000)))
        assert db.execute("select sum(n) from t").fetchone() == (499500,)
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"x")
    print("fine")
EOF
    test "$(python3 work.py)" = fine'
run tools sh -ec 'mkdir -p tree/a/b; for i in 1 2 3; do echo "line $i" >tree/a/b/$i; done
    tar -cf tree.tar tree; mkdir out; tar -C out -xf tree.tar; diff -r tree out/tree
    test "$(find out -type f | sort | xargs cat | awk "{ n += \$2 } END { print n }")" = 6
    sed -i s/line/row/ out/tree/a/b/1; grep -rl row out | grep -q 1
    chmod 600 tree.tar; touch -d 2020-01-01 tree.tar; cp -a tree.tar copy.tar; ln -s copy.tar link; rm link
    mv copy.tar moved.tar; sort </etc/hostname | gzip | gunzip | cmp - /etc/hostname
    df . >/dev/null; date >/dev/null; seq 1000 | xargs -n 100 echo | wc -l | grep -qx 10'
