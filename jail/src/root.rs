//! Layer: a root of one's own. What the profile names is bound into an empty
//! tmpfs, and the old root is let go: what is not named is not there.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};
use strongroom_protocol::limits::{MAX_LEASED, MAX_LEASES};
use strongroom_protocol::plan::{Access, PathRule, Plan, Profile};
use strongroom_protocol::receipt::ProcView;
use strongroom_protocol::stage::Stage;
use strongroom_protocol::types::PathBytes;
use strongroom_sys::mount::{self, attr};
use strongroom_sys::{Errno, fd};

use crate::paths::{anchor, c_string, is_folder, join, relative};
use crate::protect::Way;
use crate::{At, Step, refused};

/// Where, beneath the state folder, the new root is put together.
pub const MOUNT_POINT: &[u8] = b"run/root";

/// The folder private to a command, in a new root.
pub const PRIVATE: &CStr = c"/tmp";

const TMPFS: &CStr = c"tmpfs";
const NO_TRICKS: u64 = attr::NOSUID | attr::NODEV;

/// Bytes of a command's own tmpfs of leases, the rest of each file's last page
/// included; and its inodes, with room for the folders.
const LEASES_SIZE: u64 = (MAX_LEASED + MAX_LEASES * 4096) as u64;
const LEASES_INODES: u64 = 4 * MAX_LEASES as u64;

/// Builds the root for this profile and makes it this process's.
///
/// The caller is in mount, pid and user (or, with privilege, only mount and
/// pid) namespaces of its own.
///
/// # Errors
/// [`Stage::Mounts`].
pub fn enter(plan: &Plan, profile: &Profile) -> Step<()> {
    mount::make_private().at(Stage::Mounts)?;
    // Sources first: once the new root is mounted, names may mean its parts.
    let sources = sources(profile)?;
    let base = c_string(&join(plan.state.as_bytes(), MOUNT_POINT));
    let point = fd::anchor(&base).at(Stage::Mounts)?;
    let options = [(c"mode", c"0755"), (c"size", c"1m"), (c"nr_inodes", c"4096")];
    let fresh = mount::filesystem(TMPFS, &options, NO_TRICKS).at(Stage::Mounts)?;
    mount::attach(fresh.as_fd(), point.as_fd()).at(Stage::Mounts)?;
    let root = Root { root: fd::anchor(&base).at(Stage::Mounts)? };

    // Private folders before what may lie beneath them: a workspace in /tmp.
    let size = match profile.limits.tmp {
        0 => "50%".to_owned(),
        size => size.to_string(),
    };
    let private = Tmpfs { size, inodes: None, attributes: NO_TRICKS };
    if profile.tmp {
        root.private(PRIVATE.to_bytes(), &private, plan)?;
        // Nothing can be mounted beneath a link.
        let within = |path: &PathBytes| path.as_bytes().starts_with(b"/var/tmp/");
        let leases = plan.leases.iter().map(|leases| &leases.folder);
        if profile.paths.iter().map(|rule| &rule.path).chain(leases).any(within) {
            root.private(b"/var/tmp", &private, plan)?;
        } else {
            root.link(b"/var/tmp", PRIVATE)?;
        }
    }
    if profile.shm {
        root.private(b"/dev/shm", &private, plan)?;
    }
    for (rule, source) in &sources {
        root.show(rule, source.as_ref(), plan.proc_view)?;
    }
    if let Some(leases) = plan.leases.as_ref().filter(|_| profile.leases) {
        // Over all else: nobody else sees even a name in it, and it goes with
        // this mount namespace.
        let tmpfs = Tmpfs {
            size: LEASES_SIZE.to_string(),
            inodes: Some(LEASES_INODES),
            attributes: NO_TRICKS | attr::NOEXEC,
        };
        root.private(leases.folder.as_bytes(), &tmpfs, plan)?;
    }
    for link in &plan.links {
        root.link(link.path.as_bytes(), &c_string(link.target.as_bytes()))?;
    }
    if profile.paths.iter().any(|r| r.access == Access::Write && r.path == plan.workspace) {
        root.protect(plan)?;
    }
    nix::unistd::fchdir(&root.root).at(Stage::Mounts)?;
    mount::pivot_here().at(Stage::Mounts)?;
    let here = fd::anchor(c"/").at(Stage::Mounts)?;
    mount::restrict(here.as_fd(), attr::RDONLY | NO_TRICKS, false).at(Stage::Mounts)
}

