//! Writing one file into the workspace, for the broker, which opens no path
//! there itself. This worker's jail can write the workspace and nothing else.
//!
//! The path leads through no link, out of no folder, and to nothing that git
//! or the policy's `protect` calls its own. What is put there appears whole
//! or not at all: it is made without a name, or under one of ours, and takes
//! the place of a plain file, or of an older link to a lease, by rename(2).

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Seek as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, readlinkat, renameat2};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{FileStat, Mode, fchmod, fstatat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, symlinkat, unlinkat};
use strongroom_jail::paths::{c_string, join};
use strongroom_jail::protect::Way;
use strongroom_protocol::channel::w::{Filed, Link, Write};
use strongroom_protocol::plan::{Leases, Plan};
use strongroom_protocol::types::{LeaseId, PathBytes};
use strongroom_sys::{Errno, fd};

use crate::dotgit::is_dot_git;
use crate::lease::write_all;

/// Names that somebody else may have taken before ours is free.
const NAMES: u32 = 64;

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A folder on its path is missing.
    NoFolder,
    /// Not a plain file, or not a path for one.
    NotPlain,
    /// A system call failed.
    Failed(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// A result as the broker gets it.
pub fn answer(result: Result<(), Refusal>) -> (Filed, i32) {
    match result {
        Ok(()) => (Filed::Written, 0),
        Err(Refusal::NoFolder) => (Filed::NoFolder, 0),
        Err(Refusal::NotPlain) => (Filed::NotPlain, 0),
        Err(Refusal::Failed(errno)) => (Filed::Failed, errno as i32),
    }
}

/// Where files are written.
pub struct Desk<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The workspace.
    pub workspace: BorrowedFd<'p>,
    /// Distinguishes this worker's names from others'.
    pub slot: u64,
}

/// One place in the workspace.
struct Target {
    parent: OwnedFd,
    name: CString,
}

/// A file on its way.
pub struct Draft<'p> {
    desk: Desk<'p>,
    target: Target,
    mode: Option<u16>,
    file: File,
    /// The file's name while it has one.
    temporary: Option<CString>,
}

impl<'p> Desk<'p> {
    /// Puts a link to a lease.
    ///
    /// # Errors
    /// [`Refusal`]: nothing has changed.
    pub fn link(&self, link: &Link) -> Result<(), Refusal> {
        let target = self.target(&link.path)?;
        self.standing(&target)?;
        let leases = self.leases().ok_or(Errno::ENOENT)?;
        let folder = join(leases, link.id.folder().as_bytes());
        let says = c_string(&join(&folder, target.name.to_bytes()));
        let temporary = self.name(|name| symlinkat(&*says, &target.parent, name))?;
        target.take_place(&temporary)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// [`Refusal`]: nothing has changed.
    pub fn write(self, write: &Write) -> Result<Draft<'p>, Refusal> {
        let target = self.target(&write.path)?;
        self.standing(&target)?;
        let (most, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
        if u64::from(write.size) > most {
            // The kernel would say so by a signal.
            return Err(Errno::EFBIG.into());
        }
        let flags = OFlag::O_RDWR | OFlag::O_TMPFILE | OFlag::O_CLOEXEC;
        let (file, temporary) = match openat(&target.parent, c".", flags, PRIVATE) {
            Ok(file) => (file, None),
            // Not every file system has files without a name (open(2)).
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT) => {
                let (file, name) = self.named(&target)?;
                (file, Some(name))
            }
            Err(errno) => return Err(errno.into()),
        };
        Ok(Draft { desk: self, target, mode: write.mode, file: file.into(), temporary })
    }

    fn leases(&self) -> Option<&[u8]> {
        self.plan.leases.as_ref().map(|leases| leases.folder.as_bytes())
    }

