//! Asks on the terminal, without showing what is typed. Whatever ends the
//! question, the terminal is as it was before.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, Termios};
use nix::unistd::read;
use strongroom_sys::Errno;
use zeroize::Zeroizing;

use crate::secret::Bytes;
use crate::tty::Tty;

/// What a terminal can take in one line, its end not counted: the kernel
/// drops the rest without a word (termios(3): 4096 with the line end).
const LINE: usize = 4095;

/// How often two entries may differ.
const TRIES: u32 = 3;

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
    tty: Tty,
}

impl Terminal {
    fn open() -> Result<Self, Unasked> {
        let mute = |mode: &mut Termios| {
            mode.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHOE | LocalFlags::ECHOK);
            mode.local_flags.insert(LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::ECHONL);
        };
        Tty::open(&[], mute).map(|tty| Self { tty })
    }

    fn say(&mut self, text: &str) -> Result<(), Unasked> {
        self.tty.say(text)
    }

    fn ask(&mut self, question: &str) -> Result<Bytes, Unasked> {
        self.say(&format!("{question}: "))?;
        let mut line = Zeroizing::new(vec![0; LINE + 1]);
        loop {
            let mut ready = [
                PollFd::new(self.tty.signals().as_fd(), PollFlags::POLLIN),
                PollFd::new(self.tty.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Unasked::Failed(errno)),
            }
            if ready.first().is_some_and(|fd| fd.any().unwrap_or(false)) {
                if let Some(signal) = self.tty.signal() {
                    self.tty.end_by(signal);
                }
                return Err(Unasked::Ended);
            }
            match read(self.tty.as_fd(), &mut line) {
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
}