/// Opens every path of the profile, shorter ones first, so that a deeper rule
/// is mounted over the one around it. `None`: made here, not taken along.
fn sources(profile: &Profile) -> Step<Vec<(PathRule, Option<OwnedFd>)>> {
    let mut rules: Vec<PathRule> = profile.paths.clone();
    rules.sort_by_key(|r| r.path.as_bytes().len());
    let mut list: Vec<(PathRule, Option<OwnedFd>)> = Vec::new();
    for rule in rules {
        let covered = list.iter().rev().find(|(outer, _)| beneath(&rule, outer));
        if covered.is_some_and(|(outer, _)| outer.access == rule.access) {
            continue;
        }
        let source = match rule.path.as_bytes() {
            b"/proc" => None,
            _ => Some(anchor(&rule.path, Stage::Mounts)?),
        };
        list.push((rule, source));
    }
    Ok(list)
}

/// Is `inner` the same path as `outer`, or beneath it? By component.
fn beneath(inner: &PathRule, outer: &PathRule) -> bool {
    let (inner, outer) = (inner.path.as_bytes(), outer.path.as_bytes());
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

struct Root {
    root: OwnedFd,
}

/// What a tmpfs may hold, and what may not be done in it.
struct Tmpfs {
    size: String,
    inodes: Option<u64>,
    attributes: u64,
}

impl Root {
    fn show(&self, rule: &PathRule, source: Option<&OwnedFd>, proc_view: ProcView) -> Step<()> {
        let path = rule.path.as_bytes();
        let Some(source) = source else {
            return self.proc(path, proc_view);
        };
        let folder = is_folder(source).at(Stage::Mounts)?;
        let tree = mount::copy_tree(source.as_fd()).at(Stage::Mounts)?;
        let device = path.starts_with(b"/dev/");
        let attributes = match rule.access {
            Access::Read => attr::RDONLY | NO_TRICKS,
            Access::Write if device => attr::NOSUID,
            Access::Write => NO_TRICKS,
        };
        mount::restrict(tree.as_fd(), attributes, true).at(Stage::Mounts)?;
        let target = self.target(path, folder)?;
        mount::attach(tree.as_fd(), target.as_fd()).at(Stage::Mounts)
    }

    fn proc(&self, path: &[u8], view: ProcView) -> Step<()> {
        let target = self.target(path, true)?;
        let hard = NO_TRICKS | attr::NOEXEC;
        let proc = match view {
            ProcView::Own => mount::filesystem(c"proc", &[], hard).at(Stage::Mounts)?,
            ProcView::Shared => {
                let old = fd::anchor(c"/proc").at(Stage::Mounts)?;
                let tree = mount::copy_tree(old.as_fd()).at(Stage::Mounts)?;
                mount::restrict(tree.as_fd(), hard, true).at(Stage::Mounts)?;
                tree
            }
        };
        mount::attach(proc.as_fd(), target.as_fd()).at(Stage::Mounts)
    }

    /// A tmpfs that belongs to the sandbox user.
    fn private(&self, path: &[u8], tmpfs: &Tmpfs, plan: &Plan) -> Step<()> {
        let text = |s: String| CString::new(s).unwrap_or_default();
        let (uid, gid) = (text(plan.sandbox.uid.to_string()), text(plan.sandbox.gid.to_string()));
        let (size, inodes) = (text(tmpfs.size.clone()), tmpfs.inodes.map(|n| text(n.to_string())));
        let mut options = vec![(c"mode", c"0700"), (c"uid", &*uid), (c"gid", &*gid)];
        options.push((c"size", &*size));
        options.extend(inodes.as_deref().map(|n| (c"nr_inodes", n)));
        let fresh = mount::filesystem(TMPFS, &options, tmpfs.attributes).at(Stage::Mounts)?;
        let target = self.target(path, true)?;
        mount::attach(fresh.as_fd(), target.as_fd()).at(Stage::Mounts)
    }

    fn link(&self, path: &[u8], says: &CStr) -> Step<()> {
        let (parent, name) = split(path).ok_or_else(|| refused(Stage::Mounts))?;
        let parent = self.target(parent, true)?;
        match nix::unistd::symlinkat(says, &parent, &*c_string(name)) {
            // The tree that was bound has it, or has something else there.
            Err(Errno::EEXIST | Errno::EROFS | Errno::EACCES) => Ok(()),
            other => other.at(Stage::Mounts),
        }
    }

    /// Read-only mounts over the protected names that exist. Those that do
    /// not are compared at the end: a mount needs something to stand on, and
    /// making it would show outside.
    ///
    /// What leads to a name, folders and links, is mounted over itself: a
    /// mount point can be neither renamed nor removed. Otherwise the folder
    /// could be moved away with the mount in it, and made anew without.
    fn protect(&self, plan: &Plan) -> Step<()> {
        let workspace = self.open(plan.workspace.as_bytes()).at(Stage::Mounts)?;
        let mut held = BTreeSet::new();
        for name in &plan.protect {
            let way = Way::to(name, workspace.as_fd(), &plan.workspace);
            for (step, object) in way.steps() {
                if held.insert((step.to_vec(), object)) {
                    let attributes = if object { attr::RDONLY | NO_TRICKS } else { NO_TRICKS };
                    hold(workspace.as_fd(), step, attributes)?;
                }
            }
        }
        Ok(())
    }

    /// The object at `path` in the new root, made where it is missing.
    fn target(&self, path: &[u8], folder: bool) -> Step<OwnedFd> {
        match self.open(path) {
            Err(Errno::ENOENT) => {}
            other => return other.at(Stage::Mounts),
        }
        let (parent, name) = split(path).ok_or_else(|| refused(Stage::Mounts))?;
        let parent = self.target(parent, true)?;
        let name = c_string(name);
        if folder {
            let mode = Mode::from_bits_truncate(0o755);
            mkdirat(&parent, &*name, mode).at(Stage::Mounts)?;
        } else {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mode = Mode::from_bits_truncate(0o444);
            nix::fcntl::openat(&parent, &*name, flags, mode).at(Stage::Mounts)?;
        }
        self.open(path).at(Stage::Mounts)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let root: BorrowedFd<'_> = self.root.as_fd();
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        fd::open_beneath(root, &c_string(relative(path)), flags, false)
    }
}

/// Mounts a name over itself with these attributes.
fn hold(workspace: BorrowedFd<'_>, name: &[u8], attributes: u64) -> Step<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let object = match fd::open_beneath(workspace, &c_string(name), flags, false) {
        // A command that runs now has just removed what it made.
        Err(Errno::ENOENT) => return Ok(()),
        other => other.at(Stage::Mounts)?,
    };
    let tree = mount::copy_tree(object.as_fd()).at(Stage::Mounts)?;
    mount::restrict(tree.as_fd(), attributes, true).at(Stage::Mounts)?;
    mount::attach(tree.as_fd(), object.as_fd()).at(Stage::Mounts)
}

/// Parent and last component; `None` for the root.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|b| *b == b'/')?;
    let name = path.get(at + 1..).filter(|n| !n.is_empty())?;
    let parent = path.get(..at.max(1))?;
    Some((parent, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str) -> PathRule {
        PathRule { path: PathBytes::new(path).unwrap(), access: Access::Read }
    }

    #[test]
    fn beneath_goes_by_component() {
        assert!(beneath(&rule("/job/a"), &rule("/job")));
        assert!(beneath(&rule("/job"), &rule("/job")));
        assert!(!beneath(&rule("/workspace"), &rule("/job")));
        assert!(!beneath(&rule("/"), &rule("/job")));
    }

    #[test]
    fn split_finds_the_last_component() {
        assert_eq!(split(b"/usr/bin"), Some((&b"/usr"[..], &b"bin"[..])));
        assert_eq!(split(b"/usr"), Some((&b"/"[..], &b"usr"[..])));
        assert_eq!(split(b"/"), None);
    }
}
