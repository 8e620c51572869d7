//! The real broker, locked down as it is in a session: everything it does must
//! be on its list of system calls, or the kernel ends it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use strongroom_broker::petition;
use strongroom_protocol::channel::a::{Answer, Outcome};
use strongroom_protocol::channel::o::{Order, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s;
use strongroom_protocol::codes::Code;
use strongroom_protocol::fds;
use strongroom_protocol::intake::{Found, Intake, Key};
use strongroom_protocol::plan::Plan;
use strongroom_protocol::types::{ReqId, SecretBytes, SecretValue};
use strongroom_sys::fd;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::Folder;
use strongroom_vault::{Cost, Label, NewSlot, Unlock, Vault};
use tokio::task::LocalSet;

/// Starts the broker with these descriptors, an empty environment, and its
/// name as only argument.
fn spawn(descriptors: &[(OwnedFd, i32)]) -> Child {
    // A shell that has them at high numbers puts them where they belong.
    let high: Vec<(OwnedFd, i32)> = descriptors
        .iter()
        .map(|(from, to)| {
            let copy = fd::duplicate_above(from.as_fd(), 100).unwrap();
            fd::place(copy.as_fd(), copy.as_raw_fd()).unwrap();
            (copy, *to)
        })
        .collect();
    let mut script = String::new();
    for (from, to) in &high {
        script += &format!("exec {to}<&{0} {0}<&-; ", from.as_raw_fd());
    }
    script += "exec -a strongroom-broker \"$0\"";
    Command::new("bash")
        .args(["--norc", "-c", &script, env!("CARGO_BIN_EXE_strongroom-broker")])
        .env_clear()
        .spawn()
        .unwrap()
}

async fn ended(child: &mut Child) -> std::process::ExitStatus {
    for _ in 0..2000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    panic!("the broker does not end");
}

/// How many descriptors it has open; 0 where that cannot be seen.
fn descriptors(child: &Child) -> usize {
    fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count)
}

fn landlock_abi() -> u8 {
    // Tried, not asked: the highest ABI whose rights this kernel takes.
    (1..=9)
        .rev()
        .find(|abi| strongroom_jail::domain::Domain::new(*abi, false).is_ok())
        .expect("these tests need Landlock")
}

/// What the start hands over.
fn memfd(intake: &Intake) -> OwnedFd {
    let flags = nix::sys::memfd::MFdFlags::empty();
    let memfd = nix::sys::memfd::memfd_create(c"intake", flags).unwrap();
    nix::unistd::write(&memfd, &intake.encode().unwrap()).unwrap();
    memfd
}

/// A vault with this slot in the broker's folder.
fn make_vault(own: &Path, key: &Unlock, cost: Cost) {
    let arena = Arena::new(1024 * 1024).unwrap();
    let folder = fs::File::open(own).unwrap();
    let disk = Box::new(Folder::open(folder.as_fd()).unwrap());
    let slot = NewSlot { label: Label::new("test").unwrap(), unlock: key, cost };
    Vault::create(disk, &arena, &slot).unwrap();
}

fn start(plan: &Plan, intake: &Intake, prepare: impl FnOnce(&Path)) -> (Rc<World>, Child) {
    let (mut world, channels) = World::new();
    let own = world.folder.path().join("broker");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    prepare(&own);
    let folder = fd::anchor(&std::ffi::CString::new(own.to_str().unwrap()).unwrap()).unwrap();
    let plan = fd::sealed(c"plan", &plan.encode().unwrap()).unwrap();
    let child = spawn(&[
        (plan, fds::PLAN),
        (channels.supervisor, fds::CONTROL),
        (channels.recorder, fds::RECORD),
        (channels.agents, fds::AGENT_LISTENER),
        (channels.operators, fds::OPERATOR_LISTENER),
        (channels.agent, fds::AGENT_SOCKET),
        (folder, fds::FOLDER),
        (memfd(intake), fds::INTAKE),
    ]);
    let token = own.join("operator.token");
    for _ in 0..2000 {
        if token.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let stat = fs::metadata(&token).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.len()), (0o400, 32));
    world.token = fs::read(&token).unwrap().try_into().unwrap();
    (Rc::new(world), child)
}

/// Connects as a uid that is neither the sandbox's nor root.
async fn a_third_uid_is_not_let_in(world: &World) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become a third uid");
        return;
    }
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&world.agents, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "import os, socket, sys; os.setuid(54321); \
         s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); \
         sys.exit(len(s.recv(100)))";
    let agents = world.agents.clone();
    let status = tokio::task::spawn_blocking(move || {
        Command::new("python3").args(["-c", script]).arg(agents).status().unwrap()
    });
    // Closed without a word.
    assert_eq!(status.await.unwrap().code(), Some(0));
    world
        .recorded("it", |r| {
            matches!(
                r, Record::Violation { channel: b'A', rule } if *rule == named("wrong-peer")
            )
        })
        .await;
}

