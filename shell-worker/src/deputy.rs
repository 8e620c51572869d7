//! Metadata calls, where there is no mount namespace.
//!
//! Landlock does not mediate chmod and utimes (measured: a command could
//! change the mode of any file of its uid, outside the workspace too). So a
//! filter makes those calls wait, and the worker redoes them itself: by
//! descriptor, beneath a folder the profile may write. The caller's memory is
//! read once; what is decided on is what is done, so a second thread that
//! changes the path meanwhile changes nothing (seccomp_unotify(2), and
//! attacks.md Y20: never CONTINUE).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::fstat;
use strongroom_jail::paths::c_string;
use strongroom_protocol::limits::MAX_PATH;
use strongroom_sys::notify::{self, Notification};
use strongroom_sys::{Errno, fd, metadata, packet};

use crate::setup::Jail;

const NOFOLLOW: u64 = AtFlags::AT_SYMLINK_NOFOLLOW.bits() as u64;
const CWD: i32 = nix::libc::AT_FDCWD;

/// Does metadata calls for one command.
pub struct Deputy<'j> {
    writable: &'j [(Vec<u8>, OwnedFd)],
    /// Ours, and the command's: over it the listener comes.
    sockets: (OwnedFd, OwnedFd),
    listener: Option<OwnedFd>,
}

/// A call, understood.
struct Call {
    object: Object,
    change: Change,
}

enum Object {
    Path { dirfd: i32, path: u64, follow: bool },
    Descriptor(i32),
}

enum Change {
    Mode(u32),
    Times(Option<[metadata::Time; 2]>),
}

impl<'j> Deputy<'j> {
    /// A deputy for this jail; `None` where a mount namespace makes it moot.
    pub fn new(jail: &'j Jail) -> Result<Option<Self>, Errno> {
        let Some(writable) = &jail.writable else { return Ok(None) };
        Ok(Some(Self { writable, sockets: packet::pair()?, listener: None }))
    }

    /// The command's end, over which it sends the listener just before it
    /// execs.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.sockets.1.as_fd()
    }

    /// Receives the listener the command has sent.
    pub fn take_listener(mut self) -> Result<Self, Errno> {
        let packet = packet::receive(self.sockets.0.as_fd(), &mut [0; 1])?;
        let listener = packet.fds.into_iter().next().ok_or(Errno::EPROTO)?;
        self.listener = Some(listener);
        Ok(self)
    }

    /// Readable when a call waits.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Answers one waiting call.
    pub fn serve(&self) {
        let Some(listener) = self.listener() else { return };
        // It can be gone again: its thread was killed.
        let Ok(event) = notify::receive(listener) else { return };
        let result = self.redo(listener, &event);
        let _ = notify::answer(listener, event.id, result);
    }

    fn redo(&self, listener: BorrowedFd<'_>, event: &Notification) -> Result<(), Errno> {
        let memory = File::open(format!("/proc/{}/mem", event.tid)).map_err(io)?;
        let call = understand(&memory, event)?;
        let object = match call.object {
            Object::Descriptor(number) => self.held(event.tid, number)?,
            Object::Path { dirfd, path, follow } => {
                let path = read_path(&memory, path)?;
                match own_descriptor(&path) {
                    Some(number) => self.held(event.tid, number)?,
                    None => self.open(&absolute(event.tid, dirfd, &path)?, follow)?,
                }
            }
        };
        // What was read came from the caller only if it still waits now.
        if !notify::still_waiting(listener, event.id) {
            return Err(Errno::ESRCH);
        }
        match call.change {
            Change::Mode(mode) if mode & 0o6000 != 0 => Err(Errno::EPERM),
            Change::Mode(mode) => metadata::set_mode(object.as_fd(), mode),
            Change::Times(times) => metadata::set_times(object.as_fd(), times),
        }
    }

    /// The object behind a descriptor the caller holds: it must be the one
    /// found again beneath a writable folder, by the name the kernel gives it.
    /// What has no name left is nobody else's.
    fn held(&self, tid: i32, number: i32) -> Result<OwnedFd, Errno> {
        let link = c_string(format!("/proc/{tid}/fd/{number}").as_bytes());
        let object = fd::anchor(&link).map_err(|e| match e {
            Errno::ENOENT => Errno::EBADF,
            other => other,
        })?;
        let stat = fstat(&object)?;
        if stat.st_nlink == 0 {
            return Ok(object);
        }
        let name = std::fs::read_link(format!("/proc/self/fd/{}", object.as_raw_fd()));
        let again = self.open(name.map_err(io)?.as_os_str().as_encoded_bytes(), false)?;
        let found = fstat(&again)?;
        let same = (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino);
        if same { Ok(again) } else { Err(Errno::EACCES) }
    }

    /// Opens it beneath the writable folder it names. Where it leads out of
    /// that, by `..` or by a link, the kernel says so.
    fn open(&self, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlag::O_PATH;
        if !follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        for (folder, anchor) in self.writable {
            let Some(rest) = path.strip_prefix(folder.as_slice()) else { continue };
            let rest = match rest {
                // It can be a file.
                [] => return anchor.try_clone().map_err(io),
                [b'/'] => b".",
                [b'/', inner @ ..] => inner,
                _ => continue,
            };
            return fd::open_beneath(anchor.as_fd(), &c_string(rest), flags, true)
                .map_err(|e| if e == Errno::EXDEV { Errno::EACCES } else { e });
        }
        Err(Errno::EACCES)
    }
}

