//! The policy's `protect` names: what holds them, and what became of them.
//!
//! A name is protected, not an inode: one that does not exist yet may not be
//! created either (CVE-2026-25725). Landlock cannot deny a name inside an
//! allowed tree, so where no mount and no ownership holds a name, it is
//! compared before and after: what was created is moved aside, what was changed
//! is reported.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::{AsFd, BorrowedFd};

use nix::dir::Dir;
use nix::fcntl::{OFlag, RenameFlags, readlinkat, renameat2};
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use strongroom_protocol::plan::{Namespaces, Plan};
use strongroom_protocol::receipt::ProtectBy;
use strongroom_protocol::types::{List, PathBytes};
use strongroom_sys::{Errno, fd};

use crate::paths::c_string;
use crate::private;

/// Entries looked at beneath one name. A tree with more is compared by its
/// first ones only.
const ENTRIES: usize = 1024;
const DEPTH: usize = 8;
/// Components, those of links included, on the way to one name; the kernel
/// follows 40 links (path_resolution(7)).
const STEPS: usize = 128;

/// Objects that were moved aside from one name.
const ASIDE: u32 = 64;

/// What holds the names here.
#[must_use]
pub fn mechanism(plan: &Plan, workspace: BorrowedFd<'_>) -> ProtectBy {
    if plan.protect.is_empty() {
        ProtectBy::Nothing
    } else if plan.namespaces != Namespaces::None {
        ProtectBy::Mounts
    } else if plan.protect.iter().all(|n| owned_away(workspace, n, plan.sandbox.uid)) {
        ProtectBy::Ownership
    } else {
        ProtectBy::Detection
    }
}

/// Can this uid neither change the object nor put another in its place? True
/// when every step to it is in a folder the uid cannot write, or in a sticky
/// one where both folder and entry are another's.
fn owned_away(workspace: BorrowedFd<'_>, name: &PathBytes, uid: u32) -> bool {
    let writable =
        |s: &FileStat| s.st_uid == uid || s.st_mode & (libc::S_IWOTH | libc::S_IWGRP) != 0;
    let sticky = |s: &FileStat| s.st_uid != uid && s.st_mode & libc::S_ISVTX != 0;
    let Ok(mut parent) = fstat(workspace) else { return false };
    let mut at = Vec::new();
    for component in name.as_bytes().split(|b| *b == b'/') {
        if !at.is_empty() {
            at.push(b'/');
        }
        at.extend_from_slice(component);
        let Ok(entry) = stat(workspace, &c_string(&at)) else {
            return !writable(&parent);
        };
        let held = !writable(&parent) || (sticky(&parent) && entry.st_uid != uid);
        if !held {
            return false;
        }
        parent = entry;
    }
    !writable(&parent)
}

fn stat(root: BorrowedFd<'_>, path: &CStr) -> Result<FileStat, Errno> {
    fstat(fd::open_beneath(root, path, OFlag::O_PATH | OFlag::O_NOFOLLOW, false)?)
}

/// The way to a name, link by link: whoever can move one of its steps can put
/// something else under the name. Every step is a path from the workspace
/// with no link before its last component.
#[derive(Debug)]
pub struct Way {
    steps: Vec<Step>,
    end: End,
    /// Where the object would be, where there is none.
    missing: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    path: Vec<u8>,
    link: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The last step is the object.
    Object,
    /// There is no object.
    Nothing,
    /// A link leads out of the workspace; what is there is not ours to watch.
    Outside,
    /// It cannot be seen.
    Unseen,
}

impl Way {
    /// Walks to a name beneath the workspace, which is opened, and called
    /// `root` by absolute links.
    #[must_use]
    pub fn to(name: &PathBytes, workspace: BorrowedFd<'_>, root: &PathBytes) -> Self {
        let (mut steps, mut missing) = (Vec::new(), Vec::new());
        let end = walk(name.as_bytes(), workspace, root.as_bytes(), &mut steps, &mut missing);
        Self { steps, end, missing }
    }

    /// Would something at this path, which leads through no link, be under the
    /// name, or a step to it? Whatever the case of its letters: not every file
    /// system tells them apart.
    #[must_use]
    pub fn meets(&self, path: &[u8]) -> bool {
        let object = self.steps.last().filter(|_| self.end == End::Object);
        let goal = object.map_or(self.missing.as_slice(), |step| &step.path);
        let within = path.split_at_checked(goal.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(goal) && rest.first().is_none_or(|b| *b == b'/')
        });
        within || self.steps.iter().any(|s| s.path.eq_ignore_ascii_case(path))
    }

    /// Every step, and whether it is the object itself.
    pub fn steps(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let last = if self.end == End::Object { self.steps.len() } else { 0 };
        self.steps.iter().enumerate().map(move |(i, s)| (s.path.as_slice(), i + 1 == last))
    }
}

fn walk(
    name: &[u8],
    workspace: BorrowedFd<'_>,
    root: &[u8],
    steps: &mut Vec<Step>,
    missing: &mut Vec<u8>,
) -> End {
    let mut ahead: VecDeque<Vec<u8>> = components(name).collect();
    let mut at: Vec<Vec<u8>> = Vec::new();
    while let Some(next) = ahead.pop_front() {
        if next == b".." {
            if at.pop().is_none() {
                return End::Outside;
            }
            continue;
        }
        at.push(next);
        let path = at.join(&b'/');
        let link = match stat(workspace, &c_string(&path)) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                at.extend(ahead);
                *missing = at.join(&b'/');
                return End::Nothing;
            }
            Ok(s) if steps.len() < STEPS => s.st_mode & libc::S_IFMT == libc::S_IFLNK,
            _ => return End::Unseen,
        };
        steps.push(Step { path: path.clone(), link });
        if !link {
            continue;
        }
        let Ok(target) = readlinkat(workspace, &*c_string(&path)) else { return End::Unseen };
        let target = std::os::unix::ffi::OsStringExt::into_vec(target);
        at.pop();
        let inner = match target.strip_prefix(root) {
            Some(rest) if rest.is_empty() || rest.first() == Some(&b'/') => {
                at.clear();
                rest
            }
            _ if target.first() == Some(&b'/') => return End::Outside,
            _ => &target[..],
        };
        let mut path: VecDeque<Vec<u8>> = components(inner).collect();
        path.append(&mut ahead);
        ahead = path;
    }
    End::Object
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|b| *b == b'/').filter(|c| !matches!(*c, b"" | b".")).map(<[u8]>::to_vec)
}

