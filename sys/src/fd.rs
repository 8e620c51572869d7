//! Descriptors: take over, place, close, seal, open beneath.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{Errno, Result, check};

/// Takes ownership of a descriptor this process was started with, and makes
/// it close-on-exec.
///
/// # Errors
/// `EBADF` when it is not open.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: only used for the call that finds out whether it is open.
    let probe = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(probe, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and the number is one of the constants of
    // `protocol::fds`, each of which is taken over once, at start.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes `number` a copy of `fd`, kept across exec.
///
/// # Errors
/// errno of dup2(2).
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    if fd.as_raw_fd() == number {
        fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
        return Ok(());
    }
    // SAFETY: dup2 only changes this process's descriptor table; callers are
    // between fork and exec, where `number` is theirs to replace.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// A copy of `fd` with a number of at least `least`, close-on-exec.
///
/// # Errors
/// errno of fcntl(2).
pub fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: fcntl has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Closes every descriptor from `first` up (close_range(2)).
///
/// # Errors
/// errno of close_range(2).
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: callers own nothing above `first`, or are about to exec.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Marks every descriptor from `first` up close-on-exec.
///
/// # Errors
/// errno of close_range(2).
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: changes a flag of descriptors, closes none.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// A memfd with these bytes that nobody can change any more: without
/// `F_SEAL_WRITE` a reader could re-open it for writing (attacks.md 1).
///
/// # Errors
/// errno of memfd_create(2), write(2) or fcntl(2).
pub fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = nix::unistd::write(&fd, rest)?;
        rest = rest.get(n..).unwrap_or(&[]);
    }
    seal(fd.as_fd())?;
    Ok(fd)
}

/// An empty memfd whose content may be executed. To be filled, and sealed.
///
/// # Errors
/// errno of memfd_create(2); `EACCES` where the system forbids such files
/// (vm.memfd_noexec in sysctl(2)).
pub fn executable(name: &CStr) -> Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create(name, flags | MFdFlags::from_bits_retain(libc::MFD_EXEC)) {
        // Before Linux 6.3, where every memfd may be executed.
        Err(Errno::EINVAL) => memfd_create(name, flags),
        other => other,
    }
}

/// Takes from everybody, ourselves included, the right to change a memfd.
///
/// # Errors
/// errno of fcntl(2).
pub fn seal(fd: BorrowedFd<'_>) -> Result<()> {
    let all = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(fd, FcntlArg::F_ADD_SEALS(all)).map(drop)
}

/// Leaves a descriptor to the programs that this process, or a child of it,
/// executes.
///
/// # Errors
/// errno of fcntl(2).
pub fn keep_on_exec(fd: BorrowedFd<'_>) -> Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}

/// Reads a whole sealed memfd; refuses one that could still change.
///
/// # Errors
/// `EPERM` when it is not sealed, `EFBIG` when longer than `max`.
pub fn read_sealed(fd: BorrowedFd<'_>, max: usize) -> Result<Vec<u8>> {
    let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    if !seals.contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK) {
        return Err(Errno::EPERM);
    }
    read_whole(fd, max)
}

/// Reads a file from its beginning to its end, into one buffer that does not
/// move.
///
/// # Errors
/// `EFBIG` when it holds more than `max` bytes, `EIO` when it shrinks
/// meanwhile, else errno of pread(2).
pub fn read_whole(fd: BorrowedFd<'_>, max: usize) -> Result<Vec<u8>> {
    let len = usize::try_from(nix::sys::stat::fstat(fd)?.st_size).map_err(|_| Errno::EFBIG)?;
    if len > max {
        return Err(Errno::EFBIG);
    }
    let mut bytes = vec![0; len];
    let mut at = 0;
    while at < len {
        let Some(rest) = bytes.get_mut(at..) else { break };
        // Not read(2): the offset is shared with every other holder.
        let n = nix::sys::uio::pread(fd, rest, i64::try_from(at).map_err(|_| Errno::EFBIG)?)?;
        if n == 0 {
            return Err(Errno::EIO);
        }
        at += n;
    }
    Ok(bytes)
}

