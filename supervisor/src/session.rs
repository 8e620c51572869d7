//! The poll loop: from the agent's start to the last exit.
//!
//! Every child is known by its pid until it is reaped here, so a number is
//! never somebody else's. Ending goes through five phases, each with a bound:
//! the agent is asked, everything is ended, the broker accounts for it and
//! goes, the log is closed, the recorder goes.

mod ending;
mod workers;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use strongroom_protocol::channel::r::Account;
use strongroom_protocol::channel::s::{Command, Event, FromBroker, ToBroker};
use strongroom_protocol::channel::z::Fork;
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::plan::{Namespaces, Plan};
use strongroom_protocol::types::ReqId;
use strongroom_sys::Errno;

use crate::Fatal;
use crate::account::{LogLost, Recorder};
use crate::agent::Agent;
use crate::pool::{Pool, Worker};
use crate::port::{Incoming, Port};
use workers::Refill;

/// From exec to "locked down and serving". A key is derived from a passphrase
/// meanwhile: a second of work, and much longer where the machine is busy.
const START: Duration = Duration::from_secs(60);
/// From closed lifelines to SIGKILL.
const KILL: Duration = Duration::from_secs(3);
/// For the broker's last outcomes, for the log's last record, and for the
/// recorder to go: for each.
const CLOSE: Duration = Duration::from_secs(3);

/// Signals that are the agent's: a terminal or an operator meant it.
const FORWARDED: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Broker, recorder and zygotes get ready.
    Starting { until: Instant },
    /// The agent runs.
    Running,
    /// The agent was asked to end.
    Asked { until: Instant },
    /// Everything is being ended.
    Ending { until: Instant, killed: bool },
    /// Nothing runs; the broker writes its last outcomes down, and goes.
    Accounting { until: Instant, killed: bool },
    /// Nobody else writes; the log is being closed.
    Closing { until: Instant },
    /// Recorder and zygotes go.
    Leaving { until: Instant, killed: bool },
    /// Nobody is left.
    Over,
}

/// A worker and the command it was handed to.
struct Busy {
    worker: Worker,
    req: Option<ReqId>,
    pool: usize,
    /// It was told to end everything: when our patience is over.
    doomed: Option<Instant>,
}

/// What is held as long as the session lasts.
pub struct Held {
    /// The state folder's lock; nobody reads it.
    pub _lock: OwnedFd,
    /// The folder of leases and its lock, where it is one for all workers.
    pub leases: Option<OwnedFd>,
}

/// A running session.
pub struct Session {
    plan: Plan,
    held: Held,
    signals: SignalFd,
    phase: Phase,
    status: i32,
    broker: Option<i32>,
    port: Option<Port<FromBroker, ToBroker>>,
    serving: bool,
    recorder: Option<i32>,
    log: Option<Recorder>,
    pools: Vec<Pool>,
    next_slot: u64,
    busy: HashMap<i32, Busy>,
    agent_client: Option<OwnedFd>,
    agent: Option<Agent>,
    /// A worker without a pid namespace was killed: look for what it left.
    orphaned: bool,
    refill: Refill,
}

