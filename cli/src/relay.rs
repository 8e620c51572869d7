//! Moves a command's three streams between its pipes and ours, a bounded
//! piece at a time, never waiting on one stream while another could go on.
//!
//! Our own standard streams are shared with whoever started us, so they are
//! never made non-blocking: that would change them for everybody (the flag is
//! on the open file, not on the descriptor). Instead a write happens after
//! poll(2) has said that there is room, and is no longer than `PIPE_BUF`,
//! which a pipe that has room takes whole (pipe(7)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::PollFlags;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{read, write};
use strongroom_sys::{Errno, fd};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Bytes a pipe with room takes without waiting (pipe(7)).
const PIPE_BUF: usize = 4096;

/// What one turn may wait for: a descriptor, and the events of poll(2).
pub type Interest<'a> = Option<(BorrowedFd<'a>, PollFlags)>;

/// Bytes on their way, and how many of them have left.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    gone: usize,
}

impl Pending {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    fn fill(&mut self, from: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.bytes.resize(CHUNK, 0);
        self.gone = 0;
        let got = read(from, &mut self.bytes);
        self.bytes.truncate(*got.as_ref().unwrap_or(&0));
        got
    }
}

/// Where a command's output goes.
#[derive(Debug)]
enum Sink {
    /// A stream of ours, and how much is written at once.
    Stream(BorrowedFd<'static>, usize),
    /// Kept, for the report.
    Memory(Vec<u8>),
}

/// One output stream of the command.
#[derive(Debug)]
pub struct Outlet {
    from: Option<OwnedFd>,
    sink: Sink,
    pending: Pending,
    lost: Option<Errno>,
}

impl Outlet {
    /// Passes what comes out of `from` on to `stream`.
    ///
    /// # Errors
    /// errno of fcntl(2).
    pub fn to_stream(from: OwnedFd, stream: BorrowedFd<'static>) -> Result<Self, Errno> {
        // A file never makes a writer wait for a reader.
        let file = fstat(stream)
            .is_ok_and(|s| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG);
        Self::new(from, Sink::Stream(stream, if file { CHUNK } else { PIPE_BUF }))
    }

    /// Keeps what comes out of `from`.
    ///
    /// # Errors
    /// errno of fcntl(2).
    pub fn to_memory(from: OwnedFd) -> Result<Self, Errno> {
        Self::new(from, Sink::Memory(Vec::new()))
    }

    fn new(from: OwnedFd, sink: Sink) -> Result<Self, Errno> {
        fd::set_nonblocking(from.as_fd())?;
        Ok(Self { from: Some(from), sink, pending: Pending::default(), lost: None })
    }

    /// Everything has arrived where it goes.
    pub fn done(&self) -> bool {
        self.from.is_none() && self.pending.rest().is_empty()
    }

    /// What to wait for before the next [`Self::step`].
    pub fn interest(&self) -> Interest<'_> {
        match (&self.sink, &self.from) {
            (Sink::Stream(stream, _), _) if !self.pending.rest().is_empty() => {
                Some((*stream, PollFlags::POLLOUT))
            }
            (_, Some(from)) => Some((from.as_fd(), PollFlags::POLLIN)),
            (_, None) => None,
        }
    }

    /// Goes one piece on. A reader of ours that has gone away closes the
    /// pipe, so that the command learns of it as it would without us.
    pub fn step(&mut self) {
        if self.pending.rest().is_empty() {
            self.take();
        } else {
            self.give();
        }
    }

    fn take(&mut self) {
        let Some(from) = &self.from else { return };
        match self.pending.fill(from.as_fd()) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => self.from = None,
            Ok(_) => {
                if let Sink::Memory(kept) = &mut self.sink {
                    kept.append(&mut self.pending.bytes);
                }
            }
        }
    }

    fn give(&mut self) {
        let Sink::Stream(stream, most) = self.sink else {
            return;
        };
        let rest = self.pending.rest();
        let piece = rest.get(..most).unwrap_or(rest);
        match write(stream, piece) {
            Ok(n) => self.pending.gone += n,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => {
                self.lost = Some(errno);
                self.from = None;
                self.pending = Pending::default();
            }
        }
    }

    /// Why output was lost: our own stream took no more of it.
    pub fn lost(&self) -> Option<Errno> {
        self.lost
    }

    /// What was kept.
    pub fn into_memory(self) -> Vec<u8> {
        match self.sink {
            Sink::Memory(kept) => kept,
            Sink::Stream(..) => Vec::new(),
        }
    }
}