/// The names as they were before a command ran.
#[derive(Debug)]
pub struct Before<'p> {
    root: &'p PathBytes,
    names: Vec<(&'p PathBytes, Way, Look)>,
}

/// What was seen under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Nothing,
    /// Something with this fingerprint.
    Is(u64),
    /// It could not be looked at, so nobody can say that it is the same.
    Unseen,
}

impl<'p> Before<'p> {
    /// Looks at every name.
    #[must_use]
    pub fn look(workspace: BorrowedFd<'_>, plan: &'p Plan) -> Self {
        let root = &plan.workspace;
        let names = plan.protect.iter().map(|name| {
            let way = Way::to(name, workspace, root);
            let look = look(workspace, &way);
            (name, way, look)
        });
        Self { root, names: names.collect() }
    }

    /// Looks again: moves aside what was created, and returns every name that was
    /// created or changed.
    #[must_use]
    pub fn compare(&self, workspace: BorrowedFd<'_>) -> List<PathBytes, 16> {
        let mut touched = Vec::new();
        for (name, way, before) in &self.names {
            let way_now = Way::to(name, workspace, self.root);
            let now = look(workspace, &way_now);
            if now == *before && now != Look::Unseen {
                continue;
            }
            if *before == Look::Nothing {
                undo(workspace, way, &way_now);
            }
            touched.push((*name).clone());
        }
        touched.truncate(16);
        List::new(touched).unwrap_or(List::empty())
    }
}

/// Takes the new object from under its name: a new link on the way to it,
/// where there is one (what it leads to has other names), else itself. What
/// cannot be removed is still reported as touched.
fn undo(workspace: BorrowedFd<'_>, before: &Way, now: &Way) {
    let new_link = now.steps.iter().find(|s| s.link && !before.steps.contains(s));
    let object = now.steps.last().filter(|_| now.end == End::Object);
    let Some(Step { path, .. }) = new_link.or(object) else { return };
    let (parent, last) = match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (path.get(..at).unwrap_or(b"."), path.get(at + 1..).unwrap_or(b"")),
        None => (&b"."[..], path.as_slice()),
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let Ok(parent) = fd::open_beneath(workspace, &c_string(parent), flags, false) else {
        return;
    };
    if move_aside(parent.as_fd(), last) {
        return;
    }
    let last = c_string(last);
    if unlinkat(&parent, &*last, UnlinkatFlags::NoRemoveDir).is_err() {
        let _ = private::remove(parent.as_fd(), &last);
    }
}

/// Gives the object a name that nobody runs or obeys: it may be somebody's
/// work, or an old object that was moved away and back.
fn move_aside(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    (1..=ASIDE).any(|number| {
        let aside = c_string(&[name, format!(".undone-{number}").as_bytes()].concat());
        let flags = RenameFlags::RENAME_NOREPLACE;
        renameat2(parent, &*c_string(name), parent, &*aside, flags).is_ok()
    })
}

/// Looks at the object and at the links on the way to it. The change time is
/// in it, which a process can move but not choose.
fn look(workspace: BorrowedFd<'_>, way: &Way) -> Look {
    match way.end {
        // A link that leads nowhere yet is something under the name.
        End::Nothing if way.steps.iter().all(|s| !s.link) => return Look::Nothing,
        End::Unseen => return Look::Unseen,
        End::Object | End::Outside | End::Nothing => {}
    }
    let mut hasher = DefaultHasher::new();
    for (step, object) in way.steps() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let Ok(step) = fd::open_beneath(workspace, &c_string(step), flags, false) else {
            return Look::Unseen;
        };
        if object {
            let mut left = ENTRIES;
            digest(step.as_fd(), &mut hasher, &mut left, DEPTH);
        } else if let Ok(s) = fstat(&step)
            && s.st_mode & libc::S_IFMT == libc::S_IFLNK
        {
            (s.st_ino, s.st_ctime, s.st_ctime_nsec).hash(&mut hasher);
        }
    }
    Look::Is(hasher.finish())
}

fn digest(object: BorrowedFd<'_>, hasher: &mut DefaultHasher, left: &mut usize, depth: usize) {
    let Ok(s) = fstat(object) else { return };
    (s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_ctime, s.st_ctime_nsec).hash(hasher);
    if s.st_mode & libc::S_IFMT != libc::S_IFDIR || depth == 0 {
        return;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let Ok(folder) = fd::open_beneath(object, c".", flags, false) else { return };
    let Ok(mut entries) = Dir::from_fd(folder) else { return };
    let mut names: Vec<_> = entries
        .iter()
        .filter_map(Result::ok)
        .map(|e| e.file_name().to_owned())
        .filter(|n| !matches!(n.to_bytes(), b"." | b".."))
        .collect();
    names.sort();
    for name in names {
        if *left == 0 {
            return;
        }
        *left -= 1;
        name.hash(hasher);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        if let Ok(inner) = fd::open_beneath(object, &name, flags, false) {
            digest(inner.as_fd(), hasher, left, depth - 1);
        }
    }
}
