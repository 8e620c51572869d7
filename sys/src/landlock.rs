//! The Landlock calls that the `landlock` crate cannot make for us: the ABI
//! and errata queries, the command's own small ruleset, rules in one call each
//! (the crate looks at every object again), a late rule for a ruleset made by
//! another process, and entering one between vfork and exec, where nothing may
//! be allocated.

use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Result, check, fd};

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// `LANDLOCK_ACCESS_FS_READ_FILE` and `LANDLOCK_ACCESS_FS_READ_DIR`.
const ACCESS_READ: u64 = 1 << 2 | 1 << 3;
/// `LANDLOCK_ACCESS_FS_REFER` (landlock(7), ABI 2).
const ACCESS_REFER: u64 = 1 << 13;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const RULE_PATH_BENEATH: u32 = 1;
/// `LANDLOCK_SCOPE_SIGNAL` (landlock(7), ABI 6).
const SCOPE_SIGNAL: u64 = 1 << 1;
const CREATE_RULESET_VERSION: u32 = 1;
const CREATE_RULESET_ERRATA: u32 = 2;

fn query(flag: u32) -> Result<u32> {
    // SAFETY: with a query flag the attribute must be null and its size 0.
    let answer = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttr>(),
            0usize,
            flag,
        )
    })?;
    Ok(u32::try_from(answer).unwrap_or(0))
}

/// The kernel's Landlock ABI.
///
/// # Errors
/// `ENOSYS` where the kernel has none, `EOPNOTSUPP` where it is switched off.
pub fn abi() -> Result<u32> {
    query(CREATE_RULESET_VERSION)
}

/// Bit n-1 is set when erratum n is fixed; 0 on kernels that do not say.
#[must_use]
pub fn errata() -> u32 {
    query(CREATE_RULESET_ERRATA).unwrap_or(0)
}

/// A ruleset that only scopes signals: a command inside it cannot signal its
/// worker, which sits one domain further out.
///
/// Renaming and linking across folders is denied by every layer that does not
/// allow it, also by one that handles no files at all (measured on 6.18:
/// EXDEV; landlock(7), `LANDLOCK_ACCESS_FS_REFER`). So this one allows it
/// everywhere and leaves the decision to the domain around it.
///
/// # Errors
/// errno of open(2), landlock_create_ruleset(2) or landlock_add_rule(2);
/// `E2BIG` or `EINVAL` below ABI 6.
pub fn signal_scope() -> Result<OwnedFd> {
    let attr = RulesetAttr {
        handled_access_fs: ACCESS_REFER,
        handled_access_net: 0,
        scoped: SCOPE_SIGNAL,
    };
    // SAFETY: attr is a valid landlock_ruleset_attr of the size given.
    let raw = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attr,
            std::mem::size_of::<RulesetAttr>(),
            0u32,
        )
    })?;
    // SAFETY: the call has just returned this descriptor (close-on-exec).
    let ruleset = unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).unwrap_or(-1)) };
    allow(ruleset.as_fd(), fd::anchor(c"/")?.as_fd(), ACCESS_REFER)?;
    Ok(ruleset)
}

/// Adds to a prepared ruleset, which must handle both rights, that files in
/// this folder can be read and that it can be listed.
///
/// # Errors
/// errno of landlock_add_rule(2).
pub fn allow_reading(ruleset: BorrowedFd<'_>, folder: BorrowedFd<'_>) -> Result<()> {
    allow(ruleset, folder, ACCESS_READ)
}

/// Allows these rights (`LANDLOCK_ACCESS_FS_*`) beneath an object.
///
/// # Errors
/// errno of landlock_add_rule(2): `EINVAL` for a right that the ruleset does
/// not handle, or that is a folder's where the object is none.
pub fn allow(ruleset: BorrowedFd<'_>, object: BorrowedFd<'_>, access: u64) -> Result<()> {
    let rule = PathBeneath { allowed_access: access, parent_fd: object.as_raw_fd() };
    // SAFETY: rule is a valid landlock_path_beneath_attr; both descriptors live.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const rule,
            0u32,
        )
    })
    .map(drop)
}

/// Puts this thread into a new domain made from the ruleset. Needs
/// no_new_privs.
///
/// # Errors
/// errno of landlock_restrict_self(2); `E2BIG` at 16 nested domains.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes a descriptor and flags only.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) })
        .map(drop)
}
