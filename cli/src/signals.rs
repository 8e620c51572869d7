//! Signals as a stream (signalfd(2)), for the client that passes them on.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use strongroom_sys::{Errno, process};

/// What is passed on to a command.
const FORWARDED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// Between two signals, so that a storm of them (a terminal being resized)
/// stays within the channel's budget. The kernel merges those that wait.
const PAUSE: Duration = Duration::from_millis(10);

/// The signals of this process, taken one by one.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    resume: Option<Instant>,
}

impl Signals {
    /// Takes the signals over from their default actions. One that was
    /// ignored at start (nohup, a shell's background job) stays ignored.
    /// Reading a terminal from the background gives an error from now on
    /// instead of stopping this process.
    ///
    /// # Errors
    /// errno of sigprocmask(2) or signalfd(2).
    pub fn new() -> Result<Self, Errno> {
        let mask: SigSet =
            FORWARDED.iter().copied().filter(|s| !process::ignored(*s as i32)).collect();
        let mut blocked = mask;
        blocked.add(Signal::SIGTTIN);
        blocked.thread_set_mask()?;
        Ok(Self {
            fd: SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            resume: None,
        })
    }

    /// How long to leave the signals waiting, if at all.
    pub fn pause(&self) -> Option<Duration> {
        self.resume
            .map(|at| at.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }

    /// The next signal.
    pub fn next(&mut self) -> Option<Signal> {
        let info = self.fd.read_signal().ok().flatten()?;
        self.resume = Some(Instant::now() + PAUSE);
        i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
