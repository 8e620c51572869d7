//! The agent: a worker of the plan's agent profile, launched by us over its
//! channel W with the session's own standard streams.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use strongroom_protocol::channel::a::Outcome;
use strongroom_protocol::channel::w::{Down, FromWorker, Launch, ToWorker, Up};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::plan::Plan;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::{Argv, List, PathBytes, SignalNo};
use strongroom_sys::{Errno, fd};

use crate::Fatal;
use crate::pool::Worker;
use crate::port::{Incoming, Port};

/// The agent, from its worker's birth to its end.
pub struct Agent {
    /// Its worker; ended when the lifeline closes.
    pub worker: Worker,
    port: Port<FromWorker, ToWorker>,
    /// Its end of channel A, until it is launched.
    client: Option<OwnedFd>,
    /// Signals that came before it was launched.
    early: BTreeSet<SignalNo>,
    /// How it ended: an exit status.
    pub ended: Option<i32>,
}

impl Agent {
    pub fn new(mut worker: Worker, client: OwnedFd) -> Result<Self, Fatal> {
        let failed = |e: Errno| Fatal::new(Code::StartFailed, format!("the agent's channel: {e}"));
        let channel = worker.channel.take().ok_or_else(|| failed(Errno::EBADF))?;
        let port = Port::new(channel).map_err(failed)?;
        Ok(Self { worker, port, client: Some(client), early: BTreeSet::new(), ended: None })
    }

    /// Hears all that has come over its channel.
    pub fn hear(&mut self, plan: &Plan) -> Result<(), Fatal> {
        while self.ended.is_none() {
            match self.port.receive() {
                Incoming::Nothing => break,
                Incoming::Message(Up::Ready { .. }, _) => self.launch(plan)?,
                Incoming::Message(Up::Exited { outcome, .. }, _) => {
                    self.ended = Some(match outcome {
                        Outcome::Exited(code) => i32::from(code),
                        Outcome::Signalled(signal) => exit::SIGNALLED + i32::from(signal),
                        Outcome::Ended(code) => code.entry().exit,
                    });
                }
                Incoming::Message(Up::Failed { error }, _) => return Err(failed_to_start(error)),
                Incoming::Message(Up::Filed { .. }, _) => {
                    let text = "the agent's worker says that it wrote a file";
                    return Err(Fatal::new(Code::Internal, text));
                }
                Incoming::Message(Up::Examined { .. }, _) => {
                    let text = "the agent's worker says that it looked at a command";
                    return Err(Fatal::new(Code::Internal, text));
                }
                // Its worker was killed: the kernel's status will follow.
                Incoming::Lost => self.ended = Some(exit::OWN_FAILURE),
            }
        }
        Ok(())
    }

    fn launch(&mut self, plan: &Plan) -> Result<(), Fatal> {
        let failed = |text: &str| Fatal::new(Code::StartFailed, format!("the agent: {text}"));
        let argv = Argv::new(plan.agent.argv.clone()).map_err(|_| failed("its arguments"))?;
        let cwd = relative_to(&plan.agent.cwd, &plan.workspace);
        let secrets = List::empty();
        let launch = Launch { argv, cwd, secrets, firm: false, wall_ms: 0, known: None };
        let client = self.client.take().ok_or_else(|| failed("launched twice"))?;
        let [input, output, errors] = fd::standard();
        let order = Down::LaunchAgent { launch: Box::new(launch) };
        self.port
            .send(&order, &[input, output, errors, client.as_fd()])
            .map_err(|e| failed(&e.to_string()))?;
        for signal in std::mem::take(&mut self.early) {
            let _ = self.port.send(&Down::Signal { signal }, &[]);
        }
        Ok(())
    }

    /// Passes a signal on to the agent, or keeps it until the agent runs.
    pub fn signal(&mut self, number: i32) {
        let Some(signal) = u8::try_from(number).ok().and_then(|n| SignalNo::new(n).ok()) else {
            return;
        };
        if self.client.is_some() {
            self.early.insert(signal);
        } else if self.ended.is_none() {
            let _ = self.port.send(&Down::Signal { signal }, &[]);
        }
    }
}

impl AsFd for Agent {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.port.as_fd()
    }
}

fn failed_to_start(error: StageError) -> Fatal {
    let (code, what) = match Errno::from_raw(error.errno) {
        _ if error.stage != Stage::Exec => (Code::StartFailed, error.stage.describe()),
        Errno::ENOENT => (Code::NotFound, "the agent's program"),
        _ => (Code::CannotExecute, "the agent's program"),
    };
    let errno = strongroom_jail::probe::errno_name(error.errno);
    Fatal::new(code, format!("{what} ({errno})"))
}

/// The folder as a path from the workspace; `None`: the workspace itself.
fn relative_to(folder: &PathBytes, workspace: &PathBytes) -> Option<PathBytes> {
    let rest = folder.as_bytes().strip_prefix(workspace.as_bytes())?;
    PathBytes::new(rest.strip_prefix(b"/")?).ok()
}
