//! One end of a channel: packets come in through the channel's table, and go
//! out as its other direction's messages.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::sys::socket::Shutdown;
use strongroom_protocol::channel::{Direction, Gate, Violation};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_sys::{Errno, fd, packet};
use tokio::io::unix::AsyncFd;

/// One end of one connection: receives `In`, sends `Out`.
#[derive(Debug)]
pub struct Port<In: Direction, Out: Direction> {
    socket: AsyncFd<OwnedFd>,
    gate: RefCell<Gate<In>>,
    born: Instant,
    out: PhantomData<Out>,
}

/// A message with its descriptors, as many as its row of the table has.
#[derive(Debug)]
pub struct Received<M> {
    /// The message.
    pub message: M,
    /// The descriptors.
    pub fds: Vec<OwnedFd>,
}

/// Why nothing more can come. An orderly end is not one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The peer broke the protocol.
    Violation(Violation),
    /// The socket failed.
    Lost(Errno),
}

/// What one receive is worth: a message, or `None` at the end.
pub type Heard<In> = Result<Option<Received<<In as Direction>::Message>>, Broken>;

impl<In: Direction, Out: Direction> Port<In, Out> {
    /// Takes a connected socket over. Only inside the runtime.
    ///
    /// # Errors
    /// errno of fcntl(2) or epoll_ctl(2).
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        Ok(Self {
            socket: registered(socket)?,
            gate: RefCell::new(Gate::new()),
            born: Instant::now(),
            out: PhantomData,
        })
    }

    /// Waits for one message; `None` at the end of the connection. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// [`Broken`]: there is no going on with this connection.
    pub async fn receive(&self) -> Heard<In> {
        loop {
            let mut ready = self.socket.readable().await.map_err(|e| Broken::Lost(errno(e)))?;
            if let Ok(taken) = ready.try_io(|_| Ok(self.take()?)) {
                return taken.unwrap_or_else(|e| Err(Broken::Lost(errno(e))));
            }
        }
    }

    /// Sends one message, waiting for room.
    ///
    /// # Errors
    /// errno of sendmsg(2); `EMSGSIZE` when it does not fit one packet.
    pub async fn send(&self, message: &Out::Message, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let bytes = codec::encode(message).map_err(|_| Errno::EMSGSIZE)?;
        match packet::send(self.fd(), &bytes, fds) {
            Err(Errno::EAGAIN) => {}
            sent => return sent,
        }
        loop {
            let mut ready = self.socket.writable().await.map_err(errno)?;
            if let Ok(sent) = ready.try_io(|_| Ok(packet::send(self.fd(), &bytes, fds)?)) {
                return sent.map_err(errno);
            }
        }
    }

    /// Sends one message if there is room for it now.
    ///
    /// # Errors
    /// errno of sendmsg(2); `EAGAIN` when there is no room.
    pub fn send_now(&self, message: &Out::Message) -> Result<(), Errno> {
        let bytes = codec::encode(message).map_err(|_| Errno::EMSGSIZE)?;
        packet::send(self.fd(), &bytes, &[])
    }

    /// The uid at the other end when it connected.
    ///
    /// # Errors
    /// errno of getsockopt(2).
    pub fn peer_uid(&self) -> Result<u32, Errno> {
        packet::peer(self.fd()).map(|(_, uid, _)| uid)
    }

    /// Ends the connection for both sides, whoever still holds this port.
    pub fn close(&self) {
        // ENOTCONN: the peer was faster.
        let _ =
            nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(&self.fd()), Shutdown::Both);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }

    /// One look at the socket; `EAGAIN` when nothing waits.
    fn take(&self) -> Result<Heard<In>, Errno> {
        let mut buffer = [0; MAX_PACKET];
        let packet = packet::receive(self.fd(), &mut buffer)?;
        if packet.truncated {
            return Ok(Err(Broken::Violation(Violation::Truncated)));
        }
        if packet.len == 0 && packet.fds.is_empty() {
            return Ok(Ok(None));
        }
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let admitted = self.gate.borrow_mut().admit(bytes, packet.fds.len(), now);
        let received = |message| Some(Received { message, fds: packet.fds });
        Ok(admitted.map(received).map_err(Broken::Violation))
    }
}

/// Hands a descriptor to the runtime, non-blocking.
///
/// # Errors
/// errno of fcntl(2) or epoll_ctl(2).
// Deprecated because it takes any `AsRawFd`, also one that does not own its
// descriptor or may change it (tokio pull request 8587). An `OwnedFd` does and
// may not, and this crate has no `unsafe` for the replacement.
#[allow(deprecated)]
pub fn registered(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>, Errno> {
    fd::set_nonblocking(fd.as_fd())?;
    AsyncFd::new(fd).map_err(errno)
}

/// The errno of an I/O error; those of the runtime itself have none.
pub fn errno(error: io::Error) -> Errno {
    Errno::try_from(error).unwrap_or(Errno::EIO)
}
