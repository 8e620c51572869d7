//! Finds the session: the broker's channel A for an agent.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{SockType, getsockopt, sockopt};
use strongroom_sys::{fd, packet};

use crate::error::Error;

/// Names the listening socket of channel A, for the agent.
pub const SOCKET: &str = "STRONGROOM_SOCKET";

/// Names the descriptor of the agent's inherited connection.
pub const FD: &str = "STRONGROOM_FD";

/// Names the workspace, for the agent.
pub const WORKSPACE: &str = "STRONGROOM_WORKSPACE";

/// A connection to the broker. A new one where the socket can be reached: the
/// inherited one is shared by everything that inherits it, and it speaks for
/// one client only, so it is the second choice.
///
/// # Errors
/// [`Error::NoSession`] when there is neither.
pub fn agent() -> Result<OwnedFd, Error> {
    another()
        .or_else(|error| std::env::var(FD).ok().and_then(|number| inherited(&number)).ok_or(error))
}

/// A new connection to the broker, for those who need more than one.
///
/// # Errors
/// [`Error::NoSession`] when the socket cannot be reached.
pub fn another() -> Result<OwnedFd, Error> {
    let path =
        std::env::var_os(SOCKET).ok_or_else(|| Error::NoSession(format!("{SOCKET} is not set")))?;
    packet::connect(Path::new(&path)).map_err(|errno| {
        Error::NoSession(format!("{SOCKET} cannot be connected: {}", errno.desc()))
    })
}

/// The inherited connection, where the number is that of one.
fn inherited(number: &str) -> Option<OwnedFd> {
    let number: i32 = number.parse().ok().filter(|n| *n > 2)?;
    let socket = fd::inherited(number).ok()?;
    let kind = getsockopt(&socket.as_fd(), sockopt::SockType).ok()?;
    (kind == SockType::SeqPacket).then_some(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn only_a_packet_socket_is_taken_over() {
        let (ours, _theirs) = packet::pair().unwrap();
        let number = ours.into_raw_fd().to_string();
        assert!(inherited(&number).is_some());
        let (pipe, _end) = fd::pipe().unwrap();
        assert!(inherited(&pipe.into_raw_fd().to_string()).is_none());
        for bad in ["", "x", "-1", "0", "1", "2", "999999", "3 "] {
            assert!(inherited(bad).is_none(), "{bad:?}");
        }
    }
}
