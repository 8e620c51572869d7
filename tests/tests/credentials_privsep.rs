//! Which processes see a value pass (invariants I1, I2; attacks.md 2.6: K06,
//! K07, K11), by what the kernel shows root: their system calls, memory, cores.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_tests::limit::{self, skip};
use strongroom_tests::place::is_root;
use strongroom_tests::secrets::{hash, holds, policy};
use strongroom_tests::{Place, Session, Setup, Values, eventually, memory, places, processes};

/// Everything that brings bytes into a process.
const INTO: &str =
    "trace=read,pread64,readv,preadv,preadv2,recvfrom,recvmsg,recvmmsg,mmap,splice,copy_file_range";

const FLAGS: [&str; 4] = ["-s", "200000", "-e", INTO];

fn can_trace() -> bool {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !there || !is_root() {
        skip("it needs root and strace");
    }
    there && is_root()
}

/// A tracer that is attached to a process, until it is dropped.
struct Tracer(Child);

impl Tracer {
    fn of(pid: i32, out: &Path) -> Self {
        let child = Command::new("strace")
            .args(FLAGS)
            .arg("-o")
            .arg(out)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        limit::started(child.id());
        let traced = || {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|s| !s.contains("TracerPid:\t0"))
        };
        assert!(eventually(Duration::from_secs(3), traced), "strace does not attach");
        Self(child)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The traced bytes; strace writes letters, digits and signs as they are.
fn traced(out: &Path) -> Vec<u8> {
    fs::read(out).unwrap()
}

fn in_memory(pid: i32, value: &str) -> bool {
    memory::of(pid).any(|piece| holds(&piece, value.as_bytes()))
}

/// Supervisor, recorder, agent, zygotes: everything but broker and workers
/// that were granted something.
fn bystanders(session: &Session) -> Vec<processes::Process> {
    let mut all = processes::beneath(session.pid);
    all.retain(|p| !p.cmdline.starts_with("strongroom-broker") && !p.cmdline.contains("reveal"));
    all.extend(processes::look(session.pid));
    all
}

fn supervisor_sees_nothing(place: Place) {
    if !can_trace() {
        return;
    }
    let values = Values::new();
    let setup = Setup::new(place);
    let text = policy(&setup);
    let secrets = setup.path("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("alpha-token"), values.of("ALPHA_TOKEN")).unwrap();
    fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let out = setup.path("supervisor.trace");
    let words = [&["strace", "-D", "-o", out.to_str().unwrap()][..], &FLAGS].concat();
    let session = setup
        .again()
        .policy(&text)
        .args(["--credentials".as_ref(), secrets.as_os_str()])
        .env("BETA_TOKEN", values.of("BETA_TOKEN"))
        .under(words)
        .start();
    // What became the supervisor was traced from its first instruction.
    let broker = session.process("strongroom-broker").unwrap();
    let brokers = session.path("broker.trace");
    {
        let _tracer = Tracer::of(broker.pid, &brokers);
        for name in ["FILE_KEY", "PLAIN_KEY"] {
            session.enter(name, values.of(name));
        }
        session.write(".env", "", "K=${credentials.FILE_KEY}\n").ok();
        session.write("plain", "--plain", "K=${credentials.PLAIN_KEY}\n").ok();
    }
    let told = session.reveal("both", &[]);
    assert_eq!(told["ALPHA_TOKEN"], hash(values.of("ALPHA_TOKEN").as_bytes()));
    let told = session.reveal("mixed", &[".env"]);
    assert_eq!(told[".env read"], hash(format!("K={}\n", values.of("FILE_KEY")).as_bytes()));
    let printed =
        session.exec(&["/usr/bin/python3", "-c", "import os; print(os.environ['ALPHA_TOKEN'])"]);
    printed.exits(77);
    session.enter("OTHER_KEY", values.of("OTHER_KEY"));
    let printed =
        session.exec(&["/usr/bin/python3", "-c", "import os; print(os.environ['ALPHA_TOKEN'])"]);
    assert_eq!(printed.ok().text(), "[REDACTED:ALPHA_TOKEN]");
    assert!(session.operator(&["credentials", "revoke", "FILE_KEY"]).status.success());
    // Control: the same tracer sees them at the broker.
    let seen = traced(&brokers);
    for name in ["FILE_KEY", "PLAIN_KEY"] {
        assert!(holds(&seen, values.of(name).as_bytes()), "the control sees no {name}");
    }
    for process in bystanders(&session) {
        for (name, value) in values.all() {
            assert!(!in_memory(process.pid, value), "{name} is in the memory of {process:?}");
        }
    }
    let supervisor = traced(&out);
    assert!(holds(&supervisor, b"recvmsg("), "the trace is empty");
    for (name, value) in values.all() {
        assert!(!holds(&supervisor, value.as_bytes()), "the supervisor read {name}");
    }
    session.end();
}

#[test]
fn the_supervisor_sees_nothing_full() {
    limit::within(60, || supervisor_sees_nothing(Place::Full));
}

#[test]
fn the_supervisor_sees_nothing_container() {
    limit::within(60, || supervisor_sees_nothing(Place::Container));
}

places! {
    /// While commands hold values: in their memory, and in nobody else's.
    all within 30 fn in_memory_of_holders_only(place) {
        if !is_root() {
            return skip("it needs root");
        }
        let (session, values) = Session::with_credentials(place);
        session.write(".env", "", "K=${credentials.FILE_KEY}\n").ok();
        let reveal = session.setup().tool("reveal");
        let job = session.spawn(&[], &[&reveal, "mixed+", "held", ".env"], b"");
        let _ = session.revealed("held");
        let holder = session.until_runs("mixed+");
        // Control: there it is.
        assert!(in_memory(holder.pid, values.of("ALPHA_TOKEN")) && in_memory(holder.pid, values.of("FILE_KEY")));
        let all = bystanders(&session);
        for role in ["strongroom-worker", "strongroom-recorder"] {
            assert!(all.iter().any(|p| p.cmdline.starts_with(role)), "no {role}: {all:#?}");
        }
        for process in all {
            // The holder's worker was handed them, and is part of the grant.
            if processes::look(holder.pid).is_some_and(|h| h.parent == process.pid) {
                continue;
            }
            for (name, value) in values.all() {
                assert!(!in_memory(process.pid, value), "{name} is in the memory of {process:?}");
            }
        }
        fs::write(session.ws.join("held.go"), "").unwrap();
        session.wait(&job).ok();
    }

    /// K07: the broker leaves no core, whatever ends it.
    all within 30 fn no_core(place) {
        if !is_root() {
            return skip("it needs root");
        }
        for signal in [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGQUIT] {
            let (mut session, values) = Session::with_credentials(place);
            let _ = session.reveal("alpha", &[]);
            let broker = session.process("strongroom-broker").unwrap();
            let limits = fs::read_to_string(format!("/proc/{}/limits", broker.pid)).unwrap();
            let core: Vec<_> = limits.lines().find(|l| l.starts_with("Max core")).unwrap().split_whitespace().collect();
            assert_eq!(core[4..6], ["0", "0"], "{limits}");
            // Owned by root, whoever's process it is: it is not dumpable
            // (proc(5)).
            let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/environ", broker.pid)).unwrap());
            assert_eq!(owner, 0);
            let folder = fs::read_link(format!("/proc/{}/cwd", broker.pid)).unwrap();
            let cores = || -> Vec<_> {
                let all = [&folder, &session.ws, &session.state, Path::new("/")].map(|f| fs::read_dir(f).unwrap().filter_map(Result::ok));
                all.into_iter().flatten().map(|e| e.path()).filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("core"))).collect()
            };
            let before = cores();
            // Again: the first of some is taken by the runtime's own handler.
            let dies = || {
                let _ = kill(Pid::from_raw(broker.pid), signal);
                !processes::alive(&broker)
            };
            assert!(eventually(Duration::from_secs(3), dies));
            assert_eq!(cores(), before);
            assert_eq!(session.ends_within(Duration::from_secs(5)), 70);
            values.none_beneath(&session.state);
            values.none_in(&session.log());
        }
    }
}

/// Control of the one above: here a process that may leave a core does.
#[test]
fn a_core_can_be_seen() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with('|') || pattern.contains('/') {
        return skip("cores do not go to the working folder here");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -c unlimited && kill -SEGV $$";
    let status =
        Command::new("sh").args(["-c", script]).current_dir(folder.path()).status().unwrap();
    assert!(!status.success());
    let left = fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
    assert!(left.map(|e| e.file_name()).any(|n| n.to_string_lossy().starts_with("core")));
}
