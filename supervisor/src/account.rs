//! What the supervisor tells the recorder: its own account of every spawn and
//! exit, independent of the broker's. Sent in order, never waited for but at
//! the start and the end, and never dropped.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use strongroom_protocol::channel::Gate;
use strongroom_protocol::channel::r::{Account, Ack, ToWriter};
use strongroom_protocol::codec;
use strongroom_sys::{Errno, fd, packet};

/// Records that may wait for a slow disk before we stop everything.
const WAITING: usize = 4096;

/// The recorder's other end.
pub struct Recorder {
    socket: OwnedFd,
    gate: Gate<ToWriter>,
    queue: VecDeque<Vec<u8>>,
    sent: u64,
    kept: u64,
}

/// The log cannot be written any more.
#[derive(Debug)]
pub struct LogLost;

impl Recorder {
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        fd::set_nonblocking(socket.as_fd())?;
        Ok(Self { socket, gate: Gate::new(), queue: VecDeque::new(), sent: 0, kept: 0 })
    }

    /// Queues one record and sends what can be sent.
    pub fn tell(&mut self, record: &Account) -> Result<(), LogLost> {
        if self.queue.len() >= WAITING {
            return Err(LogLost);
        }
        self.queue.push_back(codec::encode(record).map_err(|_| LogLost)?.to_vec());
        self.sent += 1;
        self.flush()
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> Result<(), LogLost> {
        while let Some(frame) = self.queue.front() {
            match packet::send(self.socket.as_fd(), frame, &[]) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(_) => return Err(LogLost),
            }
        }
        Ok(())
    }

    /// Reads acknowledgements.
    pub fn hear(&mut self) -> Result<(), LogLost> {
        let mut buffer = [0; 64];
        loop {
            let packet = match packet::receive(self.socket.as_fd(), &mut buffer) {
                Err(Errno::EAGAIN) => return Ok(()),
                Ok(packet) if packet.len > 0 => packet,
                _ => return Err(LogLost),
            };
            let frame = buffer.get(..packet.len).unwrap_or_default();
            match self.gate.admit(frame, packet.fds.len(), 0) {
                Ok(Ack::Kept { count }) => self.kept = count,
                _ => return Err(LogLost),
            }
        }
    }

    /// Is everything told so far kept?
    pub fn settled(&self) -> bool {
        self.kept >= self.sent
    }

    /// Does a record wait for room in the socket?
    pub fn waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl AsFd for Recorder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
