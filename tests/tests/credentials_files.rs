//! Sealed files: the link in the workspace, what stands behind it and for whom
//! (attacks.md 2.6: K36, K37, K38, K40, K48; invariants I1, I3).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use strongroom_tests::secrets::hash;
use strongroom_tests::{Ran, Session, Values, eventually, places};

const TEMPLATE: &str = "URL=postgres://app:${credentials.FILE_KEY|url}@db/app\nMODE=fast\n";

/// What a granted command finds.
fn resolved(values: &Values) -> String {
    format!("URL=postgres://app:{}@db/app\nMODE=fast\n", values.of("FILE_KEY"))
}

/// A session with a sealed file `.env`.
fn sealed(place: strongroom_tests::Place) -> (Session, Values) {
    let (session, values) = Session::with_credentials(place);
    session.write(".env", "", TEMPLATE).ok();
    assert!(session.lease(".env").is_absolute());
    (session, values)
}

/// Every way to a file that we know, as a script: what it gets it prints, and
/// puts into the workspace, where it is not redacted.
fn tries(lease: &str) -> String {
    format!(
        "mkdir -p got; n=0
save() {{ n=$((n + 1)); \"$@\" >got/$n; cat got/$n; }}
save cat .env; save base64 .env; save od -c .env; save cp .env got/cp; save cp -L .env got/cpl; save cp -a .env got/cpa
save ln .env got/ln; save ln -L .env got/lnl; save ln -s ../.env got/lns; save cat got/ln got/lnl got/lns got/cpa
save tar c .env; save tar ch .env; save tar c -C / \"{lease}\"; save dd if=.env; save head -c 9 .env; save grep . .env; save sort .env
save cat \"{lease}\" /proc/self/root\"{lease}\" /proc/self/cwd/.env; save ls -laR \"$(dirname \"$(dirname '{lease}')\")\"
save cat /run/strongroom/leases/*/* /run/strongroom-leases-*/*/* /dev/shm/strongroom-leases-*/*/* /dev/strongroom-leases-*/*/* /proc/*/root/run/strongroom/leases/*/* /proc/*/cwd/.env
cat <.env >got/redirected; (exec 9<.env; cat <&9 >got/held)
mv .env moved && save cat moved; mv moved .env
git init -q repo 2>/dev/null; cp -P .env repo/.env; cd repo && git add -A && git show :.env && git cat-file -p :.env; cd ..
/usr/bin/python3 - <<'END'
import os, mmap
def reopen(fd): return open('/proc/self/fd/%d' % fd, 'rb').read()
ways = [lambda: open('.env', 'rb').read(), lambda: mmap.mmap(os.open('.env', os.O_RDONLY), 0, prot=mmap.PROT_READ).read(),
        lambda: reopen(os.open('.env', os.O_PATH)), lambda: reopen(os.open('{lease}', os.O_PATH)), lambda: os.sendfile(1, os.open('.env', os.O_RDONLY), 0, 999),
        lambda: open('.env', 'r+b').read(), lambda: os.copy_file_range(os.open('.env', os.O_RDONLY), os.open('got/range', os.O_CREAT | os.O_RDWR), 999)]
for number, way in enumerate(ways):
    try: open('got/p%d' % number, 'wb').write(way() or b'')
    except OSError as e: pass
END
echo tried"
    )
}

/// Nothing came of it, neither printed nor in the workspace.
#[track_caller]
fn nothing(session: &Session, values: &Values, ran: &Ran) {
    assert!(ran.text().ends_with("tried"), "{ran:?}");
    let said = &ran.everything();
    assert!(!said.contains("REDACTED") && !said.contains("MODE=fast"), "{said}");
    values.none_in(said);
    let seen = values.none_beneath(&session.ws);
    assert!(seen > 20, "{seen} files only");
    let copied = fs::read_dir(session.ws.join("got")).unwrap().filter_map(Result::ok);
    for entry in copied.filter(|e| e.file_type().unwrap().is_file()) {
        let text = fs::read(entry.path()).unwrap();
        assert!(!text.windows(9).any(|w| w == b"MODE=fast"), "{:?}", entry.path());
    }
    let _ = fs::remove_dir_all(session.ws.join("got"));
    let _ = fs::remove_dir_all(session.ws.join("repo"));
}

places! {
    /// A granted command reads it by any path, again, from the middle, and
    /// mapped; one that has less than all of its credentials does not.
    all fn granted_commands_read_it(place) {
        let (session, values) = sealed(place);
        let whole = hash(resolved(&values).as_bytes());
        let absolute = session.in_ws(".env");
        let told = session.reveal("file", &[".env", &absolute, "./../ws/.env"]);
        for file in [".env", &absolute, "./../ws/.env"] {
            for how in ["read", "seek", "map"] {
                assert_eq!(told[&format!("{file} {how}")], whole, "{file} {how}: {told:?}");
            }
        }
        assert!(!told.contains_key("FILE_KEY"), "{told:?}");
        session.write("two.json", "", "{\"a\": \"${credentials.FILE_KEY}\", \"b\": \"${credentials.OTHER_KEY}\"}").ok();
        let told = session.reveal("file", &["two.json", ".env"]);
        assert!(told["two.json read"].starts_with('-'), "{told:?}");
        assert_eq!(told[".env read"], whole);
        let both = format!("{{\"a\": \"{}\", \"b\": \"{}\"}}", values.of("FILE_KEY"), values.of("OTHER_KEY"));
        let told = session.reveal("files", &["two.json", ".env"]);
        assert_eq!((told["two.json map"].as_str(), told[".env read"].as_str()), (&*hash(both.as_bytes()), &*whole));
        // Seen by a program of the system, in pieces.
        let ran = session.exec(&["/usr/bin/python3", "-c", "import mmap, os\nf = open('.env', 'rb')\nf.seek(4)\na = f.read(8)\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\nprint(a, m[-5:], oct(os.stat('.env').st_mode), os.fstatvfs(f.fileno()).f_files >= 0)\ntry: open('.env', 'r+b')\nexcept OSError as e: print('not writable')\ntry: open('.env', 'wb')\nexcept OSError as e: print('not truncated')\n"]);
        assert_eq!(ran.ok().text(), "b'postgres' b'fast\\n' 0o100400 True\nnot writable\nnot truncated");
        values.none_beneath(&session.ws);
        session.end();
    }

    /// K36, K37: nobody else, whatever they try: while nobody holds it, and
    /// while a granted command does.
    all within 40 fn nobody_else_does(place) {
        let (session, values) = sealed(place);
        let lease = session.lease(".env").display().to_string();
        let script = tries(&lease);
        let reveal = session.setup().tool("reveal");
        for held in [false, true] {
            let job = held.then(|| {
                let job = session.spawn(&[], &[&reveal, "file+", "held", ".env"], b"");
                let told = session.revealed("held");
                assert_eq!(told[".env read"], hash(resolved(&values).as_bytes()));
                // Control: it is there now, for root and for nobody else.
                let there = session.leases(".env");
                assert!(there.iter().any(|p| fs::read_to_string(p).unwrap_or_default() == resolved(&values)), "{there:?}");
                job
            });
            let ran = session.sh(&script);
            nothing(&session, &values, &ran);
            let ran = session.agent(&script);
            nothing(&session, &values, &ran);
            // Of a rule with credentials, but not this one.
            let told = session.reveal("alpha", &[".env", &lease]);
            assert!(told[".env read"].starts_with('-') && told[&format!("{lease} read")].starts_with('-'), "{told:?}");
            assert!(session.ws.join(".env").is_symlink());
            if let Some(job) = job {
                fs::write(session.ws.join("held.go"), "").unwrap();
                session.wait(&job).ok();
            }
        }
        // Control: what may read it may copy it (K48), and then all see it.
        session.exec(&["/usr/bin/python3", "-c", "open('copy', 'w').write(open('.env').read())"]).ok();
        let ran = session.sh("base64 -w 0 copy; cat copy");
        assert!(ran.text().contains("[REDACTED:FILE_KEY]") && ran.text().contains("MODE=fast"), "{ran:?}");
        assert_eq!(values.beneath(&session.ws).1.len(), 1);
    }

    /// K37: what git records is the link.
    all fn git_records_a_link(place) {
        let (session, values) = sealed(place);
        let ran = session.sh("git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -q -m x && git ls-files -s .env && git show HEAD:.env && git archive HEAD | base64");
        assert!(ran.ok().text().starts_with("120000 "), "{ran:?}");
        assert!(ran.text().contains(&session.lease(".env").display().to_string()), "{ran:?}");
        // By a command that may read it, too.
        let ran = session.exec(&["/usr/bin/python3", "-c", "import subprocess\nopen('new', 'w').close()\nprint(subprocess.run('git add -A && git show :.env && git stash && git show stash@{0}:.env', shell=True, capture_output=True, text=True))"]);
        assert!(!ran.ok().text().contains("REDACTED") && !ran.text().contains("MODE=fast"), "{ran:?}");
        values.none_beneath(&session.ws);
    }

    /// K38: the agent reads back what it wrote, not what stands there.
    all fn the_logical_view(place) {
        let (session, values) = sealed(place);
        let ran = session.agent("strongroom read .env");
        assert_eq!(String::from_utf8_lossy(&ran.ok().stdout), TEMPLATE);
        session.write(".env", "", format!("A=1\n{TEMPLATE}")).ok();
        assert_eq!(session.agent("strongroom read .env | wc -c").text(), (TEMPLATE.len() + 4).to_string());
        assert_eq!(session.reveal("file", &[".env"])[".env read"], hash(format!("A=1\n{}", resolved(&values)).as_bytes()));
        // A plain one in its place, and back.
        session.write(".env", "", "MODE=none\n").ok();
        assert!(!session.ws.join(".env").is_symlink());
        assert_eq!(fs::read_to_string(session.ws.join(".env")).unwrap(), "MODE=none\n");
        assert_eq!(session.agent("strongroom read .env").exit, 77);
        session.write(".env", "", TEMPLATE).ok();
        assert!(session.ws.join(".env").is_symlink());
        for other in ["nonesuch", "/etc/passwd", "../outside/x", "."] {
            assert_eq!(session.agent(&format!("strongroom read {other}")).exit, 77, "{other}");
        }
    }

    /// Two commands at once: the first to end does not take it from the other.
    all within 20 fn two_at_once(place) {
        let (session, values) = sealed(place);
        let reveal = session.setup().tool("reveal");
        let jobs = ["one", "two"].map(|out| session.spawn(&[], &[&reveal, "file+", out, ".env"], b""));
        for out in ["one", "two"] {
            assert_eq!(session.revealed(out)[".env map"], hash(resolved(&values).as_bytes()), "{out}");
        }
        fs::write(session.ws.join("one.go"), "").unwrap();
        session.wait(&jobs[0]).ok();
        std::thread::sleep(Duration::from_millis(50));
        let there = session.leases(".env");
        assert!(there.iter().any(|p| fs::read_to_string(p).unwrap_or_default() == resolved(&values)), "{there:?}");
        assert_eq!(session.reveal("file", &[".env"])[".env read"], hash(resolved(&values).as_bytes()));
        fs::write(session.ws.join("two.go"), "").unwrap();
        session.wait(&jobs[1]).ok();
        assert!(eventually(Duration::from_millis(500), || session.leases(".env").is_empty()), "{:?}", session.leases(".env"));
    }

    /// K40: what its length tells, and to whom: in tiers where workers share a
    /// folder, whoever knows the name can ask, while it is there.
    all within 20 fn the_length(place) {
        let (session, values) = sealed(place);
        let ask = "import os\ntry: print(os.stat('.env').st_size)\nexcept OSError as e: print('none')\ntry: open('.env')\nexcept OSError as e: print('closed')";
        let look = || (session.exec(&["/usr/bin/python3", "-Ic", ask]).text(), session.agent(&format!("/usr/bin/python3 -Ic \"{ask}\"")).text());
        let none = "none\nclosed".to_owned();
        assert_eq!(look(), (none.clone(), none.clone()));
        let reveal = session.setup().tool("reveal");
        let job = session.spawn(&[], &[&reveal, "file+", "held", ".env"], b"");
        let _ = session.revealed("held");
        let length = format!("{}\nclosed", resolved(&values).len());
        let seen = if place.private() { none.clone() } else { length };
        assert_eq!(look(), (seen.clone(), seen));
        fs::write(session.ws.join("held.go"), "").unwrap();
        session.wait(&job).ok();
        assert!(eventually(Duration::from_millis(500), || look() == (none.clone(), none.clone())));
    }

    /// Nothing of it is left when the session is over, and the next session
    /// finds a link that leads nowhere.
    all within 20 fn over_with_the_session(place) {
        let (session, values) = sealed(place);
        let _ = session.reveal("file", &[".env"]);
        let lease = session.lease(".env");
        let folder = lease.parent().unwrap().parent().unwrap().to_owned();
        assert_eq!(folder.exists(), !place.private());
        let state = session.state.clone();
        let mut session = session;
        session.dismiss();
        assert_eq!(session.ends_within(Duration::from_secs(8)), 0);
        assert!(!lease.exists(), "{}", lease.display());
        let left = fs::read_dir(&folder).into_iter().flatten().count();
        assert_eq!(left, 0, "{}", folder.display());
        values.none_beneath(&state);
    }
}
