//! Workers: made ahead, handed to the broker, told to end.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use strongroom_protocol::channel::r::Account;
use strongroom_protocol::channel::s::Event;
use strongroom_protocol::channel::z::Forked;
use strongroom_protocol::codes::Code;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::{ProfileIx, ReqId};
use strongroom_sys::process;

use super::{Busy, KILL, Phase, Session};
use crate::pool::{Pool, Worker};
use crate::port::Incoming;

/// It is quiet this long after the last command began or ended; so much time
/// is also left between two workers that are made then. A set-up takes less.
const QUIET: Duration = Duration::from_millis(5);
/// A busy session fills its stores after this long all the same.
const BUSY: Duration = Duration::from_millis(100);

/// When stores of workers are filled again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refill {
    /// The next worker is asked for then.
    pub(super) due: Option<Instant>,
    /// At the latest then.
    latest: Option<Instant>,
}

impl Session {
    pub(super) fn spawn(&mut self, req: ReqId, profile: ProfileIx) {
        let known = self.pools.iter().position(|p| p.profile == profile && p.port.is_some());
        // The broker can be asked before all others are ready: then it waits.
        let open = matches!(self.phase, Phase::Starting { .. } | Phase::Running);
        let Some(index) = known.filter(|_| open) else {
            return self.spawn_failed(req, StageError { stage: Stage::Start, errno: 0 });
        };
        let Some(pool) = self.pools.get_mut(index) else { return };
        match pool.take() {
            Some(worker) => self.hand_over(index, worker, req),
            None => pool.waiting.push_back(req),
        }
        self.top_up(index);
    }

    pub(super) fn top_up(&mut self, index: usize) {
        // Orphans are told from new workers by there being no new workers.
        if self.phase != Phase::Running || self.orphaned {
            return;
        }
        let Some(pool) = self.pools.get_mut(index) else { return };
        if pool.top_up(&mut self.next_slot).is_err() {
            self.zygote_lost(index);
        }
        self.refill_later();
    }

    /// A command begins or has ended: stores that are short are filled when it
    /// has been quiet for a while.
    pub(super) fn refill_later(&mut self) {
        if self.phase != Phase::Running || !self.pools.iter().any(Pool::is_short) {
            self.refill = Refill::default();
            return;
        }
        let now = Instant::now();
        let latest = *self.refill.latest.get_or_insert(now + BUSY);
        self.refill.due = Some((now + QUIET).min(latest));
    }

    /// Asks each store's zygote for one worker, if it is time.
    pub(super) fn refill(&mut self, now: Instant) {
        if self.phase != Phase::Running
            || self.orphaned
            || self.refill.due.is_none_or(|due| now < due)
        {
            return;
        }
        self.refill = Refill::default();
        for index in 0..self.pools.len() {
            let Some(pool) = self.pools.get_mut(index) else { return };
            if pool.refill(&mut self.next_slot).is_err() {
                self.zygote_lost(index);
            }
        }
        self.refill_later();
    }

    pub(super) fn drain_waiting(&mut self, index: usize) {
        let waiting = self.pools.get_mut(index).map(|p| std::mem::take(&mut p.waiting));
        for req in waiting.into_iter().flatten() {
            self.spawn_failed(req, StageError { stage: Stage::Start, errno: 0 });
        }
    }

    fn spawn_failed(&mut self, req: ReqId, error: StageError) {
        self.tell(&Account::SpawnFailed { req, error });
        self.say(&Event::SpawnFailed { req, error });
    }

    fn hand_over(&mut self, pool: usize, mut worker: Worker, req: ReqId) {
        let Some(channel) = worker.channel.take() else { return };
        let spawned = Account::Spawned { req, slot: worker.slot, pid: worker.pid };
        let sent = self
            .port
            .as_ref()
            .map_or(Ok(()), |port| port.send(&Event::Spawned { req }, &[channel.as_fd()]));
        self.tell(&spawned);
        self.busy.insert(worker.pid, Busy { worker, req: Some(req), pool, doomed: None });
        if sent.is_err() {
            self.broker_lost();
        }
    }

