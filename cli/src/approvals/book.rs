//! What waits for a decision, as the broker keeps it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use strongroom_approval::Request;
use strongroom_protocol::channel::o::{Order, Pending, Reply, Verdict};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_ACTION;
use strongroom_protocol::types::{ApprovalId, Name, Reason};

use crate::args::approvals::Seat;
use crate::error::Failure;
use crate::operator::{Line, ask, sit_down, unexpected};

/// A connection that asks and decides.
pub struct Book {
    line: Line,
    /// Whom the broker takes us for.
    pub name: Name,
}

/// A decision that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Approvals so far.
    pub votes: u8,
    /// As many are needed.
    pub quorum: u8,
    /// Nothing more is to be decided.
    pub settled: bool,
}

impl Book {
    /// Connects.
    ///
    /// # Errors
    /// There is no session, or it does not take us for an approver.
    pub fn open(seat: &Seat) -> Result<Self, Failure> {
        let (line, name) = sit_down(seat)?;
        Ok(Self { line, name })
    }

    /// Everything that waits, oldest first.
    ///
    /// # Errors
    /// The connection is lost, or a page leads nowhere.
    pub fn pending(&mut self) -> Result<Vec<Pending>, Failure> {
        let mut all: Vec<Pending> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id);
            let (list, more) = match ask(&mut self.line, &Order::Approvals { after })? {
                Reply::Approvals { list, more } => (list.into_vec(), more),
                other => return Err(unexpected(&other)),
            };
            let goes_on = list.first().is_none_or(|first| after.is_none_or(|a| first.id > a));
            if !goes_on || (more && list.is_empty()) {
                return Err(Failure::new(Code::Protocol, "a page that leads nowhere"));
            }
            all.extend(list);
            if !more {
                return Ok(all);
            }
        }
    }

    /// The bytes of a request.
    ///
    /// # Errors
    /// [`Code::UnknownApproval`]; more of them than a request can have.
    pub fn bytes(&mut self, id: ApprovalId) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        loop {
            let from = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let (bytes, last) = match ask(&mut self.line, &Order::Show { id, from })? {
                Reply::Shown { bytes, last } => (bytes, last),
                other => return Err(about(id, &other)),
            };
            all.extend_from_slice(bytes.as_bytes());
            let stuck = bytes.as_bytes().is_empty() && !last;
            if stuck || all.len() > MAX_ACTION {
                return Err(Failure::new(Code::Protocol, "a request without end"));
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// Decides on what has this digest.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn decide(
        &mut self,
        id: ApprovalId,
        digest: [u8; 32],
        verdict: Verdict,
        reason: Option<Reason>,
    ) -> Result<Decided, Failure> {
        match ask(&mut self.line, &Order::Decide { id, digest, verdict, reason })? {
            Reply::Decided { votes, quorum, settled } => Ok(Decided { votes, quorum, settled }),
            // Only an operator who is no approver can be told this here.
            Reply::Refused { code: Code::ApproverOnly } => {
                let why = format!("approval {}: {} is no approver here", id.0, self.name.as_str());
                let hint = "the policy's `approvers` decide: name one of them with --as";
                Err(Failure::new(Code::ApproverOnly, why).hint(hint))
            }
            other => Err(about(id, &other)),
        }
    }
}

/// Reads a request, which must be the one that was asked for.
///
/// # Errors
/// [`Code::Version`], [`Code::Protocol`].
pub fn read(id: ApprovalId, bytes: &[u8]) -> Result<Request, Failure> {
    let request = Request::read(bytes).map_err(|e| Failure::new(Code::Version, e.to_string()))?;
    if request.object().id == id {
        Ok(request)
    } else {
        Err(Failure::new(Code::Protocol, "another request than the one asked for"))
    }
}

fn about(id: ApprovalId, reply: &Reply) -> Failure {
    let failure = unexpected(reply);
    Failure { message: format!("approval {}", id.0), ..failure }
}

/// Between two questions whether something has changed. An agent can change it
/// as often as it likes, and the broker closes a connection that asks without
/// end.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that tells when something has changed.
pub struct Bell {
    line: Line,
    seen: u64,
    asked: Instant,
}

impl Bell {
    /// Connects, and asks to be told.
    ///
    /// # Errors
    /// As [`Book::open`].
    pub fn open(seat: &Seat) -> Result<Self, Failure> {
        let (line, _) = sit_down(seat)?;
        line.send(&Order::Await { seen: 0 })?;
        Ok(Self { line, seen: 0, asked: Instant::now() })
    }

    fn ask_again(&mut self) -> Result<(), Failure> {
        std::thread::sleep(PAUSE.saturating_sub(self.asked.elapsed()));
        self.asked = Instant::now();
        Ok(self.line.send(&Order::Await { seen: self.seen })?)
    }

    /// Takes the answer, waiting for it, and asks again. Says whether
    /// something has changed.
    ///
    /// # Errors
    /// The session is over.
    pub fn ring(&mut self) -> Result<bool, Failure> {
        match self.line.receive()?.0 {
            Reply::News { state } => {
                let changed = std::mem::replace(&mut self.seen, state) != state;
                self.ask_again()?;
                Ok(changed)
            }
            other => Err(unexpected(&other)),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
