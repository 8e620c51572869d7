//! The real broker, locked down as it is in a session: everything it does must
//! be on its list of system calls, or the kernel ends it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use strongroom_protocol::channel::a::Outcome;
use strongroom_protocol::channel::o::{Order, Reply};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s;
use strongroom_protocol::fds;
use strongroom_protocol::plan::Plan;
use strongroom_protocol::types::ReqId;
use strongroom_sys::fd;
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

fn start(plan: &Plan) -> (Rc<World>, Child) {
    let (mut world, channels) = World::new();
    let own = world.folder.path().join("broker");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
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

// One test: descriptors are inheritable for a moment, and another test's
// child must not get them.
#[test]
fn all_it_does_is_on_its_list() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut plan = plan();
        plan.landlock_abi = landlock_abi();
        let (world, mut child) = start(&plan);

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
        let (world, mut child) = start(&plan);
        let _agent = world.agent().await;
        a_third_uid_is_not_let_in(&world).await;
        world.supervisor.close();
        assert_eq!(ended(&mut child).await.code(), Some(70));
    });

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
        ]);
        let stage = strongroom_protocol::stage::Stage::Landlock;
        assert_eq!(ended(&mut child).await.code(), Some(stage.exit_code()));
    });
    runtime.shutdown_timeout(Duration::ZERO);
}
