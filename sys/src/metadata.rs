//! Mode and times of the object behind an `O_PATH` descriptor: no name.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Errno, Result, check};

/// Seconds and nanoseconds; `UTIME_NOW` and `UTIME_OMIT` as in utimensat(2).
pub type Time = (i64, i64);

/// fchmodat2(2) with AT_EMPTY_PATH. Where there is no such call (before Linux
/// 6.6, and in containers whose seccomp profile is older than it), chmod(2) of
/// the descriptor's own link, which no one else can change.
///
/// # Errors
/// errno of the call.
pub fn set_mode(object: BorrowedFd<'_>, mode: u32) -> Result<()> {
    const FCHMODAT2: libc::c_long = 452;
    // SAFETY: the path is empty and NUL-terminated.
    let changed = check(unsafe {
        libc::syscall(FCHMODAT2, object.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH)
    });
    match changed {
        Err(Errno::ENOSYS) => set_mode_by_link(object, mode),
        other => other.map(drop),
    }
}

fn set_mode_by_link(object: BorrowedFd<'_>, mode: u32) -> Result<()> {
    let link =
        CString::new(format!("/proc/self/fd/{}", object.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the path is NUL-terminated and lives during the call.
    check(unsafe { libc::chmod(link.as_ptr(), mode) }.into()).map(drop)
}

/// utimensat(2) with AT_EMPTY_PATH; `None`: now.
///
/// # Errors
/// errno of the call.
pub fn set_times(object: BorrowedFd<'_>, times: Option<[Time; 2]>) -> Result<()> {
    let times = times.map(|pair| {
        pair.map(|(seconds, nanos)| libc::timespec { tv_sec: seconds, tv_nsec: nanos })
    });
    let pointer = times.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
    // SAFETY: the path is empty and NUL-terminated; the times, where given,
    // are two timespecs that outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_utimensat,
            object.as_raw_fd(),
            c"".as_ptr(),
            pointer,
            libc::AT_EMPTY_PATH,
        )
    })
    .map(drop)
}
