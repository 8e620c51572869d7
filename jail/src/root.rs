//! Layer: a root of one's own. What the profile names is bound into an empty
//! tmpfs, and the old root is let go: what is not named is not there.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};
use strongroom_protocol::limits::{MAX_LEASED, MAX_LEASES};
use strongroom_protocol::plan::{Access, Leases, PathRule, Plan, Profile};
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

const PROC: &[u8] = b"/proc";

/// The folder private to a command, in a new root.
pub const PRIVATE: &CStr = c"/tmp";

const TMPFS: &CStr = c"tmpfs";
const NO_TRICKS: u64 = attr::NOSUID | attr::NODEV;
const HARD: u64 = NO_TRICKS | attr::NOEXEC;

/// Bytes of a command's own tmpfs of leases, the rest of each file's last page
/// included; and its inodes, with room for the folders.
const LEASES_SIZE: u64 = (MAX_LEASED + MAX_LEASES * 4096) as u64;
const LEASES_INODES: u64 = 4 * MAX_LEASES as u64;

/// Puts together what the roots of all workers of this profile have in common,
/// makes it this process's root, and lets go of the old one. Nobody can write
/// it: its folders are there for what each worker mounts on them.
///
/// The caller is in a mount namespace of its own.
///
/// # Errors
/// [`Stage::Mounts`].
pub fn assemble(plan: &Plan, profile: &Profile) -> Step<()> {
    mount::make_private().at(Stage::Mounts)?;
    // Sources first: once the new root is mounted, names may mean its parts.
    let sources = sources(profile)?;
    let old_proc = match sources.iter().any(|(rule, _)| is_proc(rule)) {
        true => {
            let old = fd::anchor(c"/proc").at(Stage::Mounts)?;
            Some(mount::copy_tree(old.as_fd()).at(Stage::Mounts)?)
        }
        false => None,
    };
    let base = c_string(&join(plan.state.as_bytes(), MOUNT_POINT));
    let point = fd::anchor(&base).at(Stage::Mounts)?;
    let options = [(c"mode", c"0755"), (c"size", c"1m"), (c"nr_inodes", c"4096")];
    let fresh = mount::filesystem(TMPFS, &options, NO_TRICKS).at(Stage::Mounts)?;
    mount::attach(fresh.as_fd(), point.as_fd()).at(Stage::Mounts)?;
    let root = Root { root: fd::anchor(&base).at(Stage::Mounts)? };

    for (rule, source) in &sources {
        match source {
            Some(source) => root.show(rule, source)?,
            None => drop(root.target(PROC, true)?),
        }
    }
    for (path, _) in private_folders(plan, profile) {
        root.target(path, true)?;
    }
    if let Some(leases) = leases(plan, profile) {
        root.target(leases.folder.as_bytes(), true)?;
    }
    if profile.tmp {
        // Where the private one is no folder of its own.
        root.link(b"/var/tmp", PRIVATE)?;
    }
    for link in &plan.links {
        root.link(link.path.as_bytes(), &c_string(link.target.as_bytes()))?;
    }
    nix::unistd::fchdir(&root.root).at(Stage::Mounts)?;
    mount::pivot_here().at(Stage::Mounts)?;
    if let Some(old) = old_proc {
        root.prepare_proc(&old, plan.proc_view)?;
    }
    mount::restrict(root.root.as_fd(), attr::RDONLY | NO_TRICKS, false).at(Stage::Mounts)
}

/// Adds what a worker has of its own to its copy of what [`assemble`] made.
///
/// The caller is in mount, pid and user (or, with privilege, only mount and
/// pid) namespaces of its own.
///
/// # Errors
/// [`Stage::Mounts`].
pub fn complete(plan: &Plan, profile: &Profile) -> Step<()> {
    let root = Root { root: fd::anchor(c"/").at(Stage::Mounts)? };
    for (path, tmpfs) in private_folders(plan, profile) {
        root.cover(path, &tmpfs, plan, profile)?;
    }
    if let Some(leases) = leases(plan, profile) {
        // Over all else: nobody else sees even a name in it, and it goes with
        // this mount namespace.
        let tmpfs =
            Tmpfs { size: LEASES_SIZE.to_string(), inodes: Some(LEASES_INODES), attributes: HARD };
        root.private(leases.folder.as_bytes(), &tmpfs, plan)?;
    }
    if profile.paths.iter().any(is_proc) && plan.proc_view == ProcView::Own {
        let proc = mount::filesystem(c"proc", &[], HARD).at(Stage::Mounts)?;
        mount::attach(proc.as_fd(), root.target(PROC, true)?.as_fd()).at(Stage::Mounts)?;
    }
    if profile.paths.iter().any(|r| r.access == Access::Write && r.path == plan.workspace) {
        root.protect(plan)?;
    }
    Ok(())
}

