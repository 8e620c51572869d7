//! A checked policy and a place to a plan.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{self, Access, ErrorLevel, Ids, Link, Namespaces, Network, Plan};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::{Arg, Name, PathBytes, ProfileIx};

use crate::diagnostics::Diagnostics;
use crate::grant::{Ground, HOME};
use crate::load::Loaded;
use crate::model::{NetworkWord, Profile};
use crate::paths::is_absolute_normal;
use crate::source::At;
use crate::{approvals, bounds, environment, files, programs, rules};

/// Where a plan is to hold: what was found out about the place, and what the
/// operator asked for on the command line.
#[derive(Debug, Clone)]
pub struct Place {
    /// The tier, found by trying.
    pub tier: Tier,
    /// How workers get namespaces.
    pub namespaces: Namespaces,
    /// Which /proc they see.
    pub proc_view: ProcView,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u8,
    /// Agent and workers. Never uid 0.
    pub sandbox: Ids,
    /// The broker.
    pub broker: Ids,
    /// The recorder.
    pub recorder: Ids,
    /// The workspace, absolute, no link in it.
    pub workspace: PathBuf,
    /// The state folder, absolute, no link in it. May not exist yet.
    pub state: PathBuf,
    /// Folder of the programs of this install.
    pub programs: PathBuf,
    /// Random, names the session in the log.
    pub session: [u8; 16],
    /// The environment that `pass` takes from.
    pub environment: Vec<(OsString, OsString)>,
    /// The agent's program and arguments.
    pub agent_argv: Vec<OsString>,
    /// The agent's folder: in the workspace.
    pub agent_cwd: PathBuf,
    /// Where sealed files are put: a folder in memory, absolute, no link in
    /// it, beneath nothing that a profile gives. It may not exist yet, as
    /// where each worker mounts its own; in /dev/shm only if the caller takes
    /// that from every profile. `None`: this place has none. Used only for a
    /// policy that [`crate::wants_leases`].
    pub leases: Option<PathBuf>,
}

/// Compiles a policy for a place.
///
/// # Errors
/// What the policy asks for and this place cannot give.
pub fn compile(loaded: &Loaded, place: &Place) -> Result<Plan, Diagnostics> {
    compile_with_warnings(loaded, place).map(|(plan, _)| plan)
}

/// [`compile`], with what was accepted but is probably not meant.
///
/// # Errors
/// As [`compile`].
pub fn compile_with_warnings(
    loaded: &Loaded,
    place: &Place,
) -> Result<(Plan, Diagnostics), Diagnostics> {
    let found = check_place(place);
    if found.has_errors() {
        return Err(found);
    }
    let policy = &loaded.policy;
    let files = loaded.sources.iter().filter_map(|s| s.file.as_ref());
    let files = files.map(|(path, _)| path.canonicalize().unwrap_or_else(|_| path.clone()));
    let mut ground = Ground::new(place, files.collect(), policy.profile.values());
    let mut profiles: Vec<plan::Profile> = policy
        .profile
        .iter()
        .filter_map(|(name, profile)| compile_profile(loaded, place, &mut ground, name, profile))
        .collect();
    programs::check_place(policy, &profiles, &mut ground);
    let agent_profile = agent_profile(loaded);
    let Ground { links, mut found, .. } = ground;
    let (Some(agent_profile), true) = (agent_profile, profiles.len() == policy.profile.len())
    else {
        // Not reached with a checked policy, unless something above was wrong.
        if !found.has_errors() {
            found.error_as(Code::Internal, None, "the policy was not checked", "");
        }
        return Err(found);
    };
    let leases = files::prepare(loaded, place, agent_profile, &mut profiles, &mut found);
    let plan = assemble(loaded, place, &links, profiles, agent_profile, leases);
    match plan {
        Ok(plan) if found.has_errors() || plan.encode().is_ok() => found.unless_errors(plan),
        Ok(_) => {
            found.error_as(Code::PolicyInvalid, None, "the plan is over 4 MiB", "a smaller policy");
            Err(found)
        }
        Err(unfit) => {
            found.error_as(Code::BadRequest, None, unfit, "a shorter one");
            Err(found)
        }
    }
}

/// Puts the plan together.
///
/// # Errors
/// Which path or argument is longer than the kernel takes.
fn assemble(
    loaded: &Loaded,
    place: &Place,
    links: &BTreeMap<PathBuf, PathBuf>,
    profiles: Vec<plan::Profile>,
    agent_profile: ProfileIx,
    leases: Option<plan::Leases>,
) -> Result<Plan, String> {
    let policy = &loaded.policy;
    let protect = policy.workspace.protect.iter().flat_map(|list| list.iter());
    Ok(Plan {
        version: plan::VERSION,
        session: place.session,
        policy_digest: loaded.digest,
        tier: place.tier,
        namespaces: place.namespaces,
        proc_view: place.proc_view,
        landlock_abi: place.landlock_abi,
        sandbox: place.sandbox,
        broker: place.broker,
        recorder: place.recorder,
        workspace: bytes(&place.workspace)?,
        protect: protect.map(|name| bytes(Path::new(name.as_str()))).collect::<Result<_, _>>()?,
        state: bytes(&place.state)?,
        programs: bytes(&place.programs)?,
        links: links
            .iter()
            .map(|(path, target)| Ok(Link { path: bytes(path)?, target: bytes(target)? }))
            .collect::<Result<_, String>>()?,
        agent: plan::Agent {
            argv: place.agent_argv.iter().map(|arg| argument(arg)).collect::<Result<_, _>>()?,
            cwd: bytes(&place.agent_cwd)?,
            profile: agent_profile,
        },
        profiles,
        rules: loaded.rules.clone(),
        credentials: files::credentials(policy),
        leases,
        session_limits: bounds::session(&policy.session),
        approvals: approvals::compile(&policy.approvals),
        errors: policy.errors.level.as_ref().map_or(ErrorLevel::Minimal, |l| (**l).into()),
    })
}

