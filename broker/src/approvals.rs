//! Requests for approval: what waits for humans, what they have said, and how
//! long it counts. The clock is passed in; nothing is sent or recorded here.
//!
//! ```text
//!  New ─on record─▶ Waiting ─quorum─▶ Settling ─on record─▶ Approved ─▶ used
//!                      │  ▲              ▲  │                   │
//!                      │  └─ votes       │  └─on record─▶ Over  │
//!                      └──── no, or too late ◀── too late ──────┘
//! ```
//!
//! A request has an owner while somebody waits for the answer to it. One
//! without an owner goes on waiting, and so does an approval that nobody
//! waited for; the same request, made again, takes it over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use strongroom_protocol::channel::o::{Pending, Verdict};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PAGE;
use strongroom_protocol::plan;
use strongroom_protocol::types::{ApprovalId, List, Name, Reason};

use crate::account::milliseconds;
use crate::petition::Petition;

/// Requests of one connection that are open at once.
pub const PER_CONNECTION: usize = 4;

/// What the owner of a request is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It may be done, once: [`Approvals::take`].
    Approved,
    /// A human said no, and perhaps why.
    Denied(Option<Reason>),
    /// Nobody answered in time.
    TimedOut,
    /// The session is ending.
    Ended,
    /// The decision could not be put on record.
    Unrecorded,
}

/// Whoever waits for the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The request.
    pub id: ApprovalId,
    number: u64,
}

/// What became of a new request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It must be put on record, then [`Approvals::open`]ed.
    New(Owner),
    /// The same had been asked for, and nobody waited for the answer.
    Joined(Owner),
}

/// One use of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// The request.
    pub id: ApprovalId,
    /// The connection it came from.
    pub connection: u64,
    /// What was approved.
    pub digest: [u8; 32],
}

/// A decision that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Approvals so far.
    pub votes: u8,
    /// What is to be put on record now.
    pub settled: Option<Settled>,
}

/// A request that is decided, or too old. To be put on record; then
/// [`Approvals::permit`] or [`Approvals::close`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The request.
    pub id: ApprovalId,
    /// Its digest.
    pub digest: [u8; 32],
    /// Who agreed.
    pub approvers: Vec<Name>,
    /// How it ended.
    pub how: How,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Enough have said yes.
    Approved,
    /// Somebody has said no.
    Denied(Option<Reason>),
    /// Nobody answered in time.
    TimedOut,
    /// It was approved, and nobody came to use it.
    Expired,
    /// The session is ending.
    Ended,
}

impl How {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied(_) => "denied",
            Self::TimedOut => "timed-out",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// What the owner is told.
    #[must_use]
    pub fn word(&self) -> Word {
        match self {
            Self::Approved => Word::Approved,
            Self::Denied(reason) => Word::Denied(reason.clone()),
            Self::TimedOut | Self::Expired => Word::TimedOut,
            Self::Ended => Word::Ended,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Being put on record: no human knows of it.
    New,
    /// For humans, until then.
    Waiting(Instant),
    /// Being put on record: nothing more is decided.
    Settling,
    /// To be used, until then.
    Approved(Instant),
    /// Only its owner has to be told.
    Over(Word),
}

#[derive(Debug)]
struct Entry {
    petition: Petition,
    /// The connection that asked last.
    asker: u64,
    made: Instant,
    times: u32,
    votes: Vec<Name>,
    owner: Option<u64>,
    phase: Phase,
}

/// All of them.
#[derive(Debug)]
pub struct Approvals {
    rules: plan::Approvals,
    entries: BTreeMap<ApprovalId, Entry>,
    numbers: u64,
    owners: u64,
    state: u64,
    denied: u16,
    cool_at: Option<Instant>,
    ended: bool,
}

impl Approvals {
    /// None yet.
    #[must_use]
    pub fn new(rules: plan::Approvals) -> Self {
        Self {
            rules,
            entries: BTreeMap::new(),
            numbers: 0,
            owners: 0,
            state: 1,
            denied: 0,
            cool_at: None,
            ended: false,
        }
    }

    /// A number for a request, never given again.
    pub fn number(&mut self) -> ApprovalId {
        self.numbers += 1;
        ApprovalId(self.numbers)
    }

    /// Changes whenever humans, or who waits for them, may want to look again.
    #[must_use]
    pub fn state(&self) -> u64 {
        self.state
    }

    /// Approvals that are needed.
    #[must_use]
    pub fn quorum(&self) -> u8 {
        self.rules.quorum
    }

    /// Requests that wait for humans.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.values().filter(|e| matches!(e.phase, Phase::Waiting(_))).count()
    }

    /// Whether a connection could ask for something now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_ask(&self, connection: u64, now: Instant) -> Result<(), Code> {
        if self.ended {
            return Err(Code::ShuttingDown);
        }
        // What nobody waits for may be what it is about to ask for.
        if self.entries.values().any(|e| e.owner.is_none()) {
            return Ok(());
        }
        self.room(connection, now)
    }

