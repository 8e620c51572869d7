//! One command, from its intent to its outcome.
//!
//! Nothing takes effect before the intent is kept. From then on there is
//! exactly one outcome, whatever goes wrong.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use strongroom_protocol::channel::a::{Answer, Outcome, Report};
use strongroom_protocol::channel::r::{ActionRecord, Digests, Input, Record};
use strongroom_protocol::channel::w::{Down, Known, Launch};
use strongroom_protocol::codes::Code;
use strongroom_protocol::receipt::Receipt;
use strongroom_protocol::types::{Argv, CredentialName, List, Name, ProfileIx, ReqId};
use strongroom_sys::{Errno, fd, process};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::account;
use crate::agent::Client;
use crate::approvals::Permit;
use crate::decide::Task;
use crate::examine::{self, LOOK, Leave};
use crate::feed;
use crate::grant::{Delivery, Undelivered};
use crate::log;
use crate::masks::Veil;
use crate::pump::{self, Allowance, Source};
use crate::recorder::{Lost, Ticket};
use crate::session::{Place, Session};
use crate::supervisor::{NoWorker, Worker};
use crate::tally::Tally;
use crate::worker::{End, Said, WorkerPort, code_of, hear};

/// A worker has this long to finish its jail.
const SET_UP: Duration = Duration::from_secs(10);

/// The worker ends a command at its wall time; this much later we do.
const BACKUP: Duration = Duration::from_secs(2);

/// The supervisor has this long to end a command we have given up on, before
/// the client is told without its word for it.
const KILL: Duration = Duration::from_secs(5);

/// The outcome of a command is recorded at most this long after its end.
const DRAIN: Duration = Duration::from_secs(1);

/// A command that was accepted.
#[derive(Debug)]
pub struct Command {
    /// Its number.
    pub id: ReqId,
    /// The client's number.
    pub tag: u32,
    /// Its rule.
    pub rule: Name,
    /// Its arguments.
    pub argv: Argv,
    /// Their digest, as it is recorded.
    pub argv_digest: [u8; 32],
    /// The credentials it is granted.
    pub grant: Vec<CredentialName>,
    /// When it was accepted.
    pub since: Instant,
    /// Whether it must end.
    pub doom: Doom,
    /// Its worker, once it runs.
    pub worker: RefCell<Option<Rc<WorkerPort>>>,
}

/// A sentence of death, given once: the first reason counts.
#[derive(Debug, Default)]
pub struct Doom {
    reason: Cell<Option<Code>>,
    bell: Notify,
}

impl Doom {
    /// The command must end, for this reason.
    pub fn pronounce(&self, reason: Code) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            self.bell.notify_one();
        }
    }

    /// Waits for it.
    async fn pronounced(&self) -> Code {
        loop {
            if let Some(reason) = self.reason.get() {
                return reason;
            }
            self.bell.notified().await;
        }
    }
}

/// The supervisor's word that a jail is empty, still to come.
type Emptied = Option<oneshot::Receiver<i32>>;

/// What is to be run.
#[derive(Debug)]
pub struct Job {
    /// It.
    pub task: Task,
    /// As it is recorded.
    pub action: ActionRecord,
    /// What a human said yes to, where one was asked.
    pub leave: Option<Leave>,
}

/// Runs one accepted command. `place` is given back when its jail is empty.
pub async fn run(
    session: Rc<Session>,
    client: Rc<Client>,
    command: Rc<Command>,
    job: Job,
    place: Place,
) {
    let emptied = begin(&session, &client, &command, job).await;
    client.commands.borrow_mut().remove(&command.id);
    if let Some(emptied) = emptied {
        let _ = emptied.await;
    }
    drop(place);
}

/// The command is on record, runs, and is on record again.
async fn begin(session: &Session, client: &Client, command: &Command, job: Job) -> Emptied {
    let Job { task, action, leave } = job;
    // While the intent is on its way a worker gets ready; it is given nothing
    // secret, and nothing runs, before the intent is kept.
    let record = Record::Intent { req: command.id, action: Box::new(action) };
    let Ok(intent) = session.recorder.record(&record).await else {
        client.refuse(command.tag, Code::RecordRefused.into()).await;
        return None;
    };
    let Worker { socket, exited } = match session.supervisor.spawn(command.id, task.profile).await {
        Ok(worker) => worker,
        Err(reason) => {
            let kept = on_record(session, command, intent).await;
            let end = kept.err().unwrap_or_else(|| end_without_worker(session, reason));
            not_started(session, client, command, end).await;
            return None;
        }
    };
    let mut emptied = Some(exited);
    let known = session.programs.borrow_mut().get(task.profile, command.argv.program());
    let order = Launch { known, ..*task.launch };
    match launch(session, command, intent, socket, order, leave.as_ref()).await {
        Ok(running) => {
            attend(session, client, command, running, (task.profile, task.output), &mut emptied)
                .await;
        }
        Err(end) => {
            session.supervisor.kill(command.id).await;
            not_started(session, client, command, end).await;
        }
    }
    emptied
}

