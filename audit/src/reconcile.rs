//! Two accounts of one session. The broker writes what it decided and what
//! came of it; the supervisor, on a socket of its own, what it started and saw
//! end. Where one says what the other does not, something ran without a
//! decision, or a decision lost its outcome. The recorder's own account is of
//! vault files: none may be older than one before it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU64;

use crate::line::Line;
use crate::vaults::{self, Vaults};

/// A command, or a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Began,
    Ended,
    BrokerLost,
    Intent,
    Outcome,
    Spawned,
    SpawnFailed,
    Exited,
    /// Humans approved.
    Approved,
    /// The approval was used.
    Used,
    /// Anything else that is not the recorder's own.
    Else,
}

/// One line, as far as it counts here.
#[derive(Debug, Clone, Copy)]
struct Fact {
    session: u32,
    what: What,
    req: u64,
    seq: u64,
    /// An outcome of a command that ran.
    ran: bool,
    /// Cannot be before the session began: the supervisor begins with that, and
    /// starts the agent when it is on the disk. Operators can be earlier.
    inside: bool,
}

/// The lines of one file.
#[derive(Debug, Default)]
pub struct Facts {
    sessions: Vec<String>,
    facts: Vec<Fact>,
    vaults: Vec<vaults::Fact>,
}

impl Facts {
    /// Takes a line.
    pub fn add(&mut self, line: &Line<'_>) {
        self.vaults.extend(vaults::Fact::read(line));
        let what = match (line.writer, line.event) {
            ("supervisor", "began") => What::Began,
            ("supervisor", "ended") => What::Ended,
            ("supervisor", "broker-lost") => What::BrokerLost,
            ("broker", "intent" | "write" | "examine") => What::Intent,
            ("broker", "outcome" | "examined") => What::Outcome,
            ("broker", "credential") => What::Used,
            ("broker", "settled") if line.text("how") == Some("approved") => What::Approved,
            ("supervisor", "spawned") => What::Spawned,
            ("supervisor", "spawn-failed") => What::SpawnFailed,
            ("supervisor", "exited") => What::Exited,
            ("broker" | "supervisor", _) => What::Else,
            _ => return,
        };
        let session = match self.sessions.iter().rposition(|name| name == line.session) {
            Some(index) => index,
            None => {
                self.sessions.push(line.session.to_owned());
                self.sessions.len() - 1
            }
        };
        let ran = what == What::Outcome && line.text("end").is_some_and(|end| end != "ended");
        let session = u32::try_from(session).unwrap_or(u32::MAX);
        let inside = line.writer == "supervisor" || what == What::Intent;
        let mut push =
            |what, req| self.facts.push(Fact { session, what, req, seq: line.seq, ran, inside });
        match (what, line.number("approval")) {
            (What::Approved | What::Used, Some(approval)) => push(what, approval),
            (What::Approved | What::Used, None) => push(What::Else, 0),
            (What::Intent, Some(approval)) if line.event != "examine" => {
                push(what, line.number("req").unwrap_or(0));
                push(What::Used, approval);
            }
            _ => push(what, line.number("req").unwrap_or(0)),
        }
    }
}

/// What is wrong between the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The supervisor started a worker that the broker had not decided on.
    SpawnWithoutIntent,
    /// A decision without an outcome, in a session that ended in order.
    IntentWithoutOutcome,
    /// An outcome of what was never decided.
    OutcomeWithoutIntent,
    /// A second decision or outcome with one number.
    Twice,
    /// A command ran, says the broker; the supervisor started nothing.
    RanWithoutSpawn,
    /// A worker of which the supervisor never saw the end.
    SpawnWithoutExit,
    /// An end of what was never started.
    ExitWithoutSpawn,
    /// A number below others that nobody used; the first of such a gap.
    NumberMissing,
    /// The supervisor said something, or a command was accepted, before the
    /// session began; the first such record.
    BeforeBegin,
    /// The broker or the supervisor said something after the session's end; the
    /// first such record.
    AfterEnd,
    /// An older vault file was used, neither refused nor accepted.
    OlderVault,
    /// Something was done by an approval that nobody had given.
    NotApproved,
    /// An approval was used a second time.
    ApprovalTwice,
}

impl Difference {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpawnWithoutIntent => "spawn-without-intent",
            Self::IntentWithoutOutcome => "intent-without-outcome",
            Self::OutcomeWithoutIntent => "outcome-without-intent",
            Self::Twice => "twice",
            Self::RanWithoutSpawn => "ran-without-spawn",
            Self::SpawnWithoutExit => "spawn-without-exit",
            Self::ExitWithoutSpawn => "exit-without-spawn",
            Self::NumberMissing => "number-missing",
            Self::BeforeBegin => "before-begin",
            Self::AfterEnd => "after-end",
            Self::OlderVault => "older-vault",
            Self::NotApproved => "not-approved",
            Self::ApprovalTwice => "approval-twice",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// In which session.
    pub session: String,
    /// Of which command, or request for approval; `None`: of the session
    /// itself.
    pub req: Option<u64>,
    /// What.
    pub difference: Difference,
    /// On which line it shows, if on one.
    pub record: Option<u64>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, req, difference, record } = self;
        write!(f, "{}: ", difference.as_str())?;
        let what = match difference {
            Difference::NotApproved | Difference::ApprovalTwice => "approval",
            _ => "command",
        };
        req.map_or(Ok(()), |req| write!(f, "{what} {req} of "))?;
        write!(f, "session {session}")?;
        record.map_or(Ok(()), |record| write!(f, " (record {record})"))
    }
}