    fn room(&self, connection: u64, now: Instant) -> Result<(), Code> {
        if self.cool_at.is_some_and(|at| now < at) {
            return Err(Code::CoolingDown);
        }
        let open = self.entries.values().filter(|e| !matches!(e.phase, Phase::Over(_)));
        let own = open.clone().filter(|e| e.asker == connection).count();
        let room = open.count() < usize::from(self.rules.pending) && own < PER_CONNECTION;
        if room { Ok(()) } else { Err(Code::TooManyAsked) }
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// Why no human is asked.
    pub fn ask(&mut self, petition: Petition, now: Instant) -> Result<Asked, Code> {
        if self.ended {
            return Err(Code::ShuttingDown);
        }
        let number = self.owners + 1;
        let same = self.entries.values_mut().find(|entry| entry.is_like(&petition, now));
        if let Some(entry) = same {
            entry.times = entry.times.saturating_add(1);
            if entry.owner.is_some() {
                return Err(Code::AlreadyAsked);
            }
            entry.owner = Some(number);
            entry.asker = petition.connection;
            self.owners = number;
            return Ok(Asked::Joined(Owner { id: entry.petition.id, number }));
        }
        self.room(petition.connection, now)?;
        let id = petition.id;
        let entry = Entry {
            asker: petition.connection,
            petition,
            made: now,
            times: 1,
            votes: Vec::new(),
            owner: Some(number),
            phase: Phase::New,
        };
        self.entries.insert(id, entry);
        self.owners = number;
        Ok(Asked::New(Owner { id, number }))
    }

    /// A new request is on record: humans may see it. Says how long they have.
    pub fn open(&mut self, id: ApprovalId, now: Instant) -> Duration {
        let time = Duration::from_millis(self.rules.timeout_ms);
        if let Some(entry) = self.entries.get_mut(&id).filter(|e| e.phase == Phase::New) {
            entry.phase = Phase::Waiting(now + time);
            self.state += 1;
        }
        time
    }

    /// A new request could not be put on record.
    pub fn forget(&mut self, id: ApprovalId) {
        if self.entries.get(&id).is_some_and(|e| e.phase == Phase::New) {
            self.entries.remove(&id);
        }
    }

    /// What there is to tell the owner; `None`: not yet.
    #[must_use]
    pub fn look(&self, owner: Owner) -> Option<Word> {
        let entry = self.entries.get(&owner.id).filter(|e| e.owner == Some(owner.number));
        match entry.map(|entry| &entry.phase) {
            None => Some(Word::TimedOut),
            Some(Phase::Approved(_)) => Some(Word::Approved),
            Some(Phase::Over(word)) => Some(word.clone()),
            Some(Phase::New | Phase::Waiting(_) | Phase::Settling) => None,
        }
    }

    /// Milliseconds that humans, or the user of an approval, still have.
    #[must_use]
    pub fn left_ms(&self, id: ApprovalId, now: Instant) -> u64 {
        self.entries.get(&id).map_or(0, |entry| entry.left_ms(now))
    }

    /// Uses an approval up.
    pub fn take(&mut self, owner: Owner, now: Instant) -> Option<Permit> {
        let entry = self.entries.get(&owner.id).filter(|e| e.owner == Some(owner.number))?;
        let Phase::Approved(until) = entry.phase else { return None };
        if now >= until || self.ended {
            return None;
        }
        let entry = self.entries.remove(&owner.id)?;
        self.state += 1;
        let Petition { id, connection, digest, .. } = entry.petition;
        Some(Permit { id, connection, digest })
    }

    /// Nobody waits for the answer any more.
    pub fn leave(&mut self, owner: Owner) {
        let Some(entry) = self.entries.get_mut(&owner.id) else { return };
        if entry.owner != Some(owner.number) {
            return;
        }
        entry.owner = None;
        if matches!(entry.phase, Phase::Over(_)) {
            self.entries.remove(&owner.id);
        }
    }

    /// The bytes of a request that humans may see.
    #[must_use]
    pub fn show(&self, id: ApprovalId) -> Option<&[u8]> {
        let entry = self.entries.get(&id).filter(|e| e.is_shown())?;
        Some(&entry.petition.bytes)
    }

    /// A page of what waits, or was approved and not used.
    #[must_use]
    pub fn list(
        &self,
        after: Option<ApprovalId>,
        who: &Name,
        now: Instant,
    ) -> (List<Pending, MAX_PAGE>, bool) {
        let shown = self.entries.values().filter(|e| e.is_shown());
        let mut rest = shown.filter(|e| after.is_none_or(|after| e.petition.id > after));
        let page = rest.by_ref().take(MAX_PAGE);
        let page = page.map(|entry| entry.pending(self.rules.quorum, who, now)).collect();
        (List::new(page).unwrap_or_else(|_| List::empty()), rest.next().is_some())
    }

    /// Whether a decision would count.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, ballot: &Ballot<'_>, now: Instant) -> Result<(), Code> {
        if !self.rules.approvers.contains(ballot.approver) {
            return Err(Code::ApproverOnly);
        }
        let entry = self.entries.get(&ballot.id).ok_or(Code::UnknownApproval)?;
        if self.ended || !matches!(entry.phase, Phase::Waiting(until) if now < until) {
            return Err(Code::UnknownApproval);
        }
        if entry.petition.digest != *ballot.digest {
            return Err(Code::OtherBytes);
        }
        let again = entry.votes.contains(ballot.approver);
        if again && ballot.verdict == Verdict::Approve {
            return Err(Code::AlreadyVoted);
        }
        Ok(())
    }

