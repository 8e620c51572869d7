//! Starts the broker: takes its descriptors over, locks itself down, serves.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use strongroom_broker::token::Token;
use strongroom_broker::{Channels, End, log, serve};
use strongroom_jail::{At, Step, refused, service};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::fds;
use strongroom_protocol::limits::MAX_PLAN;
use strongroom_protocol::plan::Plan;
use strongroom_protocol::stage::Stage;
use strongroom_sys::fd;
use tokio::runtime::{Builder, Runtime};

fn main() {
    std::panic::set_hook(Box::new(panicked));
    match start() {
        Ok((runtime, plan, channels, token)) => {
            let end = runtime.block_on(serve(plan, channels, token));
            if end == End::Finished {
                std::process::exit(0);
            }
            log::line(format_args!("{}: {end:?}", Code::BrokerLost));
            std::process::exit(exit::INTERNAL);
        }
        Err(error) => {
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

fn start() -> Step<(Runtime, Plan, Channels, Token)> {
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
    let token = Token::random().at(Stage::Start)?;
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build().at(Stage::Start)?;
    service::lock_down(folder.as_fd(), plan.landlock_abi, strongroom_seccomp::broker())?;
    token.publish(folder.as_fd()).at(Stage::Start)?;
    Ok((runtime, plan, channels, token))
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