/// From the question to the run, with tokens from their files.
async fn with_approvers() {
    let mut plan = plan();
    plan.landlock_abi = landlock_abi();
    plan.approvals.approvers = ["operator", "alice", "bob"].map(named).into();
    plan.approvals.quorum = 2;
    plan.approvals.timeout_ms = 300;
    let (world, mut child) = start(&plan, &Intake::default(), |own| {
        let folder = own.join("approvers");
        fs::create_dir(&folder).unwrap();
        for old in ["alice.token", "mallory.token"] {
            fs::write(folder.join(old), [b'a'; 32]).unwrap();
        }
    });
    let folder = world.folder.path().join("broker/approvers");
    let files = || {
        let entries = fs::read_dir(&folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        files
    };
    world.until("the last token is there", |_| files().contains(&"bob.token".into())).await;
    assert_eq!(files(), ["alice.token", "bob.token"]);
    let mut approvers = vec![world.operator().await];
    for name in ["alice", "bob"] {
        let file = folder.join(format!("{name}.token"));
        let stat = fs::metadata(&file).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.len()), (0o400, 32));
        let token = fs::read(&file).unwrap().try_into().unwrap();
        approvers.push(world.bearer(token, name).await);
    }
    let agent = world.agent().await;
    agent.send(&exec(1, &["echo", "ask"]), &[]).await.unwrap();
    let (waiting, _) = answer(&agent).await;
    let Answer::Waiting { approval: id, .. } = waiting else { panic!("{waiting:?}") };
    for (votes, approver) in [(1, &approvers[1]), (2, &approvers[0])] {
        let news = order(approver, &Order::Await { seen: 0 }).await;
        assert!(matches!(news, Reply::News { .. }));
        let Reply::Shown { bytes, last: true } =
            order(approver, &Order::Show { id, from: 0 }).await
        else {
            panic!()
        };
        let digest = petition::digest(bytes.as_bytes());
        let decide = Order::Decide { id, digest, verdict: Verdict::Approve, reason: None };
        let decided = Reply::Decided { votes, quorum: 2, settled: votes == 2 };
        assert_eq!(order(approver, &decide).await, decided);
    }
    let (started, _fds) = answer(&agent).await;
    let Answer::Started { id, .. } = started else { panic!("{started:?}") };
    assert_eq!(exited(&agent, id).await.outcome, Outcome::Exited(0));
    // And one that nobody answers.
    ask(&agent, &exec(2, &["echo", "ask"])).await;
    let late = Answer::Refused { tag: 2, denial: Code::ApprovalTimedOut.into() };
    assert_eq!(answer(&agent).await.0, late);
    world.supervisor.close();
    assert_eq!(ended(&mut child).await.code(), Some(70));
}

/// Everything that is done with credentials, with a vault file in use.
async fn with_a_vault(passphrase: bool) {
    const SECRET: &[u8] = b"material material material mater";
    let mut plan = plan();
    plan.landlock_abi = landlock_abi();
    plan.rules.iter_mut().for_each(|r| {
        if r.name == named("any") {
            r.credentials = vec![credential("TOKEN")];
        }
    });
    let secret = SecretValue::new(SECRET.to_vec()).unwrap();
    let found = Found {
        name: credential("FOUND"),
        value: SecretValue::new(b"f0und-3hU7cKe92QsXd".to_vec()).unwrap(),
    };
    let key = if passphrase { Key::Passphrase(secret) } else { Key::File(secret) };
    let intake = Intake { key: Some(key), found: vec![found] };
    let (world, mut child) = start(&plan, &intake, |own| {
        let arena = Arena::new(4096).unwrap();
        let stored = arena.store(SECRET).unwrap();
        let key = if passphrase { Unlock::passphrase(stored) } else { Unlock::key(stored) };
        make_vault(own, &key.unwrap(), Cost::LEAST);
    });
    let (agent, operator) = (world.agent().await, world.operator().await);
    let value = b"t0ken-9fQ2x7LmZk31";
    for message in [
        Order::Put { name: credential("TOKEN"), size: value.len() as u32, force: false },
        Order::Value { bytes: SecretBytes::new(value.to_vec()).unwrap() },
    ] {
        operator.send(&message, &[]).await.unwrap();
    }
    let reply = order(&operator, &Order::Keep).await;
    assert_eq!(reply, Reply::Changed { version: 1, generation: 2, holders: 0 });
    let text = "f0und-3hU7cKe92QsXd t0ken-9fQ2x7LmZk31";
    let (_, stdout, _) = whole(&agent, &["echo", text]).await;
    assert_eq!(stdout, b"[REDACTED:FOUND] [REDACTED:TOKEN]");
    assert!(matches!(order(&operator, &Order::Status).await, Reply::Status { .. }));
    let credentials = order(&operator, &Order::Credentials { after: None }).await;
    assert!(matches!(&credentials, Reply::Credentials { list, .. } if list.as_slice().len() == 2));
    for (message, generation) in [
        (Order::Revoke { name: credential("TOKEN") }, 3),
        (Order::Delete { name: credential("TOKEN") }, 4),
    ] {
        let reply = order(&operator, &message).await;
        assert_eq!(reply, Reply::Changed { version: 0, generation, holders: 0 }, "{message:?}");
    }
    world.supervisor.close();
    assert_eq!(ended(&mut child).await.code(), Some(70));
}

