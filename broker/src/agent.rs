//! Channel A: agents' connections. Everything that comes here is untrusted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::a::{
    Answer, Denial, FromAgent, Known as Told, Request as Asked, ToAgent,
};
use strongroom_protocol::channel::r::{ActionRecord, Record};
use strongroom_protocol::channel::w::Down;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{HELLO_SECONDS, MAX_PAGE, MAX_REASON};
use strongroom_protocol::plan::{ErrorLevel, Rule, VERSION};
use strongroom_protocol::types::{CredentialName, List, Reason, ReqId, SignalNo};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::account::{self, HASTY_BYTES, RECORD_BYTES};
use crate::asking;
use crate::decide::{Request, Task, Verdict};
use crate::door::Known;
use crate::draft::{Draft, Wish};
use crate::examine::Leave;
use crate::exec::{self, Command, Doom, Job};
use crate::journal;
use crate::port::{Broken, Port, Received};
use crate::recorder::Lost;
use crate::session::Session;
use crate::write;

/// Who comes too fast, or breaks the protocol, waits this long: refusals are
/// recorded, and must not fill the disk faster than commands would.
const PAUSE: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Its end of channel A.
    pub port: Port<FromAgent, ToAgent>,
    /// Its commands.
    pub commands: RefCell<BTreeMap<ReqId, Rc<Command>>>,
    /// Its number.
    pub number: u64,
    gone: watch::Sender<bool>,
    waiting: Cell<usize>,
}

/// A request that is not a command yet: a human is asked about it.
#[derive(Debug)]
pub struct Busy(Rc<Client>);

impl Busy {
    /// Whose it is.
    pub fn client(&self) -> &Rc<Client> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

impl Client {
    fn new(session: &Session, port: Port<FromAgent, ToAgent>) -> Self {
        let number = session.next_connection();
        Self {
            port,
            commands: RefCell::default(),
            number,
            gone: watch::Sender::new(false),
            waiting: Cell::new(0),
        }
    }

    /// Its commands, and those that a human is asked about.
    pub fn in_flight(&self) -> usize {
        self.commands.borrow().len() + self.waiting.get()
    }

    /// Counts a request among them until it is decided.
    pub fn busy(self: &Rc<Self>) -> Busy {
        self.waiting.set(self.waiting.get() + 1);
        Busy(Rc::clone(self))
    }

