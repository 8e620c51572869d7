//! Channel W, broker and one worker. A secret travels here and nowhere else,
//! and only after [`Up::Ready`]: into a finished jail. The agent's own jail is
//! launched over the same channel, by the supervisor.
//!
//! A worker does one thing: it runs one command, or it writes one file for
//! the broker, which opens no path of the workspace itself.

use super::{Budget, direction};
use crate::action::Files;
use crate::channel::a::{Outcome, Usage};
use crate::limits::MAX_CREDENTIALS;
use crate::receipt::Receipt;
use crate::stage::StageError;
use crate::types::{
    Argv, FileName, LeaseId, List, PathBytes, Piece, SecretBytes, SecretVar, SignalNo,
};
use crate::wire_enum::wire_enum;

direction!(
    /// What a worker is told.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToWorker, Down, channel "W", "broker" => "worker",
    states DownState { Waiting, Examined, Leasing, Filing, Armed, Running, Closed },
    /// Get everything ready to run this, and wait. Descriptors: standard
    /// input, output, error.
    Launch {
        /// The command.
        launch: Box<Launch>,
    } = 0, in [Waiting, Examined, Leasing] => Armed, fds 3, Budget::Once;
    /// Run the agent. Descriptors: the same, and its end of channel A.
    LaunchAgent {
        /// The command.
        launch: Box<Launch>,
    } = 1, in [Waiting] => Running, fds 4, Budget::Once;
    /// Send a signal to the command.
    Signal {
        /// Which.
        signal: SignalNo,
    } = 2, in [Running], fds 0, Budget::Unbounded;
    /// A sealed file that the command may read. Its bytes follow.
    Lease {
        /// Its number.
        id: LeaseId,
        /// Its name in the lease's folder.
        name: FileName,
        /// Bytes that follow.
        size: u32,
    } = 3, in [Waiting, Examined, Leasing] => Leasing, fds 0, Budget::Unbounded;
    /// The next bytes of the lease.
    LeaseBytes {
        /// They.
        bytes: SecretBytes,
    } = 4, in [Leasing], fds 0, Budget::Unbounded;
    /// Put this into the workspace, instead of running a command.
    Link {
        /// What.
        link: Box<Link>,
    } = 5, in [Waiting] => Closed, fds 0, Budget::Once;
    /// Write a file into the workspace, instead of running a command. Its
    /// bytes follow.
    Write {
        /// What.
        write: Box<Write>,
    } = 6, in [Waiting] => Filing, fds 0, Budget::Once;
    /// The next bytes of the file, without any value.
    WriteText {
        /// They.
        bytes: Piece,
    } = 7, in [Filing], fds 0, Budget::Unbounded;
    /// The next bytes of the file, where real values go into the workspace.
    WriteBytes {
        /// They.
        bytes: SecretBytes,
    } = 8, in [Filing], fds 0, Budget::Unbounded;
    /// All bytes are there: make the file.
    WriteDone = 9, in [Filing] => Closed, fds 0, Budget::Once;
    /// Find the files that this command is, keep them open and say what they
    /// are. What is launched after this is what was found.
    Examine {
        /// The command, without a secret.
        launch: Box<Launch>,
    } = 10, in [Waiting] => Examined, fds 0, Budget::Once;
    /// The intent is on record: run it.
    Go = 11, in [Armed] => Running, fds 0, Budget::Once;
);

direction!(
    /// What a worker says.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromWorker, Up, channel "W", "worker" => "broker",
    states UpState { Setup, Ready, Done },
    /// The jail is finished.
    Ready {
        /// What it enforces.
        receipt: Box<Receipt>,
    } = 0, in [Setup] => Ready, fds 0, Budget::Once;
    /// A step failed; nothing was executed.
    Failed {
        /// The step.
        error: StageError,
    } = 1, in [Setup, Ready] => Done, fds 0, Budget::Once;
    /// The command ended, and every process it left was ended.
    Exited {
        /// How.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// Protected names it created or changed.
        protected: List<PathBytes, 16>,
        /// SHA-256 of its program's file, where it could be read.
        program: Option<[u8; 32]>,
        /// That file, where it has the same content as long as it looks the
        /// same.
        stamp: Option<Stamp>,
    } = 2, in [Ready] => Done, fds 0, Budget::Once;
    /// The file is written, whole, or nothing has changed.
    Filed {
        /// Which of them.
        filed: Filed,
        /// errno(3) of the call that failed; 0: none.
        errno: i32,
    } = 3, in [Ready] => Done, fds 0, Budget::Once;
    /// What a command is.
    Examined {
        /// The files.
        files: Box<Files>,
    } = 4, in [Ready], fds 0, Budget::Once;
);

/// One command, as it will run.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Argv,
    /// Working folder, relative to the workspace; `None`: the workspace.
    pub cwd: Option<PathBytes>,
    /// What is granted by environment, added to the profile's.
    pub secrets: List<SecretVar, MAX_CREDENTIALS>,
    /// The program must be one that the jail cannot change: it is granted
    /// something, and nobody said that it may be told to print it.
    pub firm: bool,
    /// Wall clock, milliseconds; 0: the profile's.
    pub wall_ms: u64,
    /// Its program, as another worker has read it.
    pub known: Option<Known>,
}

/// What a file looks like from outside (stat(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Stamp {
    /// Its file system.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
    /// Its size, bytes.
    pub size: u64,
    /// When its content was changed last, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When anything of it was. Nobody can set this one.
    pub ctime_ns: i64,
}

/// A file that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Known {
    /// What it looked like.
    pub stamp: Stamp,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

impl Known {
    /// Bytes of one on the wire.
    pub const SIZE: usize = 5 * 8 + 32;
}

/// A link from the workspace to a lease.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Link {
    /// Where it stands, relative to the workspace.
    pub path: PathBytes,
    /// The lease's number.
    pub id: LeaseId,
}

/// A file in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Write {
    /// Where it stands, relative to the workspace.
    pub path: PathBytes,
    /// Its mode, without any set-id bit; a new file's, where `None` is 0600
    /// and an old file's is kept.
    pub mode: Option<u16>,
    /// Bytes that follow.
    pub size: u32,
}

wire_enum!(
    /// What became of a file.
    Filed {
        /// It is there.
        Written = "written",
        /// A folder on its path is missing.
        NoFolder = "no folder",
        /// What stands there is no plain file with one name, or the path
        /// leads through a link.
        NotPlain = "not a plain file",
        /// A system call failed.
        Failed = "failed",
    }
);
