//! Files that hold credentials: what the plan says of each credential, which
//! profiles can be granted a sealed file, and the jail in which such files are
//! written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use strongroom_protocol::limits::MAX_CONTENT;
use strongroom_protocol::plan::{self, Access, Action, Leases, Limits, Network, PathRule, Plain};
use strongroom_protocol::types::{CredentialName, Name, PathBytes, ProfileIx};

use crate::compile::Place;
use crate::diagnostics::Diagnostics;
use crate::load::Loaded;
use crate::model::{Credential, DeliverWord, File, PlainWord};
use crate::source::Site;

/// The profile of the workers that write for the broker. Made here, so a
/// policy cannot define it.
pub const WRITER: &str = "files";

/// Bounds of one written file. Nothing is executed in this jail.
const LIMITS: Limits = Limits {
    wall_ms: 30_000,
    cpu_ms: 30_000,
    memory: 256 << 20,
    processes: 4,
    open_files: 64,
    file_size: MAX_CONTENT as u64,
    output: 64 << 10,
    tmp: 1 << 20,
};

/// Whether a policy has a credential that agents may write into files.
#[must_use]
pub fn wanted(policy: &File) -> bool {
    policy.credential.values().any(|credential| in_files(credential).is_some())
}

/// The word that lets a credential into files, sealed or not.
fn in_files(credential: &Credential) -> Option<&Site> {
    let file = credential.deliver.iter().find(|way| ***way == DeliverWord::File);
    let plain = credential.plain.as_ref().filter(|word| ***word != PlainWord::Deny);
    file.map(|word| word.site()).or(plain.map(|word| word.site()))
}

/// The credentials of a checked policy, in the order of their names.
#[must_use]
pub fn credentials(policy: &File) -> Vec<plan::Credential> {
    let compiled = policy.credential.iter().map(|(name, credential)| {
        let delivers = |word| credential.deliver.iter().any(|way| **way == word);
        Some(plan::Credential {
            name: CredentialName::new(name.as_bytes()).ok()?,
            env: delivers(DeliverWord::Env),
            file: delivers(DeliverWord::File),
            plain: credential.plain.as_ref().map_or(Plain::Deny, |word| (**word).into()),
        })
    });
    compiled.flatten().collect()
}

/// Prepares the profiles for files with credentials in them. `None`: the
/// policy has none, or this place cannot keep them apart.
pub fn prepare(
    loaded: &Loaded,
    place: &Place,
    agent: ProfileIx,
    profiles: &mut Vec<plan::Profile>,
    found: &mut Diagnostics,
) -> Option<Leases> {
    let policy = &loaded.policy;
    if !wanted(policy) {
        return None;
    }
    let (folder, writer) = match possible(place, agent, profiles) {
        Ok(possible) => possible,
        Err(why) => {
            for site in policy.credential.values().filter_map(|c| in_files(c)) {
                found.warn(
                    site,
                    format!("files with credentials cannot be written here: {why}"),
                    "",
                );
            }
            return None;
        }
    };
    let carried = |name: &CredentialName| {
        let declared = policy.credential.get(name.as_str());
        declared.is_some_and(|c| c.deliver.iter().any(|way| **way == DeliverWord::File))
    };
    for rule in loaded.rules.iter().filter(|rule| rule.action != Action::Deny) {
        if rule.credentials.iter().any(carried)
            && let Some(profile) = profiles.get_mut(usize::from(rule.profile.0))
        {
            profile.leases = true;
        }
    }
    let index = u16::try_from(profiles.len()).map(ProfileIx).ok()?;
    profiles.push(writer);
    Some(Leases { folder, writer: index })
}

/// The folder of sealed files and the writer's jail, or what stands against
/// them.
fn possible(
    place: &Place,
    agent: ProfileIx,
    profiles: &[plan::Profile],
) -> Result<(PathBytes, plan::Profile), String> {
    let Some(folder) = &place.leases else {
        return Err("there is no folder in memory for them".to_owned());
    };
    let shown = |profile: &&plan::Profile| {
        profile.paths.iter().any(|rule| {
            let given = Path::new(OsStr::from_bytes(rule.path.as_bytes()));
            given.starts_with(folder) || folder.starts_with(given)
        })
    };
    if let Some(profile) = profiles.iter().find(shown) {
        return Err(format!(
            "profile `{}` would show {} to every command",
            profile.name.as_str(),
            folder.display()
        ));
    }
    let agent = profiles.get(usize::from(agent.0)).ok_or("there is no agent")?;
    let paths = writable(place, agent);
    if paths.is_empty() {
        return Err("the agent may write nothing in the workspace".to_owned());
    }
    let name = Name::new(WRITER).map_err(|wrong| wrong.to_string())?;
    let folder =
        PathBytes::new(folder.as_os_str().as_bytes()).map_err(|wrong| wrong.to_string())?;
    let writer = plan::Profile {
        name,
        paths,
        tmp: false,
        shm: false,
        leases: false,
        env: Vec::new(),
        network: Network::None,
        limits: LIMITS,
        warm: 0,
    };
    Ok((folder, writer))
}

/// What the agent itself may write in the workspace: the broker's help lets it
/// write no more.
fn writable(place: &Place, agent: &plan::Profile) -> Vec<PathRule> {
    let workspace = &place.workspace;
    let given = agent.paths.iter().filter(|rule| rule.access == Access::Write);
    let inside = given.filter_map(|rule| {
        let path = Path::new(OsStr::from_bytes(rule.path.as_bytes()));
        if path.starts_with(workspace) {
            return Some(rule.clone());
        }
        let path = PathBytes::new(workspace.as_os_str().as_bytes()).ok()?;
        workspace
            .starts_with(OsStr::from_bytes(rule.path.as_bytes()))
            .then_some(PathRule { path, access: Access::Write })
    });
    inside.collect()
}
