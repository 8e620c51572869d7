//! A look at what a command is, before a human is asked and again before it
//! runs. A worker looks, in the jail where the command would run; the broker
//! opens no path.

use std::rc::Rc;
use std::time::Duration;

use strongroom_protocol::action::{self, ActionObject, Deed, Exhibit, Files};
use strongroom_protocol::channel::r::{ActionRecord, Record};
use strongroom_protocol::channel::w::{Down, Launch};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Rule;
use strongroom_protocol::types::{ApprovalId, Argv, List, ReqId};
use tokio::time::timeout;

use crate::account;
use crate::agent::Client;
use crate::approvals::Permit;
use crate::decide::{Request, Task};
use crate::masks::Masks;
use crate::petition::digest;
use crate::session::Session;
use crate::supervisor::{NoWorker, Worker};
use crate::worker::{Said, WorkerPort, code_of, hear};

/// A worker has this long to read the files of a command.
pub const LOOK: Duration = Duration::from_secs(60);

/// Why there is nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// For this.
    Code(Code),
    /// Nobody wants to know any more.
    Gone,
}

/// Has a worker of its own look at a command. On record before, and after.
///
/// # Errors
/// [`Blind`].
pub async fn examine(
    session: &Rc<Session>,
    client: &Client,
    id: ApprovalId,
    task: &Task,
    action: ActionRecord,
) -> Result<Files, Blind> {
    let (req, place) = session.accept();
    let record = Record::Examine { req, approval: id, action: Box::new(action) };
    if session.recorder.record_and_keep(&record).await.is_err() {
        return Err(Blind::Code(Code::RecordRefused));
    }
    let worker = session.supervisor.spawn(req, task.profile).await;
    let found = match worker {
        Ok(Worker { socket, exited }) => {
            // The place is free again when the jail is empty.
            tokio::task::spawn_local(async move {
                let _ = exited.await;
                drop(place);
            });
            let looked = timeout(LOOK, in_its_jail(session, socket, &task.launch));
            tokio::select! {
                biased;
                () = client.gone() => Err(Blind::Gone),
                looked = looked => looked.unwrap_or(Err(Code::WorkerLost)).map_err(Blind::Code),
            }
        }
        Err(NoWorker::Draining) => Err(Blind::Code(Code::ShuttingDown)),
        Err(NoWorker::Failed(_)) => Err(Blind::Code(Code::JailFailed)),
        Err(NoWorker::Lost) => Err(Blind::Code(Code::Internal)),
    };
    if found.is_err() {
        session.supervisor.kill(req).await;
    }
    examined(session, req, &found).await;
    found
}

async fn examined(session: &Session, req: ReqId, found: &Result<Files, Blind>) {
    let code = match found {
        Ok(_) => None,
        Err(Blind::Code(code)) => Some(*code),
        Err(Blind::Gone) => Some(Code::ClientGone),
    };
    // A lost log is noticed by its listener, and ends everything.
    let _ = session.recorder.record(&Record::Examined { req, code }).await;
}

async fn in_its_jail(
    session: &Session,
    socket: std::os::fd::OwnedFd,
    launch: &Launch,
) -> Result<Files, Code> {
    let port = WorkerPort::new(socket).map_err(|_| Code::Internal)?;
    let said = match hear(&port).await {
        Said::Ready(_) => match look(&port, launch).await {
            Ok(files) => return Ok(files),
            Err(said) => said,
        },
        said => said,
    };
    Err(match said {
        Said::Failed(error) => code_of(error),
        Said::Broke(violation) => {
            session.violation(b'W', violation).await;
            Code::WorkerLost
        }
        _ if session.supervisor.draining() => Code::ShuttingDown,
        _ => Code::WorkerLost,
    })
}

/// Has a worker with a finished jail look at a command.
///
/// # Errors
/// What it said instead.
pub async fn look(port: &WorkerPort, launch: &Launch) -> Result<Files, Said> {
    let down = Down::Examine { launch: Box::new(launch.clone()) };
    if port.send(&down, &[]).await.is_err() {
        return Err(Said::Gone);
    }
    match hear(port).await {
        Said::Examined(files) => Ok(*files),
        said => Err(said),
    }
}

/// What a human is shown of a command.
#[must_use]
pub fn deed(
    session: &Session,
    request: &Request,
    rule: &Rule,
    task: &Task,
    files: &Files,
) -> Option<Deed> {
    let masks = &session.masks;
    let profile = session.plan.profile(rule.profile)?;
    let args = request.argv.as_slice();
    let exec = action::Exec {
        argv: Argv::new(account::hide_args(masks, args)).ok()?,
        argv_digest: account::digest(args),
        cwd: task.launch.cwd.as_ref().map(|cwd| account::hide_path(masks, cwd)),
        profile: profile.name.clone(),
        network: profile.network,
        credentials: List::new(task.grant.clone()).ok()?,
        wall_ms: task.launch.wall_ms,
        files: hide(masks, files),
    };
    Some(Deed::Exec(Box::new(exec)))
}

/// One use of an approval of a command, with what was approved.
#[derive(Debug)]
pub struct Leave {
    /// The approval.
    pub permit: Permit,
    object: ActionObject,
}

impl Leave {
    /// Ties an approval to a command that is about to run: `object` is made
    /// from that one, not from the one that asked.
    #[must_use]
    pub fn new(permit: Permit, object: ActionObject) -> Self {
        let Permit { id, connection, .. } = permit;
        Self { permit, object: ActionObject { id, connection, ..object } }
    }

    /// The same as was approved, now that these are its files?
    #[must_use]
    pub fn holds_for(&self, masks: &Masks, files: &Files) -> bool {
        let mut object = self.object.clone();
        let Deed::Exec(exec) = &mut object.deed else { return false };
        exec.files = hide(masks, files);
        object.encode().is_ok_and(|bytes| digest(&bytes) == self.permit.digest)
    }
}

fn hide(masks: &Masks, files: &Files) -> Files {
    let one = |exhibit: &Exhibit| Exhibit {
        path: account::hide_path(masks, &exhibit.path),
        ..exhibit.clone()
    };
    fn all<const MAX: usize>(
        list: &List<Exhibit, MAX>,
        one: impl Fn(&Exhibit) -> Exhibit,
    ) -> List<Exhibit, MAX> {
        List::new(list.as_slice().iter().map(one).collect()).unwrap_or_else(|_| List::empty())
    }
    Files {
        program: one(&files.program),
        interpreters: all(&files.interpreters, one),
        named: all(&files.named, one),
        unseen: files.unseen,
    }
}
