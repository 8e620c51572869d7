//! One writer's socket: its records in, acknowledgements out.

use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags};
use strongroom_protocol::channel::r::Ack;
use strongroom_protocol::channel::{Direction, Gate, Violation};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_sys::{Errno, fd, packet};

use crate::complain;
use crate::disk::Disk;
use crate::log::Log;
use crate::record::{Event, Writer};
use crate::vaults::Sight;

/// Packets read in one turn, so that neither writer waits for the other long.
const BATCH: usize = 256;

/// One writer.
#[derive(Debug)]
pub struct Inbox<W: Direction> {
    writer: Writer,
    socket: Option<OwnedFd>,
    gate: Gate<W>,
    kept: u64,
    acknowledged: u64,
    sights: Vec<Sight>,
    /// The session's last record: read, and not in the log yet.
    last: Option<Event>,
}

/// What one look at the socket brought.
enum Look<M> {
    Message(M),
    Nothing,
    End,
    Breach(Violation),
}

impl<W: Direction> Inbox<W>
where
    Event: From<W::Message>,
{
    /// Takes a writer's socket over.
    ///
    /// # Errors
    /// errno of fcntl(2).
    pub fn new(writer: Writer, socket: OwnedFd) -> Result<Self, Errno> {
        fd::set_nonblocking(socket.as_fd())?;
        Ok(Self {
            writer,
            socket: Some(socket),
            gate: Gate::new(),
            kept: 0,
            acknowledged: 0,
            sights: vec![],
            last: None,
        })
    }

    /// The writer may still say something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// What to wait for.
    #[must_use]
    pub fn poll(&self) -> Option<PollFd<'_>> {
        let mut events = PollFlags::POLLIN;
        if self.acknowledged < self.kept {
            events |= PollFlags::POLLOUT;
        }
        self.socket.as_ref().map(|socket| PollFd::new(socket.as_fd(), events))
    }

    /// Adds what waits to the log. True when it must be on the disk before it
    /// is acknowledged.
    pub fn read<D: Disk>(&mut self, log: &mut Log<D>) -> bool {
        let mut durable = false;
        for _ in 0..BATCH {
            match self.look() {
                Look::Message(message) => {
                    let event = Event::from(message);
                    durable |= event.durable;
                    if event.last {
                        self.last = Some(event);
                        break;
                    }
                    self.sights.extend(event.sight);
                    log.add(self.writer, &event);
                    self.kept += 1;
                }
                Look::Nothing => break,
                Look::End => {
                    self.socket = None;
                    break;
                }
                Look::Breach(violation) => {
                    complain(format_args!("{}: {violation}", self.writer.as_str()));
                    log.add(Writer::Recorder, &Event::breach(self.writer));
                    self.socket = None;
                    break;
                }
            }
        }
        durable
    }

    /// Adds all that waits, of a writer that is gone. True as [`read`](Self::read).
    pub fn drain<D: Disk>(&mut self, log: &mut Log<D>) -> bool {
        let (mut durable, mut before) = (false, None);
        while before != Some(self.kept) {
            before = Some(self.kept);
            durable |= self.read(log);
        }
        durable
    }

    /// The session's last record, if this writer has said it. It is kept then.
    pub fn last(&mut self) -> Option<Event> {
        self.last.take().inspect(|_| self.kept += 1)
    }

    /// What the records read since the last call say of vault files.
    pub fn sights(&mut self) -> impl Iterator<Item = Sight> {
        self.sights.drain(..)
    }

    /// Hears this writer no more.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Says how many records are kept, if that is news. What cannot be sent
    /// now is sent when there is room: a later count includes it.
    pub fn acknowledge(&mut self) {
        if self.acknowledged < self.kept && self.tell(&Ack::Kept { count: self.kept }) {
            self.acknowledged = self.kept;
        }
    }

    /// Says that nothing more can be kept.
    pub fn refuse(&self, errno: Errno) {
        self.tell(&Ack::Refused { errno: errno as i32 });
    }

    fn tell(&self, ack: &Ack) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        // A writer that is gone is noticed when its socket is read.
        codec::encode(ack).is_ok_and(|bytes| packet::send(socket.as_fd(), &bytes, &[]).is_ok())
    }

    fn look(&mut self) -> Look<W::Message> {
        let Some(socket) = &self.socket else {
            return Look::Nothing;
        };
        let mut buffer = [0; MAX_PACKET];
        let packet = match packet::receive(socket.as_fd(), &mut buffer) {
            Ok(packet) => packet,
            Err(Errno::EAGAIN) => return Look::Nothing,
            Err(_) => return Look::End,
        };
        if packet.truncated {
            return Look::Breach(Violation::Truncated);
        }
        if packet.len == 0 && packet.fds.is_empty() {
            return Look::End;
        }
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        // No row of channel R has a rate, so no clock is needed.
        self.gate.admit(bytes, packet.fds.len(), 0).map_or_else(Look::Breach, Look::Message)
    }
}
