//! Starts the recorder: takes its descriptors over, locks itself down, records.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use strongroom_jail::{At, Step, refused, service};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::fds;
use strongroom_protocol::limits::MAX_PLAN;
use strongroom_protocol::plan::Plan;
use strongroom_protocol::stage::Stage;
use strongroom_protocol::text::hex;
use strongroom_recorder::disk::{Folder, Unusable};
use strongroom_recorder::log::{Limits, Log, Settings};
use strongroom_recorder::vaults::Vaults;
use strongroom_recorder::witness::Witness;
use strongroom_recorder::{End, clock, complain, serve};
use strongroom_sys::fd;

/// The name of the machine's boot (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What the recorder is started with.
struct Start {
    session: [u8; 16],
    folder: OwnedFd,
    broker: OwnedFd,
    supervisor: OwnedFd,
    witness: Option<OwnedFd>,
    boot: String,
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
        // Only where the policy names one.
        witness: fd::inherited(fds::WITNESS).ok(),
        boot: boot(),
    };
    let plan = fd::read_sealed(plan.as_fd(), MAX_PLAN).at(Stage::Start)?;
    let plan = Plan::decode(&plan).map_err(|_| refused(Stage::Start))?;
    service::lock_down(start.folder.as_fd(), plan.landlock_abi, strongroom_seccomp::recorder())?;
    Ok(Start { session: plan.session, ..start })
}

/// Read before the way there is closed. Where there is no /proc it has no name.
fn boot() -> String {
    std::fs::read_to_string(BOOT).map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

fn open(start: &mut Start) -> Result<Log<Folder>, Unusable> {
    let witness = start.witness.take().map(Witness::new).transpose()?;
    let settings = Settings {
        session: hex(&start.session),
        boot: std::mem::take(&mut start.boot),
        limits: Limits::default(),
        clock: clock::now,
    };
    Log::open(Folder::open(start.folder.as_fd(), witness)?, settings)
}

/// Records to the end; the exit status.
fn record(mut start: Start) -> i32 {
    let log = match open(&mut start) {
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
