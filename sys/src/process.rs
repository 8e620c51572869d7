//! Processes: make one, replace its program, take rights away, end it.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check};

/// Which of the two returned from [`fork`].
#[derive(Debug)]
pub enum Forked {
    /// The child.
    Child,
    /// The parent, with the child's pid and pidfd.
    Parent {
        /// The child's pid, in the caller's pid namespace.
        pid: i32,
        /// Names the child, and never another process.
        pidfd: OwnedFd,
    },
}

/// Flags of clone(2) for [`fork`].
pub mod flags {
    /// The child becomes a child of the caller's parent.
    pub const PARENT: i32 = libc::CLONE_PARENT;
    /// New user namespace.
    pub const USER: i32 = libc::CLONE_NEWUSER;
    /// New pid namespace.
    pub const PID: i32 = libc::CLONE_NEWPID;
    /// New mount namespace.
    pub const MOUNT: i32 = libc::CLONE_NEWNS;
    /// New network namespace.
    pub const NET: i32 = libc::CLONE_NEWNET;
    /// New IPC namespace.
    pub const IPC: i32 = libc::CLONE_NEWIPC;
    /// New UTS namespace.
    pub const UTS: i32 = libc::CLONE_NEWUTS;
}

/// Forks, with namespaces by `flags`. The caller has one thread.
///
/// # Errors
/// errno of clone(2); `EBUSY` when the caller has more than one thread.
pub fn fork(flags: i32) -> Result<Forked> {
    if !single_threaded() {
        return Err(Errno::EBUSY);
    }
    let mut pidfd: i32 = -1;
    // SAFETY: no CLONE_VM, so the child has a copy of this address space and
    // goes on from here as after fork(2); the process has one thread, so no
    // lock is held by a thread that does not exist in the child. The kernel
    // writes the pidfd through the pointer before either side returns.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_ulong,
            0usize,
            &raw mut pidfd,
            0usize,
            0usize,
        )
    })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: CLONE_PIDFD has just installed this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked::Parent { pid: i32::try_from(pid).unwrap_or(-1), pidfd })
}

fn single_threaded() -> bool {
    // A sandboxed process may not see /proc; it was single-threaded when it
    // was forked and our binaries without an async runtime start no thread.
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

/// Replaces this process by the program behind `program` (an `O_PATH`
/// descriptor), so that no name is looked up.
///
/// # Errors
/// errno of execveat(2); does not return on success.
pub fn execute(program: BorrowedFd<'_>, argv: &[&CStr], env: &[&CStr]) -> Errno {
    let pointers = |list: &[&CStr]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays are NULL-terminated and their strings outlive the
    // call, which returns only on failure.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Errno::last()
}

/// Ends this process at once, without destructors or exit handlers.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Sends a signal to every process this one may signal but itself
/// (`kill(-1)`, kill(2)). Inside a signal-scoped Landlock domain that is the
/// domain and those nested in it. Returns 0 even when nobody was hit.
///
/// # Errors
/// errno of kill(2); `ESRCH` when there is nobody else.
pub fn kill_reachable(signal: i32) -> Result<()> {
    // SAFETY: kill(2) has no memory preconditions.
    check(unsafe { libc::kill(-1, signal) }.into()).map(drop)
}

/// Sends a signal to a process that this process has not yet reaped, so the
/// number cannot have passed to another one.
///
/// # Errors
/// errno of kill(2).
pub fn kill_child(pid: i32, signal: i32) -> Result<()> {
    if pid <= 1 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: kill(2) has no memory preconditions.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Sends a signal through a pidfd (pidfd_send_signal(2)).
///
/// # Errors
/// errno of the call; `ESRCH` when it has ended.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo means the kernel fills in the caller's identity.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// Resets every signal to its default action and unblocks all: what this
/// process was started with (SIGCHLD ignored, all blocked) is not kept.
pub fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL installs no handler; refused numbers are no harm.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Whether a signal's action is "ignore" (as nohup and a shell's background
/// jobs leave it).
#[must_use]
pub fn ignored(signal: i32) -> bool {
    // SAFETY: an all-zero sigaction is a valid value of this plain C struct;
    // a null new action only reads the old one, into the struct given.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Children need not be reaped: the kernel forgets them (signal(7)).
pub fn forget_children() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// One prctl(2) with integer arguments.
fn prctl(option: i32, arg2: libc::c_ulong) -> Result<()> {
    // SAFETY: the options used below take integers, no pointers.
    check(unsafe { libc::prctl(option, arg2, 0, 0, 0) }.into()).map(drop)
}

/// This process may gain no privilege through exec, for ever.
///
/// # Errors
/// errno of prctl(2).
pub fn no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// No core file, and /proc/self belongs to root. Reset by exec and set-uid.
///
/// # Errors
/// errno of prctl(2).
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into())
}

/// SIGKILL when the parent's thread ends. Reset by set-uid; kept by exec.
///
/// # Errors
/// errno of prctl(2).
pub fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

/// Orphans among this process's descendants become its children.
///
/// # Errors
/// errno of prctl(2).
pub fn subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// Uid 0 gives no capability through exec any more, capabilities are not kept
/// over a change of uid, and none becomes ambient; all three locked
/// (capabilities(7)).
///
/// # Errors
/// errno of prctl(2); `EPERM` without CAP_SETPCAP.
pub fn lock_securebits() -> Result<()> {
    const NOROOT: libc::c_ulong = 1 | 1 << 1;
    const KEEP_CAPS_LOCKED: libc::c_ulong = 1 << 5;
    const NO_AMBIENT: libc::c_ulong = 1 << 6 | 1 << 7;
    prctl(libc::PR_SET_SECUREBITS, NOROOT | KEEP_CAPS_LOCKED | NO_AMBIENT)
}

/// A program as a classic-BPF instruction list, in the kernel's layout.
pub use libc::sock_filter as Instruction;

/// Lets whoever waits for this processor run first (sched_yield(2)). A message
/// over a socket wakes its receiver on the sender's processor, in the
/// expectation that the sender is about to sleep.
pub fn let_others_run() {
    // SAFETY: takes nothing and gives nothing; it does not fail on Linux.
    unsafe { libc::sched_yield() };
}
