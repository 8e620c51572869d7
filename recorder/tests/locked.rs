//! The real recorder, locked down as it is in a session.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use common::*;
use strongroom_audit::folder::{first_key, key_file, segments};
use strongroom_audit::note::witnessed;
use strongroom_audit::verify::{Evidence, Report, verify};
use strongroom_protocol::channel::r::{Account, Ack, Record};
use strongroom_protocol::fds;
use strongroom_protocol::plan::*;
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::*;
use strongroom_sys::{fd, packet};

fn landlock_abi() -> u8 {
    (1..=9)
        .rev()
        .find(|abi| strongroom_jail::domain::Domain::new(*abi, false).is_ok())
        .expect("these tests need Landlock")
}

fn plan() -> Vec<u8> {
    let path = |text: &str| PathBytes::new(text).unwrap();
    let ids = Ids { uid: 1000, gid: 1000 };
    let limits = Limits {
        wall_ms: 0,
        cpu_ms: 0,
        memory: 0,
        processes: 0,
        open_files: 64,
        file_size: 0,
        output: 0,
        tmp: 0,
    };
    let profile = Profile {
        name: name("p"),
        paths: vec![],
        tmp: false,
        shm: false,
        leases: false,
        env: vec![],
        network: Network::None,
        limits,
        warm: 0,
    };
    Plan {
        version: VERSION,
        session: SESSION,
        policy_digest: [0; 32],
        tier: Tier::Container,
        namespaces: Namespaces::None,
        proc_view: ProcView::Shared,
        landlock_abi: landlock_abi(),
        sandbox: ids,
        broker: ids,
        recorder: ids,
        workspace: path("/w"),
        protect: vec![],
        state: path("/s"),
        programs: path("/p"),
        links: vec![],
        agent: Agent { argv: vec![arg("a")], cwd: path("/w"), profile: ProfileIx(0) },
        profiles: vec![profile],
        rules: vec![],
        credentials: vec![],
        leases: None,
        approvals: Approvals::default(),
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            masks: 0,
            grace_ms: 0,
        },
        errors: ErrorLevel::Minimal,
    }
    .encode()
    .unwrap()
}

struct Recorder {
    folder: tempfile::TempDir,
    witness: tempfile::NamedTempFile,
    child: Child,
    broker: OwnedFd,
    supervisor: OwnedFd,
}

/// Starts the recorder, after `before` in the shell that places its descriptors.
fn start(before: &str) -> Recorder {
    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
    let (broker, b) = packet::pair().unwrap();
    let (supervisor, s) = packet::pair().unwrap();
    let witness = tempfile::NamedTempFile::new().unwrap();
    let sink = witness.reopen().unwrap().into();
    let descriptors = [
        (fd::sealed(c"plan", &plan()).unwrap(), fds::PLAN),
        (b, fds::CONTROL),
        (s, fds::RECORD),
        (fd::anchor(&path).unwrap(), fds::FOLDER),
        (sink, fds::WITNESS),
    ]
    .map(|(from, to)| {
        let copy = fd::duplicate_above(from.as_fd(), 100).unwrap();
        fd::place(copy.as_fd(), copy.as_raw_fd()).unwrap();
        (copy, to)
    });
    let mut script = String::from(before);
    for (from, to) in &descriptors {
        script += &format!("exec {to}<&{0} {0}<&-; ", from.as_raw_fd());
    }
    script += "exec -a strongroom-recorder \"$0\"";
    let child = Command::new("bash")
        .args(["--norc", "-c", &script, env!("CARGO_BIN_EXE_strongroom-recorder")])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Recorder { folder, witness, child, broker, supervisor }
}

// One test: descriptors are inheritable for a moment, and another test's
// child must not get them.
#[test]
fn all_it_does_is_on_its_list() {
    ordinary();
    full_disk();
    two_recorders();
    a_full_file();
}

