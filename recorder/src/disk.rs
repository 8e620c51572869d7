//! Every system call that the log makes on files, as one trait: the log
//! folder, or in tests a disk that fails and forgets.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{
    UnlinkatFlags, fdatasync, fsync, ftruncate, geteuid, unlinkat, write as write_fd,
};
use strongroom_sys::Errno;

use crate::witness::Witness;

/// The file whose lock keeps a second recorder out.
const LOCK: &str = "lock";

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is there.
    Existing,
    /// It is there, or it is made.
    OrNew,
    /// It is made; one that is there is emptied.
    Empty,
}

/// Why a log cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// A system call failed.
    Errno(Errno),
    /// Another recorder has it open.
    Busy,
    /// Not a plain file of ours alone: a link, shared, or open to others.
    NotOurs,
    /// It is not what the key file says it is, or has what is no record. A
    /// crash does not do that.
    Damaged,
    /// There is a log, and no key to continue it with.
    NoKey,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(e) => write!(f, "the audit log cannot be opened: {e}"),
            Self::Busy => f.write_str("the audit log is in use by another recorder"),
            Self::NotOurs => f.write_str(
                "a file of the audit log is not a plain file that belongs to the recorder alone: \
                 a link, a second name, another owner, or writable by others",
            ),
            Self::Damaged => f.write_str(
                "the audit log is not as its recorder left it, and a crash does not do that. \
                 `strongroom audit verify` says what is wrong; keep the folder and move it away",
            ),
            Self::NoKey => f.write_str(
                "there is an audit log without the key that continues it: the key was removed, or \
                 the log is of an older version. Keep the folder and move it away",
            ),
        }
    }
}

impl From<Errno> for Unusable {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// A folder for a log.
pub trait Disk {
    /// An open file. What is written to it goes to its end.
    type File: fmt::Debug;

    /// Names of all files.
    ///
    /// # Errors
    /// errno of getdents64(2).
    fn names(&self) -> Result<Vec<String>, Errno>;

    /// Opens a file.
    ///
    /// # Errors
    /// [`Unusable`]: `ENOENT`, or it is not a plain file of ours.
    fn open(&self, name: &str, how: How) -> Result<Self::File, Unusable>;

    /// Its length.
    ///
    /// # Errors
    /// errno of fstat(2).
    fn length(&self, file: &Self::File) -> Result<u64, Errno>;

    /// Reads at an offset; zero bytes at the end.
    ///
    /// # Errors
    /// errno of pread(2).
    fn read(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<usize, Errno>;

    /// Writes at the end; says how much the kernel took.
    ///
    /// # Errors
    /// errno of write(2).
    fn append(&self, file: &Self::File, bytes: &[u8]) -> Result<usize, Errno>;

    /// Cuts it to a length.
    ///
    /// # Errors
    /// errno of ftruncate(2).
    fn cut(&self, file: &Self::File, length: u64) -> Result<(), Errno>;

    /// Waits until all that was written to it is on the disk.
    ///
    /// # Errors
    /// errno of fdatasync(2).
    fn sync(&self, file: &Self::File) -> Result<(), Errno>;

    /// Writes zeros over it, and waits until they are on the disk.
    ///
    /// # Errors
    /// errno of pwrite(2) or fdatasync(2).
    fn erase(&self, file: &Self::File) -> Result<(), Errno>;

    /// Gives a file another name, in the place of what had it.
    ///
    /// # Errors
    /// errno of rename(2).
    fn rename(&self, from: &str, to: &str) -> Result<(), Errno>;

    /// Removes a file.
    ///
    /// # Errors
    /// errno of unlink(2).
    fn remove(&self, name: &str) -> Result<(), Errno>;

    /// Waits until all names are on the disk.
    ///
    /// # Errors
    /// errno of fsync(2).
    fn sync_folder(&self) -> Result<(), Errno>;

    /// Tells the witness about a checkpoint, if there is one.
    ///
    /// # Errors
    /// errno of write(2): it will not be told again.
    fn witness(&mut self, note: &str, is_seal: bool) -> Result<(), Errno>;
}

/// The real one.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    witness: Option<Witness>,
    _lock: Flock<OwnedFd>,
}

impl Folder {
    /// Takes a folder over, and its lock.
    ///
    /// # Errors
    /// [`Unusable`]: `Busy` where another recorder has it.
    pub fn open(folder: BorrowedFd<'_>, witness: Option<Witness>) -> Result<Self, Unusable> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(folder, ".", flags, Mode::empty())?;
        let lock = open_file(folder.as_fd(), LOCK, How::OrNew)?;
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
                Errno::EWOULDBLOCK => Unusable::Busy,
                e => Unusable::Errno(e),
            })?;
        Ok(Self { folder, witness, _lock: lock })
    }
}

