//! Decisions about this place, as pure functions over facts: who runs as
//! whom, which tier, who can get at which folder.

use std::path::{Path, PathBuf};

use strongroom_jail::probe::Missing;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Ids, Namespaces};
use strongroom_protocol::receipt::{ProcView, Tier};

use crate::error::{Failure, shown};

/// Agent and workers, where root owns the workspace. Like the next two a
/// number that distributions leave free (Debian policy 9.2.2: 60000 and above
/// is not given out) and that a 16-bit uid map, the default of container
/// runtimes, still has.
pub const SANDBOX: Ids = Ids { uid: 64101, gid: 64101 };

/// The broker, where the start is as root.
pub const BROKER: Ids = Ids { uid: 64102, gid: 64102 };

/// The recorder, where the start is as root.
pub const RECORDER: Ids = Ids { uid: 64103, gid: 64103 };

/// Who starts strongroom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starter {
    /// The ids it has.
    pub ids: Ids,
    /// It has CAP_SETUID and CAP_SETGID.
    pub switches: bool,
}

impl Starter {
    /// Separate users for separate processes.
    pub fn separates(self) -> bool {
        self.ids.uid == 0 && self.switches
    }
}

/// Who runs as whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Agent and workers.
    pub sandbox: Ids,
    /// The broker.
    pub broker: Ids,
    /// The recorder.
    pub recorder: Ids,
    /// Root owns the workspace: its folder is given to the sandbox user.
    pub adopts: bool,
}

impl Who {
    /// Everything runs as one user, kept apart by Landlock alone.
    pub fn shared(&self) -> bool {
        self.sandbox.uid == self.broker.uid
    }
}

/// Chooses the users. The sandbox user is never root and, as root, never in
/// root's group, which many images let read what others may not.
///
/// # Errors
/// [`Code::NoTier`] for a root that cannot become anyone else,
/// [`Code::WorkspaceUnusable`] where the workspace is the broker's.
pub fn who(starter: Starter, owner: Ids) -> Result<Who, Failure> {
    if !starter.separates() {
        if starter.ids.uid == 0 {
            return Err(Failure::new(
                Code::NoTier,
                "started as root without CAP_SETUID and CAP_SETGID; commands never run as root, which owns the \
                 system's files even without capabilities",
            )
            .hint("start as an ordinary user (docker run --user 1000), or leave root these two capabilities"));
        }
        let own = starter.ids;
        return Ok(Who { sandbox: own, broker: own, recorder: own, adopts: false });
    }
    if owner.uid == 0 {
        return Ok(Who { sandbox: SANDBOX, broker: BROKER, recorder: RECORDER, adopts: true });
    }
    let gid = if owner.gid == 0 { owner.uid } else { owner.gid };
    let sandbox = Ids { uid: owner.uid, gid };
    for (service, name) in [(BROKER, "broker"), (RECORDER, "recorder")] {
        if sandbox.uid == service.uid || sandbox.gid == service.gid {
            return Err(Failure::new(
                Code::WorkspaceUnusable,
                format!(
                    "it belongs to {}:{}, and {} is the {name}'s own number",
                    owner.uid, owner.gid, service.uid
                ),
            )
            .hint("give the workspace to another user and group"));
        }
    }
    Ok(Who { sandbox, broker: BROKER, recorder: RECORDER, adopts: false })
}

/// What the policy demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The lowest tier.
    pub tier: Tier,
    /// The lowest Landlock ABI.
    pub landlock_abi: u8,
}

/// What is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The tier.
    pub tier: Tier,
    /// Where workers get namespaces from.
    pub namespaces: Namespaces,
    /// The /proc they see.
    pub proc_view: ProcView,
}

/// Applies `--tier` to what the place offers. Only down, and only to a tier
/// that goes with the users there are: `container` means separate ones,
/// `rootless` one for all.
///
/// # Errors
/// [`Code::NoTier`] when the place offers none, [`Code::FloorNotMet`] when it
/// does not offer the one asked for.
pub fn tier(
    offered: Result<(Tier, Namespaces, ProcView), Vec<Missing>>,
    forced: Option<Tier>,
    who: &Who,
) -> Result<Reached, Failure> {
    let (tier, namespaces, proc_view) =
        offered.map_err(|missing| Failure::new(Code::NoTier, list("", &missing)))?;
    let highest = Reached { tier, namespaces, proc_view };
    let Some(wanted) = forced.filter(|wanted| *wanted != tier) else {
        return Ok(highest);
    };
    let bare = Reached { tier: wanted, namespaces: Namespaces::None, proc_view: ProcView::Shared };
    match wanted {
        Tier::Container if tier > wanted && !who.shared() => Ok(bare),
        Tier::Rootless if tier > wanted && who.shared() => Ok(bare),
        Tier::Container if who.shared() => Err(unfit(wanted, "it needs a start as root")),
        Tier::Rootless if !who.shared() => {
            Err(unfit(wanted, "it needs a start as an ordinary user"))
        }
        _ => Err(unfit(wanted, &format!("this place reaches tier {tier}"))),
    }
}

