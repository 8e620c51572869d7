//! The folder private to one command where there is no mount namespace:
//! `STATE/tmp/SLOT`, made by its worker, emptied when it ends. Removal goes
//! by descriptor and follows no link, so a name that the command planted can
//! lead nowhere; neither folders it has locked nor ones it has nested without
//! end are left.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use strongroom_sys::{Errno, fd};

use crate::paths::c_string;

/// Folders one inside the other that one pass of [`empty`] enters, each with
/// a descriptor; what lies deeper is moved up for the next pass.
const DEPTH: usize = 24;

/// Makes the folder `name` in `parent` and returns it.
///
/// # Errors
/// errno; `EEXIST` when it is there already.
pub fn make(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::S_IRWXU)?;
    open(parent, name)
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    fd::open_beneath(parent, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, false)
}

/// Removes everything in the folder, and not the folder.
///
/// # Errors
/// The first errno that is not "already gone".
pub fn empty(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut pass = Pass { top: folder, moved: 0 };
    loop {
        let before = pass.moved;
        pass.empty(folder, DEPTH)?;
        if pass.moved == before {
            return Ok(());
        }
    }
}

/// Removes the folder `name` and everything in it.
///
/// # Errors
/// The first errno that is not "already gone".
pub fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let folder = match unlocked(parent, name) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    empty(folder.as_fd())?;
    remove_empty(parent, name)
}

struct Pass<'f> {
    top: BorrowedFd<'f>,
    /// Folders moved up to the top so far.
    moved: u64,
}

impl Pass<'_> {
    fn empty(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        // Its owner may have taken the right to change it from himself.
        fchmod(folder, Mode::S_IRWXU)?;
        for name in names(folder)? {
            match unlinkat(folder, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR | Errno::EPERM) => self.folder(folder, &name, depth)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn folder(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
        let inner = match unlocked(parent, name) {
            Err(Errno::ENOENT) => return Ok(()),
            other => other?,
        };
        if depth == 0 {
            // To move a folder is to change it.
            fchmod(&inner, Mode::S_IRWXU)?;
            return self.lift(parent, name);
        }
        self.empty(inner.as_fd(), depth - 1)?;
        remove_empty(parent, name)
    }

    /// Moves a folder to the top, under a name that is free there.
    fn lift(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            let new = c_string(format!("deep-{}", self.moved).as_bytes());
            let flags = RenameFlags::RENAME_NOREPLACE;
            match renameat2(parent, name, self.top, &*new, flags) {
                Err(Errno::EEXIST) => {}
                other => return other,
            }
        }
    }
}

/// The names in a folder.
pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<std::ffi::CString>, Errno> {
    let mut entries = Dir::from_fd(open(folder, c".")?)?;
    Ok(entries
        .iter()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| !matches!(name.to_bytes(), b"." | b".."))
        .collect())
}

/// Opens a folder, also one its owner has locked himself out of.
fn unlocked(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match open(parent, name) {
        Err(Errno::EACCES) => {}
        other => return other,
    }
    fchmodat(parent, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?;
    open(parent, name)
}

fn remove_empty(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        // What was lifted out of it, or gone before.
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}
