//! Layer: resource limits (getrlimit(2)). They bound one process each; what
//! all processes of a command use together is the watchdog's business.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use strongroom_protocol::plan::Limits;
use strongroom_protocol::stage::Stage;

use crate::{At, Step};

/// Processes of the same uid beyond the command's own: the uid is shared with
/// the agent and sibling commands, and RLIMIT_NPROC counts by uid. The exact
/// bound per command is the watchdog's.
const UID_RESERVE: u64 = 1024;

/// Descriptors of a worker's own, at most: what it holds for its command's
/// jail, and one for each lease.
const OWN_FILES: u32 = 64;

/// Sets a limit, never above what this process already has.
fn bound(resource: Resource, value: u64) -> Step<()> {
    let (_, hard) = getrlimit(resource).at(Stage::Rlimits)?;
    let value = value.min(hard);
    setrlimit(resource, value, value).at(Stage::Rlimits)
}

/// Limits that a zygote carries, and with it every worker and command.
///
/// # Errors
/// [`Stage::Rlimits`].
pub fn set_common(limits: &Limits) -> Step<()> {
    bound(Resource::RLIMIT_CORE, 0)?;
    bound(Resource::RLIMIT_MSGQUEUE, 0)?;
    bound(Resource::RLIMIT_RTPRIO, 0)?;
    bound(Resource::RLIMIT_NICE, 0)?;
    if limits.file_size != 0 {
        bound(Resource::RLIMIT_FSIZE, limits.file_size)?;
    }
    Ok(())
}

/// The limit that a worker carries beyond those, and its command with it; the
/// worker may hold as many `leases`. Its zygote holds more descriptors.
///
/// # Errors
/// [`Stage::Rlimits`].
pub fn set_files(limits: &Limits, leases: u32) -> Step<()> {
    let own = OWN_FILES.saturating_add(leases);
    bound(Resource::RLIMIT_NOFILE, u64::from(limits.open_files.max(own)))
}

/// Limits that must not bind the worker, set between vfork and exec:
/// (resource, soft, hard).
///
/// # Errors
/// [`Stage::Rlimits`].
pub fn for_command(limits: &Limits, uid_shared: bool) -> Step<Vec<(u32, u64, u64)>> {
    let mut list = Vec::new();
    let mut push = |resource: Resource, value: u64, margin: u64| -> Step<()> {
        let (_, hard) = getrlimit(resource).at(Stage::Rlimits)?;
        let value = value.min(hard);
        list.push((resource as u32, value, value.saturating_add(margin).min(hard)));
        Ok(())
    };
    if limits.processes != 0 {
        let others = if uid_shared { UID_RESERVE } else { 1 };
        push(Resource::RLIMIT_NPROC, u64::from(limits.processes) + others, 0)?;
    }
    if limits.cpu_ms != 0 {
        // One second more than the watchdog's bound, which can say why.
        // SIGXCPU first, which names its reason; a second later SIGKILL.
        push(Resource::RLIMIT_CPU, limits.cpu_ms.div_ceil(1000) + 1, 1)?;
    }
    if limits.memory != 0 {
        // Private writable memory. Not RLIMIT_AS: virtual machines reserve
        // far more address space than they use.
        push(Resource::RLIMIT_DATA, limits.memory, 0)?;
    }
    Ok(list)
}
