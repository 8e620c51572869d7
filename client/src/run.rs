//! Runs a command for a program: its output goes to a function as it comes,
//! and another thread may feed it, signal it and end it meanwhile.
//!
//! `strongroom exec` has a loop of its own, because it stands in for the
//! command: it shares its streams and signals with whoever started it.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use strongroom_protocol::channel::a::{Answer, Report, Request};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan;
use strongroom_protocol::types::{ApprovalId, ReqId, SignalNo};
use strongroom_sys::{Errno, fd};

use crate::error::Error;
use crate::line::{Line, TAG};
use crate::port::Lost;

/// Bytes of output in one event.
pub const CHUNK: usize = 32 * 1024;

const KILL: u8 = 9;

/// One of a command's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happens while a command runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A human is asked; milliseconds until that counts as denied.
    Waiting(ApprovalId, u64),
    /// It runs.
    Started(ReqId),
    /// It wrote this.
    Output(Stream, &'a [u8]),
    /// It has taken, or will never take, the input with this ticket.
    Taken(u64),
}

/// What another thread asks for.
#[derive(Debug)]
enum Wish {
    Input(u64, Vec<u8>),
    Close,
    Signal(SignalNo),
    Cancel,
}

/// Steers a command from another thread.
#[derive(Debug)]
pub struct Remote {
    wishes: Sender<Wish>,
    wake: OwnedFd,
}

impl Remote {
    /// Gives the command input; its end is told by [`Event::Taken`].
    pub fn input(&self, ticket: u64, bytes: Vec<u8>) {
        self.wish(Wish::Input(ticket, bytes));
    }

    /// Ends the command's input, after what was given.
    pub fn close(&self) {
        self.wish(Wish::Close);
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: SignalNo) {
        self.wish(Wish::Signal(signal));
    }

    /// Ends the command; or the request, where nothing runs yet.
    pub fn cancel(&self) {
        self.wish(Wish::Cancel);
    }

    fn wish(&self, wish: Wish) {
        // Where the command has ended there is nobody to hear it; a full pipe
        // wakes as well as one more byte.
        if self.wishes.send(wish).is_ok() {
            let _ = write(&self.wake, &[0]);
        }
    }
}

/// The other end of a [`Remote`].
#[derive(Debug)]
pub struct Steering {
    wishes: Receiver<Wish>,
    woken: OwnedFd,
}

/// A remote control for one command.
///
/// # Errors
/// [`Error::Io`]: no more descriptors.
pub fn remote() -> Result<(Remote, Steering), Error> {
    let (woken, wake) = fd::pipe().map_err(Error::Io)?;
    fd::set_nonblocking(woken.as_fd()).map_err(Error::Io)?;
    fd::set_nonblocking(wake.as_fd()).map_err(Error::Io)?;
    let (sender, wishes) = channel();
    Ok((Remote { wishes: sender, wake }, Steering { wishes, woken }))
}

/// Runs the command of a [`Request::Exec`] to its end.
///
/// # Errors
/// [`Error::Refused`]: nothing ran. [`Error::Lost`]: its end is not known.
pub fn run(
    line: Line,
    request: &Request,
    steering: Steering,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Report, Error> {
    let mut call = Call {
        line,
        steering,
        on,
        id: None,
        told: false,
        early: Vec::new(),
        stdin: None,
        input: VecDeque::new(),
        closing: false,
        outputs: Vec::new(),
        report: None,
        lost: None,
    };
    call.line.send(request)?;
    let ended = call.until_it_ended();
    call.end_input();
    ended
}

struct Call<'a> {
    line: Line,
    steering: Steering,
    on: &'a mut dyn FnMut(Event<'_>),
    id: Option<ReqId>,
    told: bool,
    /// Signals that came before there was a command to send them to.
    early: Vec<SignalNo>,
    stdin: Option<OwnedFd>,
    /// What the command has not taken yet, each with its ticket.
    input: VecDeque<(u64, VecDeque<u8>)>,
    closing: bool,
    outputs: Vec<(Stream, OwnedFd)>,
    report: Option<Box<Report>>,
    lost: Option<Lost>,
}

/// A descriptor of the poll loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Broker,
    Wishes,
    Input,
    Output(Stream),
}

