//! Channel R: the broker's end. Records go out in order and are counted; the
//! recorder answers how many of them are kept.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use strongroom_protocol::channel::r::{Ack, FromBroker, Record, ToWriter};
use strongroom_sys::Errno;
use tokio::sync::{Semaphore, watch};

use crate::journal::Journal;
use crate::log;
use crate::port::Port;

/// Records on their way, not yet acknowledged. Who has more to say waits:
/// nothing is dropped, and a flood of refusals slows only those who cause it.
const IN_FLIGHT: usize = 128;

/// The audit log, as the broker sees it.
#[derive(Debug)]
pub struct Recorder {
    port: Port<ToWriter, FromBroker>,
    room: Semaphore,
    sent: Cell<u64>,
    kept: watch::Sender<Kept>,
    /// What has a record of its beginning, and none of its end.
    begun: Cell<u64>,
    refused: Cell<Option<Errno>>,
    /// What agents may read again.
    pub journal: RefCell<Journal>,
}

/// Place of a record in the order of this writer's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a record that must be kept before something happens is waited for"]
pub struct Ticket(u64);

/// The log can take no more records. Nothing may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    count: u64,
    lost: bool,
}

impl Recorder {
    /// Takes the channel over.
    ///
    /// # Errors
    /// errno of taking the socket over.
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        Ok(Self {
            port: Port::new(socket)?,
            room: Semaphore::new(IN_FLIGHT),
            sent: Cell::new(0),
            kept: watch::Sender::new(Kept::default()),
            begun: Cell::new(0),
            refused: Cell::new(None),
            journal: RefCell::default(),
        })
    }

    /// Sends one record, waiting for room, not for its acknowledgement.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn record(&self, record: &Record) -> Result<Ticket, Lost> {
        let room = self.room.acquire().await.map_err(|_| Lost)?;
        self.port.send(record, &[]).await.map_err(|_| Lost)?;
        // The acknowledgement gives the room back.
        room.forget();
        // No await since the packet left: the count is in the order of packets.
        self.sent.set(self.sent.get() + 1);
        match record {
            Record::Intent { .. } | Record::Write { .. } | Record::Examine { .. } => {
                self.begun.set(self.begun.get() + 1);
            }
            Record::Outcome { .. } | Record::Examined { .. } => {
                self.begun.set(self.begun.get().saturating_sub(1));
            }
            _ => {}
        }
        self.journal.borrow_mut().note(record, SystemTime::now());
        Ok(Ticket(self.sent.get()))
    }

    /// Sends one record and waits until it is kept.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn record_and_keep(&self, record: &Record) -> Result<(), Lost> {
        let ticket = self.record(record).await?;
        self.kept(ticket).await
    }

    /// Waits until a record is kept.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn kept(&self, ticket: Ticket) -> Result<(), Lost> {
        let mut kept = self.kept.subscribe();
        let now = *kept.wait_for(|k| k.lost || k.count >= ticket.0).await.map_err(|_| Lost)?;
        if now.count >= ticket.0 { Ok(()) } else { Err(Lost) }
    }

    /// Waits until whatever is on record as begun is on record as ended, and
    /// every record is kept.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn settled(&self) -> Result<(), Lost> {
        // Each record is acknowledged after it was counted, and wakes this.
        let is_settled = |k: &Kept| k.count >= self.sent.get() && self.begun.get() == 0;
        let mut kept = self.kept.subscribe();
        let now = *kept.wait_for(|k| k.lost || is_settled(k)).await.map_err(|_| Lost)?;
        if is_settled(&now) { Ok(()) } else { Err(Lost) }
    }

    /// What the recorder said when it refused.
    pub fn refused(&self) -> Option<Errno> {
        self.refused.get()
    }

    /// Hears the recorder until it is gone, refuses, or counts what was never
    /// sent. From then on every record is [`Lost`].
    pub async fn listen(&self) {
        loop {
            match self.port.receive().await {
                Ok(Some(ack)) if self.hear(&ack.message) => {}
                // An older vault: whoever waits for that record says so.
                Ok(_) if self.refused() == Some(Errno::ESTALE) => break,
                Ok(_) => {
                    match self.refused() {
                        // That is about the vault, and is said when it is given up.
                        Some(Errno::ESTALE) => {}
                        Some(errno) => log::line(format_args!("the audit log is lost: {errno}")),
                        None => log::line(format_args!("the audit log is lost")),
                    }
                    break;
                }
                Err(broken) => {
                    log::line(format_args!("channel R: {broken:?}"));
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        self.room.close();
        self.kept.send_modify(|k| k.lost = true);
    }

    fn hear(&self, ack: &Ack) -> bool {
        let before = self.kept.borrow().count;
        match *ack {
            Ack::Kept { count } if count > before && count <= self.sent.get() => {
                self.room.add_permits(usize::try_from(count - before).unwrap_or(0));
                self.kept.send_modify(|k| k.count = count);
                true
            }
            Ack::Kept { .. } => false,
            Ack::Refused { errno } => {
                self.refused.set(Some(Errno::from_raw(errno)));
                false
            }
        }
    }
}
