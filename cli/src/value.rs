//! The value of a credential, on its way in from the operator.

use std::os::fd::{AsFd as _, OwnedFd};

use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_SECRET;
use strongroom_protocol::types::CredentialName;
use strongroom_sys::fd;

use crate::error::{Failure, warn};
use crate::key::take_over;
use crate::prompt::{self, Unasked};
use crate::secret::{self, Bytes, Unread};

/// Where it comes from.
#[derive(Debug)]
pub enum Source {
    /// A descriptor.
    Descriptor(OwnedFd),
    /// Standard input.
    Input,
    /// The terminal.
    Terminal,
}

impl Source {
    /// The descriptor that is named, else standard input where that is no
    /// terminal, else the terminal.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a descriptor that is not open.
    pub fn of(fd: Option<i32>) -> Result<Self, Failure> {
        use std::io::IsTerminal as _;
        match fd {
            Some(number) => take_over(number).map(Self::Descriptor),
            None if std::io::stdin().is_terminal() => Ok(Self::Terminal),
            None => Ok(Self::Input),
        }
    }

    /// Reads the value. A line end after a single line is dropped, unless it
    /// is wanted exactly, and said to be.
    ///
    /// # Errors
    /// [`Code::BadValue`] for one that is too long; [`Code::BadRequest`].
    pub fn read(&self, name: &CredentialName, exact: bool) -> Result<Bytes, Failure> {
        let [stdin, ..] = fd::standard();
        let read = match self {
            Self::Terminal => return typed(name),
            Self::Descriptor(from) => secret::read_all(from, MAX_SECRET),
            Self::Input => secret::read_all(stdin.as_fd(), MAX_SECRET),
        };
        let mut bytes = read.map_err(|why| match why {
            Unread::TooLong => too_long(),
            Unread::Io(errno) => Failure::new(Code::BadRequest, errno.desc()),
        })?;
        if !exact && secret::drop_line_end(&mut bytes) {
            warn("the line end after the value was dropped (--exact keeps it)");
        }
        Ok(bytes)
    }
}

fn typed(name: &CredentialName) -> Result<Bytes, Failure> {
    prompt::ask_twice(&format!("Value of {}", name.as_str())).map_err(|why| match why {
        Unasked::TooLong => Failure::new(Code::BadValue, why.to_string()),
        why => Failure::new(Code::BadRequest, why.to_string())
            .hint("give the value on standard input or with --fd"),
    })
}

/// The failure for a value that is too long.
pub fn too_long() -> Failure {
    Failure::new(Code::BadValue, "it is longer than 64 KiB")
}