fn end_without_worker(session: &Session, reason: NoWorker) -> End {
    match reason {
        NoWorker::Draining => End::by(Code::ShuttingDown, None),
        // Our Spawn and the supervisor's Drain crossed on the way.
        NoWorker::Failed(error) if session.supervisor.draining() => {
            End::by(Code::ShuttingDown, Some(error))
        }
        NoWorker::Failed(error) => End::by(Code::JailFailed, Some(error)),
        NoWorker::Lost => End::by(Code::Internal, None),
    }
}

/// Records and answers for a command that was never launched.
async fn not_started(session: &Session, client: &Client, command: &Command, end: End) {
    let code = match end.outcome {
        Outcome::Ended(code) => code,
        Outcome::Exited(_) | Outcome::Signalled(_) => Code::Internal,
    };
    record_end(session, command, &end, None).await;
    client.refuse(command.tag, code.into()).await;
}

/// A command that has been launched.
struct Running {
    port: Rc<WorkerPort>,
    receipt: Receipt,
    wall_ms: u64,
    client_ends: [OwnedFd; 3],
    /// From the client, to the command.
    stdin: (OwnedFd, OwnedFd),
    stdout: (Source, OwnedFd),
    stderr: (Source, OwnedFd),
}

/// Waits until the intent is kept, or the command must end.
async fn on_record(session: &Session, command: &Command, intent: Ticket) -> Result<(), End> {
    tokio::select! {
        // In this order: what must end is not launched first.
        biased;
        reason = command.doom.pronounced() => Err(End::by(reason, None)),
        kept = session.recorder.kept(intent) => {
            kept.map_err(|Lost| End::by(Code::RecordRefused, None))
        }
    }
}

/// Waits for the jail and launches the command into it.
async fn launch(
    session: &Session,
    command: &Command,
    intent: Ticket,
    socket: OwnedFd,
    launch: Launch,
    leave: Option<&Leave>,
) -> Result<Running, End> {
    let broken = |_: Errno| End::by(Code::Internal, None);
    let port = Rc::new(WorkerPort::new(socket).map_err(broken)?);
    let said = tokio::select! {
        // In this order: what must end is not launched first.
        biased;
        reason = command.doom.pronounced() => return Err(End::by(reason, None)),
        said = hear(&port) => said,
        () = sleep(SET_UP) => Said::Gone,
    };
    let receipt = match said {
        Said::Ready(receipt) => *receipt,
        Said::Failed(error) => return Err(End::by(code_of(error), Some(error))),
        other => return Err(lost(session, command, other).await),
    };

    // What is more than running it waits for the record first.
    if leave.is_some() || !command.grant.is_empty() {
        on_record(session, command, intent).await?;
    }
    if let Some(leave) = leave {
        compare(session, command, &port, &launch, leave).await?;
    }
    let wall_ms = launch.wall_ms;
    let launch = if command.grant.is_empty() {
        launch
    } else {
        grant(session, command, &port, launch).await?
    };
    let (stdin_source, client_stdin) = fd::pipe().map_err(broken)?;
    let (command_stdin, stdin_sink) = fd::pipe().map_err(broken)?;
    let (stdout, command_stdout) = fd::pipe().map_err(broken)?;
    let (stderr, command_stderr) = fd::pipe().map_err(broken)?;
    let (client_stdout, stdout_sink) = fd::pipe().map_err(broken)?;
    let (client_stderr, stderr_sink) = fd::pipe().map_err(broken)?;
    let stdout = (Source::new(stdout).map_err(broken)?, stdout_sink);
    let stderr = (Source::new(stderr).map_err(broken)?, stderr_sink);

    let down = Down::Launch { launch: Box::new(launch) };
    let ends = [command_stdin.as_fd(), command_stdout.as_fd(), command_stderr.as_fd()];
    match port.send(&down, &ends).await {
        Ok(()) => {}
        Err(Errno::EMSGSIZE) => return Err(End::by(Code::RequestTooBig, None)),
        Err(_) => return Err(lost(session, command, Said::Gone).await),
    }
    on_record(session, command, intent).await?;
    if session.supervisor.draining() {
        return Err(End::by(Code::ShuttingDown, None));
    }
    // Where the worker is gone it has said why, and is heard next.
    let _ = port.send(&Down::Go, &[]).await;
    process::let_others_run();
    *command.worker.borrow_mut() = Some(Rc::clone(&port));
    let client_ends = [client_stdin, client_stdout, client_stderr];
    let stdin = (stdin_source, stdin_sink);
    Ok(Running { port, receipt, wall_ms, client_ends, stdin, stdout, stderr })
}