fn open_file(folder: BorrowedFd<'_>, name: &str, how: How) -> Result<OwnedFd, Unusable> {
    let more = match how {
        How::Existing => OFlag::empty(),
        How::OrNew => OFlag::O_CREAT,
        How::Empty => OFlag::O_CREAT | OFlag::O_TRUNC,
    };
    let flags = OFlag::O_RDWR
        | OFlag::O_APPEND
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC
        | more;
    let file = match openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Err(Errno::ELOOP) => return Err(Unusable::NotOurs),
        file => file?,
    };
    if is_ours(&fstat(&file)?) { Ok(file) } else { Err(Unusable::NotOurs) }
}

fn is_ours(stat: &FileStat) -> bool {
    let plain = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    let closed = stat.st_mode & (Mode::S_IWGRP | Mode::S_IWOTH).bits() == 0;
    plain && closed && stat.st_nlink == 1 && stat.st_uid == geteuid().as_raw()
}

fn offset(offset: u64) -> Result<i64, Errno> {
    i64::try_from(offset).map_err(|_| Errno::EFBIG)
}

impl Disk for Folder {
    type File = OwnedFd;

    fn names(&self) -> Result<Vec<String>, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Vec::new();
        for entry in Dir::openat(&self.folder, ".", flags, Mode::empty())?.iter() {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    fn open(&self, name: &str, how: How) -> Result<OwnedFd, Unusable> {
        open_file(self.folder.as_fd(), name, how)
    }

    fn length(&self, file: &OwnedFd) -> Result<u64, Errno> {
        u64::try_from(fstat(file)?.st_size).map_err(|_| Errno::EFBIG)
    }

    fn read(&self, file: &OwnedFd, at: u64, into: &mut [u8]) -> Result<usize, Errno> {
        pread(file, into, offset(at)?)
    }

    fn append(&self, file: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        write_fd(file, bytes)
    }

    fn cut(&self, file: &OwnedFd, length: u64) -> Result<(), Errno> {
        ftruncate(file, offset(length)?)
    }

    fn sync(&self, file: &OwnedFd) -> Result<(), Errno> {
        fdatasync(file)
    }

    fn erase(&self, file: &OwnedFd) -> Result<(), Errno> {
        let zeros = vec![0; usize::try_from(self.length(file)?).map_err(|_| Errno::EFBIG)?];
        // A descriptor opened for appending writes at the end wherever it is
        // told to (pwrite(2), BUGS), so the mark is taken off.
        nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty()))?;
        let mut at = 0;
        while let Some(rest) = zeros.get(at..).filter(|rest| !rest.is_empty()) {
            at += pwrite(file, rest, offset(at as u64)?)?;
        }
        fdatasync(file)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        renameat(&self.folder, from, &self.folder, to)
    }

    fn remove(&self, name: &str) -> Result<(), Errno> {
        unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir)
    }

    fn sync_folder(&self) -> Result<(), Errno> {
        fsync(&self.folder)
    }

    fn witness(&mut self, note: &str, is_seal: bool) -> Result<(), Errno> {
        let Some(witness) = &mut self.witness else {
            return Ok(());
        };
        let told = witness.tell(note, is_seal);
        if told.is_err() {
            self.witness = None;
        }
        told
    }
}
