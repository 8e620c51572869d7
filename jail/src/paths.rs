//! Opening the plan's paths. They hold no link when the plan is made; if one
//! appears in them later somebody changed the ground, and the step fails.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use strongroom_protocol::stage::Stage;
use strongroom_protocol::types::PathBytes;
use strongroom_sys::{Errno, fd};

use crate::{At, Step};

/// A path as a C string: the type has checked that it has no NUL.
#[must_use]
pub fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes.split(|b| *b == 0).next().unwrap_or_default()).unwrap_or_default()
}

/// Joins a folder and a name.
#[must_use]
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}

/// An absolute path without its leading `/`, for openat2 beneath a root;
/// `.` for the root itself.
#[must_use]
pub fn relative(path: &[u8]) -> &[u8] {
    let rest = path.iter().position(|b| *b != b'/').and_then(|at| path.get(at..));
    rest.unwrap_or(b".")
}

/// Anchors an absolute path (`O_PATH`), following no link anywhere in it.
///
/// # Errors
/// The stage given, with the errno of openat2(2).
pub fn anchor(path: &PathBytes, stage: Stage) -> Step<OwnedFd> {
    let root = fd::anchor(c"/").at(stage)?;
    fd::open_beneath(
        root.as_fd(),
        &c_string(relative(path.as_bytes())),
        OFlag::O_PATH | OFlag::O_NOFOLLOW,
        false,
    )
    .at(stage)
}

/// Is the object a folder?
///
/// # Errors
/// errno of fstat(2).
pub fn is_folder(fd: &impl AsFd) -> Result<bool, Errno> {
    let mode = nix::sys::stat::fstat(fd)?.st_mode;
    Ok(mode & libc::S_IFMT == libc::S_IFDIR)
}
