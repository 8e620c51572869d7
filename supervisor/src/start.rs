//! From the plan to a running set of processes. What is privileged happens
//! here, and the privilege is given up at the end.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use caps::{CapSet, Capability};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use strongroom_jail::{At, Step, filter, paths, privileges};
use strongroom_protocol::codes::Code;
use strongroom_protocol::fds;
use strongroom_protocol::limits::MAX_PLAN;
use strongroom_protocol::plan::{Ids, Namespaces, Plan};
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::ProfileIx;
use strongroom_sys::process::{self, Forked};
use strongroom_sys::{Errno, fd, packet};

use crate::Fatal;
use crate::account::Recorder;
use crate::pool::Pool;
use crate::port::Port;
use crate::session::{Held, Session};

/// What a zygote needs to make namespaces by privilege: make and mount, bring
/// a loopback up, reach a workspace behind closed folders, and hand its
/// workers over to the sandbox user.
const ZYGOTE: [Capability; 7] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
];

/// A process of ours, started from a descriptor opened before anything
/// untrusted ran.
struct Program<'a> {
    image: BorrowedFd<'a>,
    argv: &'a [&'a CStr],
    ids: Ids,
    /// Keep root and its capabilities (a zygote that makes namespaces by
    /// privilege; its workers drop both).
    privileged: bool,
    /// What it is started with: descriptor, number.
    descriptors: &'a [(BorrowedFd<'a>, i32)],
}

/// Starts everything but the agent.
pub fn start() -> Result<Session, Fatal> {
    let failed = |what: &'static str| {
        move |errno: Errno| Fatal::new(Code::StartFailed, format!("{what}: {errno}"))
    };
    fd::fill_standard().map_err(failed("standard streams"))?;
    process::reset_signals();
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let plan_fd = fd::inherited(fds::PLAN).map_err(failed("the plan"))?;
    let lock = fd::inherited(fds::LOCK).map_err(failed("the lock"))?;
    // Only where the policy names one.
    let witness = fd::inherited(fds::HANDED_WITNESS).ok();
    fd::cloexec_from(fds::LOCK as u32 + 1).map_err(failed("descriptors"))?;
    let bytes = fd::read_sealed(plan_fd.as_fd(), MAX_PLAN).map_err(failed("the plan"))?;
    let plan = Plan::decode(&bytes)
        .map_err(|e| Fatal::new(Code::InstallBroken, format!("the plan: {e}")))?;
    let intake = fd::inherited(fds::SUPERVISOR_INTAKE).map_err(failed("what was taken in"))?;
    let shared = plan.leases.is_some() && plan.namespaces == Namespaces::None;
    let leases = shared
        .then(|| fd::inherited(fds::LEASES).map_err(failed("the folder of leases")))
        .transpose()?;

    process::no_new_privs().map_err(failed("no_new_privs"))?;
    process::set_dumpable(false).map_err(failed("not dumpable"))?;
    process::subreaper().map_err(failed("subreaper"))?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
        .map_err(failed("no core"))?;
    filter::install(strongroom_seccomp::never()).map_err(step_failed("the deny list"))?;

    let image = |name: &[u8]| {
        fd::anchor(&paths::c_string(&paths::join(plan.programs.as_bytes(), name))).map_err(|e| {
            Fatal::new(Code::InstallBroken, format!("{}: {e}", String::from_utf8_lossy(name)))
        })
    };
    let recorder_image = image(b"strongroom-recorder")?;
    let broker_image = image(b"strongroom-broker")?;
    let worker_image = image(b"strongroom-worker")?;

    let folder = |name: &[u8]| {
        let path = paths::c_string(&paths::join(plan.state.as_bytes(), name));
        nix::fcntl::open(
            &*path,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(|e| {
            Fatal::new(Code::StateUnusable, format!("{}: {e}", String::from_utf8_lossy(name)))
        })
    };
    let socket = |name: &[u8], owner: Ids| {
        listen(&paths::join(plan.state.as_bytes(), name), owner).map_err(|e| {
            Fatal::new(Code::StateUnusable, format!("{}: {e}", String::from_utf8_lossy(name)))
        })
    };
    let pair = || packet::pair().map_err(failed("socketpair"));

    // Recorder: before it there is no effect.
    let (record_broker, recorder_from_broker) = pair()?;
    let (record_own, recorder_from_us) = pair()?;
    let log = folder(b"log")?;
    let mut descriptors = vec![
        (plan_fd.as_fd(), fds::PLAN),
        (recorder_from_broker.as_fd(), fds::CONTROL),
        (recorder_from_us.as_fd(), fds::RECORD),
        (log.as_fd(), fds::FOLDER),
    ];
    descriptors.extend(witness.as_ref().map(|witness| (witness.as_fd(), fds::WITNESS)));
    let recorder = spawn(&Program {
        image: recorder_image.as_fd(),
        argv: &[c"strongroom-recorder"],
        ids: plan.recorder,
        privileged: false,
        descriptors: &descriptors,
    })?;
    drop((recorder_from_broker, recorder_from_us, log, witness));

    // Broker.
    let (supervisor_end, broker_end) = pair()?;
    let (agent_broker, agent_client) = pair()?;
    let agent_listener = socket(b"run/agent.sock", plan.sandbox)?;
    let own = Ids { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() };
    let operator_listener = socket(b"run/operator.sock", own)?;
    let vault = folder(b"broker")?;
    let broker = spawn(&Program {
        image: broker_image.as_fd(),
        argv: &[c"strongroom-broker"],
        ids: plan.broker,
        privileged: false,
        descriptors: &[
            (plan_fd.as_fd(), fds::PLAN),
            (broker_end.as_fd(), fds::CONTROL),
            (record_broker.as_fd(), fds::RECORD),
            (agent_listener.as_fd(), fds::AGENT_LISTENER),
            (operator_listener.as_fd(), fds::OPERATOR_LISTENER),
            (agent_broker.as_fd(), fds::AGENT_SOCKET),
            (vault.as_fd(), fds::FOLDER),
            (intake.as_fd(), fds::INTAKE),
        ],
    })?;
    // Unread, and no longer ours.
    drop(intake);
    drop((broker_end, record_broker, agent_listener, operator_listener, agent_broker, vault));

    // Zygotes.
    let mut pools = Vec::new();
    for (index, profile) in plan.profiles.iter().enumerate() {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let (ours, theirs) = pair()?;
        let argument = paths::c_string(index.to_string().as_bytes());
        let pid = spawn(&Program {
            image: worker_image.as_fd(),
            argv: &[c"strongroom-worker", &argument],
            ids: plan.sandbox,
            privileged: plan.namespaces == Namespaces::Privileged,
            descriptors: &[(plan_fd.as_fd(), fds::PLAN), (theirs.as_fd(), fds::CONTROL)],
        })?;
        let port = Port::new(ours).map_err(failed("channel Z"))?;
        pools.push(Pool::new(ProfileIx(index), pid, port, profile.warm));
    }

    privileges::empty_bounding_set().map_err(step_failed("the bounding set"))?;
    privileges::keep_capabilities(&kept()).map_err(step_failed("our capabilities"))?;

    Session::new(
        plan,
        Held { _lock: lock, leases },
        broker,
        Port::new(supervisor_end).map_err(failed("channel S"))?,
        recorder,
        Recorder::new(record_own).map_err(failed("channel R"))?,
        pools,
        agent_client,
    )
}

