//! `strongroom run`: from a command line to a sealed plan, then becomes the
//! supervisor. One thread; nothing is changed before everything is decided,
//! but for the state folder, which is needed to find things out.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use strongroom_jail::probe::{choose, missing_for_next, probe};
use strongroom_policy::{Diagnostics, Loaded, Place};
use strongroom_protocol::codes::Code;
use strongroom_protocol::fds;
use strongroom_protocol::limits::{MAX_INTAKE, MAX_PLAN};
use strongroom_protocol::plan::{Namespaces, Plan};
use strongroom_protocol::types::CredentialName;
use strongroom_sys::{Errno, fd};

use crate::announce::{Credentials, Start};
use crate::args;
use crate::equip::{equip, withhold_shm};
use crate::error::{Failure, shown};
use crate::facts;
use crate::intake;
use crate::leases;
use crate::place::{self, Demand, Who};
use crate::programs::Programs;
use crate::scene::Scene;
use crate::state::{Lock, State, Wanted};
use crate::supply::{self, Given, Supply};
use crate::witness;
use crate::workspace::Workspace;

/// Where a host or image keeps its policy.
const POLICY: &str = "/etc/strongroom/policy.toml";

/// Bytes of the largest file of our own, in memory: the plan, or what is
/// handed to the broker.
const FILE_SIZE: u64 = if MAX_PLAN > MAX_INTAKE { MAX_PLAN } else { MAX_INTAKE } as u64;

/// Open files of a session: pipes and sockets of every command, and to spare.
const OPEN_FILES: u64 = 4096;

/// Prepares a session and becomes its supervisor.
///
/// # Errors
/// A [`Failure`]; nothing was started.
pub fn run(args: &args::Run, json: bool) -> Result<Infallible, Failure> {
    // First, so that no file of ours gets the number of one that is missing.
    let supply = Given::take(args)?;
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

    let supply = supply.find(&loaded, &state.path)?;
    let scene = Scene { workspace, who, reached, landlock_abi: findings.landlock_abi };
    let Planned { mut plan, warnings, leases } = planned(args, &loaded, &scene, &state, &programs)?;
    equip(&mut plan, &programs.client, programs.mcp.as_deref())?;
    let withheld = withhold_shm(&mut plan);
    programs.outside(&plan)?;
    supply.out_of_reach(&plan)?;
    let bytes = encode(&plan)?;
    let (intake, said) = intake::gather(supply.key.as_ref(), &supply.found)?;
    let witness = strongroom_policy::witness_of(&loaded);
    let witness = witness::open(witness, &scene.workspace.path, &scene.who)?;

    let workspace = &scene.workspace;
    let mut notes: Vec<String> = state.note.iter().cloned().chain(withheld).collect();
    notes.extend(workspace.written.as_ref().map(|written| {
        format!("workspace: {} is a link's name for {}", shown(written), shown(&workspace.path))
    }));
    notes.extend(own_workspace_note(args, &who));
    notes.extend(workspace.give(&who, recursively)?);
    notes.extend(secrets_note(&supply, &plan));
    notes.extend(supply.found.notes.iter().cloned().chain(said));
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
        credentials: (!plan.credentials.is_empty()).then(|| Credentials {
            declared: plan.credentials.len(),
            taken_over: supply.found.list.keys().map(CredentialName::as_str).collect(),
            vault: supply.key.is_some(),
            sealed_files: plan.leases.is_some(),
        }),
        notes: &notes,
    };
    start.say(args.quiet, json);
    become_supervisor(
        &programs,
        &Handover {
            plan: &bytes,
            lock: state.lock,
            leases: leases.map(|l| l.lock),
            intake,
            witness,
        },
    )
}

/// A policy compiled for this place.
struct Planned {
    plan: Plan,
    warnings: Diagnostics,
    /// The folder of sealed files, where it is one for all workers.
    leases: Option<leases::Folder>,
}

