//! One end of a channel: typed by what comes in and what goes out, so that
//! the other end's type is this one's inverted.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use strongroom_protocol::channel::{Direction, Gate};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_sys::{Errno, fd, packet};

/// What came over a port.
pub enum Incoming<M> {
    /// Nothing yet.
    Nothing,
    /// A message, and its descriptors.
    Message(M, Vec<OwnedFd>),
    /// The peer is gone, or has broken the protocol; both end the channel.
    Lost,
}

/// One end of a channel. Never blocks: its peers are ours, and a full socket
/// means that one of them has stopped working.
pub struct Port<In: Direction, Out> {
    socket: OwnedFd,
    gate: Gate<In>,
    out: PhantomData<Out>,
}

impl<In: Direction, Out: Direction> Port<In, Out> {
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        fd::set_nonblocking(socket.as_fd())?;
        Ok(Self { socket, gate: Gate::new(), out: PhantomData })
    }

    pub fn receive(&mut self) -> Incoming<In::Message> {
        let mut buffer = vec![0; MAX_PACKET];
        let packet = match packet::receive(self.socket.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => return Incoming::Nothing,
            Ok(packet) if packet.len > 0 && !packet.truncated => packet,
            _ => return Incoming::Lost,
        };
        let frame = buffer.get(..packet.len).unwrap_or_default();
        match self.gate.admit(frame, packet.fds.len(), 0) {
            Ok(message) => Incoming::Message(message, packet.fds),
            Err(_) => Incoming::Lost,
        }
    }

    /// Sends, or says that the peer is lost.
    pub fn send(&self, message: &Out::Message, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let frame = codec::encode(message).map_err(|_| Errno::EMSGSIZE)?;
        packet::send(self.socket.as_fd(), &frame, fds)
    }
}

impl<In: Direction, Out> AsFd for Port<In, Out> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