/// The path as the caller means it: from the root, from its working folder,
/// or from a folder it holds.
fn absolute(tid: i32, dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
    if path.first() == Some(&b'/') {
        return Ok(path.to_vec());
    }
    let base = match dirfd {
        CWD => link(tid, "cwd"),
        number if number >= 0 => link(tid, &format!("fd/{number}")),
        _ => return Err(Errno::EBADF),
    }?;
    Ok([&base, &b"/"[..], path].concat())
}

fn link(tid: i32, name: &str) -> Result<Vec<u8>, Errno> {
    let target = std::fs::read_link(format!("/proc/{tid}/{name}")).map_err(io)?;
    Ok(target.into_os_string().into_encoded_bytes())
}

/// The number in a path that names a descriptor of the caller's own. C
/// libraries chmod such paths where fchmodat(2) knows no flags; beneath our
/// own /proc they would mean our descriptors.
fn own_descriptor(path: &[u8]) -> Option<i32> {
    let folders: [&[u8]; 3] = [b"/proc/self/fd/", b"/proc/thread-self/fd/", b"/dev/fd/"];
    let number = folders.iter().find_map(|folder| path.strip_prefix(*folder))?;
    let digits = number.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(number).ok().filter(|_| digits)?.parse().ok()
}

/// The calls of `seccomp::deputy`, by number (syscalls(2)).
fn understand(memory: &File, event: &Notification) -> Result<Call, Errno> {
    let [a, b, c, d, ..] = event.args;
    let int = |arg: u64| (arg & 0xffff_ffff) as u32 as i32;
    let mode = |arg: u64| Change::Mode((arg & 0o7777) as u32);
    let call = |dirfd, path, follow, change| {
        Ok(Call { object: Object::Path { dirfd, path, follow }, change })
    };
    let held = |number, change| Ok(Call { object: Object::Descriptor(number), change });
    match i64::from(event.number) {
        nix::libc::SYS_chmod => call(CWD, a, true, mode(b)),
        nix::libc::SYS_fchmod => held(int(a), mode(b)),
        nix::libc::SYS_fchmodat => call(int(a), b, true, mode(c)),
        nix::libc::SYS_fchmodat2 => call(int(a), b, d & NOFOLLOW == 0, mode(c)),
        nix::libc::SYS_utime => call(CWD, a, true, Change::Times(seconds(memory, b)?)),
        nix::libc::SYS_utimes => call(CWD, a, true, Change::Times(micros(memory, b)?)),
        nix::libc::SYS_futimesat if b == 0 => held(int(a), Change::Times(micros(memory, c)?)),
        nix::libc::SYS_utimensat if b == 0 => held(int(a), Change::Times(nanos(memory, c)?)),
        nix::libc::SYS_futimesat => call(int(a), b, true, Change::Times(micros(memory, c)?)),
        nix::libc::SYS_utimensat => {
            call(int(a), b, d & NOFOLLOW == 0, Change::Times(nanos(memory, c)?))
        }
        _ => Err(Errno::ENOSYS),
    }
}

