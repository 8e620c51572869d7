//! How a session begins and ends: the phases, each with its bound.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use strongroom_jail::leases;
use strongroom_protocol::channel::r::Account;
use strongroom_protocol::channel::s::Event;
use strongroom_protocol::channel::z::Fork;
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::plan::Namespaces;
use strongroom_sys::process;

use super::{CLOSE, KILL, Phase, Session};
use crate::account::Recorder;
use crate::orphans;

impl Session {
    pub(super) fn ending(&self) -> bool {
        !matches!(self.phase, Phase::Starting { .. } | Phase::Running | Phase::Asked { .. })
    }

    /// Asks the agent to end, and ends everything when its grace is over.
    pub(super) fn ask(&mut self, status: i32) {
        if self.agent.is_none() {
            return self.end(status);
        }
        if !self.ending() && !matches!(self.phase, Phase::Asked { .. }) {
            self.say(&Event::Drain);
            let grace = Duration::from_millis(self.plan.session_limits.grace_ms);
            self.phase = Phase::Asked { until: Instant::now() + grace };
        }
    }

    /// Ends everything now. The first reason gives the status.
    pub(super) fn end(&mut self, status: i32) {
        if self.ending() {
            return;
        }
        self.status = status;
        self.phase = Phase::Ending { until: Instant::now() + KILL, killed: false };
        self.say(&Event::Drain);
        self.agent_client = None;
        if let Some(agent) = &mut self.agent {
            agent.worker.lifeline = None;
        }
        for busy in self.busy.values_mut() {
            busy.worker.lifeline = None;
        }
        for index in 0..self.pools.len() {
            let idle = self.pools.get_mut(index).map(|p| std::mem::take(&mut p.idle));
            for worker in idle.into_iter().flatten() {
                self.discard(index, worker);
            }
            self.drain_waiting(index);
        }
    }

    /// Moves on when a phase is over.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        self.end_doomed(now);
        self.refill(now);
        if self.orphaned && self.pools.iter().all(|p| p.pending == 0) {
            self.orphaned = self.end_orphans() > 0;
            if !self.orphaned {
                (0..self.pools.len()).for_each(|index| self.top_up(index));
            }
        }
        match self.phase {
            Phase::Starting { until } => {
                if self.serving && self.log.as_ref().is_some_and(Recorder::settled) {
                    self.begin();
                } else if now >= until {
                    eprintln!(
                        "strongroom: {}: broker or recorder did not start",
                        Code::StartFailed
                    );
                    self.end(Code::StartFailed.entry().exit);
                }
            }
            Phase::Running | Phase::Over => {}
            Phase::Asked { until } if now >= until => {
                self.end(exit::SIGNALLED + Signal::SIGTERM as i32);
            }
            Phase::Asked { .. } => {}
            Phase::Ending { until, killed } => self.advance_ending(now, until, killed),
            Phase::Accounting { until, killed } => self.advance_accounting(now, until, killed),
            Phase::Closing { until } => {
                let settled = self.log.as_ref().is_none_or(Recorder::settled);
                if settled || now >= until {
                    // Their sockets closed, recorder and zygotes go by themselves.
                    self.phase = Phase::Leaving { until: now + CLOSE, killed: false };
                    self.log = None;
                    self.pools.iter_mut().for_each(|p| p.port = None);
                    self.advance();
                }
            }
            Phase::Leaving { until, killed } => self.advance_leaving(now, until, killed),
        }
    }

    pub(super) fn begin(&mut self) {
        self.phase = Phase::Running;
        let slot = self.next_slot;
        self.next_slot += 1;
        let profile = self.plan.agent.profile;
        let asked = self.pools.iter_mut().find(|p| p.profile == profile).map(|pool| {
            pool.pending += 1;
            pool.ask(Fork::Worker { slot })
        });
        if !matches!(asked, Some(Ok(()))) {
            eprintln!("strongroom: {}: no zygote for the agent", Code::StartFailed);
            return self.end(Code::StartFailed.entry().exit);
        }
        (0..self.pools.len()).for_each(|index| self.top_up(index));
    }

    fn advance_ending(&mut self, now: Instant, until: Instant, killed: bool) {
        let pending = self.pools.iter().any(|p| p.pending > 0 && p.port.is_some());
        if self.agent.is_none() && self.busy.is_empty() && !pending && !self.orphaned {
            // Its socket closed, the broker goes by itself.
            self.port = None;
            self.phase = Phase::Accounting { until: now + CLOSE, killed: false };
            return self.advance();
        }
        if now < until {
            return;
        }
        // A worker that does not end its jail is ended with it.
        let agent = self.agent.iter().map(|a| &a.worker);
        for worker in self.busy.values().map(|b| &b.worker).chain(agent) {
            let _ = process::signal(worker.pidfd.as_fd(), Signal::SIGKILL as i32);
        }
        self.pools.iter_mut().for_each(|p| p.pending = 0);
        self.orphaned |= self.plan.namespaces == Namespaces::None;
        if killed {
            eprintln!("strongroom: {}: a process does not end", Code::Internal);
        }
        self.phase = Phase::Ending { until: now + KILL, killed: true };
    }

    /// The end of the session is the last thing on record: it comes when the
    /// broker cannot add to the log any more.
    fn advance_accounting(&mut self, now: Instant, until: Instant, killed: bool) {
        let Some(broker) = self.broker.filter(|_| !killed || now < until) else {
            self.tell(&Account::Ended { status: self.status });
            self.phase = Phase::Closing { until: now + CLOSE };
            return self.advance();
        };
        if now >= until {
            eprintln!("strongroom: {}: the broker does not end", Code::Internal);
            let _ = process::kill_child(broker, Signal::SIGKILL as i32);
            self.phase = Phase::Accounting { until: now + CLOSE, killed: true };
        }
    }

    fn advance_leaving(&mut self, now: Instant, until: Instant, killed: bool) {
        let zygotes = self.pools.iter().map(|p| p.pid);
        let left: Vec<i32> = self
            .broker
            .into_iter()
            .chain(self.recorder)
            .chain(zygotes)
            .filter(|p| *p > 0)
            .collect();
        if left.is_empty() {
            self.end_orphans();
            self.phase = Phase::Over;
            return;
        }
        if now < until {
            return;
        }
        if killed {
            self.phase = Phase::Over;
            return;
        }
        for pid in left {
            let _ = process::kill_child(pid, Signal::SIGKILL as i32);
        }
        self.phase = Phase::Leaving { until: now + CLOSE, killed: true };
    }

    /// Removes the folder of leases. Workers have emptied it, and zygotes have
    /// after workers that were killed; where it is ours to look into, so do we.
    /// What stays, because everything was killed, the next start removes.
    pub(super) fn remove_leases(&self) {
        if let (Some(folder), Some(leases)) = (&self.held.leases, &self.plan.leases) {
            let _ = leases::sweep(folder.as_fd());
            // An empty one only, and where we may change the folder around it.
            let _ = std::fs::remove_dir(OsStr::from_bytes(leases.folder.as_bytes()));
        }
    }

    pub(super) fn end_orphans(&self) -> usize {
        orphans::end(|pid| {
            self.broker == Some(pid)
                || self.recorder == Some(pid)
                || self.busy.contains_key(&pid)
                || self.agent.as_ref().is_some_and(|a| a.worker.pid == pid)
                || self.pools.iter().any(|p| p.pid == pid || p.idle.iter().any(|w| w.pid == pid))
        })
    }
}