    /// Counts a decision that is on record.
    ///
    /// # Errors
    /// Why it does not count: things may have changed meanwhile.
    pub fn vote(
        &mut self,
        ballot: &Ballot<'_>,
        reason: Option<Reason>,
        now: Instant,
    ) -> Result<Counted, Code> {
        self.check(ballot, now)?;
        let entry = self.entries.get_mut(&ballot.id).ok_or(Code::UnknownApproval)?;
        let how = match ballot.verdict {
            Verdict::Deny => Some(How::Denied(reason)),
            Verdict::Approve => {
                entry.votes.push(ballot.approver.clone());
                let enough = entry.votes.len() >= usize::from(self.rules.quorum);
                enough.then_some(How::Approved)
            }
        };
        self.state += 1;
        let votes = u8::try_from(entry.votes.len()).unwrap_or(u8::MAX);
        Ok(Counted { votes, settled: how.map(|how| entry.settle(how)) })
    }

    /// An approval is on record: it may be used from now on.
    pub fn permit(&mut self, id: ApprovalId, now: Instant) {
        let until = now + Duration::from_millis(self.rules.permission_ms);
        if let Some(entry) = self.entries.get_mut(&id).filter(|e| e.phase == Phase::Settling) {
            entry.phase = Phase::Approved(until);
            self.denied = 0;
            self.state += 1;
        }
    }

    /// A request is over, and that is on record.
    pub fn close(&mut self, id: ApprovalId, word: Word, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id).filter(|e| e.phase == Phase::Settling) else {
            return;
        };
        let owned = entry.owner.is_some();
        if matches!(word, Word::Denied(_)) || (word == Word::TimedOut && owned) {
            self.denied = self.denied.saturating_add(1);
            if self.rules.denials != 0 && self.denied >= self.rules.denials {
                self.cool_at = Some(now + Duration::from_millis(self.rules.cool_down_ms));
            }
        }
        if owned {
            entry.phase = Phase::Over(word);
        } else {
            self.entries.remove(&id);
        }
        self.state += 1;
    }

    /// When something becomes due, if nothing happens before.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.values().filter_map(Entry::until).min()
    }

    /// What has become too old, or all of it where the session is ending.
    pub fn due(&mut self, now: Instant) -> Vec<Settled> {
        let ended = self.ended;
        let due = self.entries.values_mut().filter_map(|entry| {
            let until = entry.until()?;
            let how = match entry.phase {
                _ if ended => How::Ended,
                _ if now < until => return None,
                Phase::Approved(_) => How::Expired,
                _ => How::TimedOut,
            };
            Some(entry.settle(how))
        });
        due.collect()
    }

    /// The session is ending: nothing is asked, decided or used any more.
    pub fn end(&mut self) {
        self.ended = true;
        self.state += 1;
    }
}

/// A decision.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'a> {
    /// On which request.
    pub id: ApprovalId,
    /// What was shown.
    pub digest: &'a [u8; 32],
    /// Whose.
    pub approver: &'a Name,
    /// What.
    pub verdict: Verdict,
}

impl Entry {
    fn is_like(&self, petition: &Petition, now: Instant) -> bool {
        let stale = matches!(self.phase, Phase::Over(_))
            || matches!(self.phase, Phase::Approved(until) if now >= until);
        !stale && self.petition.likeness == petition.likeness
    }

    fn is_shown(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_) | Phase::Settling | Phase::Approved(_))
    }

    fn until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(until) | Phase::Approved(until) => Some(until),
            Phase::New | Phase::Settling | Phase::Over(_) => None,
        }
    }

    fn left_ms(&self, now: Instant) -> u64 {
        let left = self.until().map(|until| until.saturating_duration_since(now));
        left.map_or(0, milliseconds)
    }

    fn settle(&mut self, how: How) -> Settled {
        self.phase = Phase::Settling;
        Settled {
            id: self.petition.id,
            digest: self.petition.digest,
            approvers: self.votes.clone(),
            how,
        }
    }

    fn pending(&self, quorum: u8, who: &Name, now: Instant) -> Pending {
        Pending {
            id: self.petition.id,
            kind: self.petition.kind,
            rule: self.petition.rule.clone(),
            head: self.petition.head.clone(),
            cut: self.petition.cut,
            age_ms: milliseconds(now.saturating_duration_since(self.made)),
            left_ms: self.left_ms(now),
            votes: u8::try_from(self.votes.len()).unwrap_or(u8::MAX),
            quorum,
            approved: matches!(self.phase, Phase::Approved(_)),
            voted: self.votes.contains(who),
            times: self.times,
        }
    }
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;