/// One command, and the lines that say so.
#[derive(Debug, Default)]
struct Command {
    intent: Option<NonZeroU64>,
    outcome: Option<NonZeroU64>,
    ran: bool,
    spawned: Option<NonZeroU64>,
    exited: bool,
}

/// One session.
#[derive(Debug, Default)]
struct Session {
    began: bool,
    ended: bool,
    /// Something stands before its beginning.
    early: bool,
    /// Something stands after its end.
    late: bool,
    /// From then on nobody writes outcomes.
    broker_lost: bool,
    commands: BTreeMap<u64, Command>,
    /// Those given, and whether they were used.
    approvals: BTreeMap<u64, bool>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Accounts {
    places: HashMap<String, usize>,
    sessions: Vec<(String, Session)>,
    vaults: Vaults,
    found: Vec<Disagreement>,
}

impl Accounts {
    /// Takes the lines of the next file.
    pub fn add(&mut self, facts: &Facts) {
        facts.vaults.iter().for_each(|fact| self.vaults.add(fact));
        let places: Vec<usize> = facts.sessions.iter().map(|name| self.place(name)).collect();
        for fact in &facts.facts {
            if let Some(place) = places.get(fact.session as usize) {
                self.take(*place, *fact);
            }
        }
    }

    fn place(&mut self, name: &str) -> usize {
        *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.sessions.push((name.to_owned(), Session::default()));
            self.sessions.len() - 1
        })
    }

    fn take(&mut self, place: usize, fact: Fact) {
        let Self { sessions, found, .. } = self;
        let Some((name, session)) = sessions.get_mut(place) else { return };
        let record = Some(fact.seq);
        let line = NonZeroU64::new(fact.seq);
        let mut say = |req, difference| {
            found.push(Disagreement { session: name.to_owned(), req, difference, record });
        };
        let early = fact.inside && !session.began && fact.what != What::Began;
        if early && !std::mem::replace(&mut session.early, true) {
            say(None, Difference::BeforeBegin);
        }
        if session.ended && !std::mem::replace(&mut session.late, true) {
            say(None, Difference::AfterEnd);
        }
        let mut differs = |difference| say(Some(fact.req), difference);
        match fact.what {
            What::Else => {}
            What::Began => session.began = true,
            What::Ended => session.ended = true,
            What::BrokerLost => session.broker_lost = true,
            What::Approved => {
                session.approvals.entry(fact.req).or_insert(false);
            }
            What::Used => match session.approvals.get_mut(&fact.req) {
                Some(used) if !*used => *used = true,
                Some(_) => differs(Difference::ApprovalTwice),
                None => differs(Difference::NotApproved),
            },
            _ => {
                let command = session.commands.entry(fact.req).or_default();
                match fact.what {
                    What::Intent if command.intent.is_some() => differs(Difference::Twice),
                    What::Intent => command.intent = line,
                    What::Outcome if command.outcome.is_some() => differs(Difference::Twice),
                    What::Outcome => {
                        command.outcome = line;
                        command.ran = fact.ran;
                        if command.intent.is_none() {
                            differs(Difference::OutcomeWithoutIntent);
                        }
                    }
                    What::Spawned | What::SpawnFailed if command.intent.is_none() => {
                        command.spawned = line;
                        command.exited = fact.what == What::SpawnFailed;
                        differs(Difference::SpawnWithoutIntent);
                    }
                    What::Spawned if command.spawned.is_some() => differs(Difference::Twice),
                    What::Spawned => command.spawned = line,
                    What::Exited if command.spawned.is_none() => {
                        differs(Difference::ExitWithoutSpawn);
                    }
                    What::Exited if command.exited => differs(Difference::Twice),
                    What::Exited => command.exited = true,
                    _ => {}
                }
            }
        }
    }

    /// Sessions, and how many of them have no end.
    #[must_use]
    pub fn sessions(&self) -> (u64, u64) {
        let open = self.sessions.iter().filter(|(_, session)| !session.ended).count();
        (self.sessions.len() as u64, open as u64)
    }

    /// Where the accounts differ. What a session lacks that was cut short is
    /// not counted: nobody was left to write it.
    #[must_use]
    pub fn disagreements(mut self) -> Vec<Disagreement> {
        for (name, session) in self.sessions.iter().filter(|(_, session)| session.ended) {
            let mut next = 1;
            for (req, command) in &session.commands {
                let mut differs = |req, difference, record: Option<NonZeroU64>| {
                    let session = name.clone();
                    let record = record.map(NonZeroU64::get);
                    self.found.push(Disagreement { session, req: Some(req), difference, record });
                };
                if next < *req {
                    differs(next, Difference::NumberMissing, None);
                }
                next = req.saturating_add(1);
                let Command { intent, outcome, ran, spawned, exited } = command;
                if *ran && spawned.is_none() && intent.is_some() {
                    differs(*req, Difference::RanWithoutSpawn, *outcome);
                }
                if intent.is_some() && outcome.is_none() && !session.broker_lost {
                    differs(*req, Difference::IntentWithoutOutcome, *intent);
                }
                if spawned.is_some() && !exited {
                    differs(*req, Difference::SpawnWithoutExit, *spawned);
                }
            }
        }
        self.found.extend(self.vaults.older().into_iter().map(|(session, record)| Disagreement {
            session,
            req: None,
            difference: Difference::OlderVault,
            record: Some(record),
        }));
        self.found.sort();
        self.found
    }
}
