//! One message, one packet: `SOCK_SEQPACKET` with descriptors (unix(7)).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr,
};

use crate::{Errno, Result};

/// Room for the descriptors of one packet: twice what any message carries, so
/// that one too many is seen and closed rather than cut by the kernel.
const MAX_FDS: usize = 8;

/// One received packet.
#[derive(Debug)]
pub struct Packet {
    /// Bytes received; 0 is the end of the connection.
    pub len: usize,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// The kernel cut bytes or descriptors.
    pub truncated: bool,
}

/// A connected pair, close-on-exec.
///
/// # Errors
/// errno of socketpair(2).
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// A socket that listens at `path`. The caller has removed an old one.
///
/// # Errors
/// errno of socket(2), bind(2) or listen(2).
pub fn listen(path: &std::path::Path) -> Result<OwnedFd> {
    let fd = socket::socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    socket::listen(&fd, Backlog::new(128)?)?;
    Ok(fd)
}

/// Connects to a socket that listens at `path`.
///
/// # Errors
/// errno of socket(2) or connect(2).
pub fn connect(path: &std::path::Path) -> Result<OwnedFd> {
    let fd =
        socket::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Takes one waiting connection, close-on-exec and non-blocking.
///
/// # Errors
/// errno of accept4(2); `EAGAIN` when none waits.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let raw =
        socket::accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: accept4 has just returned this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends one packet. Never raises SIGPIPE.
///
/// # Errors
/// errno of sendmsg(2); `EAGAIN` when the socket is non-blocking and full.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent = socket::sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[std::io::IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
            Ok(n) if n == bytes.len() => return Ok(()),
            // A sequenced packet is sent whole or not at all.
            Ok(_) => return Err(Errno::EMSGSIZE),
        }
    }
}

/// Receives one packet into `buffer`. Descriptors arrive close-on-exec.
///
/// # Errors
/// errno of recvmsg(2); `EAGAIN` when the socket is non-blocking and empty.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Packet> {
    #[repr(align(8))]
    struct Control([u8; 128]);
    const {
        assert!(std::mem::size_of::<libc::cmsghdr>() + MAX_FDS * 4 <= 128);
    }
    let mut control = Control([0; 128]);
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    let len = loop {
        // SAFETY: header points to the iovec and control buffer above, both
        // alive and of the lengths given.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(got) {
            Ok(len) => break len,
            Err(_) => match Errno::last() {
                // ECONNRESET: the peer closed without reading all we sent. The
                // kernel says so once, ahead of what the peer sent before it
                // closed, and that must not be lost.
                Errno::EINTR | Errno::ECONNRESET => header.msg_controllen = control.0.len(),
                e => return Err(e),
            },
        }
    };
    let mut fds = Vec::new();
    let mut foreign = false;
    // SAFETY: the CMSG macros walk the control buffer the kernel has filled,
    // bounded by msg_controllen; SCM_RIGHTS data is an array of descriptors
    // that the kernel has just installed for this process alone.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(&raw const header);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let data: *const i32 = libc::CMSG_DATA(cmsg).cast();
                let bytes = (*cmsg).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for i in 0..bytes / std::mem::size_of::<i32>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            } else {
                foreign = true;
            }
            cmsg = libc::CMSG_NXTHDR(&raw const header, cmsg);
        }
    }
    let cut = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Packet { len, fds, truncated: cut || foreign })
}

/// Process, user and group at the other end when it connected (SO_PEERCRED).
///
/// # Errors
/// errno of getsockopt(2).
pub fn peer(socket: BorrowedFd<'_>) -> Result<(i32, u32, u32)> {
    let cred = socket::getsockopt(&socket, socket::sockopt::PeerCredentials)?;
    Ok((cred.pid(), cred.uid(), cred.gid()))
}
