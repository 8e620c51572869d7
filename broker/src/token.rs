//! The operator's token: random, new with every start, in a file that only
//! the broker's uid may read.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::BorrowedFd;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat, write};
use strongroom_protocol::channel::o::TOKEN;
use strongroom_sys::Errno;

/// The file's name in the broker's folder. Raw bytes.
pub const FILE: &str = "operator.token";

const NEW_FILE: &str = "operator.token.new";

/// The token. Shown by nothing.
pub struct Token([u8; TOKEN]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// A new one. Opens /dev/urandom, so before the lock-down.
    ///
    /// # Errors
    /// What reading it says.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; TOKEN];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A known one, for tests.
    #[must_use]
    pub const fn new(bytes: [u8; TOKEN]) -> Self {
        Self(bytes)
    }

    /// Puts it into the broker's folder, in place of an old one.
    ///
    /// # Errors
    /// errno of the system call that failed.
    pub fn publish(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        match unlinkat(folder, NEW_FILE, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(folder, NEW_FILE, flags, Mode::S_IRUSR)?;
        if write(&file, &self.0)? != TOKEN {
            return Err(Errno::ENOSPC);
        }
        renameat(folder, NEW_FILE, folder, FILE)
    }

    /// Compares in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, shown: &[u8; TOKEN]) -> bool {
        let differing = self.0.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}