/// Index of the agent's profile.
fn agent_profile(loaded: &Loaded) -> Option<ProfileIx> {
    let name = loaded.policy.agent.profile.as_ref()?;
    rules::profile_index(&loaded.policy, name)
}

fn compile_profile(
    loaded: &Loaded,
    place: &Place,
    ground: &mut Ground<'_>,
    name: &At<String>,
    profile: &Profile,
) -> Option<plan::Profile> {
    let agent = loaded.policy.agent.profile.as_ref() == Some(name);
    let mut grant = ground.grant(profile);
    if agent && !grant.covers(&place.programs) {
        // The agent's way to ask for anything is to run our own client.
        grant.add(place.programs.clone(), Access::Read);
    }
    let network = profile.network.as_ref().map_or(Network::None, |word| (**word).into());
    if let Some(word) = profile.network.as_ref().filter(|w| ***w == NetworkWord::Loopback)
        && place.namespaces == Namespaces::None
    {
        ground.found.error_as(
            Code::PolicyInexpressible,
            Some(word.site()),
            "a loopback of its own needs a network namespace, and this place gives none",
            "`none` or `open` here, or a place that allows user namespaces",
        );
    }
    let home = place.state.join(HOME);
    let home = grant.home.then_some(home.as_os_str());
    let mut layers = vec![&profile.env];
    layers.extend(agent.then_some(&loaded.policy.agent.env));
    Some(plan::Profile {
        name: Name::new(name.as_bytes()).ok()?,
        paths: grant.rules(),
        tmp: grant.tmp,
        shm: grant.shm,
        leases: false,
        env: environment::build(&layers, home, &place.environment, &mut ground.found),
        network,
        limits: bounds::limits(&profile.limits, agent),
        warm: profile.warm.as_ref().map_or(0, |warm| **warm),
    })
}

/// What a plan takes for granted about its place.
fn check_place(place: &Place) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut wrong = |code, message: String, expected: &str| {
        found.error_as(code, None, message, expected);
    };
    let workspace = place.workspace.display();
    match place.workspace.canonicalize() {
        Err(why) => wrong(Code::WorkspaceUnusable, format!("{workspace}: {why}"), "a folder"),
        Ok(real) if real != place.workspace || !is_absolute_normal(&place.workspace) => wrong(
            Code::WorkspaceUnusable,
            format!("{workspace} is not the real path of the workspace"),
            &real.display().to_string(),
        ),
        Ok(real) if !real.is_dir() || real == Path::new("/") => {
            wrong(
                Code::WorkspaceUnusable,
                format!("{workspace} cannot be a workspace"),
                "a folder",
            );
        }
        Ok(_) => {}
    }
    if !is_absolute_normal(&place.state)
        || place.state.canonicalize().is_ok_and(|r| r != place.state)
    {
        let state = place.state.display();
        wrong(Code::StateUnusable, format!("{state} is not a real path"), "a path without links");
    }
    if !place.programs.is_absolute() {
        let programs = place.programs.display();
        wrong(Code::InstallBroken, format!("{programs} is not a path"), "an absolute path");
    }
    if !place.agent_cwd.starts_with(&place.workspace) {
        let cwd = place.agent_cwd.display();
        wrong(Code::CwdOutside, format!("{cwd} is not in the workspace"), "a folder of it");
    }
    if let Some(leases) = &place.leases
        && (!is_absolute_normal(leases)
            || leases.canonicalize().is_ok_and(|real| real != *leases)
            || leases.starts_with(&place.workspace)
            || place.workspace.starts_with(leases))
    {
        let message = format!("{} cannot hold sealed files", leases.display());
        wrong(Code::StartFailed, message, "a path without links, outside the workspace");
    }
    if place.agent_argv.first().is_none_or(|program| program.is_empty()) {
        wrong(Code::BadRequest, "no agent to run".to_owned(), "a program and its arguments");
    }
    if place.sandbox.uid == 0 {
        wrong(Code::StartFailed, "the sandbox would be root".to_owned(), "another uid");
    }
    found
}

fn bytes(path: &Path) -> Result<PathBytes, String> {
    PathBytes::new(path.as_os_str().as_bytes())
        .map_err(|_| format!("a path that does not fit: {}", path.display()))
}

fn argument(arg: &OsStr) -> Result<Arg, String> {
    Arg::new(arg.as_bytes()).map_err(|_| "an argument of the agent that does not fit".to_owned())
}