// One test: descriptors are inheritable for a moment, and another test's
// child must not get them.
#[test]
fn all_it_does_is_on_its_list() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut plan = plan();
        plan.landlock_abi = landlock_abi();
        let (world, mut child) = start(&plan, &Intake::default(), |_| {});

        // Undumpable, so its /proc files belong to root.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"] {
            assert!(status.contains(line), "{line}: {status}");
        }

        let agent = world.agent().await;
        let before = descriptors(&child);
        for _ in 0..50 {
            let (report, stdout, _) = whole(&agent, &["echo", "hi"]).await;
            assert_eq!((report.outcome, stdout.as_slice()), (Outcome::Exited(0), b"hi".as_slice()));
        }
        world.until("no descriptor is left of them", |_| descriptors(&child) == before).await;
        let (report, stdout, _) = whole(&agent, &["flood", "2000000", "0"]).await;
        assert_eq!(
            (stdout.len(), report.stdout_bytes, report.output_cut),
            (1 << 20, 2_000_000, true)
        );
        let started = common::start(&agent, 7, &["hang"]).await;
        let operator = world.operator().await;
        assert!(matches!(order(&operator, &Order::Status).await, Reply::Status { .. }));
        assert_eq!(order(&operator, &Order::Kill { id: started.id }).await, Reply::Done);
        exited(&agent, started.id).await;
        let stranger = world.stranger();
        stranger.close();
        common::start(&agent, 8, &["hang"]).await;
        drop(agent);
        world
            .until("the vanished client's command is killed", |w| {
                w.commands.borrow().contains(&s::Command::Kill { req: ReqId(53) })
            })
            .await;
        assert_eq!(order(&operator, &Order::Shutdown).await, Reply::Done);
        world
            .until("nothing runs", |w| {
                w.records.borrow().iter().filter(|r| matches!(r, Record::Outcome { .. })).count()
                    == 53
            })
            .await;
        world.supervisor.close();
        assert_eq!(ended(&mut child).await.code(), Some(0));
    });

    LocalSet::new().block_on(&runtime, async {
        let mut plan = plan();
        plan.landlock_abi = landlock_abi();
        let (world, mut child) = start(&plan, &Intake::default(), |_| {});
        let _agent = world.agent().await;
        a_third_uid_is_not_let_in(&world).await;
        world.supervisor.close();
        assert_eq!(ended(&mut child).await.code(), Some(70));
    });

    LocalSet::new().block_on(&runtime, with_approvers());

    for passphrase in [false, true] {
        LocalSet::new().block_on(&runtime, with_a_vault(passphrase));
    }

    // A plan made on a kernel with more to offer than this one has.
    LocalSet::new().block_on(&runtime, async {
        let (_world, channels) = World::new();
        let mut plan = plan();
        plan.landlock_abi = 9;
        if landlock_abi() == 9 {
            return;
        }
        let folder = fd::anchor(c"/tmp").unwrap();
        let mut child = spawn(&[
            (fd::sealed(c"plan", &plan.encode().unwrap()).unwrap(), fds::PLAN),
            (channels.supervisor, fds::CONTROL),
            (channels.recorder, fds::RECORD),
            (channels.agents, fds::AGENT_LISTENER),
            (channels.operators, fds::OPERATOR_LISTENER),
            (channels.agent, fds::AGENT_SOCKET),
            (folder, fds::FOLDER),
            (memfd(&Intake::default()), fds::INTAKE),
        ]);
        let stage = strongroom_protocol::stage::Stage::Landlock;
        assert_eq!(ended(&mut child).await.code(), Some(stage.exit_code()));
    });
    runtime.shutdown_timeout(Duration::ZERO);
}