fn unfit(wanted: Tier, why: &str) -> Failure {
    Failure::new(Code::FloorNotMet, format!("--tier {wanted}: {why}"))
}

/// Compares what is used with what the policy demands.
///
/// # Errors
/// [`Code::FloorNotMet`], with what is missing for more.
pub fn floor(
    reached: &Reached,
    landlock_abi: u8,
    demand: &Demand,
    missing: &[Missing],
) -> Result<(), Failure> {
    if reached.tier < demand.tier {
        let head =
            format!("the policy demands tier {}, this is tier {}", demand.tier, reached.tier);
        return Err(Failure::new(Code::FloorNotMet, list(&head, missing)));
    }
    if landlock_abi < demand.landlock_abi {
        let head = format!(
            "the policy demands Landlock ABI {}, this kernel has {landlock_abi}",
            demand.landlock_abi
        );
        return Err(Failure::new(Code::FloorNotMet, head)
            .hint("start it on a newer kernel, or lower the floor"));
    }
    Ok(())
}

/// What is missing, a paragraph each.
pub fn list(head: &str, missing: &[Missing]) -> String {
    let lines = missing.iter().map(|m| format!("  missing: {}\n    get it: {}", m.what, m.how));
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// One folder or file on the way to a path, the path's own included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// It.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: Ids,
    /// Its permission bits, as in inode(7).
    pub mode: u32,
}

impl Step {
    fn bits(&self, ids: Ids) -> u32 {
        let shift = if self.owner.uid == ids.uid {
            6
        } else if self.owner.gid == ids.gid {
            3
        } else {
            0
        };
        self.mode >> shift & 7
    }

    /// Whether `ids` can go through this folder, or execute this file.
    pub fn enterable(&self, ids: Ids) -> bool {
        self.bits(ids) & 1 != 0
    }

    /// Whether `ids` can read it, or go through it.
    pub fn open_to(&self, ids: Ids) -> bool {
        self.bits(ids) & 5 != 0
    }

    /// Whether `ids` can change what is in it; its owner always can.
    pub fn changeable(&self, ids: Ids) -> bool {
        self.owner.uid == ids.uid || self.bits(ids) & 2 != 0
    }

    /// Anyone may put a file here and only its owner take it away.
    pub fn sticky_for_all(&self) -> bool {
        self.mode & 0o1002 == 0o1002
    }
}

/// The first step of a way that `ids` cannot pass.
pub fn barrier(way: &[Step], ids: Ids) -> Option<&Step> {
    way.iter().find(|step| !step.enterable(ids))
}

/// The first step of a way that `ids` could change or put something else in
/// the place of.
pub fn soft_spot(way: &[Step], ids: Ids) -> Option<&Step> {
    let next = way.iter().skip(1).map(Some).chain([None]);
    way.iter().zip(next).find_map(|(step, next)| {
        let held = step.mode & 0o1000 != 0
            && step.owner.uid != ids.uid
            && next.is_some_and(|next| next.owner.uid != ids.uid);
        (step.changeable(ids) && !held).then_some(step)
    })
}

/// The command that lets `ids` through.
pub fn open_up(step: &Step) -> String {
    format!("chmod o+x {}", shown(&step.path))
}

/// Folders that belong to the system: they are not given away.
const SYSTEM: &[&str] = &[
    "/",
    "/dev",
    "/dev/shm",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/local",
    "/var/log",
    "/var/mail",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Folders that belong to the system with everything beneath.
const SYSTEM_TREES: &[&str] = &[
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/usr/share",
    "/var/lib/dpkg",
    "/var/lib/docker",
    "/var/lib/rpm",
];

/// Whether a folder is the system's, so that giving it to another user would
/// do harm.
pub fn system_folder(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path == Path::new(folder))
        || SYSTEM_TREES.iter().any(|tree| path.starts_with(tree))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
