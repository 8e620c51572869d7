//! What all connections share: the plan, the two trusted channels, the
//! credentials, what runs, and how much has been used. One thread, so plain
//! cells.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::a::Usage;
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_EXECS, MAX_EXECS_PER_CONNECTION};
use strongroom_protocol::plan::Plan;
use strongroom_protocol::types::ReqId;

use crate::account::{name, rule_of};
use crate::credentials::Credentials;
use crate::decide::{self, Request, Verdict};
use crate::desk::Desk;
use crate::exec::Command;
use crate::masks::Masks;
use crate::programs::Programs;
use crate::rate::Bucket;
use crate::receipts::Receipts;
use crate::recorder::Recorder;
use crate::sealed::SealedFiles;
use crate::supervisor::Supervisor;

/// The session.
#[derive(Debug)]
pub struct Session {
    /// The compiled policy.
    pub plan: Plan,
    /// Channel S.
    pub supervisor: Supervisor,
    /// Channel R.
    pub recorder: Recorder,
    /// The credentials.
    pub credentials: RefCell<Credentials>,
    /// What hides their values.
    pub masks: Masks,
    /// The sealed files.
    pub sealed: RefCell<SealedFiles>,
    /// Bytes of files that agents are sending.
    pub drafts: Cell<usize>,
    /// Commands without an outcome yet, by number, which is also by age.
    pub running: RefCell<BTreeMap<ReqId, Rc<Command>>>,
    /// When the broker began to serve.
    pub began: Instant,
    /// Commands accepted so far.
    pub accepted: Cell<u64>,
    /// Requests refused so far, and operators without the token.
    pub refused: Cell<u64>,
    /// Connections of agents.
    pub connections: Cell<u32>,
    /// What waits for humans.
    pub desk: Desk,
    /// Programs that were read.
    pub programs: RefCell<Programs>,
    /// Receipts that are on record.
    pub receipts: Receipts,
    bucket: RefCell<Bucket>,
    busy: Cell<usize>,
    cpu_us: Cell<u64>,
    connection_numbers: Cell<u64>,
}

/// A command's place among those that may run at once. Kept until its jail is
/// empty, which can be later than its end.
#[derive(Debug)]
pub struct Place(Rc<Session>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
    }
}

impl Session {
    /// A session in which nothing has happened yet.
    #[must_use]
    pub fn new(
        plan: Plan,
        supervisor: Supervisor,
        recorder: Recorder,
        credentials: Credentials,
    ) -> Self {
        let began = Instant::now();
        let masks = Masks::new(plan.session_limits.masks);
        masks.replace(credentials.patterns());
        Self {
            bucket: RefCell::new(Bucket::new(&plan.session_limits, began)),
            credentials: RefCell::new(credentials),
            desk: Desk::new(plan.approvals.clone()),
            programs: RefCell::default(),
            receipts: Receipts::default(),
            masks,
            sealed: RefCell::default(),
            drafts: Cell::new(0),
            plan,
            supervisor,
            recorder,
            running: RefCell::default(),
            began,
            accepted: Cell::new(0),
            refused: Cell::new(0),
            connections: Cell::new(0),
            busy: Cell::new(0),
            cpu_us: Cell::new(0),
            connection_numbers: Cell::new(0),
        }
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> u64 {
        let number = self.connection_numbers.get();
        self.connection_numbers.set(number + 1);
        number
    }

    /// Decides one request of a connection that has `in_flight` commands.
    pub fn decide(&self, request: &Request, in_flight: usize) -> Verdict<'_> {
        if let Err(code) = self.turn() {
            return Verdict::refused(code);
        }
        let credentials = self.credentials.borrow();
        let verdict = decide::decide(&self.plan, request, &|name| credentials.there(name));
        let quota = self.quota(in_flight);
        Verdict { rule: verdict.rule, task: verdict.task.and_then(|task| quota.map(|()| task)) }
    }

    /// Whether a connection that has `in_flight` commands may have a file
    /// written now. It counts as a command.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, in_flight: usize) -> Result<(), Code> {
        self.turn()?;
        self.quota(in_flight)
    }

    /// Whether one that was admitted before may go on now.
    ///
    /// # Errors
    /// Why not.
    pub fn room(&self, in_flight: usize) -> Result<(), Code> {
        if self.supervisor.draining() {
            return Err(Code::ShuttingDown);
        }
        self.quota(in_flight)
    }

    fn turn(&self) -> Result<(), Code> {
        if self.supervisor.draining() {
            return Err(Code::ShuttingDown);
        }
        let in_time = self.bucket.borrow_mut().take(Instant::now());
        if in_time { Ok(()) } else { Err(Code::RateLimited) }
    }

    fn quota(&self, in_flight: usize) -> Result<(), Code> {
        let limits = &self.plan.session_limits;
        if limits.commands != 0 && self.accepted.get() >= limits.commands {
            return Err(Code::SessionCommands);
        }
        if limits.cpu_ms != 0 && self.cpu_us.get() / 1000 >= limits.cpu_ms {
            return Err(Code::SessionCpu);
        }
        if in_flight >= MAX_EXECS_PER_CONNECTION || self.busy.get() >= MAX_EXECS {
            return Err(Code::TooManyAtOnce);
        }
        Ok(())
    }

    /// Gives an accepted command its number and its place.
    pub fn accept(self: &Rc<Self>) -> (ReqId, Place) {
        self.accepted.set(self.accepted.get() + 1);
        self.busy.set(self.busy.get() + 1);
        (ReqId(self.accepted.get()), Place(Rc::clone(self)))
    }

    /// Counts a refusal.
    pub fn count_refusal(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Counts what an ended command used.
    pub fn count_usage(&self, usage: &Usage) {
        let used = usage.user_us.saturating_add(usage.system_us);
        self.cpu_us.set(self.cpu_us.get().saturating_add(used));
    }

    /// Records that a peer broke the protocol of a channel.
    pub async fn violation(&self, channel: u8, violation: Violation) {
        self.record_breach(channel, rule_of(violation)).await;
    }

    /// Records that a peer was not what a channel is for, or not in time.
    pub async fn record_breach(&self, channel: u8, rule: &'static str) {
        let record = Record::Violation { channel, rule: name(rule) };
        // A lost log is noticed by its listener, and ends everything.
        let _ = self.recorder.record(&record).await;
    }
}
