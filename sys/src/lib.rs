//! Every raw system call of Strongroom. This is the only crate with `unsafe`;
//! each block says why it is sound. No policy here: functions do one call, or
//! the smallest sequence that cannot be split, and return its errno.

pub mod fd;
pub mod landlock;
pub mod launch;
pub mod memory;
pub mod metadata;
pub mod mount;
pub mod notify;
pub mod packet;
pub mod process;
pub mod random;
pub mod secret;
pub mod wipe;

pub use nix::errno::Errno;

/// The result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// Turns a raw system call's answer into a result.
fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
