//! Starts the recorder: takes its descriptors over, locks itself down, records.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use strongroom_jail::{At, Step, refused, service};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::fds;
use strongroom_protocol::limits::MAX_PLAN;
use strongroom_protocol::plan::Plan;
use strongroom_protocol::stage::Stage;
use strongroom_recorder::log::Log;
use strongroom_recorder::vaults::Vaults;
use strongroom_recorder::{End, complain, serve};
use strongroom_sys::fd;

/// What the recorder is started with.
struct Start {
    session: [u8; 16],
    folder: OwnedFd,
    broker: OwnedFd,
    supervisor: OwnedFd,
}

fn main() {
    std::panic::set_hook(Box::new(panicked));
    match start() {
        Ok(start) => std::process::exit(record(start)),
        Err(error) => {
            complain(format_args!(
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

fn start() -> Step<Start> {
    let inherit = |number| fd::inherited(number).at(Stage::Start);
    let plan = inherit(fds::PLAN)?;
    let start = Start {
        session: [0; 16],
        folder: inherit(fds::FOLDER)?,
        broker: inherit(fds::CONTROL)?,
        supervisor: inherit(fds::RECORD)?,
    };
    let plan = fd::read_sealed(plan.as_fd(), MAX_PLAN).at(Stage::Start)?;
    let plan = Plan::decode(&plan).map_err(|_| refused(Stage::Start))?;
    service::lock_down(start.folder.as_fd(), plan.landlock_abi, strongroom_seccomp::recorder())?;
    Ok(Start { session: plan.session, ..start })
}

/// Records to the end; the exit status.
fn record(start: Start) -> i32 {
    let log = match Log::open(start.folder.as_fd(), start.session) {
        Ok(log) => log,
        Err(unusable) => {
            complain(format_args!("{}: {unusable}", Code::StateUnusable));
            return exit::CONFIG;
        }
    };
    let vaults = match Vaults::open(start.folder.as_fd()) {
        Ok(vaults) => vaults,
        Err(errno) => {
            complain(format_args!("{}: the file `vaults`: {errno}", Code::StateUnusable));
            return exit::CONFIG;
        }
    };
    match serve(log, vaults, start.broker, start.supervisor) {
        Ok(End::Closed) => 0,
        Ok(End::Failed(errno)) | Err(errno) => {
            complain(format_args!("{}: {errno}", Code::RecordRefused));
            exit::INTERNAL
        }
    }
}

/// Says where, never what: a panic's message can hold what was being worked on.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    match info.location() {
        Some(place) => {
            complain(format_args!("{}: {}:{}", Code::Internal, place.file(), place.line()))
        }
        None => complain(format_args!("{}", Code::Internal)),
    }
    std::process::abort();
}
