//! The terminal of this session in another mode. Whatever ends that, the
//! terminal is as it was before.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{
    FlushArg, SetArg, SpecialCharacterIndices, Termios, tcflush, tcgetattr, tcsetattr,
};
use strongroom_sys::{Errno, process};

use crate::prompt::Unasked;

/// What would end this process at a terminal.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// The terminal, until it is dropped.
pub struct Tty {
    file: File,
    before: Termios,
    signals: SignalFd,
    mask: SigSet,
}

impl Tty {
    /// Opens it and changes its mode. What would end this process comes as a
    /// signal to read from now on, and so do `more`.
    ///
    /// # Errors
    /// [`Unasked::NoTerminal`]; [`Unasked::Failed`] when the kernel refuses.
    pub fn open(more: &[Signal], change: impl FnOnce(&mut Termios)) -> Result<Self, Unasked> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|e| {
            Unasked::NoTerminal(Errno::from_raw(e.raw_os_error().unwrap_or_default()))
        })?;
        let before = tcgetattr(&file).map_err(Unasked::NoTerminal)?;
        // From here on a signal is an answer, so that it cannot leave the
        // terminal changed. One that was ignored at start stays ignored.
        let taken: SigSet = ENDING
            .iter()
            .chain(more)
            .copied()
            .filter(|signal| !process::ignored(*signal as i32))
            .collect();
        let mask = taken.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(Unasked::Failed)?;
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(Unasked::Failed)?;
        let this = Self { file, before, signals, mask };
        let mut mode = this.before.clone();
        change(&mut mode);
        // A stopped process could not give the terminal back.
        if let Some(suspend) = mode.control_chars.get_mut(SpecialCharacterIndices::VSUSP as usize) {
            *suspend = nix::sys::termios::_POSIX_VDISABLE;
        }
        // What was typed before the question is not an answer to it.
        tcsetattr(&this.file, SetArg::TCSAFLUSH, &mode).map_err(Unasked::Failed)?;
        Ok(this)
    }

    /// Writes to it.
    ///
    /// # Errors
    /// [`Unasked::Ended`]: it went away.
    pub fn say(&mut self, text: &str) -> Result<(), Unasked> {
        self.file.write_all(text.as_bytes()).map_err(|_| Unasked::Ended)
    }

    /// Forgets what was typed and not read yet.
    pub fn forget_typed(&self) {
        let _ = tcflush(&self.file, FlushArg::TCIFLUSH);
    }

    /// Readable when a signal came.
    pub const fn signals(&self) -> &SignalFd {
        &self.signals
    }

    /// The signal that came.
    pub fn signal(&mut self) -> Option<Signal> {
        let info = self.signals.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    }

    /// Gives the terminal back and takes the signal as if it had never been
    /// changed: mostly that ends this process.
    pub fn end_by(&self, signal: Signal) {
        self.give_back();
        let _ = raise(signal);
    }

    fn give_back(&self) {
        // From the background this would stop us (SIGTTOU), unless blocked
        // (tcsetattr(3p)): whoever started us may have taken the terminal.
        let mut quiet = SigSet::empty();
        quiet.add(Signal::SIGTTOU);
        let _ = quiet.thread_block();
        let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.before);
        let _ = self.mask.thread_set_mask();
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.give_back();
    }
}
