//! The broker: the only holder of secrets, every decision, and each command
//! from request to outcome. One thread; one file per channel.
//!
//! ```text
//! agent ──A──▶ agent.rs ─▶ decide.rs ─▶ exec.rs ──R──▶ recorder.rs (intent)
//!                 │                       ├──S──▶ supervisor.rs (a worker)
//!                 │                       ├──W──▶ grant.rs (values, sealed files)
//!                 │                       ├──W──▶ worker.rs (launch, end)
//!                 │                       └─────▶ pump.rs ─ masks.rs (output)
//!                 └────▶ write.rs ─ sealed.rs ──W──▶ worker.rs (a file)
//! operator ──O──▶ operator.rs ─▶ keep.rs ─▶ credentials.rs ─▶ the vault
//!                      └───────▶ verdicts.rs ─▶ desk.rs ─ approvals.rs
//!                                                  ▲
//! agent.rs, write.rs ─▶ asking.rs ─▶ examine.rs ───┘  (where a human is asked)
//! ```
#![forbid(unsafe_code)]

pub mod account;
pub mod agent;
pub mod approvals;
pub mod asking;
pub mod credentials;
pub mod decide;
pub mod desk;
pub mod door;
pub mod draft;
pub mod examine;
pub mod exec;
pub mod feed;
pub mod grant;
pub mod journal;
pub mod keep;
pub mod log;
pub mod masks;
pub mod operator;
pub mod petition;
pub mod port;
pub mod programs;
pub mod pump;
pub mod rate;
pub mod receipts;
pub mod recorder;
pub mod requests;
pub mod sealed;
pub mod session;
pub mod supervisor;
pub mod tally;
pub mod token;
pub mod verdicts;
pub mod worker;
pub mod write;

use std::future::pending;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use strongroom_protocol::channel::r::Record;
use strongroom_protocol::plan::Plan;
use strongroom_sys::Errno;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::credentials::Credentials;
use crate::recorder::{Lost, Recorder};
use crate::session::Session;
use crate::supervisor::Supervisor;
use crate::token::Tokens;

/// What the broker is started with.
#[derive(Debug)]
pub struct Channels {
    /// Channel S.
    pub supervisor: OwnedFd,
    /// Channel R.
    pub recorder: OwnedFd,
    /// Channel A, listening.
    pub agents: OwnedFd,
    /// Channel A, the agent's inherited connection.
    pub agent: OwnedFd,
    /// Channel O, listening.
    pub operators: OwnedFd,
}

/// Why the broker no longer serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The supervisor closed its channel after the session had ended in order.
    Finished,
    /// The supervisor is gone in the middle of a session.
    SupervisorLost,
    /// The recorder is gone, or cannot write.
    RecorderLost,
    /// An older vault file was put back: the log has seen a later one.
    VaultOlder,
    /// A descriptor could not be taken over.
    Unusable(Errno),
}

/// Time for those who were about to run something to hear that the audit log
/// is lost. Everything is being ended meanwhile.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The supervisor has this long to take our last order.
const LAST_ORDER: Duration = Duration::from_secs(1);

/// The supervisor closes its channel when nothing runs any more. What the last
/// commands have written may be on its way to clients then, which keeps their
/// outcomes back for a second at most; the supervisor waits longer than this.
const LAST_OUTCOMES: Duration = Duration::from_secs(2);

/// Serves until the supervisor or the recorder is gone. Only when locked down.
pub async fn serve(
    plan: Plan,
    channels: Channels,
    tokens: Tokens,
    credentials: Credentials,
) -> End {
    let (operators, agents) = (LocalSet::new(), LocalSet::new());
    let session = match open(plan, channels, tokens, credentials, &operators, &agents).await {
        Ok(session) => session,
        Err(end) => return end,
    };
    tokio::select! {
        // In this order, every time: those we trust, then operators, then a
        // handful of the agents' tasks. A crowd of agents delays an order by
        // one handful, not by the whole crowd.
        biased;
        end = attend(&session) => end,
        end = operators.run_until(pending()) => end,
        end = agents.run_until(pending()) => end,
    }
}

async fn open(
    plan: Plan,
    channels: Channels,
    tokens: Tokens,
    credentials: Credentials,
    operators: &LocalSet,
    agents: &LocalSet,
) -> Result<Rc<Session>, End> {
    let supervisor = Supervisor::new(channels.supervisor).map_err(End::Unusable)?;
    let recorder = Recorder::new(channels.recorder).map_err(End::Unusable)?;
    on_record(&recorder, &credentials).await?;
    let session = Rc::new(Session::new(plan, supervisor, recorder, credentials));
    let tokens = Rc::new(tokens);

    agents.spawn_local(desk::keep_time(Rc::clone(&session)));
    agents.spawn_local(agent::inherited(Rc::clone(&session), channels.agent));
    let shared = Rc::clone(&session);
    agents.spawn_local(door::keep(
        channels.agents,
        move |socket, known| agent::visitor(Rc::clone(&shared), socket, known),
        agent::turn_away,
    ));
    let shared = Rc::clone(&session);
    operators.spawn_local(door::keep(
        channels.operators,
        move |socket, known| {
            operator::visitor(Rc::clone(&shared), Rc::clone(&tokens), socket, known)
        },
        operator::turn_away,
    ));
    session.supervisor.ready().await.map_err(End::Unusable)?;
    Ok(session)
}

/// Has the log see which vault is used, and what was found at the start,
/// before anybody can ask for it.
async fn on_record(recorder: &Recorder, credentials: &Credentials) -> Result<(), End> {
    let record = async {
        for name in credentials.taken_over() {
            let verb = account::name("take-over");
            let name = name.clone();
            let (connection, reason, code, approval) = (None, None, None, None);
            let found = Record::Credential { verb, name, connection, reason, code, approval };
            recorder.record_and_keep(&found).await?;
        }
        let Some((vault, generation)) = credentials.file() else { return Ok(()) };
        let opened = Record::Vault { what: account::name("opened"), vault, generation };
        recorder.record_and_keep(&opened).await
    };
    let kept = tokio::select! {
        biased;
        kept = record => kept,
        () = recorder.listen() => Err(Lost),
    };
    match (kept, recorder.refused()) {
        (Ok(()), _) => Ok(()),
        (Err(Lost), Some(Errno::ESTALE)) => Err(End::VaultOlder),
        (Err(Lost), _) => Err(End::RecorderLost),
    }
}

/// Hears the two we depend on, until one of them is gone.
async fn attend(session: &Session) -> End {
    tokio::select! {
        end = hear_supervisor(session) => end,
        end = hear_recorder(session) => end,
    }
}

/// Where the supervisor goes in order, sees to it that the log has an outcome
/// for every intent.
async fn hear_supervisor(session: &Session) -> End {
    session.supervisor.listen().await;
    if !session.supervisor.draining() {
        return End::SupervisorLost;
    }
    match timeout(LAST_OUTCOMES, session.recorder.settled()).await {
        Ok(Ok(())) => End::Finished,
        Ok(Err(Lost)) => End::RecorderLost,
        Err(_) => End::SupervisorLost,
    }
}

/// Without a log everything ends.
async fn hear_recorder(session: &Session) -> End {
    session.recorder.listen().await;
    let _ = timeout(LAST_ORDER, session.supervisor.shutdown(true)).await;
    sleep(LAST_WORDS).await;
    End::RecorderLost
}
