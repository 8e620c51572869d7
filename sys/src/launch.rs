//! From a finished jail to a running command: vfork, a handful of calls,
//! exec. The child borrows the worker's memory, so it copies no page table
//! and must not allocate, lock or unwind; everything it needs is made before.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::process::Instruction;
use crate::{Errno, Result};

/// What the child does, in this order.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where to look for the program, best first: absolute, or relative to
    /// the working folder.
    pub candidates: &'a [CString],
    /// argv.
    pub argv: &'a [CString],
    /// envp.
    pub env: &'a [&'a CStr],
    /// Becomes 0, 1, 2, … in order.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// Becomes the working folder.
    pub cwd: BorrowedFd<'a>,
    /// (resource, soft, hard) limits.
    pub rlimits: &'a [(u32, u64, u64)],
    /// A Landlock ruleset to enter last.
    pub domain: BorrowedFd<'a>,
    /// umask(2).
    pub umask: u32,
    /// The last seccomp filter, installed by the command itself: it takes away
    /// what the worker still needs.
    pub filter: &'a [Instruction],
    /// Where the listener of that filter is sent, if it has notifications:
    /// the worker's own calls must not wait for themselves.
    pub listener: Option<BorrowedFd<'a>>,
}

/// Where the child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// No child could be made.
    Fork(Errno),
    /// A call between fork and exec.
    Setup(Errno),
    /// No candidate could be executed.
    Exec(Errno),
}

struct Shared<'a> {
    launch: &'a Launch<'a>,
    candidates: &'a [*const libc::c_char],
    argv: *const *const libc::c_char,
    env: *const *const libc::c_char,
    setup: i32,
    exec: i32,
    tried: usize,
}

/// A command that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launched {
    /// Its process.
    pub pid: i32,
    /// Which candidate it is.
    pub candidate: usize,
}

fn pointers(list: &[impl AsRef<CStr>]) -> Vec<*const libc::c_char> {
    list.iter().map(|s| s.as_ref().as_ptr()).chain([std::ptr::null()]).collect()
}

/// The stack a child borrows until it execs. Made ahead, so that no command
/// waits for its pages.
pub struct Stack(Vec<u8>);

impl Stack {
    /// Bytes. The child calls nothing deep.
    const SIZE: usize = 32 * 1024;

    /// A stack whose pages are there.
    #[must_use]
    pub fn new() -> Self {
        // Not zeros: those the kernel would give only when they are touched.
        Self(vec![0xa5; Self::SIZE])
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stack({} bytes)", self.0.len())
    }
}

/// Runs the command as a child; returns once it has been executed.
///
/// # Errors
/// [`Failed`] says where and why; then there is no child any more.
pub fn launch(launch: &Launch<'_>, stack: &mut Stack) -> std::result::Result<Launched, Failed> {
    let argv = pointers(launch.argv);
    let env = pointers(launch.env);
    let candidates: Vec<_> = launch.candidates.iter().map(|c| c.as_ptr()).collect();
    let mut shared = Shared {
        launch,
        candidates: &candidates,
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        setup: 0,
        exec: 0,
        tried: 0,
    };
    // The child runs on this stack while the parent waits in clone.
    let Stack(stack) = stack;
    // SAFETY: `top` stays inside (one past) the allocation, 16-byte aligned as
    // the ABI wants. CLONE_VM|CLONE_VFORK: the parent does not run until the
    // child has exec'd or exited, so `shared` and `stack` are not shared with
    // a running thread; the child only makes system calls (see `child`).
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        let top = top.sub(top as usize % 16);
        libc::clone(
            child,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut shared).cast(),
        )
    };
    if pid < 0 {
        return Err(Failed::Fork(Errno::last()));
    }
    let failed = match (shared.setup, shared.exec) {
        (0, 0) => return Ok(Launched { pid, candidate: shared.tried }),
        (0, exec) => Failed::Exec(Errno::from_raw(exec)),
        (setup, _) => Failed::Setup(Errno::from_raw(setup)),
    };
    // It has left through _exit: reap it.
    // SAFETY: waits for our own child, writes no status.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    Err(failed)
}

