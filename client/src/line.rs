//! One conversation with the broker: hello, a request, its answer.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::sys::socket::{Shutdown, shutdown};
use strongroom_protocol::channel::a::{Answer, FromAgent, Request, ToAgent};
use strongroom_protocol::plan;
use strongroom_protocol::types::ApprovalId;
use strongroom_sys::fd;

use crate::connect;
use crate::error::Error;
use crate::port::{Lost, Port};

/// Our number for a request. One line asks one thing at a time.
pub const TAG: u32 = 1;

/// A connection to the broker.
#[derive(Debug)]
pub struct Line {
    pub(crate) port: Port<ToAgent, FromAgent>,
    /// What was sent and did not arrive.
    lost: Option<Lost>,
}

impl Line {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`Error::NoSession`] when there is no broker to talk to.
    pub fn open() -> Result<Self, Error> {
        Self::over(connect::agent()?)
    }

    /// Says hello over a connection.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn over(socket: OwnedFd) -> Result<Self, Error> {
        let mut line = Self { port: Port::new(socket), lost: None };
        line.send(&Request::Hello { version: plan::VERSION })?;
        Ok(line)
    }

    /// What ends this conversation from another thread.
    ///
    /// # Errors
    /// [`Error::Io`]: no more descriptors.
    pub fn hangup(&self) -> Result<Hangup, Error> {
        fd::duplicate_above(self.port.as_fd(), 3).map(Hangup).map_err(Error::Io)
    }

    /// Sends one message. That the broker has closed the connection shows in
    /// the answer: it may have said why.
    ///
    /// # Errors
    /// A message of ours that does not fit one packet.
    pub fn send(&mut self, request: &Request) -> Result<(), Error> {
        match self.port.send(request) {
            Err(Lost::TooBig) => Err(Lost::TooBig.into()),
            Err(lost) => {
                self.lost.get_or_insert(lost);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The answer to a request that a human may be asked about: `waiting`
    /// hears of it once.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn decision(&mut self, mut waiting: impl FnMut(ApprovalId, u64)) -> Result<Answer, Error> {
        let mut told = false;
        loop {
            match self.answer()? {
                Answer::Waiting { tag: TAG, approval, left_ms } => {
                    if !std::mem::replace(&mut told, true) {
                        waiting(approval, left_ms);
                    }
                }
                answer => return Ok(answer),
            }
        }
    }

    /// The answer to the request.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Misplaced`]; the connection is lost.
    pub fn answer(&mut self) -> Result<Answer, Error> {
        loop {
            let answer = match self.port.receive() {
                Ok((answer, _)) => answer,
                Err(lost) => return Err(self.lost.unwrap_or(lost).into()),
            };
            match answer {
                Answer::Welcome { version, .. } if version != plan::VERSION => {
                    return Err(Error::Version(version));
                }
                Answer::Welcome { .. } => {}
                Answer::Refused { denial, .. } => return Err(Error::Refused(denial)),
                Answer::Misplaced { tag: TAG, code, spot } => {
                    return Err(Error::Misplaced(code, spot));
                }
                answer => return Ok(answer),
            }
        }
    }
}

/// Ends a conversation from another thread: whoever waits for its answer gets
/// [`Lost::Closed`], and the broker ends what was asked for.
#[derive(Debug)]
pub struct Hangup(OwnedFd);

impl Hangup {
    /// Does it.
    pub fn now(&self) {
        // A connection that is closed already needs no closing.
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
}
