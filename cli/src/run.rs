//! `strongroom run`: from a command line to a sealed plan, then becomes the
//! supervisor. One thread; nothing is changed before everything is decided,
//! but for the state folder, which is needed to find things out.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use strongroom_jail::probe::{choose, missing_for_next, probe};
use strongroom_policy::{Diagnostics, Loaded, Place};
use strongroom_protocol::codes::Code;
use strongroom_protocol::fds;
use strongroom_protocol::plan::Plan;
use strongroom_sys::{Errno, fd};

use crate::announce::Start;
use crate::args;
use crate::equip::{equip, withhold_shm};
use crate::error::{Failure, shown};
use crate::facts::{self, secret_like};
use crate::place::{self, Demand, Who};
use crate::programs::Programs;
use crate::state::{State, Wanted};
use crate::witness;
use crate::workspace::Workspace;

/// Where a host or image keeps its policy.
const POLICY: &str = "/etc/strongroom/policy.toml";

/// Bytes of the largest file of our own: the plan, in memory.
const FILE_SIZE: u64 = strongroom_protocol::limits::MAX_PLAN as u64;

/// Open files of a session: pipes and sockets of every command, and to spare.
const OPEN_FILES: u64 = 4096;

/// Prepares a session and becomes its supervisor.
///
/// # Errors
/// A [`Failure`]; nothing was started.
pub fn run(args: &args::Run, json: bool) -> Result<Infallible, Failure> {
    normalise()?;
    let loaded = load(args.policy.as_deref())?;
    let programs = Programs::find()?;
    let workspace =
        Workspace::find(args.workspace.as_deref(), strongroom_policy::workspace_of(&loaded))?;
    let who = place::who(facts::starter(), workspace.owner())?;
    let files = programs.files();
    workspace.keeps_out(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let recursively = args.own_workspace && !who.shared();
    workspace.may_be_given(&who, recursively)?;
    strongroom_policy::check_trust(&loaded, who.sandbox).map_err(invalid)?;
    programs.firm(&who)?;

    let state = State::open(Wanted::from(args.state.folder.as_deref()), &who, &workspace.path)?;
    let findings = probe(who.sandbox, &state.path.join("run/root"));
    let reached = place::tier(choose(&findings), args.tier.map(Into::into), &who)?;
    let floor = strongroom_policy::floor(&loaded);
    let demand = Demand { tier: floor.tier, landlock_abi: floor.landlock_abi };
    place::floor(
        &reached,
        findings.landlock_abi,
        &demand,
        &missing_for_next(&findings, reached.tier),
    )?;
    workspace.reachable(who.sandbox, reached.namespaces)?;
    state.reachable(who.sandbox, reached.namespaces)?;
    programs.reachable(who.sandbox, reached.namespaces)?;

    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let place = Place {
        tier: reached.tier,
        namespaces: reached.namespaces,
        proc_view: reached.proc_view,
        landlock_abi: findings.landlock_abi,
        sandbox: who.sandbox,
        broker: who.broker,
        recorder: who.recorder,
        workspace: workspace.path.clone(),
        state: state.path.clone(),
        programs: programs.folder.clone(),
        session: random().map_err(|e| start_failed(format!("/dev/urandom: {e}")))?,
        environment: environment.clone(),
        agent_argv: args.agent.clone(),
        agent_cwd: agent_folder(&workspace.path),
    };
    let (mut plan, warnings) =
        strongroom_policy::compile_with_warnings(&loaded, &place).map_err(invalid)?;
    equip(&mut plan, &programs.client)?;
    let withheld = withhold_shm(&mut plan);
    programs.outside(&plan)?;
    let bytes = encode(&plan)?;
    let witness = witness::open(strongroom_policy::witness_of(&loaded), &workspace.path, &who)?;

    let mut notes: Vec<String> = state.note.iter().cloned().chain(withheld).collect();
    notes.extend(workspace.written.as_ref().map(|written| {
        format!("workspace: {} is a link's name for {}", shown(written), shown(&workspace.path))
    }));
    notes.extend(own_workspace_note(args, &who));
    notes.extend(workspace.give(&who, recursively)?);
    notes.extend(secrets_note(&environment, &plan));
    notes.extend(
        [&loaded.warnings, &warnings].iter().flat_map(|w| &w.list).map(|w| w.rendered.clone()),
    );
    let start = Start {
        reached,
        landlock_abi: findings.landlock_abi,
        demand,
        workspace: &shown(&workspace.path),
        policy: loaded.sources.first().map_or("", |source| &source.name),
        state: &shown(&state.path),
        notes: &notes,
    };
    start.say(args.quiet, json);
    become_supervisor(&programs, &bytes, state.lock, witness)
}

/// Takes back what a hostile or careless parent left us: a mask that makes
/// files everybody's, or nobody's, too few descriptors. Signals are the supervisor's task.
fn normalise() -> Result<(), Failure> {
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    umask((before | Mode::S_IWOTH) & !Mode::S_IRWXU);
    for (resource, name, least) in [
        (Resource::RLIMIT_FSIZE, "file size", FILE_SIZE),
        (Resource::RLIMIT_NOFILE, "open files", 256),
    ] {
        let (soft, hard) =
            getrlimit(resource).map_err(|e| start_failed(format!("the limit on {name}: {e}")))?;
        if hard < least {
            return Err(start_failed(format!("the limit on {name} is {hard}"))
                .hint("start it with a higher limit (ulimit -H)"));
        }
        let wanted =
            if resource == Resource::RLIMIT_NOFILE { OPEN_FILES.min(hard).max(soft) } else { hard };
        setrlimit(resource, wanted, hard)
            .map_err(|e| start_failed(format!("the limit on {name}: {e}")))?;
    }
    Ok(())
}

/// Reads the policy: the one named, else the one of this host, else our own.
pub fn load(named: Option<&Path>) -> Result<Loaded, Failure> {
    let usual = Path::new(POLICY);
    let file = match (named, usual.symlink_metadata()) {
        (Some(named), _) => Some(named),
        (None, Ok(_)) => Some(usual),
        (None, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => None,
        // Not to be sure is not the same as none.
        (None, Err(e)) => return Err(Failure::new(Code::PolicyInvalid, format!("{POLICY}: {e}"))),
    };
    strongroom_policy::load(file).map_err(invalid)
}

/// A policy's findings as a failure.
pub fn invalid(found: Diagnostics) -> Failure {
    // The line end keeps a single finding below the headline.
    Failure::new(found.code().unwrap_or(Code::PolicyInvalid), format!("{found}\n"))
}

/// The caller's folder where that is in the workspace, else the workspace.
fn agent_folder(workspace: &Path) -> PathBuf {
    match std::env::current_dir() {
        Ok(cwd) if cwd.starts_with(workspace) => cwd,
        _ => workspace.to_owned(),
    }
}

fn own_workspace_note(args: &args::Run, who: &Who) -> Option<String> {
    (args.own_workspace && who.shared())
        .then(|| "workspace: --own-workspace is for root; nothing was changed".to_owned())
}

/// Names what looks like a secret, and what becomes of it. Never a value.
fn secrets_note(environment: &[(OsString, OsString)], plan: &Plan) -> Option<String> {
    let agent = plan.profile(plan.agent.profile);
    let passed = |name: &OsString| {
        agent.is_some_and(|p| p.env.iter().any(|v| v.name.as_bytes() == name.as_bytes()))
    };
    let (passed, kept): (Vec<&OsString>, Vec<&OsString>) =
        secret_like(environment).into_iter().partition(|name| passed(name));
    let list = |names: &[&OsString]| {
        names.iter().map(|n| shown(Path::new(n))).collect::<Vec<_>>().join(", ")
    };
    let parts = [(kept, "not passed on to the agent"), (passed, "passed on, as the policy says")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| format!("{} ({what})", list(names)))
        .collect();
    (!parts.is_empty())
        .then(|| format!("environment: these look like secrets: {}", parts.join("; ")))
}

/// The plan's bytes, as every process will be able to read them.
fn encode(plan: &Plan) -> Result<Vec<u8>, Failure> {
    let bytes =
        plan.encode().map_err(|e| Failure::new(Code::PolicyInvalid, format!("the plan: {e}")))?;
    match Plan::decode(&bytes) {
        Ok(read) if read == *plan => Ok(bytes),
        _ => Err(Failure::new(Code::Internal, "the plan does not read back")),
    }
}

fn random() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Replaces this process. The plan is descriptor 3, the lock 4, the log's
/// witness 7, and nothing else is left: no descriptor, no environment, no folder.
fn become_supervisor(
    programs: &Programs,
    plan: &[u8],
    lock: OwnedFd,
    witness: Option<OwnedFd>,
) -> Result<Infallible, Failure> {
    const PARKED: i32 = 64;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| start_failed(format!("{what}: {}", errno.desc()))
    };
    let plan = fd::sealed(c"strongroom-plan", plan).map_err(failed("the plan"))?;
    let plan = fd::duplicate_above(plan.as_fd(), PARKED).map_err(failed("the plan"))?;
    let lock = fd::duplicate_above(lock.as_fd(), PARKED).map_err(failed("the lock"))?;
    let park = |witness: OwnedFd| fd::duplicate_above(witness.as_fd(), PARKED);
    let witness = witness.map(park).transpose().map_err(failed("the witness"))?;
    fd::place(plan.as_fd(), fds::PLAN).map_err(failed("the plan"))?;
    fd::place(lock.as_fd(), fds::LOCK).map_err(failed("the lock"))?;
    fd::cloexec_from(fds::LOCK.unsigned_abs() + 1).map_err(failed("descriptors"))?;
    if let Some(witness) = &witness {
        fd::place(witness.as_fd(), fds::HANDED_WITNESS).map_err(failed("the witness"))?;
    }
    nix::unistd::chdir("/").map_err(failed("/"))?;
    let path = programs.supervisor();
    let program =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| start_failed(shown(&path)))?;
    let nothing: [&CStr; 0] = [];
    nix::unistd::execve(&program, &[c"strongroom-supervisor"], &nothing).map_err(|errno| {
        Failure::new(Code::InstallBroken, format!("{}: {}", shown(&path), errno.desc()))
    })
}

fn start_failed(message: impl Into<String>) -> Failure {
    Failure::new(Code::StartFailed, message)
}
