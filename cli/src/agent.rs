//! One conversation of the agent's side with the broker, for verbs that ask
//! one thing and wait for the answer.

use strongroom_protocol::channel::a::{Answer, Denial, FromAgent, Request, ToAgent};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan;
use strongroom_protocol::types::ApprovalId;

use crate::client::{Lost, Port};
use crate::connect;
use crate::error::{Failure, print, warn, warn_raw};
use crate::operator::age;
use crate::report;
use crate::style::Style;

/// Our number for the one request of this connection.
pub const TAG: u32 = 1;

/// A connection to the broker.
#[derive(Debug)]
pub struct Line {
    port: Port<ToAgent, FromAgent>,
    /// What was sent and did not arrive.
    lost: Option<Lost>,
}

impl Line {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`Code::NoSession`] when there is no broker to talk to.
    pub fn open() -> Result<Self, Failure> {
        let mut line = Self { port: Port::new(connect::agent()?), lost: None };
        line.send(&Request::Hello { version: plan::VERSION })?;
        Ok(line)
    }

    /// Sends one message. That the broker has closed the connection shows in
    /// the answer: it may have said why.
    ///
    /// # Errors
    /// A message of ours that does not fit one packet.
    pub fn send(&mut self, request: &Request) -> Result<(), Failure> {
        match self.port.send(request) {
            Err(Lost::TooBig) => Err(Lost::TooBig.into()),
            Err(lost) => {
                self.lost.get_or_insert(lost);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The answer to a request that a human may be asked about, which is told.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn decision(&mut self, json: bool) -> Result<Answer, Failure> {
        let mut told = false;
        loop {
            match self.answer()? {
                Answer::Waiting { tag: TAG, approval, left_ms } => {
                    if !std::mem::replace(&mut told, true) {
                        waiting(approval, left_ms, json);
                    }
                }
                answer => return Ok(answer),
            }
        }
    }

    /// The answer to the one request.
    ///
    /// # Errors
    /// The connection is lost, or the answer is none to our request.
    pub fn answer(&mut self) -> Result<Answer, Failure> {
        loop {
            let answer = match self.port.receive() {
                Ok((answer, _)) => answer,
                Err(lost) => return Err(self.lost.unwrap_or(lost).into()),
            };
            match answer {
                Answer::Welcome { version, .. } if version != plan::VERSION => {
                    return Err(other_version(version));
                }
                Answer::Welcome { .. } => {}
                answer => return Ok(answer),
            }
        }
    }
}

/// Client and broker are not of one version.
pub fn other_version(broker: u16) -> Failure {
    Failure::new(Code::Version, format!("broker {broker}, client {}", plan::VERSION))
}

/// An answer that does not go with the request.
pub fn unexpected() -> Failure {
    Failure::new(Code::Protocol, "an answer to another request")
}

/// Tells that a human is asked. Not on standard output, which is for what
/// comes of it.
pub fn waiting(approval: ApprovalId, left_ms: u64, json: bool) {
    let ApprovalId(id) = approval;
    if json {
        let object =
            format!("{{\"v\":1,\"waiting\":{{\"approval\":{id},\"left_ms\":{left_ms}}}}}\n");
        warn_raw(&object);
    } else {
        warn(&format!("waiting for a human: approval {id}, {} left", age(left_ms)));
    }
}

/// Tells of a refusal, and gives the exit status.
pub fn refused(denial: &Denial, json: bool) -> i32 {
    if json {
        print(&format!("{}\n", report::denied(denial)));
    } else {
        warn_raw(&report::denied_text(denial, Style::of(&std::io::stderr())));
    }
    denial.code.entry().exit
}
