//! Files that agents write through the broker. The broker looks at the bytes;
//! a worker that can reach the workspace alone puts them there, and opens the
//! path.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use strongroom_placeholder::{SecretBuf, Template};
use strongroom_protocol::action::PlainFile;
use strongroom_protocol::channel::a::{Answer, Outcome, Spot, Usage, Values, Written};
use strongroom_protocol::channel::r::{Record, WriteRecord};
use strongroom_protocol::channel::w::{Down, Filed, Link, Write};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PIECE;
use strongroom_protocol::plan::{Leases, Plain};
use strongroom_protocol::types::{
    ApprovalId, CredentialName, FileName, List, PathBytes, Piece, Reason, ReqId, SecretBytes,
};
use strongroom_sys::Errno;
use tokio::time::timeout;

use crate::account;
use crate::agent::Client;
use crate::asking;
use crate::decide::beneath;
use crate::draft::Draft;
use crate::log;
use crate::sealed::Sealed;
use crate::session::{Place, Session};
use crate::worker::{Said, WorkerPort, hear};

/// A worker has this long to finish its jail and write one file.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a file was not written.
pub enum Refusal {
    /// For this.
    Code(Code),
    /// For this place in it.
    At(Code, Box<Spot>),
    /// A human has not said yes yet.
    Ask(Box<Question>),
}