/// Has the worker look at what it is about to run, and holds that against what
/// a human has approved. What it was told to look at is what it then executes.
async fn compare(
    session: &Session,
    command: &Command,
    port: &WorkerPort,
    launch: &Launch,
    leave: &Leave,
) -> Result<(), End> {
    let looked = tokio::select! {
        biased;
        reason = command.doom.pronounced() => return Err(End::by(reason, None)),
        looked = timeout(LOOK, examine::look(port, launch)) => looked.unwrap_or(Err(Said::Gone)),
    };
    let changed = match looked {
        Ok(files) if leave.holds_for(&session.masks, &files) => return Ok(()),
        Ok(_) => End::by(Code::ApprovalChanged, None),
        Err(Said::Failed(error)) => End::by(code_of(error), Some(error)),
        Err(other) => return Err(lost(session, command, other).await),
    };
    let Permit { id, digest, .. } = leave.permit;
    let how = account::name("changed");
    let record = Record::Settled { approval: id, digest, how, approvers: List::empty() };
    // A lost log is noticed by its listener, and ends everything.
    let _ = session.recorder.record(&record).await;
    Err(changed)
}

/// Sends what the command is granted, but for what its environment holds,
/// which goes with the launch.
async fn grant(
    session: &Session,
    command: &Command,
    port: &WorkerPort,
    launch: Launch,
) -> Result<Launch, End> {
    let refused = |code| End::by(code, None);
    let delivery = Delivery::prepare(session, &command.grant).map_err(refused)?;
    let sent = delivery.send(port, launch).await;
    // A credential can have been revoked while the worker took its files.
    if let Some(reason) = command.doom.reason.get() {
        return Err(refused(reason));
    }
    match sent {
        Ok(launch) => Ok(launch),
        Err(Undelivered::Lost) => Err(lost(session, command, Said::Gone).await),
        Err(Undelivered::Refused(code)) => Err(refused(code)),
    }
}

/// Attends a running command: its streams to the client, its end, its outcome
/// to the recorder and then to the client.
async fn attend(
    session: &Session,
    client: &Client,
    command: &Command,
    running: Running,
    (profile, limit): (ProfileIx, u64),
    emptied: &mut Emptied,
) {
    let Running { port, receipt, wall_ms, client_ends, stdin, stdout, stderr } = running;
    let (over, is_over) = watch::channel(false);
    let drained = Notify::new();
    let allowance = Allowance::new(limit);
    let (mut out, mut err) = (Veil::new(&session.masks), Veil::new(&session.masks));
    let masked = Cell::new(0);
    let [given, told, warned] = [(); 3].map(|()| Tally::default());

    let started = async {
        let answer = Answer::Started { tag: command.tag, id: command.id };
        let fds = client_ends.each_ref().map(AsFd::as_fd);
        // A client that is gone is noticed by its connection.
        let _ = client.port.send(&answer, &fds).await;
        drop(client_ends);
    };
    let (stdin_source, stdin_sink) = stdin;
    let (stdout, stdout_sink) = stdout;
    let (stderr, stderr_sink) = stderr;
    let streams = async {
        tokio::select! {
            _ = async { tokio::join!(
                started,
                feed::run(stdin_source, stdin_sink, &given, is_over.clone()),
                pump::run(&stdout, stdout_sink, &allowance, is_over.clone(), &mut out, &told),
                pump::run(&stderr, stderr_sink, &allowance, is_over, &mut err, &warned),
            ) } => {}
            () = client.gone() => {}
        }
        masked.set(out.found() + err.found());
        drained.notify_one();
    };
    let life = async {
        let end = watch_over(session, command, &port, wall_ms, emptied).await;
        command.worker.borrow_mut().take();
        // Nothing of the command is left, so nothing can be added to these.
        let bytes = [stdout.written(), stderr.written()];
        let stdin = Input { bytes: given.bytes(), digest: given.digest() };
        over.send_replace(true);
        // What it masked is known when all has been looked at; a client that
        // does not read keeps nothing out of the log.
        let whole = timeout(DRAIN, drained.notified()).await.is_ok();
        let output = whole.then(|| [told.digest(), warned.digest()]);
        let cut = limit != 0 && bytes.iter().sum::<u64>() > limit;
        if let (Some(digest), Some(stamp)) = (end.program, end.stamp) {
            let known = Known { stamp, digest };
            session.programs.borrow_mut().keep(profile, command.argv.program(), known);
        }
        let ran = Ran { bytes, cut, masked: masked.get(), stdin, output, receipt: &receipt };
        record_end(session, command, &end, Some(ran)).await;
        let [stdout_bytes, stderr_bytes] = bytes;
        let End { outcome, usage, ref protected, .. } = end;
        let protected = account::names(&session.masks, protected);
        let (masked, withheld, receipt) = (0, false, Some(receipt));
        Report {
            outcome,
            usage,
            stdout_bytes,
            stderr_bytes,
            output_cut: cut,
            protected,
            masked,
            withheld,
            receipt,
        }
    };
    let (report, ()) = tokio::join!(life, streams);
    let masked = masked.get();
    let report = Report { masked, withheld: session.masks.too_many(), ..report };
    let exited = Answer::Exited { id: command.id, report: Box::new(report) };
    let _ = client.port.send(&exited, &[]).await;
    // Its client waits for this; what is left to do here, nobody does.
    process::let_others_run();
}

