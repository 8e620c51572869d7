//! Channel O: the operator's connections. They prove themselves by the token;
//! after that they are believed.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::o::{FromOperator, Order, Reply, Running, Status, ToOperator};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::HELLO_SECONDS;
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::{Argv, List, ReqId};
use strongroom_sys::secret::Backend;
use tokio::time::{sleep, timeout};

use crate::account::{hide_args, hide_reason, name, shorten};
use crate::door::Known;
use crate::keep::{self, Entry};
use crate::port::{Broken, Port, Received};
use crate::session::Session;
use crate::token::Token;

type OperatorPort = Port<FromOperator, ToOperator>;

/// Commands in one status.
const LISTED: usize = 64;

/// Arguments, and bytes of them, shown of one command in a status: so that 64
/// commands fit one packet.
const SHOWN: (usize, usize) = (16, 512);

/// Who guesses tokens waits this long after each.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves one connection.
pub async fn visitor(session: Rc<Session>, token: Rc<Token>, socket: OwnedFd, known: Known) {
    let Ok(port) = OperatorPort::new(socket) else {
        return;
    };
    let end = converse(&session, &token, &port, &known).await;
    port.close();
    if let Err(Broken::Violation(violation)) = end {
        session.violation(b'O', violation).await;
        sleep(PAUSE).await;
    }
}

/// Turns a connection away: there are too many.
pub fn turn_away(socket: OwnedFd) {
    if let Ok(port) = OperatorPort::new(socket) {
        let _ = port.send_now(&Reply::Refused { code: Code::TooManyAtOnce });
    }
}

async fn converse(
    session: &Session,
    token: &Token,
    port: &OperatorPort,
    known: &Known,
) -> Result<(), Broken> {
    let Ok(hello) = timeout(Duration::from_secs(HELLO_SECONDS), port.receive()).await else {
        return Ok(());
    };
    let Some(Received { message: Order::Hello { version, token: shown }, .. }) = hello? else {
        return Ok(());
    };
    if !token.matches(&shown) || !may_be_operator(session, port) {
        return refuse(session, port).await;
    }
    known.set(true);
    if version != VERSION {
        return reply(port, &Reply::Refused { code: Code::Version }).await;
    }
    reply(port, &Reply::Welcome { version: VERSION }).await?;
    let mut entry = None;
    while let Some(Received { message, .. }) = port.receive().await? {
        match message {
            Order::Put { name, size, force } => entry = Some(Entry::new(name, size, force)),
            Order::Value { bytes } => {
                if let Some(entry) = &mut entry {
                    entry.add(bytes.as_bytes());
                }
            }
            Order::Keep => {
                if let Some(entry) = entry.take() {
                    reply(port, &keep::enter(session, entry).await).await?;
                }
            }
            Order::Revoke { name } => {
                reply(port, &keep::revoke(session, &name).await).await?;
            }
            Order::Delete { name } => {
                reply(port, &keep::delete(session, &name).await).await?;
            }
            Order::Dismiss { request } => {
                reply(port, &keep::dismiss(session, request).await).await?;
            }
            message => {
                // The kill switch waits for nobody, so orders are obeyed,
                // answered and then recorded. The next one waits until this
                // one is.
                let (record, answer) = obey(session, message).await?;
                reply(port, &answer).await?;
                let _ = session.recorder.record(&record).await;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A second lock beside the token, where the sandbox has a uid of its own:
/// not where an ordinary user started us, in whatever tier.
fn may_be_operator(session: &Session, port: &OperatorPort) -> bool {
    let plan = &session.plan;
    let shared = plan.broker.uid == plan.sandbox.uid;
    shared || port.peer_uid().is_ok_and(|uid| uid != plan.sandbox.uid)
}

async fn refuse(session: &Session, port: &OperatorPort) -> Result<(), Broken> {
    session.count_refusal();
    reply(port, &Reply::Refused { code: Code::NotOperator }).await?;
    let _ = session.recorder.record(&order("refused", None)).await;
    sleep(PAUSE).await;
    Ok(())
}

async fn obey(session: &Session, message: Order) -> Result<(Record, Reply), Broken> {
    Ok(match message {
        Order::Hello { .. }
        | Order::Put { .. }
        | Order::Value { .. }
        | Order::Keep
        | Order::Revoke { .. }
        | Order::Delete { .. }
        | Order::Dismiss { .. } => return Err(Broken::Violation(Violation::OutOfState)),
        Order::Status => {
            (order("status", None), Reply::Status { status: Box::new(status(session)) })
        }
        Order::Kill { id } => {
            let command = session.running.borrow().get(&id).cloned();
            let answer = match command {
                Some(command) => {
                    command.doom.pronounce(Code::Killed);
                    Reply::Done
                }
                None => Reply::Refused { code: Code::UnknownCommand },
            };
            (order("kill", Some(id)), answer)
        }
        Order::KillAll => {
            for command in session.running.borrow().values() {
                command.doom.pronounce(Code::Killed);
            }
            session.supervisor.shutdown(true).await;
            (order("kill-all", None), Reply::Done)
        }
        Order::Shutdown => {
            session.supervisor.shutdown(false).await;
            (order("shutdown", None), Reply::Done)
        }
        Order::Credentials { after } => {
            let (list, more) = keep::list(session, after.as_ref());
            (order("credentials", None), Reply::Credentials { list, more })
        }
        Order::Requests => {
            // An agent may know a value from elsewhere.
            let shown = |reason: &_| hide_reason(&session.masks, reason);
            let list = session.credentials.borrow().requests.list(shown);
            (order("requests", None), Reply::Requests { list })
        }
    })
}

fn order(what: &'static str, req: Option<ReqId>) -> Record {
    Record::Order { order: name(what), req }
}

async fn reply(port: &OperatorPort, reply: &Reply) -> Result<(), Broken> {
    port.send(reply, &[]).await.map_err(Broken::Lost)
}

fn status(session: &Session) -> Status {
    let running = session.running.borrow();
    let credentials = session.credentials.borrow();
    let listed = running
        .values()
        .take(LISTED)
        .map(|command| {
            let (args, bytes) = SHOWN;
            let hidden = hide_args(&session.masks, command.argv.as_slice());
            let (argv, cut) = shorten(&hidden, args, bytes);
            Running {
                id: command.id,
                rule: command.rule.clone(),
                // A program's name cut to nothing would be no argument list.
                argv: Argv::new(argv).unwrap_or_else(|_| command.argv.clone()),
                cut,
                age_ms: milliseconds(command.since.elapsed()),
            }
        })
        .collect();
    Status {
        session: session.plan.session,
        tier: session.plan.tier,
        age_ms: milliseconds(session.began.elapsed()),
        accepted: session.accepted.get(),
        refused: session.refused.get(),
        connections: session.connections.get(),
        running: List::new(listed).unwrap_or_else(|_| List::empty()),
        running_count: count(running.len()),
        credentials: count(credentials.count()),
        vault: credentials.generation(),
        arena: name(arena(credentials.backend())),
        masked: session.masks.found(),
        requests: count(credentials.requests.count()),
    }
}

fn arena(backend: Backend) -> &'static str {
    match backend {
        Backend::MemfdSecret => "memfd-secret",
        Backend::Locked => "locked",
        Backend::Unlocked => "unlocked",
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