/// Walks that may be lost to a racing rename before [`open_beneath`] gives up.
const RACES: u32 = 64;

/// Opens `path` beneath `root` (openat2(2), RESOLVE_BENEATH and
/// RESOLVE_NO_MAGICLINKS; no symbolic link at all where `links` is false).
/// An absolute path, `..` out of the root or a planted link is an error.
///
/// # Errors
/// errno of openat2(2): `EXDEV` when the path leads out, `EAGAIN` when
/// renames elsewhere raced every one of several walks.
pub fn open_beneath(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlag,
    links: bool,
) -> Result<OwnedFd> {
    let mut resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    if !links {
        resolve |= libc::RESOLVE_NO_SYMLINKS;
    }
    // SAFETY: an all-zero open_how is a valid value of this plain C struct.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | OFlag::O_CLOEXEC).bits().unsigned_abs());
    how.resolve = resolve;
    let mut races = 0;
    loop {
        // SAFETY: path is NUL-terminated, how is a valid open_how of the size
        // given; the call keeps neither.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                std::mem::size_of::<libc::open_how>(),
            )
        };
        match check(ret) {
            Err(Errno::EINTR) => {}
            // A rename elsewhere raced a `..` of the walk; the kernel asks to
            // try again. Not for ever: a command that renames without end
            // must not hold its worker here, past its limits and its kill.
            Err(Errno::EAGAIN) if races < RACES => races += 1,
            Err(e) => return Err(e),
            // SAFETY: openat2 has just returned this descriptor to us alone.
            Ok(raw) => return Ok(unsafe { OwnedFd::from_raw_fd(raw as RawFd) }),
        }
    }
}

/// Opens a path of the operator's as an anchor (`O_PATH`).
///
/// # Errors
/// errno of open(2).
pub fn anchor(path: &CStr) -> Result<OwnedFd> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
}

/// The object at `path` beneath `folder`, by device and number; a link itself.
///
/// # Errors
/// errno of fstatat(2).
pub fn identity(folder: BorrowedFd<'_>, path: &CStr) -> Result<(u64, u64)> {
    let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
    nix::sys::stat::fstatat(folder, path, flags).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Opens /dev/null and puts it at every one of 0, 1, 2 that is closed, so
/// that no later open lands there.
///
/// # Errors
/// errno of open(2).
pub fn fill_standard() -> Result<()> {
    loop {
        let null = nix::fcntl::open(c"/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // Kept open on purpose: it now is one of 0, 1, 2.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(null);
    }
}

/// A pipe, both ends close-on-exec.
///
/// # Errors
/// errno of pipe2(2).
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// Makes reads and writes return `EAGAIN` instead of waiting.
///
/// # Errors
/// errno of fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Bytes that wait in a pipe to be read (ioctl FIONREAD, pipe(7)).
///
/// # Errors
/// errno of ioctl(2).
pub fn waiting(pipe: BorrowedFd<'_>) -> Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int through the pointer, which is ours.
    check(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) }.into())?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The standard streams, for those who pass them on.
#[must_use]
pub fn standard() -> [BorrowedFd<'static>; 3] {
    // SAFETY: every process of ours starts with `fill_standard` and never
    // closes 0, 1 or 2.
    unsafe { [BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1), BorrowedFd::borrow_raw(2)] }
}

/// Does memfd_secret(2) work here?
///
/// # Errors
/// errno of the call.
pub fn secret_memory_works() -> Result<()> {
    // SAFETY: takes flags only.
    let raw = check(unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) })?;
    // SAFETY: the call has just returned this descriptor to us alone.
    drop(unsafe { OwnedFd::from_raw_fd(raw as RawFd) });
    Ok(())
}