fn words<const N: usize>(memory: &File, at: u64) -> Result<Option<[i64; N]>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    let mut bytes = [0; 32];
    let part = bytes.get_mut(..N * 8).ok_or(Errno::EINVAL)?;
    if notify::read_memory(memory.as_fd(), at, part).map_err(|_| Errno::EFAULT)? != N * 8 {
        return Err(Errno::EFAULT);
    }
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = i64::from_ne_bytes(*chunk);
    }
    Ok(Some(words))
}

type Times = Option<[metadata::Time; 2]>;

/// struct utimbuf.
fn seconds(memory: &File, at: u64) -> Result<Times, Errno> {
    let times = words::<2>(memory, at)?;
    Ok(times.map(|[access, modify]| [(access, 0), (modify, 0)]))
}

/// struct timeval[2].
fn micros(memory: &File, at: u64) -> Result<Times, Errno> {
    match words::<4>(memory, at)? {
        None => Ok(None),
        Some([a, au, m, mu]) if [au, mu].iter().all(|u| (0..1_000_000).contains(u)) => {
            Ok(Some([(a, au * 1000), (m, mu * 1000)]))
        }
        Some(_) => Err(Errno::EINVAL),
    }
}

/// struct timespec[2], UTIME_NOW and UTIME_OMIT included.
fn nanos(memory: &File, at: u64) -> Result<Times, Errno> {
    Ok(words::<4>(memory, at)?.map(|[a, an, m, mn]| [(a, an), (m, mn)]))
}

/// A NUL-terminated path. Read page by page: the next page may not be there.
fn read_path(memory: &File, at: u64) -> Result<Vec<u8>, Errno> {
    let mut path = Vec::new();
    let mut at = at;
    while path.len() <= MAX_PATH {
        let mut page = [0; 256];
        let got = notify::read_memory(memory.as_fd(), at, &mut page).map_err(|_| Errno::EFAULT)?;
        let part = page.get(..got).unwrap_or_default();
        if let Some(end) = part.iter().position(|b| *b == 0) {
            path.extend_from_slice(part.get(..end).unwrap_or_default());
            return match path.len() {
                0 => Err(Errno::ENOENT),
                n if n > MAX_PATH => Err(Errno::ENAMETOOLONG),
                _ => Ok(path),
            };
        }
        if got == 0 {
            return Err(Errno::EFAULT);
        }
        path.extend_from_slice(part);
        at = at.checked_add(got as u64).ok_or(Errno::EFAULT)?;
    }
    Err(Errno::ENAMETOOLONG)
}

fn io(e: std::io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EACCES as i32))
}

impl std::fmt::Debug for Deputy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deputy({})", self.sockets.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::own_descriptor;

    #[test]
    fn only_a_descriptors_own_link_is_one() {
        assert_eq!(own_descriptor(b"/proc/self/fd/3"), Some(3));
        assert_eq!(own_descriptor(b"/proc/thread-self/fd/12"), Some(12));
        assert_eq!(own_descriptor(b"/dev/fd/0"), Some(0));
        for other in [
            "/proc/self/fd/",
            "/proc/self/fd/3/x",
            "/proc/self/fd/+3",
            "/proc/self/fd/../3",
            "/proc/1/fd/3",
            "3",
        ] {
            assert_eq!(own_descriptor(other.as_bytes()), None, "{other}");
        }
    }
}
