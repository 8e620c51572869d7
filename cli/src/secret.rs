//! Secret bytes on their way through this program: read into memory that does
//! not move while it is filled, bounded before it is taken, and wiped.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use strongroom_sys::Errno;
use strongroom_sys::process;
use zeroize::Zeroizing;

use crate::error::Failure;
use strongroom_protocol::codes::Code;

/// Bytes that are wiped when dropped.
pub type Bytes = Zeroizing<Vec<u8>>;

/// Why there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The kernel refused.
    Io(Errno),
    /// There is more of it than may be.
    TooLong,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(errno) => f.write_str(errno.desc()),
            Self::TooLong => f.write_str("too long"),
        }
    }
}

/// Reads to the end, at most `most` bytes.
///
/// # Errors
/// [`Unread`]; what was read is wiped.
pub fn read_all(from: impl AsFd, most: usize) -> Result<Bytes, Unread> {
    let from = from.as_fd();
    // One byte more, so that more shows; whole at once, so that it never
    // moves and leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; most.saturating_add(1)]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(from, rest) {
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(bytes);
            }
            Ok(n) => filled += n,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait(from)?,
            Err(errno) => return Err(Unread::Io(errno)),
        }
    }
    Err(Unread::TooLong)
}

fn wait(from: std::os::fd::BorrowedFd<'_>) -> Result<(), Unread> {
    match poll(&mut [PollFd::new(from, PollFlags::POLLIN)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Unread::Io(errno)),
    }
}

/// Drops the line end at the end of a value that is a single line: editors
/// and `echo` add one, and no password has it. Says whether there was one.
pub fn drop_line_end(bytes: &mut Bytes) -> bool {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let single = lines == 1 && bytes.last() == Some(&b'\n');
    if single {
        // Wiped with the rest: the memory still belongs to `bytes`.
        bytes.pop();
    }
    single
}

/// Makes this process one that leaves no core file and that no other process
/// of the user can look into. For a process that is about to read a secret.
///
/// # Errors
/// [`Code::StartFailed`].
pub fn seclude() -> Result<(), Failure> {
    let failed = |errno: Errno| {
        Failure::new(Code::StartFailed, format!("no core file, not dumpable: {}", errno.desc()))
    };
    process::set_dumpable(false).map_err(failed)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use strongroom_sys::fd;

    fn piped(bytes: &[u8]) -> std::os::fd::OwnedFd {
        let (from, to) = fd::pipe().unwrap();
        std::fs::File::from(to).write_all(bytes).unwrap();
        from
    }

    #[test]
    fn reads_up_to_the_limit() {
        for (length, want) in [(0, Ok(0)), (9, Ok(9)), (10, Ok(10)), (11, Err(Unread::TooLong))] {
            assert_eq!(read_all(piped(&vec![7; length]), 10).map(|b| b.len()), want);
        }
        let (_from, to) = fd::pipe().unwrap();
        assert_eq!(read_all(to, 10).unwrap_err(), Unread::Io(Errno::EBADF));
    }

    #[test]
    fn waits_for_a_descriptor_that_does_not() {
        let (from, to) = fd::pipe().unwrap();
        fd::set_nonblocking(from.as_fd()).unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            std::fs::File::from(to).write_all(b"late").unwrap();
        });
        assert_eq!(read_all(from, 10).unwrap().as_slice(), b"late");
        writer.join().unwrap();
    }

    #[test]
    fn one_line_end_of_one_line() {
        for (text, want, dropped) in [
            ("value\n", "value", true),
            ("value", "value", false),
            ("a\nb\n", "a\nb\n", false),
            ("\n\n", "\n\n", false),
            ("\n", "", true),
            ("", "", false),
            ("value\r\n", "value\r", true),
        ] {
            let mut bytes = Zeroizing::new(text.as_bytes().to_vec());
            assert_eq!((drop_line_end(&mut bytes), bytes.as_slice()), (dropped, want.as_bytes()));
        }
    }
}