extern "C" fn child(arg: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `launch` passed a pointer to its live `Shared`; the parent is
    // suspended until this function execs or exits.
    let shared = unsafe { &mut *arg.cast::<Shared<'_>>() };
    if let Err(errno) = prepare(shared.launch) {
        shared.setup = errno as i32;
        return 127;
    }
    // Told only when all have failed: after a success nothing runs here.
    let mut answer = Errno::ENOENT as i32;
    for (index, candidate) in shared.candidates.iter().enumerate() {
        shared.tried = index;
        // SAFETY: all three are NUL- or NULL-terminated and alive.
        unsafe { libc::execve(*candidate, shared.argv, shared.env) };
        let errno = Errno::last_raw();
        match errno {
            // Not here: the next folder may have it (execvp(3)).
            libc::ENOENT | libc::ENOTDIR => {}
            // Remember that something was there, and go on as execvp does.
            libc::EACCES => answer = errno,
            _ => {
                answer = errno;
                break;
            }
        }
    }
    shared.exec = answer;
    127
}

/// Only system calls from here on: no allocation, no lock, no panic.
fn prepare(launch: &Launch<'_>) -> Result<()> {
    let fail = |ret: libc::c_long| if ret < 0 { Err(Errno::last()) } else { Ok(ret) };
    for (target, fd) in launch.descriptors.iter().enumerate() {
        // The low numbers are the worker's own fixed ones, so a source lies
        // above all targets and none is overwritten before it is copied.
        if (fd.as_raw_fd() as usize) < launch.descriptors.len() {
            return Err(Errno::EBADF);
        }
        // SAFETY: changes this child's own descriptor table only (there is no
        // CLONE_FILES); dup2 clears close-on-exec on the copy.
        fail(unsafe { libc::dup2(fd.as_raw_fd(), target as RawFd) }.into())?;
    }
    // SAFETY: plain system calls on this process, pointers to live values.
    unsafe {
        fail(libc::syscall(libc::SYS_fchdir, launch.cwd.as_raw_fd()))?;
        libc::umask(launch.umask);
        for (resource, soft, hard) in launch.rlimits {
            let limit = libc::rlimit64 { rlim_cur: *soft, rlim_max: *hard };
            fail(libc::syscall(
                libc::SYS_prlimit64,
                0,
                *resource,
                &raw const limit,
                std::ptr::null_mut::<libc::rlimit64>(),
            ))?;
        }
        // If the worker dies without a word, so does the command.
        fail(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL).into())?;
        fail(libc::syscall(libc::SYS_setsid))?;
        fail(libc::syscall(libc::SYS_landlock_restrict_self, launch.domain.as_raw_fd(), 0u32))?;
        // The worker blocks signals for its signalfd; the command starts clean.
        let none: libc::sigset_t = std::mem::zeroed();
        fail(libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut::<libc::sigset_t>(),
            8usize,
        ))?;
    }
    install(launch.filter, launch.listener)
}

/// Installs the filter and sends its listener, if it has one, to the worker.
fn install(filter: &[Instruction], listener: Option<BorrowedFd<'_>>) -> Result<()> {
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    let program = libc::sock_fprog {
        // The kernel refuses an empty program, and so one that is too long.
        len: u16::try_from(filter.len()).unwrap_or(0),
        filter: filter.as_ptr().cast_mut(),
    };
    let flags = if listener.is_some() { NEW_LISTENER } else { 0 };
    // SAFETY: the kernel copies the program, which is borrowed meanwhile.
    let installed = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if installed < 0 {
        return Err(Errno::last());
    }
    // It is close-on-exec, as every listener is.
    listener.map_or(Ok(()), |socket| hand_over(installed as RawFd, socket))
}

/// Sends a descriptor to the worker, without allocating.
fn hand_over(listener: RawFd, socket: BorrowedFd<'_>) -> Result<()> {
    #[repr(C, align(8))]
    struct Control {
        header: libc::cmsghdr,
        fd: i32,
    }
    // SAFETY: the message header, its one-byte payload and its control block
    // live on this stack during the call.
    unsafe {
        let mut control = Control { header: std::mem::zeroed(), fd: listener };
        control.header.cmsg_len = libc::CMSG_LEN(4) as usize;
        control.header.cmsg_level = libc::SOL_SOCKET;
        control.header.cmsg_type = libc::SCM_RIGHTS;
        let mut byte = 0u8;
        let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = std::mem::size_of::<Control>();
        let sent = libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL);
        if sent < 0 { Err(Errno::last()) } else { Ok(()) }
    }
}

/// Builds the list for [`Launch::candidates`] as execvp(3) would: a program
/// with a `/` is taken as it is, else it is looked for in `path`. Empty
/// entries (which mean the working folder) are left out.
#[must_use]
pub fn candidates(program: &CStr, path: &[u8]) -> Vec<CString> {
    let name = program.to_bytes();
    if name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    path.split(|b| *b == b':')
        .filter(|dir| dir.first() == Some(&b'/'))
        .filter_map(|dir| CString::new([dir, b"/", name].concat()).ok())
        .collect()
}
