//! The recorder: the only writer of the audit log. It reads two sockets, one
//! for each writer, and appends; see `docs/audit.md` for what it writes.
//!
//! What an acknowledgement means: the record has been handed to the kernel, so
//! it outlives the end of every process of ours. It is on the disk at most
//! [`SYNC_EVERY`] later; a session's beginning and end are on the disk first.
//! Waiting for the disk each time would cost a command 3 ms.
#![forbid(unsafe_code)]

pub mod clock;
pub mod inbox;
pub mod json;
pub mod log;
pub mod record;
pub mod vaults;

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use strongroom_protocol::channel::r::{FromBroker, FromSupervisor};
use strongroom_sys::Errno;

use crate::inbox::Inbox;
use crate::log::Log;
use crate::record::{Event, Writer};
use crate::vaults::Vaults;

/// A record is on the disk at most this long after it was acknowledged.
pub const SYNC_EVERY: Duration = Duration::from_millis(200);

/// Why the recorder stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both writers have closed; all is on the disk.
    Closed,
    /// The log cannot be written, and the writers were told.
    Failed(Errno),
}

/// Records until both writers have closed, or the disk fails.
///
/// # Errors
/// errno of taking the sockets over.
pub fn serve(
    mut log: Log,
    mut vaults: Vaults,
    broker: OwnedFd,
    supervisor: OwnedFd,
) -> Result<End, Errno> {
    let mut broker = Inbox::<FromBroker>::new(Writer::Broker, broker)?;
    let mut supervisor = Inbox::<FromSupervisor>::new(Writer::Supervisor, supervisor)?;
    let mut unsynced: Option<Instant> = None;
    loop {
        wait(&broker, &supervisor, unsynced)?;
        // The supervisor first: it was there first, and says less.
        let durable = supervisor.read(&mut log) | broker.read(&mut log);
        let seen = broker.sights().try_for_each(|sight| vaults.see(sight));
        if seen == Err(Errno::ESTALE) {
            // On the record, and not acknowledged: the broker goes no further.
            log.add(Writer::Recorder, &Event::older_vault());
            keep(&mut log, true, &mut unsynced)?;
            broker.refuse(Errno::ESTALE);
            broker.close();
            continue;
        }
        if let Err(errno) = seen.and_then(|()| keep(&mut log, durable, &mut unsynced)) {
            broker.refuse(errno);
            supervisor.refuse(errno);
            return Ok(End::Failed(errno));
        }
        broker.acknowledge();
        supervisor.acknowledge();
        if !broker.is_open() && !supervisor.is_open() {
            return Ok(log.sync().map_or_else(End::Failed, |()| End::Closed));
        }
    }
}

fn keep(log: &mut Log, durable: bool, unsynced: &mut Option<Instant>) -> Result<(), Errno> {
    if log.has_pending() {
        log.write()?;
        unsynced.get_or_insert_with(Instant::now);
    }
    let due = unsynced.is_some_and(|since| durable || since.elapsed() >= SYNC_EVERY);
    if due {
        log.sync()?;
        *unsynced = None;
    }
    Ok(())
}

/// Waits until a socket has something, or the disk is due.
fn wait(
    broker: &Inbox<FromBroker>,
    supervisor: &Inbox<FromSupervisor>,
    unsynced: Option<Instant>,
) -> Result<(), Errno> {
    let mut sockets: Vec<_> = broker.poll().into_iter().chain(supervisor.poll()).collect();
    let timeout = unsynced.map_or(PollTimeout::NONE, |since| {
        let left = SYNC_EVERY.saturating_sub(since.elapsed());
        // One more, or the last millisecond is spent going round in circles.
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO)
    });
    match poll(&mut sockets, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Writes one line to standard error, for the operator. A closed standard
/// error must not end the recorder.
pub fn complain(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "strongroom-recorder: {text}");
}