    pub(super) fn zygote(&mut self, index: usize) {
        loop {
            let Some(port) = self.pools.get_mut(index).and_then(|p| p.port.as_mut()) else {
                return;
            };
            match port.receive() {
                Incoming::Nothing => return,
                Incoming::Lost => return self.zygote_lost(index),
                Incoming::Message(Forked::Ready, _) => {}
                Incoming::Message(Forked::Worker { slot }, fds) => {
                    self.answered(index);
                    self.new_worker(index, slot, fds);
                }
                Incoming::Message(Forked::Failed { error, .. }, _) => {
                    self.answered(index);
                    self.no_worker(index, error);
                }
            }
        }
    }

    /// Without its zygote a profile cannot be used; without the agent's,
    /// there will be no agent. Its end and its channel's both lead here.
    pub(super) fn zygote_lost(&mut self, index: usize) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        if pool.port.take().is_none() {
            return;
        }
        pool.pending = 0;
        self.drain_waiting(index);
        self.agent_lacks(index, "its zygote ended");
    }

    /// Ends a session whose agent would be waited for in vain: this profile
    /// was to give it a worker.
    fn agent_lacks(&mut self, index: usize, why: &str) {
        let its = self.pools.get(index).is_some_and(|p| p.profile == self.plan.agent.profile);
        if its && self.agent_client.is_some() && !self.ending() {
            eprintln!("strongroom: {}: the agent: {why}", Code::StartFailed);
            self.end(Code::StartFailed.entry().exit);
        }
    }

    /// One worker fewer is on its way.
    fn answered(&mut self, index: usize) {
        if let Some(pool) = self.pools.get_mut(index) {
            pool.pending = pool.pending.saturating_sub(1);
        }
    }

    fn new_worker(&mut self, index: usize, slot: u64, fds: Vec<OwnedFd>) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        let Some(worker) = Worker::new(slot, fds) else { return };
        if self.phase != Phase::Running {
            return self.discard(index, worker);
        }
        if self.agent_client.is_some() && pool.profile == self.plan.agent.profile {
            return self.new_agent(worker);
        }
        if worker.pid == 0 {
            self.sweep(index, slot);
            return self.no_worker(index, StageError { stage: Stage::Start, errno: 0 });
        }
        match pool.waiting.pop_front() {
            Some(req) => self.hand_over(index, worker, req),
            None => pool.idle.push_back(worker),
        }
    }

    /// Too late to be of use: closing its lifeline ends it; it is reaped as
    /// any other.
    pub(super) fn discard(&mut self, pool: usize, mut worker: Worker) {
        worker.lifeline = None;
        if worker.pid != 0 {
            self.busy.insert(worker.pid, Busy { worker, req: None, pool, doomed: None });
        }
    }

    fn no_worker(&mut self, index: usize, error: StageError) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        pool.failed();
        if let Some(req) = pool.waiting.pop_front() {
            self.spawn_failed(req, error);
        }
        self.agent_lacks(index, error.stage.describe());
    }

    /// Closing the lifeline is the order to end everything: the worker does
    /// it from inside, where it can be complete.
    pub(super) fn kill(&mut self, req: ReqId) {
        if let Some(busy) = self.busy.values_mut().find(|b| b.req == Some(req)) {
            busy.worker.lifeline = None;
            busy.doomed.get_or_insert(Instant::now() + KILL);
            return;
        }
        let mut waited = false;
        for pool in &mut self.pools {
            waited |= pool.waiting.contains(&req);
            pool.waiting.retain(|waiting| *waiting != req);
        }
        if waited {
            self.spawn_failed(req, StageError { stage: Stage::Start, errno: 0 });
        }
    }

    /// A worker that does not end its jail in time is ended with it.
    pub(super) fn end_doomed(&mut self, now: Instant) {
        for busy in self.busy.values_mut().filter(|b| b.doomed.is_some_and(|at| now >= at)) {
            let _ = process::signal(busy.worker.pidfd.as_fd(), Signal::SIGKILL as i32);
            busy.doomed = None;
        }
    }
}