impl Call<'_> {
    fn until_it_ended(&mut self) -> Result<Report, Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            if self.outputs.is_empty() {
                match (self.report.take(), self.lost) {
                    (Some(report), _) => return Ok(*report),
                    (None, Some(lost)) => return Err(lost.into()),
                    (None, None) => {}
                }
            }
            for (source, events) in self.wait()? {
                match source {
                    Source::Broker => self.answer()?,
                    Source::Wishes => self.listen()?,
                    // Its reader has gone.
                    Source::Input if events.contains(PollFlags::POLLERR) => self.end_input(),
                    Source::Input => self.feed(),
                    Source::Output(stream) => self.take(stream, &mut buffer),
                }
            }
        }
    }

    /// What poll(2) has to say about everything that can go on.
    fn wait(&self) -> Result<Vec<(Source, PollFlags)>, Error> {
        let mut list = vec![(Source::Wishes, self.steering.woken.as_fd(), PollFlags::POLLIN)];
        if self.report.is_none() && self.lost.is_none() {
            list.push((Source::Broker, self.line.port.as_fd(), PollFlags::POLLIN));
        }
        if let Some(stdin) = &self.stdin {
            let room = if self.input.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            list.push((Source::Input, stdin.as_fd(), room));
        }
        for (stream, from) in &self.outputs {
            list.push((Source::Output(*stream), from.as_fd(), PollFlags::POLLIN));
        }
        let mut fds: Vec<PollFd<'_>> =
            list.iter().map(|(_, fd, events)| PollFd::new(*fd, *events)).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(Error::Io(errno)),
        }
        let ready = list
            .iter()
            .zip(&fds)
            .map(|((source, ..), fd)| (*source, fd.revents().unwrap_or(PollFlags::empty())));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn answer(&mut self) -> Result<(), Error> {
        let (answer, fds) = match self.line.port.receive() {
            Ok(received) => received,
            // What the command wrote before is still passed on.
            Err(lost) => {
                self.lost = Some(lost);
                return Ok(());
            }
        };
        match answer {
            Answer::Welcome { version, .. } if version != plan::VERSION => {
                Err(Error::Version(version))
            }
            Answer::Waiting { tag: TAG, approval, left_ms } if self.id.is_none() => {
                if !std::mem::replace(&mut self.told, true) {
                    (self.on)(Event::Waiting(approval, left_ms));
                }
                Ok(())
            }
            Answer::Started { tag: TAG, id } if self.id.is_none() => self.started(id, fds),
            Answer::Refused { denial, .. } if self.id.is_none() => Err(Error::Refused(denial)),
            Answer::Exited { id, report } if self.id == Some(id) => {
                self.end_input();
                self.report = Some(report);
                Ok(())
            }
            // It ended while the signal was on its way; the report comes.
            Answer::Welcome { .. } | Answer::NoSuchCommand { .. } => Ok(()),
            _ => Err(Error::Unexpected),
        }
    }

    fn started(&mut self, id: ReqId, fds: Vec<OwnedFd>) -> Result<(), Error> {
        let [input, output, errors] =
            <[OwnedFd; 3]>::try_from(fds).map_err(|_| Error::Unexpected)?;
        for pipe in [&input, &output, &errors] {
            fd::set_nonblocking(pipe.as_fd()).map_err(Error::Io)?;
        }
        self.id = Some(id);
        self.stdin = Some(input);
        self.outputs = vec![(Stream::Stdout, output), (Stream::Stderr, errors)];
        (self.on)(Event::Started(id));
        for signal in std::mem::take(&mut self.early) {
            self.signal(id, signal);
        }
        self.feed();
        Ok(())
    }

    fn listen(&mut self) -> Result<(), Error> {
        let mut bytes = [0; 64];
        while read(&self.steering.woken, &mut bytes) == Ok(bytes.len()) {}
        while let Ok(wish) = self.steering.wishes.try_recv() {
            match (wish, self.id) {
                (Wish::Input(ticket, bytes), _) => self.input.push_back((ticket, bytes.into())),
                (Wish::Close, _) => self.closing = true,
                (Wish::Signal(signal), Some(id)) => self.signal(id, signal),
                (Wish::Cancel, Some(id)) => {
                    if let Ok(kill) = SignalNo::new(KILL) {
                        self.signal(id, kill);
                    }
                }
                // The broker takes back what it was asked for.
                (Wish::Cancel, None) => return Err(Code::ClientGone.into()),
                (Wish::Signal(signal), None) => self.early.push(signal),
            }
        }
        self.feed();
        Ok(())
    }

    fn signal(&mut self, id: ReqId, signal: SignalNo) {
        if self.report.is_none() && self.lost.is_none() {
            self.lost = self.line.port.send(&Request::Signal { id, signal }).err();
        }
    }

    /// Gives the command as much input as it has room for.
    fn feed(&mut self) {
        let Some(stdin) = &self.stdin else {
            // There is none yet, or none any more.
            if self.id.is_some() {
                self.end_input();
            }
            return;
        };
        while let Some((ticket, bytes)) = self.input.front_mut() {
            let (piece, _) = bytes.as_slices();
            match write(stdin, piece) {
                Ok(n) => drop(bytes.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => return self.end_input(),
            }
            if bytes.is_empty() {
                (self.on)(Event::Taken(*ticket));
                self.input.pop_front();
            }
        }
        if self.closing {
            self.stdin = None;
        }
    }

    /// The command takes no more input.
    fn end_input(&mut self) {
        self.stdin = None;
        for (ticket, _) in std::mem::take(&mut self.input) {
            (self.on)(Event::Taken(ticket));
        }
    }

    fn take(&mut self, stream: Stream, buffer: &mut [u8]) {
        let Some(place) = self.outputs.iter().position(|(s, _)| *s == stream) else { return };
        let Some((_, from)) = self.outputs.get(place) else { return };
        match read(from, buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => drop(self.outputs.remove(place)),
            Ok(n) => {
                (self.on)(Event::Output(stream, buffer.get(..n).unwrap_or_default()));
            }
        }
    }
}
