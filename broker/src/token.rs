//! Tokens of the operator and of other approvers: random, new with every
//! start, in files that only the broker's uid may read.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat, write};
use strongroom_protocol::channel::o::{OPERATOR, TOKEN};
use strongroom_protocol::types::Name;
use strongroom_sys::Errno;

/// The file's name of the operator's in the broker's folder. Raw bytes.
pub const FILE: &str = "operator.token";

/// The folder of the others' there, each in `NAME.token`.
pub const APPROVERS: &str = "approvers";

const NEW_FILE: &str = "new";

/// A token. Shown by nothing.
pub struct Token([u8; TOKEN]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    fn random() -> std::io::Result<Self> {
        let mut bytes = [0; TOKEN];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A known one, for tests.
    #[must_use]
    pub const fn new(bytes: [u8; TOKEN]) -> Self {
        Self(bytes)
    }

    /// Puts it into a folder, in place of an old one.
    fn publish(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        match unlinkat(folder, NEW_FILE, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(folder, NEW_FILE, flags, Mode::S_IRUSR)?;
        if write(&file, &self.0)? != TOKEN {
            return Err(Errno::ENOSPC);
        }
        renameat(folder, NEW_FILE, folder, name)
    }

    /// Compares in a time that does not depend on where they differ.
    fn matches(&self, shown: &[u8; TOKEN]) -> bool {
        let differing = self.0.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

/// All tokens of a session.
#[derive(Debug)]
pub struct Tokens(Vec<(Name, Token)>);

impl Tokens {
    /// New ones: the operator's, and one for each other approver. Opens
    /// /dev/urandom, so before the lock-down.
    ///
    /// # Errors
    /// What reading it says.
    pub fn random(approvers: &[Name]) -> std::io::Result<Self> {
        let operator = Name::new(OPERATOR).ok();
        let others = approvers.iter().filter(|name| name.as_str() != OPERATOR).cloned();
        let names = operator.into_iter().chain(others);
        names.map(|name| Ok((name, Token::random()?))).collect::<Result<_, _>>().map(Self)
    }

    /// Known ones, for tests.
    #[must_use]
    pub const fn new(tokens: Vec<(Name, Token)>) -> Self {
        Self(tokens)
    }

    /// Puts them into the broker's folder and the folder of approvers. What an
    /// earlier session left there is removed.
    ///
    /// # Errors
    /// errno of the system call that failed.
    pub fn publish(&self, folder: BorrowedFd<'_>, approvers: OwnedFd) -> Result<(), Errno> {
        let mut approvers = Dir::from_fd(approvers)?;
        let old: Vec<_> = approvers.iter().filter_map(Result::ok).collect();
        for entry in old.iter().map(nix::dir::Entry::file_name) {
            if !matches!(entry.to_bytes(), b"." | b"..") {
                unlinkat(approvers.as_fd(), entry, UnlinkatFlags::NoRemoveDir)?;
            }
        }
        for (name, token) in &self.0 {
            match name.as_str() {
                OPERATOR => token.publish(folder, FILE)?,
                other => token.publish(approvers.as_fd(), &format!("{other}.token"))?,
            }
        }
        Ok(())
    }

    /// Whose token this is. All are looked at, whichever it is.
    #[must_use]
    pub fn whose(&self, shown: &[u8; TOKEN]) -> Option<&Name> {
        let look =
            |found, (name, token)| if Token::matches(token, shown) { Some(name) } else { found };
        self.0.iter().map(|(name, token)| (name, token)).fold(None, look)
    }
}

/// The folder of approvers' tokens, made where it is missing. Before the
/// lock-down: no folder can be made after it.
///
/// # Errors
/// errno of mkdirat(2) or openat(2).
pub fn approvers(folder: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    match mkdirat(folder, APPROVERS, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(e),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, APPROVERS, flags, Mode::empty())
}