fn planned(
    args: &args::Run,
    loaded: &Loaded,
    scene: &Scene,
    state: &State,
    programs: &Programs,
) -> Result<Planned, Failure> {
    let session = random().map_err(|e| start_failed(format!("random numbers: {}", e.desc())))?;
    let compile = |leases: Option<PathBuf>| {
        let place = Place {
            session,
            environment: supply::environment(loaded),
            agent_argv: args.agent.clone(),
            agent_cwd: agent_folder(&scene.workspace.path),
            ..scene.place(state.path.clone(), &programs.folder, leases)
        };
        strongroom_policy::compile_with_warnings(loaded, &place).map_err(invalid)
    };
    let shared = scene.reached.namespaces == Namespaces::None;
    let bases = leases::bases(Some(&state.path), &scene.who);
    leases::sweep(&bases, scene.who.sandbox);
    let ((plan, warnings), leases) = match (strongroom_policy::wants_leases(loaded), shared) {
        (false, _) => (compile(None)?, None),
        (true, false) => (compile(Some(leases::OWN.into()))?, None),
        (true, true) => leases::compile(&bases, &state.path, &scene.who, compile)?,
    };
    Ok(Planned { plan, warnings, leases })
}

/// Takes back what a hostile or careless parent left us: a mask that makes
/// files everybody's, or nobody's, too few descriptors, signals
/// that are blocked or ignored.
fn normalise() -> Result<(), Failure> {
    // Ignored by who started us, SIGCHLD would hide how our children end.
    strongroom_sys::process::reset_signals();
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
fn secrets_note(supply: &Supply, plan: &Plan) -> Option<String> {
    let agent = plan.profile(plan.agent.profile);
    let passed = |name: &OsString| {
        agent.is_some_and(|p| p.env.iter().any(|v| v.name.as_bytes() == name.as_bytes()))
    };
    let (passed, kept): (Vec<&OsString>, Vec<&OsString>) =
        supply.secret_like.iter().partition(|name| passed(name));
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

fn random() -> Result<[u8; 16], Errno> {
    let mut bytes = [0; 16];
    strongroom_sys::random::fill(&mut bytes)?;
    Ok(bytes)
}

/// What the supervisor is started with, beside nothing.
struct Handover<'a> {
    plan: &'a [u8],
    lock: Lock,
    leases: Option<Lock>,
    intake: OwnedFd,
    /// A second place for the log's checkpoints, if the policy names one.
    witness: Option<OwnedFd>,
}

/// Replaces this process. Each descriptor gets its number, and nothing else
/// is left: no descriptor, no environment, no folder.
fn become_supervisor(programs: &Programs, hand: &Handover<'_>) -> Result<Infallible, Failure> {
    const PARKED: i32 = 64;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| start_failed(format!("{what}: {}", errno.desc()))
    };
    let plan = fd::sealed(c"strongroom-plan", hand.plan).map_err(failed("the plan"))?;
    let numbered = [
        (Some(plan.as_fd()), fds::PLAN, "the plan"),
        (Some(hand.lock.as_fd()), fds::LOCK, "the lock"),
        (hand.leases.as_ref().map(|leases| leases.as_fd()), fds::LEASES, "the leases"),
        (Some(hand.intake.as_fd()), fds::SUPERVISOR_INTAKE, "the intake"),
        (hand.witness.as_ref().map(|witness| witness.as_fd()), fds::HANDED_WITNESS, "the witness"),
    ];
    let mut parked = Vec::new();
    for (file, number, what) in numbered {
        let Some(file) = file else { continue };
        let copy = fd::duplicate_above(file, PARKED).map_err(failed(what))?;
        parked.push((copy, number, what));
    }
    // All but what is placed after this.
    fd::cloexec_from(fds::PLAN.unsigned_abs()).map_err(failed("descriptors"))?;
    for (file, number, what) in &parked {
        fd::place(file.as_fd(), *number).map_err(failed(what))?;
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
