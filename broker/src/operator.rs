//! Channel O: connections of the operator, and of approvers, who may do less.
//! They prove themselves by a token; after that they are believed.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::o::{
    FromOperator, OPERATOR, Order, Reply, Running, Status, ToOperator,
};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::HELLO_SECONDS;
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::{Argv, List, Name, ReqId};
use strongroom_sys::secret::Backend;
use tokio::time::{sleep, timeout};

use crate::account::{hide_args, hide_reason, milliseconds, name, shorten};
use crate::approvals::Approvals;
use crate::door::Known;
use crate::keep::{self, Entry};
use crate::port::{Broken, Port, Received};
use crate::session::Session;
use crate::token::Tokens;
use crate::verdicts::{self, Decision};

type OperatorPort = Port<FromOperator, ToOperator>;

/// Commands in one status.
const LISTED: usize = 64;

/// Arguments, and bytes of them, shown of one command in a status: so that 64
/// commands fit one packet.
const SHOWN: (usize, usize) = (16, 512);

/// Who guesses tokens waits this long after each.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves one connection.
pub async fn visitor(session: Rc<Session>, tokens: Rc<Tokens>, socket: OwnedFd, known: Known) {
    let Ok(port) = OperatorPort::new(socket) else {
        return;
    };
    let end = converse(&session, &tokens, &port, &known).await;
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
    tokens: &Tokens,
    port: &OperatorPort,
    known: &Known,
) -> Result<(), Broken> {
    let Ok(hello) = timeout(Duration::from_secs(HELLO_SECONDS), port.receive()).await else {
        return Ok(());
    };
    let Some(Received { message: Order::Hello { version, token: shown }, .. }) = hello? else {
        return Ok(());
    };
    let Some(who) = tokens.whose(&shown).filter(|_| may_be_operator(session, port)) else {
        return refuse(session, port).await;
    };
    known.set(true);
    if version != VERSION {
        return reply(port, &Reply::Refused { code: Code::Version }).await;
    }
    reply(port, &Reply::Welcome { version: VERSION, name: who.clone() }).await?;
    let mut entry = None;
    let mut early = None;
    loop {
        let message = match early.take() {
            Some(message) => message,
            None => match port.receive().await? {
                Some(received) => received.message,
                None => return Ok(()),
            },
        };
        match message {
            message if !may(who, &message) => not_theirs(session, port, who, &message).await?,
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
            Order::Decide { id, digest, verdict, reason } => {
                let decision = Decision { id, digest, verdict, reason };
                reply(port, &verdicts::decide(session, who, decision).await).await?;
            }
            Order::Approvals { after } => reply(port, &verdicts::list(session, who, after)).await?,
            Order::Show { id, from } => reply(port, &verdicts::show(session, id, from)).await?,
            Order::Await { seen } => {
                let news = tokio::select! {
                    news = verdicts::news(session, seen) => news,
                    // Who says something meanwhile, or leaves, waits no more.
                    received = port.receive() => {
                        let Some(received) = received? else { return Ok(()) };
                        early = Some(received.message);
                        verdicts::now(session)
                    }
                };
                reply(port, &news).await?;
            }
            message => {
                // The kill switch waits for nobody, so orders are obeyed,
                // answered and then recorded. The next one waits until this
                // one is.
                let (what, req, answer) = obey(session, message).await?;
                reply(port, &answer).await?;
                let _ = session.recorder.record(&order(what, req, Some(who))).await;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// An approver decides, and can end everything, which harms nobody.
fn may(who: &Name, order: &Order) -> bool {
    who.as_str() == OPERATOR
        || matches!(
            order,
            Order::Status
                | Order::Approvals { .. }
                | Order::Show { .. }
                | Order::Decide { .. }
                | Order::Await { .. }
                | Order::KillAll
        )
}

async fn not_theirs(
    session: &Session,
    port: &OperatorPort,
    who: &Name,
    message: &Order,
) -> Result<(), Broken> {
    // Answered when all of it has come, as for the operator.
    if matches!(message, Order::Put { .. } | Order::Value { .. }) {
        return Ok(());
    }
    session.count_refusal();
    reply(port, &Reply::Refused { code: Code::ApproverOnly }).await?;
    let _ = session.recorder.record(&order("refused", None, Some(who))).await;
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
    let _ = session.recorder.record(&order("refused", None, None)).await;
    sleep(PAUSE).await;
    Ok(())
}

/// What was ordered, of which command, and the answer.
type Obeyed = (&'static str, Option<ReqId>, Reply);

async fn obey(session: &Session, message: Order) -> Result<Obeyed, Broken> {
    Ok(match message {
        Order::Status => ("status", None, Reply::Status { status: Box::new(status(session)) }),
        Order::Kill { id } => {
            let command = session.running.borrow().get(&id).cloned();
            let answer = match command {
                Some(command) => {
                    command.doom.pronounce(Code::Killed);
                    Reply::Done
                }
                None => Reply::Refused { code: Code::UnknownCommand },
            };
            ("kill", Some(id), answer)
        }
        Order::KillAll => {
            for command in session.running.borrow().values() {
                command.doom.pronounce(Code::Killed);
            }
            session.supervisor.shutdown(true).await;
            ("kill-all", None, Reply::Done)
        }
        Order::Shutdown => {
            session.supervisor.shutdown(false).await;
            ("shutdown", None, Reply::Done)
        }
        Order::Credentials { after } => {
            let (list, more) = keep::list(session, after.as_ref());
            ("credentials", None, Reply::Credentials { list, more })
        }
        Order::Requests => {
            // An agent may know a value from elsewhere.
            let shown = |reason: &_| hide_reason(&session.masks, reason);
            let list = session.credentials.borrow().requests.list(shown);
            ("requests", None, Reply::Requests { list })
        }
        Order::Hello { .. }
        | Order::Put { .. }
        | Order::Value { .. }
        | Order::Keep
        | Order::Revoke { .. }
        | Order::Delete { .. }
        | Order::Dismiss { .. }
        | Order::Approvals { .. }
        | Order::Show { .. }
        | Order::Decide { .. }
        | Order::Await { .. } => return Err(Broken::Violation(Violation::OutOfState)),
    })
}

fn order(what: &'static str, req: Option<ReqId>, by: Option<&Name>) -> Record {
    Record::Order { order: name(what), req, by: by.cloned() }
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
        approvals: count(session.desk.see(Approvals::waiting)),
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
