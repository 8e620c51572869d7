//! Who gets where: which profile of a plan reaches a path, and whether the
//! sandbox user can go there at all.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Access, Ids, Namespaces, Plan, Profile};

use crate::error::{Failure, shown};
use crate::place::{Step, barrier, open_up};

/// Where POSIX shared memory lives (shm_overview(7)).
pub const SHM: &str = "/dev/shm";

/// The first profile that allows as much on a path, and beneath which path it
/// does. What a profile can write it can read. Shared memory is left out, see
/// [`shares_memory`].
pub fn reached_by<'p>(
    plan: &'p Plan,
    path: &Path,
    access: Access,
) -> Option<(&'p Profile, &'p Path)> {
    plan.profiles.iter().find_map(|profile| {
        let mut open = profile
            .paths
            .iter()
            .filter(|rule| access == Access::Read || rule.access == Access::Write)
            .map(|rule| Path::new(OsStr::from_bytes(rule.path.as_bytes())));
        open.find(|open| path.starts_with(open)).map(|open| (profile, open))
    })
}

/// The first profile that shows a path, or something beneath it, and what it
/// shows of it. Shared memory is left out here too.
pub fn shown_by<'p>(plan: &'p Plan, path: &'p Path) -> Option<(&'p Profile, &'p Path)> {
    let whole = reached_by(plan, path, Access::Read).map(|(profile, _)| (profile, path));
    whole.or_else(|| {
        plan.profiles.iter().find_map(|profile| {
            let mut open =
                profile.paths.iter().map(|rule| Path::new(OsStr::from_bytes(rule.path.as_bytes())));
            open.find(|open| open.starts_with(path)).map(|open| (profile, open))
        })
    })
}

/// The first profile that gets `/dev/shm`, where that is everybody's: without
/// mounts of its own a command's shared memory is the place's.
pub fn shares_memory(plan: &Plan) -> Option<&Profile> {
    plan.profiles.iter().find(|p| p.shm && plan.namespaces == Namespaces::None)
}

/// Refuses what lies behind a folder that the sandbox user cannot enter,
/// unless root mounts it in a root of its own. `way` leads to `path`.
///
/// # Errors
/// `code`.
pub fn passable(
    code: Code,
    path: &Path,
    way: &[Step],
    sandbox: Ids,
    namespaces: Namespaces,
) -> Result<(), Failure> {
    match barrier(way, sandbox) {
        Some(step) if namespaces != Namespaces::Privileged => Err(Failure::new(
            code,
            format!("{}: uid {} cannot go through {}", shown(path), sandbox.uid, shown(&step.path)),
        )
        .hint(open_up(step))),
        _ => Ok(()),
    }
}