    /// Waits until the connection has ended.
    pub async fn gone(&self) {
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Refuses a request. A client that is gone is noticed by its connection.
    pub async fn refuse(&self, tag: u32, denial: Denial) {
        let _ = self.port.send(&Answer::Refused { tag, denial }, &[]).await;
    }
}

/// Serves the agent's inherited connection. It may never be used, and the
/// agent may close it.
pub async fn inherited(session: Rc<Session>, socket: OwnedFd) {
    let Ok(port) = Port::new(socket) else { return };
    serve(session, port, None).await;
}

/// Serves one connection to the listening socket.
pub async fn visitor(session: Rc<Session>, socket: OwnedFd, known: Known) {
    let Ok(port) = Port::new(socket) else { return };
    if !port.peer_uid().is_ok_and(|uid| welcome(&session, uid)) {
        session.record_breach(b'A', "wrong-peer").await;
        sleep(PAUSE).await;
        return;
    }
    serve(session, port, Some(known)).await;
}

/// Turns a connection away: there are too many.
pub fn turn_away(socket: OwnedFd) {
    let denial = Code::TooManyAtOnce.into();
    if let Ok(port) = Port::<FromAgent, ToAgent>::new(socket) {
        let _ = port.send_now(&Answer::Refused { tag: 0, denial });
    }
}

/// The sandbox's uid, which may be ours too, or root, who may do less here
/// than elsewhere.
fn welcome(session: &Session, uid: u32) -> bool {
    uid == session.plan.sandbox.uid || uid == 0
}

async fn serve(session: Rc<Session>, port: Port<FromAgent, ToAgent>, known: Option<Known>) {
    session.connections.set(session.connections.get() + 1);
    let client = Rc::new(Client::new(&session, port));
    let end = converse(&session, &client, known).await;
    client.port.close();
    client.gone.send_replace(true);
    let reason = match end {
        Err(Broken::Violation(_)) => Code::Protocol,
        Err(Broken::Lost(_)) | Ok(()) => Code::ClientGone,
    };
    for command in client.commands.borrow().values() {
        command.doom.pronounce(reason);
    }
    if let Err(Broken::Violation(violation)) = end {
        session.violation(b'A', violation).await;
        sleep(PAUSE).await;
    }
    session.connections.set(session.connections.get().saturating_sub(1));
}

async fn converse(
    session: &Rc<Session>,
    client: &Rc<Client>,
    known: Option<Known>,
) -> Result<(), Broken> {
    let hello = match &known {
        None => client.port.receive().await?,
        Some(known) => {
            match timeout(Duration::from_secs(HELLO_SECONDS), client.port.receive()).await {
                Ok(hello) => {
                    let hello = hello?;
                    known.set(true);
                    hello
                }
                Err(_) => return Ok(()),
            }
        }
    };
    let Some(Received { message: Asked::Hello { version }, .. }) = hello else {
        return Ok(());
    };
    if version != VERSION {
        client.refuse(0, Code::Version.into()).await;
        return Ok(());
    }
    let welcome = Answer::Welcome { version: VERSION, tier: session.plan.tier };
    client.port.send(&welcome, &[]).await.map_err(Broken::Lost)?;

    let mut draft = None;
    while let Some(Received { message, .. }) = client.port.receive().await? {
        match message {
            Asked::Hello { .. } => return Err(Broken::Violation(Violation::OutOfState)),
            Asked::Signal { id, signal } => signal_command(client, id, signal).await,
            Asked::Exec { tag, argv, cwd, rule, timeout_ms, credentials, reason, patience_ms } => {
                let request =
                    Request { tag, argv, cwd, rule, timeout_ms, credentials, reason, patience_ms };
                run(session, client, request).await;
            }
            Asked::Write { tag, path, mode, values, size, reason, patience_ms } => {
                let wish = Wish { tag, path, mode, values, size, reason, patience_ms };
                draft = Some(Draft::new(Rc::clone(session), wish));
            }
            Asked::Content { bytes } => {
                if let Some(draft) = &mut draft {
                    draft.add(bytes.as_bytes());
                }
            }
            Asked::Commit => {
                if let Some(draft) = draft.take() {
                    write::commit(session, client, draft).await;
                }
            }
            Asked::Read { tag, path } => write::read(session, client, tag, &path).await,
            Asked::Credentials { tag, after } => {
                let (list, more) = page(session, after.as_ref());
                let answer = Answer::Credentials { tag, list, more };
                let _ = client.port.send(&answer, &[]).await;
            }
            Asked::Ask { tag, name, reason } => ask(session, client, tag, name, reason).await,
            Asked::Delete { tag, name, reason, patience_ms } => {
                let (session, busy) = (Rc::clone(session), client.busy());
                let asking = asking::delete(session, busy, tag, name, reason, patience_ms);
                tokio::task::spawn_local(asking);
            }
            Asked::AskApproval { tag, question, patience_ms } => {
                let (session, busy) = (Rc::clone(session), client.busy());
                let asking = asking::question(session, busy, tag, question, patience_ms);
                tokio::task::spawn_local(asking);
            }
            Asked::Log { tag, after, since_ms, level, pattern } => {
                let wish = journal::Wish { after, since_ms, level, pattern };
                let (list, next) = session.recorder.journal.borrow().page(&wish);
                let _ = client.port.send(&Answer::Log { tag, list, next }, &[]).await;
            }
        }
        // One message each: a flood delays only those who make it.
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn signal_command(client: &Client, id: ReqId, signal: SignalNo) {
    let worker = client.commands.borrow().get(&id).and_then(|c| c.worker.borrow().clone());
    match worker {
        // A worker that has so many signals unread needs no further one, and
        // one that is gone is noticed by its command.
        Some(worker) => {
            let _ = worker.send_now(&Down::Signal { signal });
        }
        None => {
            let answer = Answer::NoSuchCommand { id, code: Code::UnknownCommand };
            let _ = client.port.send(&answer, &[]).await;
        }
    }
}

/// Has a human asked for a credential. Any name may be asked for: whether it
/// exists is no answer to this.
async fn ask(session: &Session, client: &Client, tag: u32, name: CredentialName, reason: Reason) {
    let asked = session.credentials.borrow_mut().requests.add(&name, &reason);
    let code = asked.err();
    let record = Record::Credential {
        verb: account::name("request"),
        name,
        connection: Some(client.number),
        reason: Some(account::hide_reason(&session.masks, &reason)),
        code,
        approval: None,
    };
    match (session.recorder.record(&record).await, asked) {
        (Err(Lost), _) => client.refuse(tag, Code::RecordRefused.into()).await,
        (Ok(_), Ok(request)) => {
            let _ = client.port.send(&Answer::Asked { tag, request }, &[]).await;
        }
        (Ok(_), Err(code)) => {
            session.count_refusal();
            client.refuse(tag, code.into()).await;
        }
    }
}

/// A page of the credentials that the policy has for agents' commands.
fn page(session: &Session, after: Option<&CredentialName>) -> (List<Told, MAX_PAGE>, bool) {
    let credentials = session.credentials.borrow();
    let mut rest = session.plan.credentials.iter().filter(|c| after.is_none_or(|a| c.name > *a));
    let page = rest.by_ref().take(MAX_PAGE).map(|c| Told {
        name: c.name.clone(),
        there: credentials.there(&c.name),
        env: c.env,
        file: c.file,
        changed: credentials.changed(&c.name),
        used: credentials.last_used(&c.name),
        asked: credentials.requests.waits_for(&c.name),
    });
    let page = List::new(page.collect()).unwrap_or_else(|_| List::empty());
    (page, rest.next().is_some())
}

async fn run(session: &Rc<Session>, client: &Rc<Client>, request: Request) {
    match session.decide(&request, client.in_flight()) {
        Verdict { rule: Some(rule), task: Ok(task) } if task.asks => {
            let (shared, busy, rule) = (Rc::clone(session), client.busy(), rule.clone());
            tokio::task::spawn_local(asking::exec(shared, busy, request, rule, task));
        }
        Verdict { rule: Some(rule), task: Ok(task) } => {
            start(session, client, &request, rule, task, None);
        }
        Verdict { rule, task } => {
            let code = task.err().unwrap_or(Code::Internal);
            deny(session, client, &request, rule, code).await;
        }
    }
}

/// Starts a command that may run, by the policy or with a human's leave.
pub fn start(
    session: &Rc<Session>,
    client: &Rc<Client>,
    request: &Request,
    rule: &Rule,
    task: Task,
    leave: Option<Leave>,
) {
    let action = account::action(session, client.number, request, Some(rule), RECORD_BYTES);
    let action = ActionRecord { approval: leave.as_ref().map(|l| l.permit.id), ..action };
    let (id, place) = session.accept();
    let command = Rc::new(Command {
        id,
        tag: request.tag,
        rule: rule.name.clone(),
        argv: request.argv.clone(),
        argv_digest: account::argv_digest(&action),
        grant: task.grant.clone(),
        since: Instant::now(),
        doom: Doom::default(),
        worker: RefCell::default(),
    });
    session.running.borrow_mut().insert(id, Rc::clone(&command));
    client.commands.borrow_mut().insert(id, Rc::clone(&command));
    let (session, client) = (Rc::clone(session), Rc::clone(client));
    let job = Job { task, action, leave };
    tokio::task::spawn_local(exec::run(session, client, command, job, place));
}

/// Refuses a command, and puts that on record.
pub async fn deny(
    session: &Session,
    client: &Client,
    request: &Request,
    rule: Option<&Rule>,
    code: Code,
) {
    session.count_refusal();
    let hasty = code == Code::RateLimited;
    let bytes = if hasty { HASTY_BYTES } else { RECORD_BYTES };
    let action = account::action(session, client.number, request, rule, bytes);
    let record = Record::Denied { code, action: Box::new(action) };
    let denial = match session.recorder.record(&record).await {
        Ok(_) => Denial { code, why: why(session, rule, code) },
        Err(_) => Code::RecordRefused.into(),
    };
    client.refuse(request.tag, denial).await;
    if hasty {
        sleep(PAUSE).await;
    }
}

/// The operator's reason, where the policy's error level lets it out.
pub fn why(session: &Session, rule: Option<&Rule>, code: Code) -> Option<Reason> {
    let told = session.plan.errors == ErrorLevel::Detailed
        && matches!(code, Code::RuleDenies | Code::NeedsApproval);
    cut(&rule.filter(|_| told)?.why)
}

/// The operator's reason, as much of it as fits a message.
pub fn cut(why: &[u8]) -> Option<Reason> {
    let why = why.get(..MAX_REASON).unwrap_or(why);
    Reason::new(why).ok().filter(|why| !why.as_bytes().is_empty())
}
