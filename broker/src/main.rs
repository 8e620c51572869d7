//! Starts the broker: takes its descriptors over, locks itself down, serves.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use strongroom_broker::credentials::{self, Credentials};
use strongroom_broker::token::{self, Tokens};
use strongroom_broker::{Channels, End, log, serve};
use strongroom_jail::{At, Step, refused, service};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::fds;
use strongroom_protocol::intake::Intake;
use strongroom_protocol::limits::{ARENA, MAX_INTAKE, MAX_PLAN};
use strongroom_protocol::plan::Plan;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::secret::Arena;
use strongroom_sys::{fd, memory};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

fn main() {
    std::panic::set_hook(Box::new(panicked));
    memory::keep_heap();
    match start() {
        Ok((runtime, start)) => {
            let Start { plan, channels, tokens, credentials } = start;
            match runtime.block_on(serve(plan, channels, tokens, credentials)) {
                End::Finished => std::process::exit(0),
                End::VaultOlder => give_up(Code::VaultOlder),
                end => {
                    log::line(format_args!("{}: {end:?}", Code::BrokerLost));
                    std::process::exit(exit::INTERNAL);
                }
            }
        }
        Err(Failed::Vault(code)) => give_up(code),
        Err(Failed::Step(error)) => {
            log::line(format_args!(
                "{}: {} ({:?}), errno {}",
                Code::StartFailed,
                error.stage.describe(),
                error.stage,
                error.errno
            ));
            std::process::exit(error.stage.exit_code());
        }
    }
}

/// What the broker serves with.
struct Start {
    plan: Plan,
    channels: Channels,
    tokens: Tokens,
    credentials: Credentials,
}

/// Why it does not start.
enum Failed {
    /// A step of the lock-down failed.
    Step(StageError),
    /// The vault cannot be used; the operator has been told why.
    Vault(Code),
}

impl From<StageError> for Failed {
    fn from(error: StageError) -> Self {
        Self::Step(error)
    }
}

fn give_up(code: Code) -> ! {
    log::line(format_args!("{code}: {}", code.entry().what));
    std::process::exit(code.entry().exit)
}

fn start() -> Result<(Runtime, Start), Failed> {
    let inherit = |number| fd::inherited(number).at(Stage::Start);
    let plan: OwnedFd = inherit(fds::PLAN)?;
    let folder = inherit(fds::FOLDER)?;
    let channels = Channels {
        supervisor: inherit(fds::CONTROL)?,
        recorder: inherit(fds::RECORD)?,
        agents: inherit(fds::AGENT_LISTENER)?,
        agent: inherit(fds::AGENT_SOCKET)?,
        operators: inherit(fds::OPERATOR_LISTENER)?,
    };
    let plan = fd::read_sealed(plan.as_fd(), MAX_PLAN).at(Stage::Start)?;
    let plan = Plan::decode(&plan).map_err(|_| refused(Stage::Start))?;
    let intake = inherit(fds::INTAKE)?;
    let tokens = Tokens::random(&plan.approvals.approvers).at(Stage::Start)?;
    let approvers = token::approvers(folder.as_fd()).at(Stage::Start)?;
    let arena = Arena::new(ARENA).at(Stage::Start)?;
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build().at(Stage::Start)?;
    service::lock_down(folder.as_fd(), plan.landlock_abi, strongroom_seccomp::broker())?;
    tokens.publish(folder.as_fd(), approvers).at(Stage::Start)?;
    let credentials = unlock(folder.as_fd(), intake, arena)?;
    Ok((runtime, Start { plan, channels, tokens, credentials }))
}

/// Opens the vault with what the start has handed over, and takes over what
/// it found. Locked down: a vault file is somebody's bytes.
fn unlock(folder: BorrowedFd<'_>, intake: OwnedFd, arena: Arena) -> Result<Credentials, Failed> {
    let intake = take(intake)?;
    let vault = credentials::open(folder, &arena, intake.key.as_ref()).map_err(Failed::Vault)?;
    let mut credentials = Credentials::new(vault, arena).map_err(Failed::Vault)?;
    for found in &intake.found {
        credentials.take_over(&found.name, found.value.as_bytes()).map_err(Failed::Vault)?;
    }
    Ok(credentials)
}

/// Reads the memfd and wipes it: whoever else holds it finds nothing there.
fn take(intake: OwnedFd) -> Step<Intake> {
    let bytes = Zeroizing::new(fd::read_whole(intake.as_fd(), MAX_INTAKE).at(Stage::Start)?);
    nix::unistd::ftruncate(&intake, 0).at(Stage::Start)?;
    Intake::decode(&bytes).map_err(|_| refused(Stage::Start))
}

/// Says where, never what: a panic's message can hold what was being worked
/// on. Then ends the process, in a debug build too, where the runtime would
/// otherwise catch the panic and go on without the task.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    match info.location() {
        Some(place) => {
            log::line(format_args!("{}: {}:{}", Code::Internal, place.file(), place.line()))
        }
        None => log::line(format_args!("{}", Code::Internal)),
    }
    std::process::abort();
}
