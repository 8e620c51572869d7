//! A state folder that no session uses, held by a verb that works on the
//! vault in it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::fsync;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Ids;

use super::{
    Lock, Trouble, Wanted, make_above, open_top, own_folder, settle, sound, take_lock, unusable,
};
use crate::error::{Failure, shown};
use crate::facts;
use crate::place::{BROKER, RECORDER};
use crate::tree;

/// It.
#[derive(Debug)]
pub struct Idle {
    /// Absolute, without any link.
    pub path: PathBuf,
    /// The broker's folder, where the vault is.
    broker: OwnedFd,
    /// The recorder's folder.
    log: OwnedFd,
    /// No session starts as long as this is open.
    _lock: Lock,
}

impl Idle {
    /// Takes the folder of a state that was used before.
    ///
    /// # Errors
    /// [`Code::NoVault`] where there is none, [`Code::StateBusy`],
    /// [`Code::StateUnusable`].
    pub fn existing(wanted: Wanted) -> Result<Self, Failure> {
        let path = wanted.path()?;
        match path.symlink_metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(none(&path)),
            _ => Self::take(&path, false),
        }
    }

    /// The same; what is missing is made.
    ///
    /// # Errors
    /// [`Code::StateBusy`], [`Code::StateUnusable`].
    pub fn or_new(wanted: Wanted) -> Result<Self, Failure> {
        if let Wanted::Usual(Some(path)) = &wanted {
            make_above(path, !facts::starter().separates());
        }
        Self::take(&wanted.path()?, true)
    }

    fn take(written: &Path, make: bool) -> Result<Self, Failure> {
        let path = settle(written)?;
        let top = open_top(&path)?;
        sound(&top, &path).map_err(|why| unusable(format!("{}: {why}", shown(&path))))?;
        let failed = |errno| Failure::from(Trouble::of(&path, errno));
        let own = fstat(&top).map(|s| Ids { uid: s.st_uid, gid: s.st_gid }).map_err(failed)?;
        let apart = facts::starter().separates();
        let (mode, brokers, recorders) =
            if apart { (0o711, BROKER, RECORDER) } else { (0o700, own, own) };
        // One that is there stays whose it is.
        let folder = |name: &CStr, mode, ids| match tree::folder(top.as_fd(), name) {
            Err(Errno::ENOENT) if make => own_folder(&top, name, mode, ids).map_err(failed),
            Err(Errno::ENOENT) => Err(none(&path)),
            there => there.map_err(failed),
        };
        let lock = take_lock(&folder(c"run", mode, own)?, &path)?;
        let broker = folder(c"broker", 0o700, brokers)?;
        let log = folder(c"log", 0o700, recorders)?;
        for made in [&top, &above(&path).map_err(failed)?] {
            fsync(made).map_err(failed)?;
        }
        Ok(Self { path, broker, log, _lock: lock })
    }

    /// The broker's folder.
    pub fn broker(&self) -> BorrowedFd<'_> {
        self.broker.as_fd()
    }

    /// The recorder's folder.
    pub fn log(&self) -> BorrowedFd<'_> {
        self.log.as_fd()
    }
}

/// The broker's folder of a state folder that a session may be using, to look
/// at what lies there.
///
/// # Errors
/// [`Code::NoVault`] where there is none, [`Code::NotOperator`].
pub fn look(wanted: Wanted) -> Result<OwnedFd, Failure> {
    let path = wanted.path()?.join("broker");
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(&path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ENOENT | Errno::ENOTDIR => none(&path),
        errno => Failure::new(Code::NotOperator, format!("{}: {}", shown(&path), errno.desc())),
    })
}

fn above(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path.parent().unwrap_or(Path::new("/")), flags, Mode::empty())
}

fn none(path: &Path) -> Failure {
    Failure::new(Code::NoVault, shown(path))
}
