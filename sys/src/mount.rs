//! The descriptor-based mount calls (open_tree(2), move_mount(2),
//! mount_setattr(2), fsopen(2)): a tree is taken by descriptor, restricted
//! while nobody can see it, and put in place by descriptor, so that no name
//! is looked up twice.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check};

/// `MOUNT_ATTR_*` of mount_setattr(2).
pub mod attr {
    /// Nothing can be written.
    pub const RDONLY: u64 = 1;
    /// Set-id bits have no effect.
    pub const NOSUID: u64 = 2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 4;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 8;
}

const AT_EMPTY_PATH: libc::c_uint = 0x1000;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = 0o2_000_000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

fn owned(raw: libc::c_long) -> OwnedFd {
    // SAFETY: callers pass what a system call has just returned to us alone.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).unwrap_or(-1)) }
}

/// A detached copy of the tree at `at`, with all that is mounted beneath.
///
/// # Errors
/// errno of open_tree(2).
pub fn copy_tree(at: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: an empty NUL-terminated path with AT_EMPTY_PATH names `at`.
    check(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), c"".as_ptr(), flags) })
        .map(owned)
}

/// Adds attributes to a mount, and to those beneath it where `recursive`.
///
/// # Errors
/// errno of mount_setattr(2).
pub fn restrict(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clr: u64,
        propagation: u64,
        userns: u64,
    }
    let attr = MountAttr { set: attributes, clr: 0, propagation: 0, userns: 0 };
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: attr is a valid mount_attr of the size given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            std::mem::size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Puts a detached mount at `target`.
///
/// # Errors
/// errno of move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: both paths are empty and NUL-terminated; descriptors are live.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// A detached new filesystem of this type with these string options.
///
/// # Errors
/// errno of fsopen(2), fsconfig(2) or fsmount(2).
pub fn filesystem(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<OwnedFd> {
    // SAFETY: strings are NUL-terminated, descriptors come from the calls.
    unsafe {
        let context = owned(check(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC))?);
        for (key, value) in options {
            check(libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                FSCONFIG_SET_STRING,
                key.as_ptr(),
                value.as_ptr(),
                0,
            ))?;
        }
        check(libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            std::ptr::null::<libc::c_char>(),
            std::ptr::null::<libc::c_char>(),
            0,
        ))?;
        check(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes as libc::c_uint,
        ))
        .map(owned)
    }
}

/// Makes the current folder (a mount) the root and lets go of the old one.
///
/// # Errors
/// errno of pivot_root(2), umount2(2), mount(2), chroot(2) or chdir(2).
pub fn pivot_here() -> Result<()> {
    // SAFETY: constant NUL-terminated paths.
    unsafe {
        match check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr())) {
            Ok(_) => check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into()).map(drop)?,
            Err(Errno::EPERM) => cover_root()?,
            Err(errno) => return Err(errno),
        }
        check(libc::chdir(c"/".as_ptr()).into())?;
    }
    Ok(())
}

/// What pivot_root does, without it: Docker's seccomp profile refuses the
/// call even to a container with CAP_SYS_ADMIN. The old root stays mounted
/// underneath, where no name leads; to take the cover off needs capabilities
/// that whoever goes on from here gives up.
fn cover_root() -> Result<()> {
    let nothing = std::ptr::null();
    // SAFETY: constant NUL-terminated paths; a move has no type and no data.
    unsafe {
        let moved =
            libc::mount(c".".as_ptr(), c"/".as_ptr(), nothing, libc::MS_MOVE, nothing.cast());
        check(moved.into())?;
        check(libc::chroot(c".".as_ptr()).into()).map(drop)
    }
}

/// Nothing mounted from here on reaches the outside, nor the other way.
///
/// # Errors
/// errno of mount(2).
pub fn make_private() -> Result<()> {
    // SAFETY: constant NUL-terminated paths; null data and type are allowed
    // for a change of propagation.
    check(
        unsafe {
            libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            )
        }
        .into(),
    )
    .map(drop)
}

/// Brings the loopback interface of this network namespace up.
///
/// # Errors
/// errno of socket(2) or ioctl(2).
pub fn loopback_up() -> Result<()> {
    // SAFETY: an all-zero ifreq is valid; the name fits and is terminated by
    // the zeros; the ioctls read and write that struct only.
    unsafe {
        let raw = check(libc::syscall(
            libc::SYS_socket,
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        ))?;
        let socket = owned(raw);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request).into())?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request).into())?;
    }
    Ok(())
}
