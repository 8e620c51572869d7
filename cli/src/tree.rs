//! Walks over folders that jailed code may have filled. Everything is done
//! relative to an open folder, and no link is followed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use strongroom_protocol::plan::Ids;

/// How deep [`give`] goes. Deeper than any real tree, shallow enough for the
/// descriptors and the stack it takes.
const DEEPEST: usize = 200;

/// Opens a folder beneath another, not through a link.
///
/// # Errors
/// errno of openat(2): `ELOOP` or `ENOTDIR` for a link.
pub fn folder(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// The names in a folder, without `.` and `..`, and whether each is a folder.
///
/// # Errors
/// errno of getdents(2).
pub fn names(at: BorrowedFd<'_>) -> Result<Vec<(CString, bool)>, Errno> {
    // A copy with a position of its own.
    let mut dir = Dir::from_fd(folder(at, c".")?)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_owned();
        if name.as_bytes() == b"." || name.as_bytes() == b".." {
            continue;
        }
        let is_folder = match entry.file_type() {
            Some(kind) => kind == Type::Directory,
            None => is_folder(&look(at, &name)?),
        };
        names.push((name, is_folder));
    }
    Ok(names)
}

fn look(at: BorrowedFd<'_>, name: &CStr) -> Result<FileStat, Errno> {
    fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn is_folder(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// Removes everything in a folder. A nested folder is moved up before it is
/// emptied, so that no depth takes more than two descriptors or any stack.
///
/// # Errors
/// errno of the call that failed; what could be removed is gone.
pub fn empty(top: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut moved = 0u64;
    loop {
        let names = names(top)?;
        if names.is_empty() {
            return Ok(());
        }
        for (name, is_folder) in names {
            if is_folder {
                flatten(top, &name, &mut moved)?;
            } else {
                unlinkat(top, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
}

/// Empties a folder of `top`, its folders moved to `top`, and removes it.
fn flatten(top: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> Result<(), Errno> {
    let inner = match folder(top, name) {
        Err(Errno::EACCES) => {
            allow(top, name)?;
            folder(top, name)?
        }
        opened => opened?,
    };
    for (child, is_folder) in names(inner.as_fd())? {
        if !is_folder {
            retry_allowed(top, name, || {
                unlinkat(&inner, child.as_c_str(), UnlinkatFlags::NoRemoveDir)
            })?;
            continue;
        }
        let fresh = unused(top, moved)?;
        // Moving a folder rewrites its `..`: it must be writable itself.
        retry_allowed(top, name, || {
            match renameat(&inner, child.as_c_str(), top, fresh.as_c_str()) {
                Err(Errno::EACCES) => {
                    allow(inner.as_fd(), &child)?;
                    renameat(&inner, child.as_c_str(), top, fresh.as_c_str())
                }
                done => done,
            }
        })?;
    }
    unlinkat(top, name, UnlinkatFlags::RemoveDir)
}

/// Does a step in the folder `name`; where its mode forbids, once more after
/// the mode is changed.
fn retry_allowed(
    top: BorrowedFd<'_>,
    name: &CStr,
    step: impl Fn() -> Result<(), Errno>,
) -> Result<(), Errno> {
    match step() {
        Err(Errno::EACCES) => {
            allow(top, name)?;
            step()
        }
        done => done,
    }
}

fn allow(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    fchmodat(at, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)
}

/// A name that is free in `top`.
fn unused(top: BorrowedFd<'_>, moved: &mut u64) -> Result<CString, Errno> {
    loop {
        *moved += 1;
        let name = CString::new(format!(".moved-{moved}")).map_err(|_| Errno::EINVAL)?;
        match look(top, &name) {
            Err(Errno::ENOENT) => return Ok(name),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// What [`give`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Files and folders that have a new owner.
    pub changed: u64,
    /// Files with other names elsewhere, which might be anybody's: left.
    pub hard_links: u64,
    /// Folders of another file system: left.
    pub mounts: u64,
}

/// Gives everything in a folder to a user. Not what has a second name (it
/// might be the system's file) and not what is mounted there.
///
/// # Errors
/// errno of the call that failed; `ELOOP` for a tree that is too deep.
pub fn give(top: BorrowedFd<'_>, to: Ids) -> Result<Given, Errno> {
    let device = nix::sys::stat::fstat(top)?.st_dev;
    let mut given = Given::default();
    give_beneath(top, to, device, 0, &mut given)?;
    Ok(given)
}

fn give_beneath(
    at: BorrowedFd<'_>,
    to: Ids,
    device: u64,
    depth: usize,
    given: &mut Given,
) -> Result<(), Errno> {
    if depth > DEEPEST {
        return Err(Errno::ELOOP);
    }
    for (name, _) in names(at)? {
        let stat = look(at, &name)?;
        if stat.st_dev != device {
            given.mounts += 1;
            continue;
        }
        if is_folder(&stat) {
            give_beneath(folder(at, &name)?.as_fd(), to, device, depth + 1, given)?;
        } else if stat.st_nlink > 1 {
            given.hard_links += 1;
            continue;
        }
        if stat.st_uid != to.uid || stat.st_gid != to.gid {
            own(at, &name, to)?;
            given.changed += 1;
        }
    }
    Ok(())
}

fn own(at: BorrowedFd<'_>, name: &CStr, to: Ids) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
    fchownat(at, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn open(path: &Path) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    #[test]
    fn empties_what_is_there_and_follows_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let outside = tmp.path().join("outside");
        let top = tmp.path().join("top");
        fs::create_dir_all(outside.join("kept")).unwrap();
        fs::create_dir_all(top.join("a/b/c/d")).unwrap();
        fs::write(top.join("a/b/file"), "x").unwrap();
        fs::write(top.join(".moved-1"), "x").unwrap();
        symlink(&outside, top.join("link")).unwrap();
        symlink(&outside, top.join("a/b/link")).unwrap();
        fs::set_permissions(top.join("a/b/c"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        empty(open(&top).as_fd()).unwrap();
        assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
        assert!(outside.join("kept").is_dir());
    }

    #[test]
    fn empties_a_tree_deeper_than_any_path() {
        let tmp = tempfile::tempdir().unwrap();
        let mut at = open(tmp.path());
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&at, c"d", Mode::S_IRWXU).unwrap();
            at = folder(at.as_fd(), c"d").unwrap();
        }
        empty(open(tmp.path()).as_fd()).unwrap();
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_no_folder() {
        let tmp = tempfile::tempdir().unwrap();
        symlink("/", tmp.path().join("link")).unwrap();
        assert!(folder(open(tmp.path()).as_fd(), c"link").is_err());
    }

    #[test]
    fn gives_files_but_not_hard_links() {
        let tmp = tempfile::tempdir().unwrap();
        let top = tmp.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "x").unwrap();
        fs::write(tmp.path().join("shadow"), "x").unwrap();
        fs::hard_link(tmp.path().join("shadow"), top.join("a/shadow")).unwrap();
        symlink("/etc/passwd", top.join("link")).unwrap();
        let own = Ids { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() };
        let to = if own.uid == 0 { Ids { uid: 64101, gid: 64101 } } else { own };
        let given = give(open(&top).as_fd(), to).unwrap();
        assert_eq!((given.hard_links, given.mounts), (1, 0));
        let owner =
            |path: &Path| std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(path).unwrap());
        assert_eq!(owner(&top.join("a/b/file")), to.uid);
        assert_eq!(owner(&top.join("link")), to.uid);
        assert_eq!(owner(&tmp.path().join("shadow")), own.uid);
        assert_eq!(owner(Path::new("/etc/passwd")), 0);
    }
}