/// What a human is asked before real values are written.
pub struct Question {
    /// The file.
    pub file: PlainFile,
    /// The agent's own words.
    pub reason: Option<Reason>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

/// A file that may be written.
struct Job {
    path: PathBytes,
    mode: Option<u16>,
    /// The folder of leases, the worker that writes.
    leases: Leases,
    what: What,
    record: WriteRecord,
    written: Written,
}

/// What the worker puts there.
enum What {
    /// A link to a sealed file.
    Link(Sealed),
    /// Bytes without a value in them.
    Text(Vec<u8>),
    /// Real values.
    Values(SecretBuf),
}

/// Writes a file whose bytes have all come.
pub async fn commit(session: &Rc<Session>, client: &Rc<Client>, draft: Draft) {
    match session.admit(client.in_flight()) {
        Ok(()) => go_on(session, client, draft, None).await,
        Err(code) => refuse(session, client, &draft, &code.into()).await,
    }
}

/// Writes one that a human has approved.
pub async fn approved(session: &Rc<Session>, client: &Rc<Client>, draft: Draft, by: ApprovalId) {
    go_on(session, client, draft, Some(by)).await;
}

async fn go_on(
    session: &Rc<Session>,
    client: &Rc<Client>,
    draft: Draft,
    approval: Option<ApprovalId>,
) {
    match prepare(session, client.number, &draft, approval) {
        Ok(job) => {
            let (id, place) = session.accept();
            let (session, client) = (Rc::clone(session), Rc::clone(client));
            tokio::task::spawn_local(async move {
                carry_out(&session, &client, draft.wish().tag, id, place, job).await;
            });
        }
        Err(Refusal::Ask(question)) => {
            let (session, busy) = (Rc::clone(session), client.busy());
            tokio::task::spawn_local(asking::plain(session, busy, draft, *question));
        }
        Err(refusal) => refuse(session, client, &draft, &refusal).await,
    }
}

/// Sends back what is in a sealed file, as it was written.
pub async fn read(session: &Session, client: &Client, tag: u32, path: &PathBytes) {
    let path = beneath(&session.plan.workspace, path).ok().flatten();
    let sealed = path.and_then(|path| session.sealed.borrow().at(&path));
    let Some(sealed) = sealed else {
        return client.refuse(tag, Code::NotSealed.into()).await;
    };
    let text = sealed.template.logical();
    let mut pieces = text.chunks(MAX_PIECE).peekable();
    loop {
        let bytes = pieces.next().unwrap_or_default();
        let last = pieces.peek().is_none();
        let Ok(bytes) = Piece::new(bytes) else { return };
        let sent = client.port.send(&Answer::Text { tag, bytes, last }, &[]).await;
        if last || sent.is_err() {
            return;
        }
    }
}

/// Decides what is written. Nothing has happened yet.
fn prepare(
    session: &Session,
    connection: u64,
    draft: &Draft,
    approval: Option<ApprovalId>,
) -> Result<Job, Refusal> {
    let (plan, wish) = (&session.plan, draft.wish());
    let content = draft.whole()?;
    let path = beneath(&plan.workspace, &wish.path).ok().flatten().ok_or(Code::BadPath)?;
    let name = file_name(&path).ok_or(Code::BadPath)?;
    let leases = plan.leases.clone().ok_or(Code::NoLeases)?;
    let template = Template::parse(content, name.as_bytes()).map_err(misplaced)?;
    let keys: Vec<CredentialName> = template.keys().cloned().collect();
    let named = List::new(keys.clone()).map_err(|_| Code::RequestTooBig)?;
    let (rendered, plain) = fill(session, wish.values, &template)?;

    let near = template.near_misses().take(strongroom_protocol::limits::MAX_PAGE);
    let values = if keys.is_empty() { Values::Plain } else { wish.values };
    let written = Written {
        values,
        credentials: named.clone(),
        near_misses: List::new(near.collect()).unwrap_or_else(|_| List::empty()),
    };
    let record = WriteRecord {
        connection,
        path: account::hide_path(&session.masks, &path),
        values,
        size: wish.size,
        digest: Sha256::digest(content).into(),
        credentials: named,
        reason: wish.reason.as_ref().map(|r| account::hide_reason(&session.masks, r)),
        approval,
    };
    if plain == Plain::Ask && approval.is_none() {
        let file = shown(session, &record, wish.mode, content);
        return Err(Refusal::Ask(Box::new(Question { file, reason: record.reason })));
    }
    let what = match values {
        _ if keys.is_empty() => What::Text(rendered.as_bytes().to_vec()),
        Values::Plain => What::Values(rendered),
        Values::Sealed => {
            let id = session.sealed.borrow_mut().number(&path, &template)?;
            What::Link(Sealed { id, path: path.clone(), name, template })
        }
    };
    Ok(Job { path, mode: wish.mode, leases, what, record, written })
}

/// Puts the values in, to see that it can be done: a command that reads the
/// file later must not be the first to find out. One answer for credentials
/// that do not exist, may not be used so, or are not there.
fn fill(
    session: &Session,
    values: Values,
    template: &Template,
) -> Result<(SecretBuf, Plain), Refusal> {
    let mut plain = Plain::Allow;
    let mut missing = None;
    {
        let credentials = session.credentials.borrow();
        for (name, line, column) in template.places() {
            let declared = session.plan.credential(name);
            let usable = match values {
                Values::Sealed => declared.is_some_and(|c| c.file),
                Values::Plain => {
                    plain = plain.min(declared.map_or(Plain::Allow, |c| c.plain));
                    declared.is_some()
                }
            };
            if !(usable & credentials.there(name)) {
                missing = missing.or_else(|| spot(name, line, column));
            }
        }
    }
    if let Some(spot) = missing {
        return Err(Refusal::At(Code::CredentialRefused, Box::new(spot)));
    }
    if plain == Plain::Deny {
        return Err(Code::PlainRefused.into());
    }
    let credentials = session.credentials.borrow();
    let rendered = template.render(&|name| credentials.value(name)).map_err(misplaced)?;
    Ok((rendered, plain))
}

/// What a human is shown: the file with its placeholders, as far as one packet
/// holds it, and what tells the rest of it.
fn shown(session: &Session, record: &WriteRecord, mode: Option<u16>, content: &[u8]) -> PlainFile {
    let hidden = session.masks.hide(content);
    let head = hidden.as_deref().unwrap_or(content);
    let head = Piece::new(head.get(..MAX_PIECE).unwrap_or(head));
    PlainFile {
        path: record.path.clone(),
        mode,
        size: record.size,
        digest: record.digest,
        head: head.unwrap_or_else(|_| unreachable!("cut to the size of a piece")),
        credentials: record.credentials.clone(),
    }
}

fn spot(name: &CredentialName, line: u32, column: u32) -> Option<Spot> {
    Some(Spot {
        key: Some(name.clone()),
        line,
        column,
        context: account::name("credential"),
        what: Reason::new("not available").ok()?,
    })
}

fn misplaced(error: strongroom_placeholder::Error) -> Refusal {
    let what = Reason::new(error.what.as_bytes());
    match (what, strongroom_protocol::types::Name::new(error.context)) {
        (Ok(what), Ok(context)) => Refusal::At(
            Code::BadPlaceholder,
            Box::new(Spot {
                key: error.key,
                line: error.line,
                column: error.column,
                context,
                what,
            }),
        ),
        _ => Code::BadPlaceholder.into(),
    }
}

fn file_name(path: &PathBytes) -> Option<FileName> {
    FileName::new(path.as_bytes().rsplit(|b| *b == b'/').next()?).ok()
}

/// Refuses a file, and puts that on record.
pub async fn refuse(session: &Session, client: &Client, draft: &Draft, refusal: &Refusal) {
    let wish = draft.wish();
    session.count_refusal();
    let (code, answer) = match refusal {
        Refusal::Code(code) => (*code, Answer::Refused { tag: wish.tag, denial: (*code).into() }),
        Refusal::At(code, spot) => {
            (*code, Answer::Misplaced { tag: wish.tag, code: *code, spot: spot.clone() })
        }
        Refusal::Ask(_) => {
            let code = Code::NeedsApproval;
            (code, Answer::Refused { tag: wish.tag, denial: code.into() })
        }
    };
    let record = Record::WriteDenied {
        code,
        connection: client.number,
        path: account::hide_path(&session.masks, &wish.path),
    };
    let _ = session.recorder.record(&record).await;
    let _ = client.port.send(&answer, &[]).await;
}

/// On record, written, on record again.
async fn carry_out(
    session: &Session,
    client: &Client,
    tag: u32,
    id: ReqId,
    place: Place,
    job: Job,
) {
    let Job { path, mode, leases, what, record, written } = job;
    let intent = Record::Write { req: id, write: Box::new(record) };
    if session.recorder.record_and_keep(&intent).await.is_err() {
        return client.refuse(tag, Code::RecordRefused.into()).await;
    }
    let (done, emptied) = match session.supervisor.spawn(id, leases.writer).await {
        Ok(worker) => {
            let done = timeout(PATIENCE, hand_over(session, worker.socket, &path, mode, &what));
            (done.await.unwrap_or(Err(Code::WorkerLost)), Some(worker.exited))
        }
        Err(_) if session.supervisor.draining() => (Err(Code::ShuttingDown), None),
        Err(_) => (Err(Code::JailFailed), None),
    };
    if done == Err(Code::WorkerLost) {
        session.supervisor.kill(id).await;
    }
    let outcome = match done {
        Ok(()) => Outcome::Exited(0),
        Err(code) => Outcome::Ended(code),
    };
    let record = Record::Outcome {
        req: id,
        outcome,
        usage: Usage::default(),
        output: [0, 0],
        output_cut: false,
        protected: List::empty(),
        failed: None,
        masked: 0,
        digests: None,
    };
    let _ = session.recorder.record(&record).await;
    match done {
        Ok(()) => {
            match what {
                What::Link(sealed) => session.sealed.borrow_mut().keep(sealed),
                What::Text(_) | What::Values(_) => session.sealed.borrow_mut().forget(&path),
            }
            let answer = Answer::Written { tag, written: Box::new(written) };
            let _ = client.port.send(&answer, &[]).await;
        }
        Err(code) => client.refuse(tag, code.into()).await,
    }
    if let Some(emptied) = emptied {
        let _ = emptied.await;
    }
    drop(place);
}

/// Tells the worker what to write, and hears what became of it.
async fn hand_over(
    session: &Session,
    socket: OwnedFd,
    path: &PathBytes,
    mode: Option<u16>,
    what: &What,
) -> Result<(), Code> {
    let port = WorkerPort::new(socket).map_err(|_| Code::Internal)?;
    match hear(&port).await {
        Said::Ready(_) => {}
        Said::Failed(error) => {
            log::line(format_args!("{}: {}", Code::JailFailed, error.stage.describe()));
            return Err(Code::JailFailed);
        }
        Said::Broke(violation) => {
            session.violation(b'W', violation).await;
            return Err(Code::WorkerLost);
        }
        _ => return Err(Code::WorkerLost),
    }
    tell(&port, path, mode, what).await.map_err(|_| Code::WorkerLost)?;
    match hear(&port).await {
        Said::Filed(Filed::Written, _) => Ok(()),
        Said::Filed(Filed::NoFolder | Filed::NotPlain, _) => Err(Code::BadPath),
        Said::Filed(Filed::Failed, errno) => {
            let errno = Errno::from_raw(errno);
            // Where the agent itself may not write, neither may its files.
            if matches!(errno, Errno::EACCES | Errno::EROFS) {
                return Err(Code::BadPath);
            }
            log::line(format_args!("{}: {errno}", Code::WriteFailed));
            Err(Code::WriteFailed)
        }
        Said::Failed(_) => Err(Code::WriteFailed),
        Said::Broke(violation) => {
            session.violation(b'W', violation).await;
            Err(Code::WorkerLost)
        }
        _ => Err(Code::WorkerLost),
    }
}

async fn tell(
    port: &WorkerPort,
    path: &PathBytes,
    mode: Option<u16>,
    what: &What,
) -> Result<(), Errno> {
    let say = async |message: Down| port.send(&message, &[]).await;
    let write = |bytes: &[u8]| {
        let size = u32::try_from(bytes.len()).map_err(|_| Errno::EFBIG)?;
        Ok::<_, Errno>(Down::Write { write: Box::new(Write { path: path.clone(), mode, size }) })
    };
    match what {
        What::Link(sealed) => {
            let link = Link { path: path.clone(), id: sealed.id };
            return say(Down::Link { link: Box::new(link) }).await;
        }
        What::Text(text) => {
            say(write(text)?).await?;
            for piece in text.chunks(MAX_PIECE) {
                let bytes = Piece::new(piece).map_err(|_| Errno::EFBIG)?;
                say(Down::WriteText { bytes }).await?;
            }
        }
        What::Values(text) => {
            say(write(text.as_bytes())?).await?;
            for piece in text.as_bytes().chunks(MAX_PIECE) {
                let bytes = SecretBytes::new(piece.to_vec()).map_err(|_| Errno::EFBIG)?;
                say(Down::WriteBytes { bytes }).await?;
            }
        }
    }
    say(Down::WriteDone).await
}
