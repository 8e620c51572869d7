//! Gives the agent what it needs to reach the broker: the client program, the
//! socket, and the variables that name them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use strongroom_client::connect::{FD, SOCKET, WORKSPACE};
use strongroom_protocol::codes::Code;
use strongroom_protocol::fds;
use strongroom_protocol::plan::{Access, Namespaces, PathRule, Plan, Profile};
use strongroom_protocol::types::{EnvName, EnvValue, EnvVar, PathBytes, ProfileIx};

use crate::error::Failure;
use crate::leases;
use crate::reach::SHM;
use crate::state::lasting_place;

/// Adds to the agent's profile, which becomes the agent's alone where a rule
/// uses it too: a command does not get the agent's way to the broker.
///
/// # Errors
/// [`Code::Internal`] when a path or value is longer than any may be.
pub fn equip(plan: &mut Plan, client: &Path, mcp: Option<&Path>) -> Result<(), Failure> {
    let state = Path::new(std::ffi::OsStr::from_bytes(plan.state.as_bytes())).to_owned();
    let workspace = plan.workspace.as_bytes().to_owned();
    let socket = state.join("run/agent.sock");
    let home = state.join("home");
    let profile = agents_own(plan)?;

    for program in std::iter::once(client).chain(mcp) {
        profile.paths.push(PathRule { path: path(program)?, access: Access::Read });
    }
    // Not there yet: the supervisor makes it before it makes any jail.
    profile.paths.push(PathRule { path: path(&socket)?, access: Access::Write });
    set(profile, SOCKET, socket.as_os_str().as_bytes())?;
    set(profile, FD, fds::AGENT_CLIENT.to_string().as_bytes())?;
    set(profile, WORKSPACE, &workspace)?;
    let folder = client.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes();
    let search = match value(profile, "PATH") {
        Some(rest) => [folder, b":", rest].concat(),
        None => folder.to_owned(),
    };
    set(profile, "PATH", &search)?;
    if value(profile, "HOME").is_none() {
        set(profile, "HOME", home.as_os_str().as_bytes())?;
    }
    Ok(())
}

/// Takes `/dev/shm` from every profile where the state folder or the folder
/// of sealed files had to be made in it: without mounts of its own a command
/// would get both or neither. Returns what to say about it.
pub fn withhold_shm(plan: &mut Plan) -> Option<String> {
    let within =
        |path: &PathBytes| Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())).starts_with(SHM);
    let (what, instead) = if within(&plan.state) {
        ("the state folder is", format!("{}, or mount a tmpfs at /tmp", lasting_place()))
    } else if plan.leases.as_ref().is_some_and(|leases| within(&leases.folder)) {
        ("sealed files are", leases::another_place().to_owned())
    } else {
        return None;
    };
    if plan.namespaces != Namespaces::None {
        return None;
    }
    plan.profiles.iter_mut().for_each(|profile| profile.shm = false);
    Some(format!(
        "shared memory: {what} in {SHM}, so neither agent nor commands can use that (POSIX semaphores fail); {instead}"
    ))
}

fn agents_own(plan: &mut Plan) -> Result<&mut Profile, Failure> {
    let index = plan.agent.profile;
    if plan.rules.iter().any(|rule| rule.profile == index) {
        let copy = plan.profile(index).cloned().ok_or_else(|| internal("the agent's profile"))?;
        plan.agent.profile =
            u16::try_from(plan.profiles.len()).map(ProfileIx).map_err(|_| internal("profiles"))?;
        plan.profiles.push(copy);
    }
    let index = usize::from(plan.agent.profile.0);
    plan.profiles.get_mut(index).ok_or_else(|| internal("the agent's profile"))
}

fn value<'p>(profile: &'p Profile, name: &str) -> Option<&'p [u8]> {
    profile.env.iter().find(|v| v.name.as_bytes() == name.as_bytes()).map(|v| v.value.as_bytes())
}

fn set(profile: &mut Profile, name: &str, value: &[u8]) -> Result<(), Failure> {
    let name = EnvName::new(name).map_err(|_| internal(name))?;
    let value = EnvValue::new(value).map_err(|_| internal("a variable for the agent"))?;
    profile.env.retain(|v| v.name != name);
    profile.env.push(EnvVar { name, value });
    Ok(())
}

fn path(path: &Path) -> Result<PathBytes, Failure> {
    PathBytes::new(path.as_os_str().as_bytes()).map_err(|_| internal("a path for the agent"))
}

fn internal(what: &str) -> Failure {
    Failure::new(Code::Internal, format!("{what} does not fit the plan"))
}

#[cfg(test)]
#[path = "equip_tests.rs"]
mod tests;
