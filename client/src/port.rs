//! A program's end of a channel: whole packets out, whole packets in, each
//! looked up in the channel's table. Used for channel A and channel O.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use strongroom_protocol::channel::{Direction, Gate, Violation};
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_sys::{Errno, packet};

/// Why a connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The broker closed it.
    Closed,
    /// The kernel refused.
    Io(Errno),
    /// The broker's packet breaks the protocol.
    Broken(Violation),
    /// Our own message does not fit one packet.
    TooBig,
}

impl Lost {
    /// The code for it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Closed | Self::Io(Errno::EPIPE | Errno::ECONNRESET) => Code::BrokerLost,
            Self::Io(_) => Code::Internal,
            Self::Broken(_) => Code::Protocol,
            Self::TooBig => Code::RequestTooBig,
        }
    }

    /// What it was, in words.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Closed | Self::Io(Errno::EPIPE | Errno::ECONNRESET) => {
                "the connection was closed".to_owned()
            }
            Self::Io(errno) => format!("the connection failed: {}", errno.desc()),
            Self::Broken(violation) => violation.to_string(),
            Self::TooBig => String::new(),
        }
    }
}

/// A connection that receives `In` and sends `Out`.
#[derive(Debug)]
pub struct Port<In: Direction, Out: Direction> {
    socket: OwnedFd,
    gate: Gate<In>,
    buffer: Vec<u8>,
    opened: Instant,
    out: std::marker::PhantomData<Out>,
}

impl<In: Direction, Out: Direction> Port<In, Out> {
    /// Takes a connected socket over.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            gate: Gate::new(),
            // One byte more than the longest packet, so that a longer one shows.
            buffer: vec![0; MAX_PACKET + 1],
            opened: Instant::now(),
            out: std::marker::PhantomData,
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`Lost`]; after [`Lost::TooBig`] nothing was sent.
    pub fn send(&self, message: &Out::Message) -> Result<(), Lost> {
        let bytes = codec::encode(message).map_err(|_| Lost::TooBig)?;
        packet::send(self.socket.as_fd(), &bytes, &[]).map_err(Lost::Io)
    }

    /// Waits for one message and its descriptors.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn receive(&mut self) -> Result<(In::Message, Vec<OwnedFd>), Lost> {
        let packet = packet::receive(self.socket.as_fd(), &mut self.buffer).map_err(Lost::Io)?;
        if packet.truncated {
            return Err(Lost::Broken(Violation::Truncated));
        }
        let bytes = self.buffer.get(..packet.len).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Lost::Closed);
        }
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let message = self.gate.admit(bytes, packet.fds.len(), now_ms).map_err(Lost::Broken)?;
        Ok((message, packet.fds))
    }
}

impl<In: Direction, Out: Direction> AsFd for Port<In, Out> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