fn ordinary() {
    let recorder = start("");
    send(&recorder.supervisor, &began());
    kept(&recorder.supervisor, 1);
    let status = fs::read_to_string(format!("/proc/{}/status", recorder.child.id())).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    for req in 1..=300 {
        send(&recorder.broker, &intent(req, &[b"ls", b"\xff"]));
        kept(&recorder.broker, req);
    }
    let what = name("opened");
    send(&recorder.broker, &Record::Vault { what, vault: [5; 16], generation: 7 });
    kept(&recorder.broker, 301);
    let vaults = fs::read_to_string(recorder.folder.path().join("vaults")).unwrap();
    assert_eq!(vaults, format!("{} 7\n", "05".repeat(16)));
    // Past the time after which the disk is waited for.
    std::thread::sleep(std::time::Duration::from_millis(300));
    send(&recorder.supervisor, &Account::Ended { status: 0 });
    kept(&recorder.supervisor, 2);
    let Recorder { folder, witness, child, broker, supervisor } = recorder;
    drop((broker, supervisor));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
    let report = report(folder.path(), witness.path());
    assert!(report.findings.is_empty() && report.ended, "{:?}", report.findings);
    assert_eq!(report.witnessed, Some(report.records));
    assert_eq!(recorded(&folder.path().join("audit.jsonl")).len(), 303);
}

/// A file that may not grow over 8 KiB stands for a full disk.
fn full_disk() {
    let recorder = start("trap '' XFSZ; ulimit -f 8; ");
    let mut kept = 0;
    let refused = loop {
        send(&recorder.broker, &intent(kept + 1, &[b"ls"]));
        match ack(&recorder.broker) {
            Some(Ack::Kept { count }) => kept = count,
            Some(Ack::Refused { errno }) => break errno,
            None => panic!("no word"),
        }
    };
    assert_eq!(refused, strongroom_sys::Errno::EFBIG as i32);
    assert!(matches!(ack(&recorder.supervisor), Some(Ack::Refused { .. })));
    let Recorder { folder, child, .. } = recorder;
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    assert!(String::from_utf8(output.stderr).unwrap().contains("SR403"));
    // What was acknowledged is there, and nothing else.
    assert!(kept > 5);
    assert_eq!(recorded(&folder.path().join("audit.jsonl")).len() as u64, kept);
}

fn two_recorders() {
    let recorder = start("");
    send(&recorder.supervisor, &began());
    kept(&recorder.supervisor, 1);
    let path = std::ffi::CString::new(recorder.folder.path().to_str().unwrap()).unwrap();
    let anchor = fd::anchor(&path).unwrap();
    let second = strongroom_recorder::disk::Folder::open(anchor.as_fd(), None);
    assert_eq!(second.unwrap_err(), strongroom_recorder::disk::Unusable::Busy);
    let Recorder { mut child, broker, supervisor, .. } = recorder;
    drop((broker, supervisor));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What a verifier says of it, with all that there is to know.
fn report(folder: &std::path::Path, witness: &std::path::Path) -> Report {
    let evidence = Evidence {
        first_key: first_key(folder),
        witnessed: witnessed(&fs::read_to_string(witness).unwrap()),
        key_file: key_file(folder),
    };
    verify(&segments(folder).unwrap(), &evidence, 2).unwrap()
}

/// 64 MiB and more: the file is closed, another begun, the first compressed.
fn a_full_file() {
    let recorder = start("");
    let big = vec![0xff; 15_000];
    let argv: Vec<&[u8]> = vec![&big; 4];
    for req in 1..=230 {
        send(&recorder.broker, &intent(req, &argv));
        kept(&recorder.broker, req);
    }
    let packed = recorder.folder.path().join("audit-000001.jsonl.gz");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !packed.exists() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let Recorder { folder, witness, child, broker, supervisor } = recorder;
    drop((broker, supervisor));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
    let report = report(folder.path(), witness.path());
    assert!(report.findings.is_empty() && report.ended, "{:?}", report.findings);
    assert_eq!((report.segments, report.witnessed), (2, Some(report.records)));
    assert!(packed.exists() && fs::metadata(&packed).unwrap().len() < 8 << 20);
    // Anybody can read it.
    let zcat = Command::new("zcat").arg(&packed).stdout(Stdio::piped()).spawn().unwrap();
    let plain = zcat.wait_with_output().unwrap().stdout;
    assert!(plain.len() > 64 << 20 && plain.starts_with(b"{\"v\":1,\"seq\":1,"));
}
