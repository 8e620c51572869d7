//! `strongroom-worker INDEX`: the zygote of one profile, started by the
//! supervisor with the plan and channel Z. It forks workers ahead; each builds
//! one jail ([`setup`]), waits, looks at a command for a human ([`examine`]),
//! runs one ([`command`]) or writes one file ([`files`]), and ends with it.
#![forbid(unsafe_code)]

mod command;
mod deputy;
mod dotgit;
mod environment;
mod examine;
mod files;
mod fingerprint;
mod killall;
mod lease;
mod mounts;
mod program;
mod setup;
#[cfg(test)]
mod testing;
mod watchdog;
mod worker;
mod zygote;

use strongroom_jail::Step;
use strongroom_protocol::stage::{Stage, StageError};

fn main() {
    let StageError { stage, errno } = match start() {
        Ok(()) => return,
        Err(error) => error,
    };
    eprintln!(
        "strongroom-worker: {} ({})",
        stage.describe(),
        strongroom_jail::probe::errno_name(errno)
    );
    strongroom_sys::process::exit(stage.exit_code());
}

fn start() -> Step<()> {
    let index = std::env::args().nth(1).and_then(|a| a.parse().ok());
    let index = index.ok_or(StageError { stage: Stage::Start, errno: 0 })?;
    zygote::Zygote::new(index)?.serve()
}
