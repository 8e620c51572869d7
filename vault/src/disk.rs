//! Every system call the vault makes on its folder, behind two traits, so that
//! a test can put a failing disk beneath; and the real ones.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{
    Gid, Uid, UnlinkatFlags, fchown, fdatasync, fsync, geteuid, read, unlinkat, write,
};
use strongroom_sys::Errno;

use crate::error::Error;

/// The files of a vault, in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The vault.
    Vault,
    /// What it was before the last change.
    Previous,
    /// The one that is being written. A crash may leave it; it means nothing.
    New,
}

impl Name {
    /// The file's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Previous => "vault.previous",
            Self::New => "vault.new",
        }
    }
}

/// The file that only says that somebody may write.
const LOCK: &str = "vault.lock";

/// A folder with a vault in it, and the right to write there.
pub trait Disk {
    /// Opens a file to read it.
    ///
    /// # Errors
    /// errno; `ENOENT` where there is none.
    fn open(&self, name: Name) -> Result<Box<dyn File>, Errno>;

    /// Makes a new, empty file to write.
    ///
    /// # Errors
    /// errno; `EEXIST` where there is one.
    fn create(&self, name: Name) -> Result<Box<dyn File>, Errno>;

    /// Gives a file another's name, in its place.
    ///
    /// # Errors
    /// errno of renameat(2).
    fn rename(&self, from: Name, to: Name) -> Result<(), Errno>;

    /// Removes a file.
    ///
    /// # Errors
    /// errno of unlinkat(2); `ENOENT` where there is none.
    fn unlink(&self, name: Name) -> Result<(), Errno>;

    /// Waits until the folder's names are on the disk.
    ///
    /// # Errors
    /// errno of fsync(2).
    fn sync(&self) -> Result<(), Errno>;
}

/// An open file.
pub trait File {
    /// Reads what comes next; 0: the end.
    ///
    /// # Errors
    /// errno of read(2).
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno>;

    /// Writes some of these bytes, at the end.
    ///
    /// # Errors
    /// errno of write(2).
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// errno of fdatasync(2).
    fn sync(&mut self) -> Result<(), Errno>;
}

/// A real folder, locked against other writers as long as this lives.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    owner: Owner,
    _lock: Flock<OwnedFd>,
}

impl Folder {
    /// Takes the folder. Its files belong to whom it belongs to; root may
    /// write them on their owner's behalf.
    ///
    /// # Errors
    /// [`Error::NotOurs`] where others could have written there,
    /// [`Error::Busy`] where another process has it, [`Error::Disk`].
    pub fn open(folder: BorrowedFd<'_>) -> Result<Self, Error> {
        let (folder, owner) = own(folder)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT;
        let lock = open_in(folder.as_fd(), LOCK, flags)
            .and_then(|lock| owner.give(&lock).map(|()| lock))
            .map_err(Error::doing("opening vault.lock"))?;
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
                Errno::EWOULDBLOCK => Error::Busy,
                e => Error::doing("locking vault.lock")(e),
            })?;
        for name in [Name::Vault, Name::Previous] {
            match fstatat(&folder, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => owner.check(&stat)?,
                Err(Errno::ENOENT) => {}
                Err(e) => return Err(Error::doing("looking for the vault")(e)),
            }
        }
        Ok(Self { folder, owner, _lock: lock })
    }
}

impl Disk for Folder {
    fn open(&self, name: Name) -> Result<Box<dyn File>, Errno> {
        Ok(Box::new(open_in(self.folder.as_fd(), name.as_str(), OFlag::O_RDONLY)?))
    }

    fn create(&self, name: Name) -> Result<Box<dyn File>, Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = open_in(self.folder.as_fd(), name.as_str(), flags)?;
        self.owner.give(&file)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: Name, to: Name) -> Result<(), Errno> {
        renameat(&self.folder, from.as_str(), &self.folder, to.as_str())
    }

    fn unlink(&self, name: Name) -> Result<(), Errno> {
        unlinkat(&self.folder, name.as_str(), UnlinkatFlags::NoRemoveDir)
    }

    fn sync(&self) -> Result<(), Errno> {
        fsync(&self.folder)
    }
}

impl File for OwnedFd {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        read(self, bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        write(self, bytes)
    }

    fn sync(&mut self) -> Result<(), Errno> {
        fdatasync(self)
    }
}

/// Opens the vault's file to look at it, without the right to write: another
/// process may have that. A rename is atomic, so what is read is one whole
/// generation or another.
///
/// # Errors
/// [`Error::NotOurs`], [`Error::Missing`], [`Error::Disk`].
pub(crate) fn look(folder: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let (folder, owner) = own(folder)?;
    let file = match open_in(folder.as_fd(), Name::Vault.as_str(), OFlag::O_RDONLY) {
        Err(Errno::ENOENT) => return Err(Error::Missing { previous: false }),
        Err(Errno::ELOOP) => return Err(NOT_PLAIN),
        file => file.map_err(Error::doing("opening the vault"))?,
    };
    owner.check(&fstat(&file).map_err(Error::doing("looking at the vault"))?)?;
    Ok(file)
}

const NOT_PLAIN: Error = Error::NotOurs(
    "the vault is not a plain file that belongs to its folder's owner alone: \
     a link, a second name, another owner, or open to others",
);

/// Whom a folder and all in it belong to.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    fn check(self, stat: &FileStat) -> Result<(), Error> {
        let plain = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        let closed = stat.st_mode & (Mode::S_IRWXG | Mode::S_IRWXO).bits() == 0;
        let sole = stat.st_nlink == 1 && stat.st_uid == self.uid.as_raw();
        if plain && closed && sole { Ok(()) } else { Err(NOT_PLAIN) }
    }

    /// Gives a file that root made to the owner.
    fn give(self, file: &OwnedFd) -> Result<(), Errno> {
        if geteuid() == self.uid {
            return Ok(());
        }
        fchown(file, Some(self.uid), Some(self.gid))
    }
}

/// A descriptor of the folder that can be synced, and its owner: this user, or
/// anybody where this user is root.
fn own(folder: BorrowedFd<'_>) -> Result<(OwnedFd, Owner), Error> {
    let open = |e| Error::doing("opening the vault's folder")(e);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let folder = open_in(folder, ".", flags).map_err(open)?;
    let stat = fstat(&folder).map_err(open)?;
    let owner = Owner { uid: Uid::from_raw(stat.st_uid), gid: Gid::from_raw(stat.st_gid) };
    if stat.st_mode & (Mode::S_IWGRP | Mode::S_IWOTH).bits() != 0 {
        return Err(Error::NotOurs("others can write to the vault's folder"));
    }
    if geteuid() != owner.uid && !geteuid().is_root() {
        return Err(Error::NotOurs("the vault's folder belongs to another user"));
    }
    Ok((folder, owner))
}

fn open_in(folder: BorrowedFd<'_>, name: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
}