/// What the supervisor still needs once everything is started: to end
/// processes of other uids. Nothing where it has nothing.
fn kept() -> Vec<Capability> {
    let kill = Capability::CAP_KILL;
    if caps::has_cap(None, CapSet::Effective, kill).unwrap_or(false) { vec![kill] } else { vec![] }
}

fn step_failed(what: &'static str) -> impl Fn(StageError) -> Fatal {
    move |e| {
        let errno = strongroom_jail::probe::errno_name(e.errno);
        Fatal::new(Code::StartFailed, format!("{what}: {} ({errno})", e.stage.describe()))
    }
}

/// A listening socket only `owner` (and root) can connect to.
fn listen(path: &[u8], owner: Ids) -> Result<OwnedFd, Errno> {
    let c_path = paths::c_string(path);
    match nix::unistd::unlink(&*c_path) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(e) => return Err(e),
    }
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    // umask 077 has made it ours alone.
    let listener = packet::listen(path)?;
    if owner.uid != nix::unistd::getuid().as_raw() {
        let (uid, gid) = (owner.uid.into(), owner.gid.into());
        let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
        nix::unistd::fchownat(nix::fcntl::AT_FDCWD, &*c_path, Some(uid), Some(gid), flags)?;
    }
    Ok(listener)
}

use std::os::unix::ffi::OsStrExt as _;

/// Starts a program of ours as a child.
fn spawn(program: &Program<'_>) -> Result<i32, Fatal> {
    match process::fork(0) {
        Err(errno) => Err(Fatal::new(Code::StartFailed, format!("fork: {errno}"))),
        Ok(Forked::Parent { pid, .. }) => Ok(pid),
        Ok(Forked::Child) => {
            let stage = become_program(program).map_or_else(|e| e.stage, |never| match never {});
            process::exit(stage.exit_code())
        }
    }
}

enum Never {}

fn become_program(program: &Program<'_>) -> Step<Never> {
    nix::unistd::setsid().at(Stage::Session)?;
    let image = place_all(program)?;
    if program.privileged {
        privileges::bound_to(&ZYGOTE)?;
        privileges::keep_capabilities(&ZYGOTE)?;
    } else {
        privileges::empty_bounding_set()?;
        privileges::become_user(program.ids)?;
        privileges::drop_capabilities()?;
    }
    // Both are reset by a change of user, so they come last.
    process::set_dumpable(false).at(Stage::Dumpable)?;
    process::die_with_parent().at(Stage::Dumpable)?;
    Err(process::execute(image.as_fd(), program.argv, &[])).at(Stage::Exec)
}

/// Puts every descriptor at its number and closes all others but the image.
fn place_all(program: &Program<'_>) -> Step<OwnedFd> {
    const PARKED: i32 = 64;
    let park = |fd: BorrowedFd<'_>| fd::duplicate_above(fd, PARKED).at(Stage::CloseFds);
    let parked: Vec<(OwnedFd, i32)> = program
        .descriptors
        .iter()
        .map(|(fd, number)| Ok((park(*fd)?, *number)))
        .collect::<Step<_>>()?;
    let image = park(program.image)?;
    for (fd, number) in &parked {
        fd::place(fd.as_fd(), *number).at(Stage::CloseFds)?;
    }
    // Everything not placed is close-on-exec already; mark the rest of the
    // low numbers too, whatever we were started with.
    fd::cloexec_from(fds::INTAKE as u32 + 1).at(Stage::CloseFds)?;
    Ok(image)
}