/// The command's standard input.
#[derive(Debug)]
pub struct Inlet {
    from: Option<BorrowedFd<'static>>,
    to: Option<OwnedFd>,
    pending: Pending,
}

impl Inlet {
    /// Passes what `stream` gives on into `to`.
    ///
    /// # Errors
    /// errno of fcntl(2).
    pub fn new(stream: BorrowedFd<'static>, to: OwnedFd) -> Result<Self, Errno> {
        fd::set_nonblocking(to.as_fd())?;
        Ok(Self { from: Some(stream), to: Some(to), pending: Pending::default() })
    }

    /// The stream to wait for: only while all that was read has gone on, so
    /// that no more is taken from our caller than the command has room for.
    pub fn source(&self) -> Interest<'_> {
        let from = self.from.filter(|_| self.to.is_some() && self.pending.rest().is_empty())?;
        Some((from, PollFlags::POLLIN))
    }

    /// The pipe to wait for; without events where only its closing matters.
    pub fn target(&self) -> Interest<'_> {
        let events =
            if self.pending.rest().is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        self.to.as_ref().map(|to| (to.as_fd(), events))
    }

    /// The source has something, or has ended. A terminal that belongs to
    /// another job gives EIO (SIGTTIN is blocked), which ends it as well: the
    /// command sees the end of its input rather than stopping us.
    pub fn take(&mut self) {
        let Some(from) = self.from else { return };
        match self.pending.fill(from) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => {
                self.from = None;
                self.to = None;
            }
            Ok(_) => self.give(),
        }
    }

    /// The pipe has room, or its reader has gone.
    pub fn give(&mut self) {
        let Some(to) = &self.to else { return };
        match write(to, self.pending.rest()) {
            Ok(n) => self.pending.gone += n,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.close(),
        }
    }

    /// The command reads no more.
    pub fn close(&mut self) {
        self.to = None;
        self.from = None;
        self.pending = Pending::default();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn forever(fd: OwnedFd) -> BorrowedFd<'static> {
        let kept: &'static OwnedFd = Box::leak(Box::new(fd));
        kept.as_fd()
    }

    fn pipe_with(bytes: &[u8]) -> OwnedFd {
        let (read, write) = fd::pipe().unwrap();
        std::fs::File::from(write).write_all(bytes).unwrap();
        read
    }

    #[test]
    fn output_is_kept_whole() {
        let mut outlet = Outlet::to_memory(pipe_with(&[7; 50_000])).unwrap();
        while !outlet.done() {
            outlet.step();
        }
        assert_eq!(outlet.into_memory(), vec![7; 50_000]);
    }

    #[test]
    fn output_waits_for_room_in_small_pieces() {
        let (read, write) = fd::pipe().unwrap();
        let stream = forever(write);
        let mut outlet = Outlet::to_stream(pipe_with(&[7; 20_000]), stream).unwrap();
        while !outlet.done() {
            outlet.step();
        }
        let mut got = vec![0; 20_000];
        std::fs::File::from(read).read_exact(&mut got).unwrap();
        assert_eq!(got, vec![7; 20_000]);
    }

    #[test]
    fn a_reader_that_left_closes_the_pipe() {
        let (read, write) = fd::pipe().unwrap();
        let stream = forever(write);
        drop(read);
        let (from, _command) = fd::pipe().unwrap();
        nix::unistd::write(&_command, b"x").unwrap();
        let mut outlet = Outlet::to_stream(from, stream).unwrap();
        outlet.step();
        outlet.step();
        assert!(outlet.done());
        assert_eq!(nix::unistd::write(&_command, b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn input_ends_when_the_source_ends() {
        let source = forever(pipe_with(b"hello"));
        let (read, to) = fd::pipe().unwrap();
        let mut inlet = Inlet::new(source, to).unwrap();
        inlet.take();
        assert!(inlet.source().is_some());
        inlet.take();
        assert!(inlet.source().is_none() && inlet.target().is_none());
        let mut got = String::new();
        std::fs::File::from(read).read_to_string(&mut got).unwrap();
        assert_eq!(got, "hello");
    }

    #[test]
    fn input_is_not_read_ahead_of_the_command() {
        let source = forever(pipe_with(&[1; 60_000]));
        let (read, to) = fd::pipe().unwrap();
        nix::fcntl::fcntl(&to, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let mut inlet = Inlet::new(source, to).unwrap();
        inlet.take();
        assert!(inlet.source().is_none(), "what was read waits for room");
        drop(read);
        inlet.give();
        assert!(inlet.target().is_none(), "the command reads no more");
    }
}
