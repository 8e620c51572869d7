//! One profile's zygote, its workers kept ready, and the commands that wait
//! for one.
//!
//! Making a worker costs as much as a short command does. The last one in
//! store is replaced at once, or the next command would wait; the others when
//! it is quiet, one by one, so that no command shares a processor with it.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use strongroom_protocol::channel::z::{Fork, FromZygote, ToZygote};
use strongroom_protocol::types::{ProfileIx, ReqId};
use strongroom_sys::Errno;

use crate::port::Port;

/// Workers of one profile that failed one after another before we stop making
/// them ahead of time: something is wrong with the profile, not with a worker.
const FAILURES: u32 = 3;

/// A worker process.
#[derive(Debug)]
pub struct Worker {
    /// Names its private folder.
    pub slot: u64,
    /// Its pid, ours to reap. 0: it was gone before we could look.
    pub pid: i32,
    /// Names it for ever.
    pub pidfd: OwnedFd,
    /// When this closes, it ends everything and exits.
    pub lifeline: Option<OwnedFd>,
    /// The other end of its channel W, until it is handed over.
    pub channel: Option<OwnedFd>,
}

impl Worker {
    /// A worker from the three descriptors its zygote sent.
    pub fn new(slot: u64, fds: Vec<OwnedFd>) -> Option<Self> {
        let [pidfd, channel, lifeline] = <[OwnedFd; 3]>::try_from(fds).ok()?;
        let pid = pid_of(&pidfd).unwrap_or(0);
        Some(Self { slot, pid, pidfd, lifeline: Some(lifeline), channel: Some(channel) })
    }
}

/// The pid behind a pidfd, as the kernel tells its holder (pidfd_open(2));
/// `None` when the process has been reaped.
fn pid_of(pidfd: &OwnedFd) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|l| l.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// One profile's workers.
pub struct Pool {
    /// The profile.
    pub profile: ProfileIx,
    /// The zygote's pid.
    pub pid: i32,
    /// Channel Z; `None` once the zygote is lost.
    pub port: Option<Port<FromZygote, ToZygote>>,
    /// Workers nobody has asked for yet.
    pub idle: VecDeque<Worker>,
    /// Commands that wait for a worker.
    pub waiting: VecDeque<ReqId>,
    /// Workers asked for and not yet there.
    pub pending: usize,
    warm: usize,
    failures: u32,
}

impl Pool {
    pub fn new(profile: ProfileIx, pid: i32, port: Port<FromZygote, ToZygote>, warm: u16) -> Self {
        Self {
            profile,
            pid,
            port: Some(port),
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            pending: 0,
            warm: usize::from(warm),
            failures: 0,
        }
    }

    /// Asks the zygote for the workers that cannot wait: one for each command
    /// that waits for one, and one ahead where there is none.
    pub fn top_up(&mut self, next_slot: &mut u64) -> Result<(), Errno> {
        let wanted = self.waiting.len() + self.ahead().min(1);
        while self.idle.len() + self.pending < wanted {
            self.order(next_slot)?;
        }
        Ok(())
    }

    /// Is it short of workers that nobody waits for?
    pub fn is_short(&self) -> bool {
        self.port.is_some() && self.idle.len() + self.pending < self.waiting.len() + self.ahead()
    }

    /// Asks for one of those.
    pub fn refill(&mut self, next_slot: &mut u64) -> Result<(), Errno> {
        if self.is_short() { self.order(next_slot) } else { Ok(()) }
    }

    fn ahead(&self) -> usize {
        if self.failures < FAILURES { self.warm } else { 0 }
    }

    fn order(&mut self, next_slot: &mut u64) -> Result<(), Errno> {
        self.ask(Fork::Worker { slot: *next_slot })?;
        *next_slot += 1;
        self.pending += 1;
        Ok(())
    }

    /// Asks for one worker, wanted or not (the agent's).
    pub fn ask(&self, order: Fork) -> Result<(), Errno> {
        self.port.as_ref().ok_or(Errno::ESRCH)?.send(&order, &[])
    }

    /// Takes a worker that is ready.
    pub fn take(&mut self) -> Option<Worker> {
        self.failures = 0;
        self.idle.pop_front()
    }

    /// Forgets an idle worker that ended by itself; its slot, if it was ours.
    pub fn without(&mut self, pid: i32) -> Option<u64> {
        let at = self.idle.iter().position(|worker| worker.pid == pid)?;
        self.failed();
        self.idle.remove(at).map(|worker| worker.slot)
    }

    /// A worker could not be made, or ended by itself.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
}
