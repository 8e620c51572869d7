//! What humans do with requests for approval: list them, read them, decide,
//! wait for the next one.

use std::time::{Duration, Instant};

use strongroom_protocol::channel::o::{AWAIT_SECONDS, Reply, Verdict};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PIECE;
use strongroom_protocol::types::{ApprovalId, Name, Piece, Reason};
use tokio::time::timeout;

use crate::approvals::Ballot;
use crate::desk::settle;
use crate::session::Session;

/// A decision, as it came.
#[derive(Debug)]
pub struct Decision {
    /// On which request.
    pub id: ApprovalId,
    /// What was shown.
    pub digest: [u8; 32],
    /// What.
    pub verdict: Verdict,
    /// The human's own words.
    pub reason: Option<Reason>,
}

/// A page of what waits.
pub fn list(session: &Session, who: &Name, after: Option<ApprovalId>) -> Reply {
    let (list, more) = session.desk.see(|a| a.list(after, who, Instant::now()));
    Reply::Approvals { list, more }
}

/// The next bytes of what is asked.
pub fn show(session: &Session, id: ApprovalId, from: u32) -> Reply {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    session.desk.see(|a| {
        let Some(bytes) = a.show(id) else {
            return Reply::Refused { code: Code::UnknownApproval };
        };
        let rest = bytes.get(from..).unwrap_or_default();
        let piece = rest.get(..MAX_PIECE).unwrap_or(rest);
        match Piece::new(piece) {
            Ok(bytes) => Reply::Shown { bytes, last: piece.len() == rest.len() },
            Err(_) => Reply::Refused { code: Code::Internal },
        }
    })
}

/// Counts a decision. It is on record before it does.
pub async fn decide(session: &Session, who: &Name, decision: Decision) -> Reply {
    let Decision { id, digest, verdict, reason } = decision;
    let ballot = Ballot { id, digest: &digest, approver: who, verdict };
    let _one_by_one = session.desk.deciding.lock().await;
    if let Err(code) = session.desk.see(|a| a.check(&ballot, Instant::now())) {
        return Reply::Refused { code };
    }
    let record = Record::Voted {
        approval: id,
        digest,
        approver: who.clone(),
        verdict,
        reason: reason.clone(),
    };
    if session.recorder.record_and_keep(&record).await.is_err() {
        return Reply::Refused { code: Code::RecordRefused };
    }
    let counted = match session.desk.with(|a| a.vote(&ballot, reason, Instant::now())) {
        Ok(counted) => counted,
        Err(code) => return Reply::Refused { code },
    };
    let settled = counted.settled.is_some();
    if let Some(how) = counted.settled
        && settle(session, how).await.is_err()
    {
        return Reply::Refused { code: Code::RecordRefused };
    }
    let quorum = session.desk.see(|a| a.quorum());
    Reply::Decided { votes: counted.votes, quorum, settled }
}

/// Waits until something has changed, or for as long as a client waits.
pub async fn news(session: &Session, seen: u64) -> Reply {
    let mut news = session.desk.news();
    let changed = news.wait_for(|state| *state != seen);
    let _ = timeout(Duration::from_secs(AWAIT_SECONDS), changed).await;
    now(session)
}

/// The state as it is.
pub fn now(session: &Session) -> Reply {
    Reply::News { state: session.desk.see(|a| a.state()) }
}
