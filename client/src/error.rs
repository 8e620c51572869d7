//! Why a request came to nothing: always a code of the closed set, and what
//! it was in this case.

use strongroom_protocol::channel::a::{Denial, Spot};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan;
use strongroom_sys::Errno;

use crate::port::Lost;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// There is no session here to talk to, and why.
    NoSession(String),
    /// The broker is of this other version.
    Version(u16),
    /// The connection is of no more use.
    Lost(Lost),
    /// The answer does not go with the request.
    Unexpected,
    /// The kernel refused us something that has nothing to do with the
    /// request.
    Io(Errno),
    /// The broker refused: nothing was done.
    Refused(Denial),
    /// The file was not written, because of a place in it.
    Misplaced(Code, Box<Spot>),
}

impl Error {
    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoSession(_) => Code::NoSession,
            Self::Version(_) => Code::Version,
            Self::Lost(lost) => lost.code(),
            Self::Unexpected => Code::Protocol,
            Self::Io(_) => Code::Internal,
            Self::Refused(denial) => denial.code,
            Self::Misplaced(code, _) => *code,
        }
    }

    /// What it was in this case; may be empty.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NoSession(why) => why.clone(),
            Self::Version(broker) => format!("broker {broker}, client {}", plan::VERSION),
            Self::Lost(lost) => lost.message(),
            Self::Unexpected => "an answer to another request".to_owned(),
            Self::Io(errno) => errno.desc().to_owned(),
            Self::Refused(denial) => denial.why.as_ref().map(|w| w.display()).unwrap_or_default(),
            Self::Misplaced(_, spot) => spot.what.display(),
        }
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code();
        write!(f, "{code}: {}", code.entry().what)?;
        match self.message().as_str() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

impl std::error::Error for Error {}
