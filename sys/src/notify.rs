//! seccomp user notifications (seccomp_unotify(2)): a system call of a jailed
//! thread waits while its worker decides. Never answered with CONTINUE for a
//! decision; the worker does the work itself or refuses.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Errno, Result, check};

/// A waiting system call.
#[derive(Debug, Clone, Copy)]
pub struct Notification {
    /// Names this one event.
    pub id: u64,
    /// The calling thread, as this pid namespace sees it.
    pub tid: i32,
    /// System-call number.
    pub number: i32,
    /// Arguments.
    pub args: [u64; 6],
}

// _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, struct seccomp_notif_resp),
// _IOW('!', 2, __u64): seccomp_unotify(2).
const RECV: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ID_VALID: libc::c_ulong = 0x4008_2102;

/// Takes the next waiting call.
///
/// # Errors
/// `ENOENT` when it was interrupted meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    // SAFETY: an all-zero seccomp_notif is valid, and the kernel wants zeros.
    let mut event: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the ioctl fills the struct it is given.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECV, &raw mut event) }.into())?;
    Ok(Notification {
        id: event.id,
        tid: i32::try_from(event.pid).unwrap_or(0),
        number: event.data.nr,
        args: event.data.args,
    })
}

/// Is the call still waiting? Asked after reading the caller's memory: if
/// not, what was read may have been another process's.
#[must_use]
pub fn still_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the ioctl reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

/// Ends the call with an errno, or with success and the value 0.
///
/// # Errors
/// `ENOENT` when it was interrupted meanwhile.
pub fn answer(listener: BorrowedFd<'_>, id: u64, result: Result<()>) -> Result<()> {
    let error = match result {
        Ok(()) => 0,
        Err(errno) => -(errno as i32),
    };
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags: 0 };
    // SAFETY: the ioctl reads the struct it is given.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response) }.into()).map(drop)
}

/// Reads up to `buffer.len()` bytes of another process's memory, through its
/// /proc/PID/mem opened by the caller.
///
/// # Errors
/// `EIO` when nothing could be read there.
pub fn read_memory(mem: BorrowedFd<'_>, address: u64, buffer: &mut [u8]) -> Result<usize> {
    let offset = i64::try_from(address).map_err(|_| Errno::EFAULT)?;
    nix::sys::uio::pread(mem, buffer, offset)
}