    /// The place a path names, if a file may be there.
    fn target(&self, path: &PathBytes) -> Result<Target, Refusal> {
        let path = path.as_bytes();
        let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !is_dot_git(part);
        if !path.split(|b| *b == b'/').all(plain) {
            return Err(Refusal::NotPlain);
        }
        let root = &self.plan.workspace;
        let mut names = self.plan.protect.iter();
        if names.any(|name| Way::to(name, self.workspace, root).meets(path)) {
            return Err(Refusal::NotPlain);
        }
        let (folder, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(at) => {
                (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default())
            }
            None => (&b"."[..], path),
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let parent = fd::open_beneath(self.workspace, &c_string(folder), flags, false);
        let parent = parent.map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR => Refusal::NoFolder,
            Errno::ELOOP | Errno::EXDEV => Refusal::NotPlain,
            errno => Refusal::Failed(errno),
        })?;
        Ok(Target { parent, name: c_string(name) })
    }

    /// What stands there and may be replaced: a plain file with this one name,
    /// or a link of ours.
    fn standing(&self, target: &Target) -> Result<Option<FileStat>, Refusal> {
        let stat = match fstatat(&target.parent, &*target.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(None),
            other => other?,
        };
        let fits = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => stat.st_nlink == 1,
            libc::S_IFLNK => self.is_ours(target)?,
            _ => false,
        };
        if fits { Ok(Some(stat)) } else { Err(Refusal::NotPlain) }
    }

    /// A link to a lease, of this session or of one before it, whose folder
    /// can have had another name.
    fn is_ours(&self, target: &Target) -> Result<bool, Errno> {
        let says = readlinkat(&target.parent, &*target.name)?;
        let mut parts = says.as_encoded_bytes().rsplit(|b| *b == b'/').skip(1);
        let lease = parts.next().is_some_and(LeaseId::is_folder);
        Ok(lease && parts.next().is_some_and(Leases::is_folder))
    }

    /// A file with a name of ours.
    fn named(&self, target: &Target) -> Result<(OwnedFd, CString), Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mut made = None;
        let name = self.name(|name| {
            made = Some(openat(&target.parent, name, flags, PRIVATE)?);
            Ok(())
        })?;
        made.map(|file| (file, name)).ok_or(Errno::EEXIST)
    }

    /// Makes something under a name of ours that is free.
    fn name(&self, mut make: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<CString, Errno> {
        for number in 1..=NAMES {
            let name = c_string(format!(".strongroom-{}-{number}", self.slot).as_bytes());
            match make(&name) {
                Err(Errno::EEXIST) => {}
                other => return other.map(|()| name),
            }
        }
        Err(Errno::EEXIST)
    }
}

/// Mode of a file while it is not finished, and of a new one.
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

impl Draft<'_> {
    /// The next bytes.
    ///
    /// # Errors
    /// [`Refusal`]: nothing has changed.
    pub fn add(&self, bytes: &[u8]) -> Result<(), Refusal> {
        Ok(write_all(self.file.as_fd(), bytes)?)
    }

    /// Makes it the file, with all that it holds on the disk.
    ///
    /// # Errors
    /// [`Refusal`]: nothing has changed.
    pub fn finish(mut self) -> Result<(), Refusal> {
        let old = self.desk.standing(&self.target)?;
        let kept = old.filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
        let mode = match (self.mode, kept) {
            (Some(mode), _) => mode.into(),
            (None, Some(stat)) => stat.st_mode,
            (None, None) => PRIVATE.bits(),
        };
        if self.temporary.is_none() {
            self.give_name()?;
        }
        fchmod(&self.file, Mode::from_bits_truncate(mode & 0o777))?;
        fsync(&self.file)?;
        let Some(temporary) = self.temporary.take() else { return Err(Errno::EIO.into()) };
        self.target.take_place(&temporary)
    }

    /// From Linux 6.10 on whoever made a file may give it a name (linkat(2),
    /// AT_EMPTY_PATH). Before, the way leads through /proc, which this jail
    /// need not have: then the bytes are copied.
    fn give_name(&mut self) -> Result<(), Refusal> {
        let Self { desk, target, file, .. } = self;
        let held = format!("/proc/self/fd/{}", file.as_raw_fd());
        let linked = desk.name(|name| {
            let own = linkat(&*file, c"", &target.parent, name, AtFlags::AT_EMPTY_PATH);
            if !matches!(own, Err(Errno::ENOENT | Errno::EPERM | Errno::EINVAL)) {
                return own;
            }
            linkat(AT_FDCWD, &*held, &target.parent, name, AtFlags::AT_SYMLINK_FOLLOW)
        });
        match linked {
            Ok(name) => self.temporary = Some(name),
            Err(Errno::ENOENT) => self.copy()?,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn copy(&mut self) -> Result<(), Refusal> {
        let (file, name) = self.desk.named(&self.target)?;
        self.temporary = Some(name);
        let mut named = File::from(file);
        let io = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32));
        self.file.rewind().map_err(io)?;
        std::io::copy(&mut self.file, &mut named).map_err(io)?;
        self.file = named;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = unlinkat(&self.target.parent, &**name, UnlinkatFlags::NoRemoveDir);
        }
    }
}

impl Target {
    /// Puts what has a name of ours under its own.
    fn take_place(&self, temporary: &CStr) -> Result<(), Refusal> {
        renameat2(&self.parent, temporary, &self.parent, &*self.name, RenameFlags::empty())
            .inspect_err(|_| {
                let _ = unlinkat(&self.parent, temporary, UnlinkatFlags::NoRemoveDir);
            })
            .map_err(Refusal::Failed)
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
