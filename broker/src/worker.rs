//! Channel W: the broker's end. One worker, one command.

use strongroom_protocol::action::Files;
use strongroom_protocol::channel::Violation;
use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::w::{Filed, FromWorker, Stamp, ToWorker, Up};
use strongroom_protocol::codes::Code;
use strongroom_protocol::receipt::Receipt;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::{List, PathBytes};
use strongroom_sys::Errno;

use crate::port::{Broken, Port};

/// The broker's end of channel W.
pub type WorkerPort = Port<FromWorker, ToWorker>;

/// What a worker has to say.
#[derive(Debug)]
pub enum Said {
    /// The jail is finished.
    Ready(Box<Receipt>),
    /// A step failed; nothing was executed.
    Failed(StageError),
    /// The command and all it left have ended.
    Exited(End),
    /// The files that a command is.
    Examined(Box<Files>),
    /// What became of a file it was to write, and errno(3).
    Filed(Filed, i32),
    /// Nothing: the worker is gone.
    Gone,
    /// Something that is not in the table.
    Broke(Violation),
}

/// How a command ended.
#[derive(Debug)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Protected names it created or changed.
    pub protected: List<PathBytes, 16>,
    /// The step of the jail that failed, if one did.
    pub failed: Option<StageError>,
    /// SHA-256 of its program, where that could be read.
    pub program: Option<[u8; 32]>,
    /// What its file looked like, where that says what is in it.
    pub stamp: Option<Stamp>,
}

impl End {
    /// An end without a result of the command's own.
    #[must_use]
    pub fn by(code: Code, failed: Option<StageError>) -> Self {
        Self {
            outcome: Outcome::Ended(code),
            usage: Usage::default(),
            protected: List::empty(),
            failed,
            program: None,
            stamp: None,
        }
    }
}

/// Waits for what the worker says next.
pub async fn hear(port: &WorkerPort) -> Said {
    match port.receive().await {
        Ok(Some(received)) => match received.message {
            Up::Ready { receipt } => Said::Ready(receipt),
            Up::Failed { error } => Said::Failed(error),
            Up::Exited { outcome, usage, protected, program, stamp } => {
                Said::Exited(End { outcome, usage, protected, failed: None, program, stamp })
            }
            Up::Filed { filed, errno } => Said::Filed(filed, errno),
            Up::Examined { files } => Said::Examined(files),
        },
        Ok(None) | Err(Broken::Lost(_)) => Said::Gone,
        Err(Broken::Violation(violation)) => Said::Broke(violation),
    }
}

/// The code the agent gets for a step that failed: it learns of its own
/// mistakes, not of ours.
#[must_use]
pub fn code_of(error: StageError) -> Code {
    match (error.stage, Errno::from_raw(error.errno)) {
        (Stage::Cwd, _) => Code::CwdUnusable,
        (Stage::Program, Errno::ENOENT) => Code::NotFound,
        (Stage::Program, _) => Code::ProgramChangeable,
        (Stage::Examine, _) => Code::NotExaminable,
        (Stage::Exec, Errno::ENOENT) => Code::NotFound,
        (
            Stage::Exec,
            Errno::EACCES
            | Errno::EPERM
            | Errno::ENOEXEC
            | Errno::EISDIR
            | Errno::ENOTDIR
            | Errno::ELOOP
            | Errno::ENAMETOOLONG
            | Errno::ETXTBSY
            | Errno::EINVAL
            | Errno::ELIBBAD,
        ) => Code::CannotExecute,
        _ => Code::JailFailed,
    }
}
