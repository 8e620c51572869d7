//! `strongroom policy`: passes on what the policy crate says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_jail::probe::{choose, probe};
use strongroom_policy::{Place, verbs};

use crate::args::{self, PolicyVerb};
use crate::error::{Failure, print};
use crate::facts;
use crate::leases;
use crate::place;
use crate::programs::Programs;
use crate::scene::Scene;
use crate::state::Wanted;
use crate::workspace::Workspace;

/// Runs the verb and gives the exit status.
///
/// # Errors
/// A [`Failure`] about the place; what is wrong with the policy is printed.
pub fn policy(args: &args::Policy, json: bool) -> Result<i32, Failure> {
    let (text, status) = match &args.verb {
        PolicyVerb::Check { file } => verbs::check(file_of(file), json),
        PolicyVerb::Explain { file, command } => {
            verbs::explain(file_of(file), &bytes(command), json)
        }
        PolicyVerb::Test { file } => verbs::test(file_of(file), json),
        PolicyVerb::Schema => verbs::schema(),
        PolicyVerb::Compile { file, state, workspace } => verbs::compile_dump(
            file_of(file),
            &here(file_of(file), state, workspace.as_deref())?,
            json,
        ),
    };
    print(&text);
    Ok(status)
}

/// `builtin:base` is the policy that holds without a file.
fn file_of(file: &Path) -> Option<&Path> {
    (file != Path::new("builtin:base")).then_some(file)
}

fn bytes(command: &[OsString]) -> Vec<Vec<u8>> {
    command.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// This place, as `run` would find it; nothing is made or changed.
fn here(
    file: Option<&Path>,
    state: &args::State,
    workspace: Option<&Path>,
) -> Result<Place, Failure> {
    let of_policy =
        strongroom_policy::load(file).ok().as_ref().and_then(strongroom_policy::workspace_of);
    let workspace = Workspace::find(workspace, of_policy)?;
    let who = place::who(facts::starter(), workspace.owner())?;
    let findings = probe(who.sandbox, Path::new("/proc"));
    let reached = place::tier(choose(&findings), None, &who)?;
    // A tool that only looks also works where the install is not complete.
    let programs =
        Programs::find().map_or_else(|_| PathBuf::from("/usr/local/lib/strongroom"), |p| p.folder);
    let state = Wanted::from(state.folder.as_deref())
        .path()
        .unwrap_or_else(|_| "/dev/shm/strongroom".into());
    let scene = Scene { workspace, who, reached, landlock_abi: findings.landlock_abi };
    // `run` finds or makes a folder for this place; here one of its own will do.
    let leases = Some(leases::OWN.into());
    let environment = std::env::vars_os().collect();
    Ok(Place { environment, ..scene.place(state, &programs, leases) })
}
