//! Real work in each tier: what an agent is for. A jail that breaks it is
//! switched off.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_tests::{Session, Setup, limit, places};

/// Skips loudly when a program is missing. It must be one that any user can
/// run: what lies in a private home is no program of the system.
fn lacks(program: &str) -> bool {
    let missing = !Path::new(program).exists();
    if missing {
        limit::skip(&format!("{program} is not installed"));
    }
    missing
}

/// A script that stops at the first failure, with its lines shown.
#[track_caller]
fn works(session: &Session, script: &str) -> String {
    let ran = session.exec(&["bash", "-c", &format!("set -euo pipefail\n{script}")]);
    ran.ok().text()
}

places! {
    /// A compiler, and what it has compiled.
    all within 30 fn gcc(place) {
        if lacks("/usr/bin/gcc") {
            return;
        }
        let session = Session::new(place);
        session.put("main.c", "#include <pthread.h>\n#include <stdio.h>\nstatic void *f(void *a) { *(int *)a += 1; return 0; }\nint main(void) { int n[8] = {0}, sum = 0; pthread_t t[8]; for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, f, &n[i]); for (int i = 0; i < 8; i++) { pthread_join(t[i], 0); sum += n[i]; } printf(\"%d\\n\", sum); }\n");
        assert_eq!(
            works(
                &session,
                "gcc -O2 -pthread -pipe -o main main.c && ./main && gcc -c main.c && ar rcs lib.a main.o && nm lib.a >/dev/null"
            ),
            "8"
        );
    }

    /// Processes, an event loop, a database with a write-ahead log, sockets.
    all within 30 fn python(place) {
        if lacks("/usr/bin/python3") {
            return;
        }
        let session = Session::new(place);
        session.put("work.py", r#"
import asyncio, multiprocessing, os, sqlite3, subprocess, tempfile, threading, concurrent.futures as cf, mmap, shutil
from multiprocessing import shared_memory
def square(n): return n * n
async def main():
    p = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate()
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(50)])
    return out.decode().strip()
if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(100))))
    with cf.ProcessPoolExecutor(2) as ex:
        print(sum(ex.map(square, range(10))))
    print(asyncio.run(main()))
    db = sqlite3.connect("test.db")
    print(db.execute("pragma journal_mode=wal").fetchone()[0])
    db.execute("create table t(a)"); db.executemany("insert into t values (?)", [(i,) for i in range(1000)]); db.commit()
    print(db.execute("select sum(a) from t").fetchone()[0])
    shm = shared_memory.SharedMemory(create=True, size=4096); shm.buf[0] = 7; shm.close(); shm.unlink()
    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "x"), "w").write("y"); shutil.copy2(os.path.join(d, "x"), "copied"); shutil.copystat(os.path.join(d, "x"), "copied")
    print(subprocess.run(["sh", "-c", "exit 3"]).returncode)
