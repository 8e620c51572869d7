//! The recorder: the only writer of the audit log. It reads two sockets, one
//! for each writer, and appends; see `docs/audit.md` for what it writes.
//!
//! What an acknowledgement means: the record has been handed to the kernel, so
//! it outlives the end of every process of ours. It is signed and on the disk
//! at most [`SYNC_EVERY`] later; what must not be lost is so before it is
//! acknowledged. Waiting for the disk each time would cost a command 3 ms.
//!
//! ```text
//! inbox     the writers' sockets
//! record    what they say, as fields of a line
//! log       lines, checkpoints, seals, files    resume   from the files as found
//! pack      closed files, compressed            witness  checkpoints elsewhere
//! disk      every system call on a file     vaults   vault files' generations
//! ```
#![forbid(unsafe_code)]

pub mod clock;
pub mod disk;
pub mod inbox;
pub mod json;
pub mod log;
pub mod pack;
pub mod record;
mod resume;
pub mod vaults;
pub mod witness;

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use strongroom_protocol::channel::r::{FromBroker, FromSupervisor};
use strongroom_sys::Errno;

use crate::disk::Disk;
use crate::inbox::Inbox;
use crate::log::Log;
use crate::record::{Event, Writer};
use crate::vaults::Vaults;

/// A record is signed and on the disk at most this long after it was acknowledged.
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
pub fn serve<D: Disk>(
    mut log: Log<D>,
    vaults: Vaults,
    broker: OwnedFd,
    supervisor: OwnedFd,
) -> Result<End, Errno> {
    let mut writers = Writers {
        broker: Inbox::new(Writer::Broker, broker)?,
        supervisor: Inbox::new(Writer::Supervisor, supervisor)?,
        vaults,
    };
    if let Err(errno) = writers.tell_accepted(&mut log) {
        writers.broker.refuse(errno);
        writers.supervisor.refuse(errno);
        return Ok(End::Failed(errno));
    }
    while writers.are_open() {
        writers.wait(&mut log)?;
        if let Err(errno) = writers.keep(&mut log) {
            writers.broker.refuse(errno);
            writers.supervisor.refuse(errno);
            return Ok(End::Failed(errno));
        }
    }
    Ok(log.close().map_or_else(End::Failed, |()| End::Closed))
}

struct Writers {
    broker: Inbox<FromBroker>,
    supervisor: Inbox<FromSupervisor>,
    vaults: Vaults,
}

impl Writers {
    fn are_open(&self) -> bool {
        self.broker.is_open() || self.supervisor.is_open()
    }

    /// Puts on record what the operator did to vault files meanwhile.
    fn tell_accepted<D: Disk>(&mut self, log: &mut Log<D>) -> Result<(), Errno> {
        if self.vaults.accepted().is_empty() {
            return Ok(());
        }
        for accepted in self.vaults.accepted() {
            log.add(Writer::Recorder, &Event::vault_accepted(*accepted));
        }
        log.settle()?;
        self.vaults.recorded()
    }

    /// Reads what waits, writes it, and says so: at once, or where that is
    /// asked for, when it is signed and on the disk.
    fn keep<D: Disk>(&mut self, log: &mut Log<D>) -> Result<(), Errno> {
        // The supervisor first: it was there first, and says less.
        let mut durable = self.supervisor.read(log) | self.broker.read(log);
        if let Some(ended) = self.supervisor.last() {
            // The supervisor says so when the broker has gone. What that had to
            // say comes first; if it lives after all, it is heard no more.
            durable |= self.broker.drain(log);
            self.broker.close();
            log.add(Writer::Supervisor, &ended);
        }
        let seen = self.broker.sights().try_for_each(|sight| self.vaults.see(sight));
        let is_older = seen == Err(Errno::ESTALE);
        if is_older {
            log.add(Writer::Recorder, &Event::older_vault());
        } else {
            seen?;
        }
        if durable {
            log.settle()?;
        } else {
            log.write()?;
        }
        self.supervisor.acknowledge();
        if is_older {
            // On the record, and not acknowledged: the broker goes no further.
            self.broker.refuse(Errno::ESTALE);
            self.broker.close();
        } else {
            self.broker.acknowledge();
        }
        let now = Instant::now();
        if log.settle_due(SYNC_EVERY).is_some_and(|due| due <= now) {
            log.settle()?;
        }
        if log.maintain_due().is_some_and(|due| due <= now) {
            log.maintain()?;
        }
        Ok(())
    }

    /// Waits until a socket has something, or the log something to do.
    fn wait<D: Disk>(&self, log: &mut Log<D>) -> Result<(), Errno> {
        let due = [log.settle_due(SYNC_EVERY), log.maintain_due()].into_iter().flatten().min();
        let mut pack = log.has_to_pack();
        loop {
            let timeout = match due {
                _ if pack => PollTimeout::ZERO,
                None => PollTimeout::NONE,
                // One more, or the last millisecond is spent going round in circles.
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    let left = if left.is_zero() { left } else { left + Duration::from_millis(1) };
                    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
                }
            };
            let sockets = self.broker.poll().into_iter().chain(self.supervisor.poll());
            match poll(&mut sockets.collect::<Vec<_>>(), timeout) {
                Ok(0) if pack && due.is_none_or(|due| due > Instant::now()) => pack = log.pack(),
                Ok(_) | Err(Errno::EINTR) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Writes one line to standard error, for the operator. A closed standard
/// error must not end the recorder.
pub fn complain(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "strongroom-recorder: {text}");
}