fn is_proc(rule: &PathRule) -> bool {
    rule.path.as_bytes() == PROC
}

fn leases<'p>(plan: &'p Plan, profile: &Profile) -> Option<&'p Leases> {
    plan.leases.as_ref().filter(|_| profile.leases)
}

/// The folders that each worker has of its own, and what they are.
fn private_folders<'p>(plan: &'p Plan, profile: &Profile) -> Vec<(&'p [u8], Tmpfs)> {
    let size = match profile.limits.tmp {
        0 => "50%".to_owned(),
        size => size.to_string(),
    };
    let private = Tmpfs { size, inodes: None, attributes: NO_TRICKS };
    let leases = plan.leases.as_ref().map(|leases| &leases.folder);
    let mut list = Vec::new();
    if profile.tmp {
        list.push((PRIVATE.to_bytes(), private.clone()));
        // Nothing can be mounted beneath a link.
        let within = |path: &PathBytes| path.as_bytes().starts_with(b"/var/tmp/");
        if profile.paths.iter().map(|rule| &rule.path).chain(leases).any(within) {
            list.push((&b"/var/tmp"[..], private.clone()));
        }
    }
    if profile.shm {
        list.push((&b"/dev/shm"[..], private));
    }
    list
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
            PROC => None,
            _ => Some(anchor(&rule.path, Stage::Mounts)?),
        };
        list.push((rule, source));
    }
    Ok(list)
}

fn beneath(inner: &PathRule, outer: &PathRule) -> bool {
    is_beneath(inner.path.as_bytes(), outer.path.as_bytes())
}

/// Is `inner` the same path as `outer`, or beneath it? By component.
fn is_beneath(inner: &[u8], outer: &[u8]) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

struct Root {
    root: OwnedFd,
}

/// What a tmpfs may hold, and what may not be done in it.
#[derive(Clone)]
struct Tmpfs {
    size: String,
    inodes: Option<u64>,
    attributes: u64,
}

impl Root {
    fn show(&self, rule: &PathRule, source: &OwnedFd) -> Step<()> {
        let path = rule.path.as_bytes();
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

    /// The old /proc where workers share it; and where they may have one of
    /// their own only while another is in sight (mount_too_revealing in the
    /// kernel's fs/namespace.c): theirs is mounted over it, and in a user
    /// namespace of their own nothing takes that off again.
    fn prepare_proc(&self, old: &OwnedFd, view: ProcView) -> Step<()> {
        if view == ProcView::Shared {
            mount::restrict(old.as_fd(), HARD, true).at(Stage::Mounts)?;
        } else {
            match mount::filesystem(c"proc", &[], HARD) {
                Err(Errno::EPERM) => {}
                other => return other.map(drop).at(Stage::Mounts),
            }
        }
        mount::attach(old.as_fd(), self.target(PROC, true)?.as_fd()).at(Stage::Mounts)
    }

    /// Mounts a private folder, over whatever is there but for what the
    /// profile names in it (a workspace in /tmp), and the system's links.
    fn cover(&self, path: &[u8], tmpfs: &Tmpfs, plan: &Plan, profile: &Profile) -> Step<()> {
        let within = || profile.paths.iter().filter(|r| is_beneath(r.path.as_bytes(), path));
        let mut kept = Vec::new();
        for rule in within() {
            // The outermost comes with all that is mounted in it.
            if within().any(|outer| outer.path != rule.path && beneath(rule, outer)) {
                continue;
            }
            let object = self.open(rule.path.as_bytes()).at(Stage::Mounts)?;
            let folder = is_folder(&object).at(Stage::Mounts)?;
            let tree = mount::copy_tree(object.as_fd()).at(Stage::Mounts)?;
            kept.push((rule.path.as_bytes(), folder, tree));
        }
        self.private(path, tmpfs, plan)?;
        for (path, folder, tree) in kept {
            let target = self.target(path, folder)?;
            mount::attach(tree.as_fd(), target.as_fd()).at(Stage::Mounts)?;
        }
        for link in plan.links.iter().filter(|l| is_beneath(l.path.as_bytes(), path)) {
            self.link(link.path.as_bytes(), &c_string(link.target.as_bytes()))?;
        }
        Ok(())
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