impl Session {
    /// Takes over what [`crate::start`] has started.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        plan: Plan,
        held: Held,
        broker: i32,
        port: Port<FromBroker, ToBroker>,
        recorder: i32,
        log: Recorder,
        pools: Vec<Pool>,
        agent_client: OwnedFd,
    ) -> Result<Self, Fatal> {
        let mut mask: SigSet = FORWARDED.into_iter().collect();
        mask.add(Signal::SIGCHLD);
        mask.add(Signal::SIGPIPE);
        let failed = |e: Errno| Fatal::new(Code::StartFailed, format!("signals: {e}"));
        mask.thread_set_mask().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(failed)?;
        Ok(Self {
            plan,
            held,
            signals,
            phase: Phase::Starting { until: Instant::now() + START },
            status: 0,
            broker: Some(broker),
            port: Some(port),
            serving: false,
            recorder: Some(recorder),
            log: Some(log),
            pools,
            next_slot: 1,
            busy: HashMap::new(),
            agent_client: Some(agent_client),
            agent: None,
            orphaned: false,
            refill: Refill::default(),
        })
    }

    /// Runs to the end; the exit status of `strongroom run`.
    pub fn run(mut self) -> Result<i32, Fatal> {
        self.tell(&Account::Began {
            session: self.plan.session,
            policy: self.plan.policy_digest,
            tier: self.plan.tier,
        });
        // A child may have ended before SIGCHLD was blocked.
        self.reap();
        let over = self.serve();
        self.remove_leases();
        over.map(|()| self.status)
    }

    fn serve(&mut self) -> Result<(), Fatal> {
        while self.phase != Phase::Over {
            self.wait()?;
            self.advance();
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Fatal> {
        let mut sources = Vec::with_capacity(4 + self.pools.len());
        let mut polled = Vec::with_capacity(4 + self.pools.len());
        let mut add = |source, fd, flags| {
            sources.push(source);
            polled.push(PollFd::new(fd, flags));
        };
        add(Source::Signals, self.signals.as_fd(), PollFlags::POLLIN);
        if let Some(port) = &self.port {
            add(Source::Broker, port.as_fd(), PollFlags::POLLIN);
        }
        if let Some(log) = &self.log {
            let out = if log.waiting() { PollFlags::POLLOUT } else { PollFlags::empty() };
            add(Source::Recorder, log.as_fd(), PollFlags::POLLIN | out);
        }
        if let Some(agent) = self.agent.as_ref().filter(|a| a.ended.is_none()) {
            add(Source::Agent, agent.as_fd(), PollFlags::POLLIN);
        }
        for (index, pool) in self.pools.iter().enumerate() {
            if let Some(port) = &pool.port {
                add(Source::Zygote(index), port.as_fd(), PollFlags::POLLIN);
            }
        }
        match poll(&mut polled, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Fatal::new(Code::Internal, format!("poll: {e}"))),
        }
        let ready: Vec<Source> = polled
            .iter()
            .zip(sources)
            .filter(|(fd, _)| fd.any() == Some(true))
            .map(|(_, source)| source)
            .collect();
        for source in ready {
            self.hear(source)?;
        }
        Ok(())
    }

    fn timeout(&self) -> PollTimeout {
        let until = match self.phase {
            Phase::Starting { until }
            | Phase::Asked { until }
            | Phase::Ending { until, .. }
            | Phase::Accounting { until, .. }
            | Phase::Closing { until }
            | Phase::Leaving { until, .. } => until,
            Phase::Running if self.orphaned => Instant::now() + Duration::from_millis(5),
            Phase::Running => {
                let doomed = self.busy.values().filter_map(|b| b.doomed);
                match doomed.chain(self.refill.due).min() {
                    Some(until) => until,
                    None => return PollTimeout::NONE,
                }
            }
            Phase::Over => return PollTimeout::NONE,
        };
        let wait = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
    }

    fn hear(&mut self, source: Source) -> Result<(), Fatal> {
        match source {
            Source::Signals => self.signals(),
            Source::Broker => self.broker(),
            Source::Recorder => {
                let heard = self.log.as_mut().map_or(Ok(()), |l| l.hear().and_then(|()| l.flush()));
                self.log_result(heard);
            }
            Source::Agent => {
                let plan = &self.plan;
                if let Err(fatal) = self.agent.as_mut().map_or(Ok(()), |a| a.hear(plan)) {
                    eprintln!("strongroom: {}: {}", fatal.code, fatal.text);
                    self.end(fatal.code.entry().exit);
                }
            }
            Source::Zygote(index) => self.zygote(index),
        }
        Ok(())
    }

    // ---- signals and exits ------------------------------------------------

    fn signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let Ok(signal) = Signal::try_from(i32::try_from(info.ssi_signo).unwrap_or(0)) else {
                continue;
            };
            match signal {
                Signal::SIGCHLD => self.reap(),
                Signal::SIGPIPE => {}
                signal => {
                    if let Some(agent) = &mut self.agent {
                        agent.signal(signal as i32);
                    }
                    if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) || self.agent.is_none() {
                        self.ask(exit::SIGNALLED + signal as i32);
                    }
                }
            }
        }
    }

    /// Reaps until nobody is left to reap: SIGCHLD says "at least one".
    fn reap(&mut self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), -(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            self.exited(pid, status);
        }
    }

    fn exited(&mut self, pid: i32, status: i32) {
        if self.broker == Some(pid) {
            self.broker = None;
            match self.phase {
                Phase::Starting { .. } => self.broker_refused(status),
                Phase::Accounting { .. } if status != 0 => self.report_broker_lost(),
                _ => self.broker_lost(),
            }
        } else if self.recorder == Some(pid) {
            self.recorder = None;
            self.log_result(Err(LogLost));
        } else if let Some(busy) = self.busy.remove(&pid) {
            self.worker_gone(busy, status);
        } else if self.agent.as_ref().is_some_and(|a| a.worker.pid == pid) {
            self.agent_gone(status);
        } else if let Some(index) = self.pools.iter().position(|p| p.pid == pid) {
            // First what it said before it ended.
            self.zygote(index);
            self.zygote_lost(index);
            self.pools.get_mut(index).into_iter().for_each(|pool| pool.pid = 0);
        } else {
            let mut pools = self.pools.iter_mut().enumerate();
            if let Some((index, slot)) = pools.find_map(|(i, p)| Some((i, p.without(pid)?))) {
                self.sweep(index, slot);
            }
        }
        // Anybody else was an orphan handed to us: reaping was all it needed.
    }

    /// Has a worker's private folder removed.
    fn sweep(&self, index: usize, slot: u64) {
        if let Some(pool) = self.pools.get(index) {
            let _ = pool.ask(Fork::Sweep { slot });
        }
    }

    fn worker_gone(&mut self, busy: Busy, status: i32) {
        self.sweep(busy.pool, busy.worker.slot);
        self.orphaned |= status != 0 && self.plan.namespaces == Namespaces::None;
        let Some(req) = busy.req else { return };
        self.say(&Event::Exited { req, status });
        self.tell(&Account::Exited { req, status });
        self.refill_later();
    }

    fn agent_gone(&mut self, status: i32) {
        let Some(mut agent) = self.agent.take() else { return };
        // What it reported last may be waiting still: exit and report wake us
        // together.
        let heard = agent.hear(&self.plan);
        let told = if status >= 0 { exit::OWN_FAILURE } else { exit::SIGNALLED - status };
        let ended = match heard {
            Ok(()) => agent.ended.unwrap_or(told),
            Err(fatal) => {
                eprintln!("strongroom: {}: {}", fatal.code, fatal.text);
                fatal.code.entry().exit
            }
        };
        self.orphaned |= status != 0 && self.plan.namespaces == Namespaces::None;
        let profile = self.plan.agent.profile;
        if let Some(index) = self.pools.iter().position(|p| p.profile == profile) {
            self.sweep(index, agent.worker.slot);
        }
        self.tell(&Account::AgentExited { status: ended });
        self.end(ended);
    }

    // ---- broker and recorder ----------------------------------------------

    fn broker(&mut self) {
        loop {
            let Some(port) = &mut self.port else { return };
            match port.receive() {
                Incoming::Nothing => return,
                Incoming::Lost if matches!(self.phase, Phase::Starting { .. }) => {
                    // Its exit status says why, and is on its way.
                    self.port = None;
                    return;
                }
                Incoming::Lost => return self.broker_lost(),
                Incoming::Message(Command::Ready, _) => self.serving = true,
                Incoming::Message(Command::Spawn { req, profile }, _) => self.spawn(req, profile),
                Incoming::Message(Command::Kill { req }, _) => self.kill(req),
                Incoming::Message(Command::Shutdown { now }, _) => {
                    if now {
                        self.end(exit::SIGNALLED + 9);
                    } else {
                        if let Some(agent) = &mut self.agent {
                            agent.signal(Signal::SIGTERM as i32);
                        }
                        self.ask(exit::SIGNALLED + Signal::SIGTERM as i32);
                    }
                }
            }
        }
    }

    /// Fails closed: nothing more is decided, so nothing more may run.
    fn broker_lost(&mut self) {
        if self.port.take().is_none() || self.leaving() {
            return;
        }
        self.report_broker_lost();
    }

    fn report_broker_lost(&mut self) {
        eprintln!("strongroom: {}: {}", Code::BrokerLost, Code::BrokerLost.entry().what);
        self.tell(&Account::BrokerLost);
        self.end(exit::INTERNAL);
        self.status = exit::INTERNAL;
    }

    /// The broker ended before it served, and has said why: a vault that
    /// cannot be opened is the operator's to see to.
    fn broker_refused(&mut self, status: i32) {
        self.port = None;
        let status = if status == exit::CONFIG {
            status
        } else {
            eprintln!("strongroom: {}: {}", Code::BrokerLost, Code::BrokerLost.entry().what);
            exit::INTERNAL
        };
        self.tell(&Account::BrokerLost);
        self.end(status);
        self.status = status;
    }

    fn log_result(&mut self, result: Result<(), LogLost>) {
        if result.is_ok() || self.log.take().is_none() || self.leaving() {
            return;
        }
        eprintln!("strongroom: {}: {}", Code::RecordRefused, Code::RecordRefused.entry().what);
        self.end(exit::INTERNAL);
        self.status = exit::INTERNAL;
    }

    fn leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. } | Phase::Over)
    }

    fn tell(&mut self, record: &Account) {
        let told = self.log.as_mut().map_or(Ok(()), |log| log.tell(record));
        self.log_result(told);
    }

    fn say(&mut self, event: &Event) {
        if self.port.as_ref().is_some_and(|port| port.send(event, &[]).is_err()) {
            self.broker_lost();
        }
    }

    // ---- the agent ----------------------------------------------------------

    fn new_agent(&mut self, worker: Worker) {
        let Some(client) = self.agent_client.take() else { return };
        self.tell(&Account::AgentStarted { pid: worker.pid });
        let gone = worker.pid == 0;
        match Agent::new(worker, client) {
            Ok(agent) => {
                self.agent = Some(agent);
                if gone {
                    // Reaped before it was known; its channel still says why.
                    self.agent_gone(0);
                }
            }
            Err(fatal) => {
                eprintln!("strongroom: {}: {}", fatal.code, fatal.text);
                self.end(fatal.code.entry().exit);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Source {
    Signals,
    Broker,
    Recorder,
    Agent,
    Zygote(usize),
}
