//! Asks on the terminal, without showing what is typed. Whatever ends the
//! question, the terminal is as it was before.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::read;
use strongroom_sys::Errno;
use zeroize::Zeroizing;

use crate::secret::Bytes;

/// What a terminal can take in one line, its end not counted: the kernel
/// drops the rest without a word (termios(3): 4096 with the line end).
const LINE: usize = 4095;

/// How often two entries may differ.
const TRIES: u32 = 3;

/// What would end this process at a terminal.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// There is no terminal.
    NoTerminal(Errno),
    /// A signal ended the question, or the terminal went away.
    Ended,
    /// The answer is longer than a terminal can take.
    TooLong,
    /// Nothing was typed.
    Empty,
    /// The entries differ, again and again.
    Differ,
    /// The kernel refused.
    Failed(Errno),
}

impl std::fmt::Display for Unasked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTerminal(errno) => {
                write!(f, "there is no terminal to ask on: {}", errno.desc())
            }
            Self::Ended => f.write_str("nobody answered"),
            Self::TooLong => f.write_str(
                "a terminal takes 4095 bytes in a line; give it by a file or descriptor",
            ),
            Self::Empty => f.write_str("nothing was typed"),
            Self::Differ => f.write_str("the two entries differ"),
            Self::Failed(errno) => write!(f, "the terminal: {}", errno.desc()),
        }
    }
}

/// Asks once.
///
/// # Errors
/// [`Unasked`].
pub fn ask(question: &str) -> Result<Bytes, Unasked> {
    Terminal::open()?.ask(question)
}

/// Asks twice, for what nobody could read over.
///
/// # Errors
/// [`Unasked`].
pub fn ask_twice(question: &str) -> Result<Bytes, Unasked> {
    let mut terminal = Terminal::open()?;
    for _ in 0..TRIES {
        let first = terminal.ask(question)?;
        if first.is_empty() {
            return Err(Unasked::Empty);
        }
        if terminal.ask("Once more")? == first {
            return Ok(first);
        }
        terminal.say("The two differ.\n")?;
    }
    Err(Unasked::Differ)
}

/// The terminal of this session, without echo, until it is dropped.
struct Terminal {
    tty: File,
    before: Termios,
    signals: SignalFd,
    mask: SigSet,
}

impl Terminal {
    fn open() -> Result<Self, Unasked> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|e| {
            Unasked::NoTerminal(Errno::from_raw(e.raw_os_error().unwrap_or_default()))
        })?;
        let before = tcgetattr(&tty).map_err(Unasked::NoTerminal)?;
        // From here on a signal is an answer, so that it cannot leave the
        // terminal mute. One that was ignored at start stays ignored.
        let ending: SigSet = ENDING
            .into_iter()
            .filter(|signal| !strongroom_sys::process::ignored(*signal as i32))
            .collect();
        let mask = ending
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .map_err(Unasked::Failed)?;
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(Unasked::Failed)?;
        let this = Self { tty, before, signals, mask };
        let mut mute = this.before.clone();
        mute.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHOE | LocalFlags::ECHOK);
        mute.local_flags.insert(LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::ECHONL);
        // A stopped process could not give the terminal back.
        if let Some(suspend) = mute.control_chars.get_mut(SpecialCharacterIndices::VSUSP as usize) {
            *suspend = nix::sys::termios::_POSIX_VDISABLE;
        }
        // What was typed before the question is not an answer to it.
        tcsetattr(&this.tty, SetArg::TCSAFLUSH, &mute).map_err(Unasked::Failed)?;
        Ok(this)
    }

    fn say(&mut self, text: &str) -> Result<(), Unasked> {
        self.tty.write_all(text.as_bytes()).map_err(|_| Unasked::Ended)
    }

    fn ask(&mut self, question: &str) -> Result<Bytes, Unasked> {
        self.say(&format!("{question}: "))?;
        let mut line = Zeroizing::new(vec![0; LINE + 1]);
        loop {
            let mut ready = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.tty.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Unasked::Failed(errno)),
            }
            if ready.first().is_some_and(|fd| fd.any().unwrap_or(false)) {
                return Err(self.signalled());
            }
            match read(&self.tty, &mut line) {
                Ok(0) => return Err(Unasked::Ended),
                Ok(n) => {
                    line.truncate(n);
                    break;
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return Err(Unasked::Ended),
            }
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() >= LINE { Err(Unasked::TooLong) } else { Ok(line) }
    }

    /// Gives the terminal back and takes the signal as if nothing had been
    /// asked: mostly that ends this process.
    fn signalled(&mut self) -> Unasked {
        let signal = self.signals.read_signal().ok().flatten();
        let signal = signal.and_then(|info| i32::try_from(info.ssi_signo).ok());
        self.give_back();
        if let Some(signal) = signal.and_then(|number| Signal::try_from(number).ok()) {
            let _ = raise(signal);
        }
        Unasked::Ended
    }

    fn give_back(&self) {
        // From the background this would stop us (SIGTTOU), unless blocked
        // (tcsetattr(3p)): whoever started us may have taken the terminal.
        let mut quiet = SigSet::empty();
        quiet.add(Signal::SIGTTOU);
        let _ = quiet.thread_block();
        let _ = tcsetattr(&self.tty, SetArg::TCSANOW, &self.before);
        let _ = self.mask.thread_set_mask();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}