/// Waits for a launched command's end, and brings it about where it must.
async fn watch_over(
    session: &Session,
    command: &Command,
    port: &WorkerPort,
    wall_ms: u64,
    emptied: &mut Emptied,
) -> End {
    let wall = Duration::from_millis(wall_ms).saturating_add(BACKUP);
    let last_resort = async {
        if wall_ms == 0 {
            std::future::pending::<()>().await;
        }
        sleep(wall).await;
        command.doom.pronounce(Code::WallTime);
        std::future::pending().await
    };
    let killed = async {
        command.doom.pronounced().await;
        session.supervisor.kill(command.id).await;
        sleep(KILL).await;
        Said::Gone
    };
    let said = tokio::select! {
        said = hear(port) => said,
        said = killed => said,
        said = last_resort => said,
    };
    match said {
        Said::Exited(end) => own_end(command, end),
        Said::Failed(error) => End::by(code_of(error), Some(error)),
        other => {
            let end = lost(session, command, other).await;
            session.supervisor.kill(command.id).await;
            if let Some(word) = emptied
                && timeout(KILL, word).await.is_ok()
            {
                *emptied = None;
            }
            end
        }
    }
}

/// The worker's account of the end. Where we had it killed and it died by a
/// signal, the reason is ours; where it was faster, the result is its own.
fn own_end(command: &Command, end: End) -> End {
    match (end.outcome, command.doom.reason.get()) {
        (Outcome::Signalled(_), Some(reason)) => End { outcome: Outcome::Ended(reason), ..end },
        _ => end,
    }
}

/// The end of a command whose worker said nothing more, or nonsense.
async fn lost(session: &Session, command: &Command, said: Said) -> End {
    if let Said::Broke(violation) = said {
        session.violation(b'W', violation).await;
    }
    let draining = session.supervisor.draining().then_some(Code::ShuttingDown);
    let reason = command.doom.reason.get().or(draining).unwrap_or(Code::WorkerLost);
    End::by(reason, None)
}

/// What came of a command that was launched.
struct Ran<'a> {
    /// What it wrote to standard output and standard error.
    bytes: [u64; 2],
    /// More than it may.
    cut: bool,
    /// Values that were masked in it.
    masked: u64,
    /// What it was given.
    stdin: Input,
    /// SHA-256 of what its client got, once that has all of it.
    output: Option<[[u8; 32]; 2]>,
    /// What its jail enforced.
    receipt: &'a Receipt,
}

async fn record_end(session: &Session, command: &Command, end: &End, ran: Option<Ran<'_>>) {
    session.count_usage(&end.usage);
    if let (Some(error), Outcome::Ended(Code::JailFailed)) = (end.failed, end.outcome) {
        log::line(format_args!(
            "{}: command {}: {} ({:?}), errno {}",
            Code::JailFailed,
            command.id.0,
            error.stage.describe(),
            error.stage,
            error.errno
        ));
    }
    let receipt = match &ran {
        Some(ran) => session.receipts.record(&session.recorder, ran.receipt).await,
        None => None,
    };
    let digests = Digests {
        argv: command.argv_digest,
        program: end.program,
        stdin: ran.as_ref().map(|ran| ran.stdin),
        output: ran.as_ref().and_then(|ran| ran.output),
        receipt,
    };
    let outcome = Record::Outcome {
        req: command.id,
        outcome: end.outcome,
        usage: end.usage,
        output: ran.as_ref().map_or([0, 0], |ran| ran.bytes),
        output_cut: ran.as_ref().is_some_and(|ran| ran.cut),
        protected: account::names(&session.masks, &end.protected),
        failed: end.failed,
        masked: ran.as_ref().map_or(0, |ran| ran.masked),
        digests: Some(Box::new(digests)),
    };
    // A lost log is noticed by its listener, and ends everything.
    let _ = session.recorder.record(&outcome).await;
    session.running.borrow_mut().remove(&command.id);
}