"#);
        assert_eq!(works(&session, "/usr/bin/python3 work.py"), "328350\n285\nchild\nwal\n499500\n3");
        assert_eq!(works(&session, "/usr/bin/python3 -m venv --without-pip v && v/bin/python -c 'print(1+1)'"), "2");
    }

    /// Workers, child processes, file watching, streams.
    all within 30 fn node(place) {
        if lacks("/usr/bin/node") {
            return;
        }
        let session = Session::new(place);
        session.put(
            "work.js",
            r#"
const { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.postMessage(40 + 2); } else {
  const cp = require('child_process'), fs = require('fs'), os = require('os'), zlib = require('zlib');
  new Worker(__filename).on('message', async m => {
    console.log(m);
    console.log(cp.execFileSync('echo', ['child']).toString().trim());
    const f = cp.fork('./child.js'); f.on('message', x => { console.log(x); });
    await new Promise(r => f.on('exit', r));
    const w = fs.watch('.', () => { w.close(); console.log('watched'); });
    setTimeout(() => fs.writeFileSync('seen', 'x'), 20);
    console.log(zlib.gunzipSync(zlib.gzipSync('zip')).toString(), os.cpus().length > 0, typeof os.networkInterfaces());
  });
}
"#,
        );
        session.put("child.js", "process.send('forked'); process.disconnect();");
        let text = works(&session, "node work.js");
        for word in ["42", "child", "forked", "zip true object"] {
            assert!(text.contains(word), "{text}");
        }
    }

    /// A server and its client in one command, over a loopback of its own.
    private within 30 fn node_loopback(place) {
        if lacks("/usr/bin/node") {
            return;
        }
        let session = Setup::new(place)
            .policy("version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nnetwork = \"loopback\"\n")
            .start();
        let script = "const n=require('net');const s=n.createServer(c=>c.end('over tcp')).listen(0,'127.0.0.1',()=>n.connect(s.address().port,'127.0.0.1').on('data',d=>{console.log(d.toString());s.close()}))";
        assert_eq!(session.exec(&["node", "-e", script]).ok().text(), "over tcp");
        let script = "const h=require('http');const s=h.createServer((q,r)=>r.end('over http')).listen(0,'127.0.0.1',()=>h.get({port:s.address().port,host:'127.0.0.1'},r=>r.on('data',d=>{console.log(d.toString());s.close()})))";
        assert_eq!(session.exec(&["node", "-e", script]).ok().text(), "over http");
    }

    /// Compile and run, threads and processes.
    all within 60 fn java(place) {
        if lacks("/usr/bin/java") {
            return;
        }
        let session = Session::new(place);
        session.put("Work.java", r#"
import java.util.concurrent.*; import java.nio.file.*;
public class Work { public static void main(String[] a) throws Exception {
  ExecutorService e = Executors.newFixedThreadPool(4); Future<Integer> f = e.submit(() -> 6 * 7); System.out.println(f.get()); e.shutdown();
  Process p = new ProcessBuilder("echo", "child").start(); System.out.println(new String(p.getInputStream().readAllBytes()).trim()); p.waitFor();
  Path t = Files.createTempFile("x", "y"); Files.writeString(t, "z"); System.out.println(Files.readString(t)); Files.delete(t);
  byte[][] b = new byte[64][]; for (int i = 0; i < 64; i++) b[i] = new byte[1 << 20]; System.gc(); System.out.println(b.length);
} }
"#);
        // Java knows no TMPDIR: where /tmp is not the command's own, it is told.
        let tmp = if place.private() { "" } else { "-Djava.io.tmpdir=$TMPDIR" };
        let script = format!("javac -J-Xmx256m Work.java && java -Xmx256m {tmp} Work");
        assert_eq!(works(&session, &script), "42\nchild\nz\n64");
    }

    /// From init to gc, clones and rebases included.
    all within 40 fn git(place) {
        let Some(git) = ["/usr/bin/git", "/usr/local/bin/git"].into_iter().find(|g| Path::new(g).exists()) else {
            return limit::skip("git is not installed");
        };
        let session = Session::new(place);
        let text = works(
            &session,
            &format!(
                r#"
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git() {{ {git} -c init.defaultBranch=main "$@"; }}
git init -q repo; cd repo
for i in 1 2 3; do echo $i >f$i; git add -A; git commit -qm "c$i"; done
git checkout -qb side HEAD~1; echo s >side; git add side; git commit -qm side
git rebase -q main; git checkout -q main; git merge -q --no-ff -m m side
git stash -q 2>/dev/null || true; echo w >>f1; git stash -q; git stash pop -q; git diff --stat | tail -1
git worktree add -q ../wt; git gc -q; git fsck 2>/dev/null; cd ..; git clone -q repo copy; cd copy; git log --oneline | wc -l
"#
            ),
        );
        assert!(text.ends_with('5'), "{text}");
    }

    /// Packing and installing what is there already.
    all within 60 fn npm(place) {
        if lacks("/usr/bin/npm") {
            return;
        }
        let session = Session::new(place);
        session.put("lib/package.json", r#"{"name":"lib","version":"1.0.0","main":"index.js"}"#);
        session.put("lib/index.js", "module.exports = () => 'from lib';");
        session.put(
            "app/package.json",
            r#"{"name":"app","version":"1.0.0","scripts":{"test":"node -e \"console.log(require('lib')())\""}}"#,
        );
        let text = works(
            &session,
            "(cd lib && npm pack --silent) && cd app && npm install --silent --offline --no-audit --no-fund ../lib/lib-1.0.0.tgz && npm test --silent",
        );
        assert!(text.ends_with("from lib"), "{text}");
    }

    /// Build and test of a crate, with a toolchain the policy grants.
    all within 60 fn cargo(place) {
        let Some(toolchain) = toolchain() else {
            return limit::skip("there is no Rust toolchain that can be linked to where others reach it");
        };
        let path = toolchain.path().join("rust");
        let session = Setup::new(place)
            .policy(&format!(
                r#"
version = 1
extends = ["builtin:base"]
[profile.worker]
read = ["@system", "@workspace", "{0}"]
env = {{ set = {{ PATH = "{0}/bin:/usr/bin:/bin" }} }}
"#,
                path.display()
            ))
            .start();
        session.put("crate/Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
        session
            .put("crate/src/lib.rs", "pub fn answer() -> u32 { 42 }\n#[test] fn it() { assert_eq!(answer(), 42); }\n");
        session.put("crate/src/main.rs", "fn main() { println!(\"{}\", x::answer()); }\n");
        let text = works(
            &session,
            "cd crate && cargo run -q --offline && cargo test -q --offline --lib 2>&1 | grep -c '1 passed'",
        );
        assert_eq!(text, "42\n1");
    }

    /// The shell's own tools, over a tree of some size.
    all within 30 fn shell_tools(place) {
        let session = Session::new(place);
        let text = works(
            &session,
            r#"
mkdir -p tree/{a,b,c}/{1..5}; for f in tree/*/*; do for i in $(seq 8); do echo "line $i of $f" >$f/$i.txt; done; done
tar czf t.tgz tree; mkdir out; tar xzpf t.tgz -C out; diff -r tree out/tree
find tree -name '*.txt' | xargs grep -l 'line 3' | wc -l
find tree -type f -exec sed -i 's/line/LINE/' {} +; grep -rh LINE tree | sort -u | awk '{ s += $2 } END { print s }'
cp -a tree copy; mv copy moved; chmod -R go-rwx moved; touch -r t.tgz moved/a; rm -rf moved out
printf 'b\na\n' | sort | tr a-z A-Z | paste -sd,; seq 5 | tac | head -2 | xargs; stat -c %A t.tgz; ln -s t.tgz l; readlink l; du -s tree >/dev/null; df . >/dev/null
dd if=/dev/urandom bs=64k count=16 2>/dev/null | sha256sum | wc -c; mkfifo p; (echo through >p &); cat p; date +%Y >/dev/null; timeout 1 sleep 0.01; env | wc -l >/dev/null; [ -t 1 ] || echo pipe
"#,
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["15", "540", "A,B", "5 4", "-rw-r--r--", "t.tgz", "68", "through", "pipe"], "{text}");
    }
}

/// A toolchain where the sandbox user can reach it: hard links to the one
/// that runs these tests, whose home may be private.
fn toolchain() -> Option<tempfile::TempDir> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let folder = tempfile::Builder::new().prefix("srt-rust-").tempdir().ok()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .ok()?;
    let host = "x86_64-unknown-linux-gnu";
    let script = format!(
        "umask 022; mkdir -p rust/bin rust/lib/rustlib && cd rust && c() {{ cp -al \"$@\" 2>/dev/null || cp -a \"$@\"; }} && \
         c {0}/bin/cargo {0}/bin/rustc bin/ && c {0}/lib/*.so* lib/ && c {0}/lib/rustlib/{host} lib/rustlib/",
        sysroot.display()
    );
    let done = Command::new("sh").arg("-c").arg(script).current_dir(folder.path()).status().ok()?;
    done.success().then_some(folder)
}
