//! Channel A, agent and broker: untrusted requests, and their answers.
//!
//! Carried by the agent's inherited socket and by connections to the
//! listening socket named in `STRONGROOM_SOCKET`. Rights belong to the
//! connection: a command's number means nothing on another one.

use super::{Budget, direction};
use crate::codes::Code;
use crate::limits::{MAX_CREDENTIALS, MAX_PAGE};
use crate::receipt::{Receipt, Tier};
use crate::types::{
    ApprovalId, Argv, CredentialName, List, Name, PathBytes, Piece, Reason, ReqId, SignalNo,
};
use crate::wire_enum::wire_enum;

direction!(
    /// What an agent may ask.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromAgent, Request, channel "A", "agent" => "broker",
    states RequestState { Fresh, Open, Writing },
    /// First message: the plan version the client was built for.
    Hello {
        /// [`crate::plan::VERSION`].
        version: u16,
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// Run a command.
    Exec {
        /// The client's own number, echoed in the answer.
        tag: u32,
        /// Program and arguments.
        argv: Argv,
        /// Working folder: absolute within the workspace, or relative to it.
        cwd: Option<PathBytes>,
        /// Use this rule.
        rule: Option<Name>,
        /// End it after so many milliseconds; never longer than the profile's.
        timeout_ms: Option<u64>,
        /// Credentials it needs.
        credentials: List<CredentialName, MAX_CREDENTIALS>,
        /// The agent's own words.
        reason: Option<Reason>,
        /// Wait at most so many milliseconds for a human, where one is asked;
        /// the request itself goes on waiting.
        patience_ms: Option<u64>,
    } = 1, in [Open], fds 0, Budget::PerSecond(2000);
    /// Send a signal to a running command of this connection.
    Signal {
        /// Which.
        id: ReqId,
        /// What.
        signal: SignalNo,
    } = 2, in [Open, Writing], fds 0, Budget::PerSecond(200);
    /// Write a file into the workspace. Its bytes follow; placeholders in
    /// them stand for credentials.
    Write {
        /// The client's own number.
        tag: u32,
        /// Where: absolute within the workspace, or relative to it.
        path: PathBytes,
        /// Its mode; `None`: 0600 for a new file, an old one's is kept.
        mode: Option<u16>,
        /// What becomes of placeholders.
        values: Values,
        /// Bytes that follow.
        size: u32,
        /// The agent's own words.
        reason: Option<Reason>,
        /// As for a command.
        patience_ms: Option<u64>,
    } = 3, in [Open] => Writing, fds 0, Budget::PerSecond(50);
    /// The next bytes of the file.
    Content {
        /// They.
        bytes: Piece,
    } = 4, in [Writing], fds 0, Budget::Unbounded;
    /// All bytes are there: write it, whole or not at all.
    Commit = 5, in [Writing] => Open, fds 0, Budget::Unbounded;
    /// What is in this sealed file, with its placeholders as they were
    /// written?
    Read {
        /// The client's own number.
        tag: u32,
        /// Where.
        path: PathBytes,
    } = 6, in [Open], fds 0, Budget::PerSecond(50);
    /// Which credentials are there for my commands? Never a value.
    Credentials {
        /// The client's own number.
        tag: u32,
        /// Those that follow this one in the order of names.
        after: Option<CredentialName>,
    } = 7, in [Open], fds 0, Budget::PerSecond(50);
    /// Ask a human to enter a credential.
    Ask {
        /// The client's own number.
        tag: u32,
        /// Which.
        name: CredentialName,
        /// The agent's own words.
        reason: Reason,
    } = 8, in [Open], fds 0, Budget::PerSecond(5);
    /// Have a credential deleted.
    Delete {
        /// The client's own number.
        tag: u32,
        /// Which.
        name: CredentialName,
        /// The agent's own words.
        reason: Option<Reason>,
        /// As for a command.
        patience_ms: Option<u64>,
    } = 9, in [Open], fds 0, Budget::PerSecond(5);
    /// Ask a human a question that can be answered with yes or no.
    AskApproval {
        /// The client's own number.
        tag: u32,
        /// The question, in the agent's own words.
        question: Reason,
        /// As for a command.
        patience_ms: Option<u64>,
    } = 10, in [Open], fds 0, Budget::PerSecond(5);
    /// What does the log have of this session's agent and its commands?
    Log {
        /// The client's own number.
        tag: u32,
        /// Those that follow this one; 0: from the first that is kept.
        after: u64,
        /// Not before, milliseconds since 1970.
        since_ms: u64,
        /// At least this grave.
        level: Level,
        /// With this text in them.
        pattern: Option<Reason>,
    } = 11, in [Open], fds 0, Budget::PerSecond(50);
);

direction!(
    /// What the broker answers.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToAgent, Answer, channel "A", "broker" => "agent",
    states AnswerState { Fresh, Open },
    /// The session is open.
    Welcome {
        /// [`crate::plan::VERSION`].
        version: u16,
        /// The tier.
        tier: Tier,
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// The command was accepted. Descriptors: its standard input (write
    /// end), its standard output and its standard error (read ends).
    Started {
        /// The client's number.
        tag: u32,
        /// The broker's number.
        id: ReqId,
    } = 1, in [Open], fds 3, Budget::Unbounded;
    /// The request was refused; nothing ran.
    Refused {
        /// The client's number.
        tag: u32,
        /// The denial.
        denial: Denial,
    } = 2, in [Fresh, Open], fds 0, Budget::Unbounded;
    /// The command ended and nothing of it is left.
    Exited {
        /// The broker's number.
        id: ReqId,
        /// How.
        report: Box<Report>,
    } = 3, in [Open], fds 0, Budget::Unbounded;
    /// A signal could not be sent.
    NoSuchCommand {
        /// As asked.
        id: ReqId,
        /// Always the same code.
        code: Code,
    } = 4, in [Open], fds 0, Budget::Unbounded;
    /// The file is written.
    Written {
        /// The client's number.
        tag: u32,
        /// What was written.
        written: Box<Written>,
    } = 5, in [Open], fds 0, Budget::Unbounded;
    /// The file was not written, because of this place in it.
    Misplaced {
        /// The client's number.
        tag: u32,
        /// Why.
        code: Code,
        /// Where.
        spot: Box<Spot>,
    } = 6, in [Open], fds 0, Budget::Unbounded;
    /// The next bytes of a file as it was written; the last ones if `last`.
    Text {
        /// The client's number.
        tag: u32,
        /// They.
        bytes: Piece,
        /// No more follow.
        last: bool,
    } = 7, in [Open], fds 0, Budget::Unbounded;
    /// Credentials, in the order of their names.
    Credentials {
        /// The client's number.
        tag: u32,
        /// They.
        list: List<Known, MAX_PAGE>,
        /// There are more after the last one.
        more: bool,
    } = 8, in [Open], fds 0, Budget::Unbounded;
    /// The request waits for a human.
    Asked {
        /// The client's number.
        tag: u32,
        /// Its number.
        request: u32,
    } = 9, in [Open], fds 0, Budget::Unbounded;
    /// A human is asked whether this may be done. The answer follows.
    Waiting {
        /// The client's number.
        tag: u32,
        /// The request's number, for humans.
        approval: ApprovalId,
        /// Milliseconds until it counts as denied.
        left_ms: u64,
    } = 10, in [Open], fds 0, Budget::Unbounded;
    /// A human said yes to a question, or to a deletion that is now done.
    Approved {
        /// The client's number.
        tag: u32,
    } = 11, in [Open], fds 0, Budget::Unbounded;
    /// Records, oldest first.
    Log {
        /// The client's number.
        tag: u32,
        /// They.
        list: List<Logged, MAX_PAGE>,
        /// Ask for those after this number next; 0: there are no more.
        next: u64,
    } = 12, in [Open], fds 0, Budget::Unbounded;
);

wire_enum!(
    /// What becomes of the placeholders in a file.
    Values {
        /// The workspace shows a link to a file that only commands which are
        /// granted every credential in it can read.
        Sealed = "sealed",
        /// The real values are written into the workspace.
        Plain = "plain",
    }
);

wire_enum!(
    /// How much a record matters.
    Level {
        /// The course of things.
        Info = "info",
        /// Worth a look.
        Notice = "notice",
        /// Something was refused or failed.
        Warning = "warning",
    }
);

/// A record of the log, as an agent may see its own.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Logged {
    /// Its number among these, from 1.
    pub number: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// Its name: `intent`, `denied`, `outcome`, …
    pub event: Name,
    /// The command, or the file written.
    pub req: Option<ReqId>,
    /// Its code.
    pub code: Option<Code>,
    /// What it was about: bytes of agents, without values.
    pub text: Reason,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Written {
    /// What became of its placeholders; without any, [`Values::Plain`].
    pub values: Values,
    /// The credentials named in it.
    pub credentials: List<CredentialName, MAX_PAGE>,
    /// Text that looks like a placeholder and is none: line and column.
    pub near_misses: List<(u32, u32), MAX_PAGE>,
}

/// A place in a file that has something wrong with it. Says nothing of any
/// value.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Spot {
    /// The credential named there, if one is.
    pub key: Option<CredentialName>,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What stands around it, or the filter: `json`, `dotenv`, …
    pub context: Name,
    /// What is wrong, in words of ours.
    pub what: Reason,
}

/// A credential as an agent may know it.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Known {
    /// Its name.
    pub name: CredentialName,
    /// It can be used now.
    pub there: bool,
    /// It can come in the environment.
    pub env: bool,
    /// It can stand in a sealed file.
    pub file: bool,
    /// When its value was entered or changed, seconds since 1970; 0: it is
    /// not there.
    pub changed: u64,
    /// When a command last got it in this session, likewise; 0: not yet.
    pub used: u64,
    /// A request for it waits for a human.
    pub asked: bool,
}

/// A refusal: a row of the table of codes, and the operator's reason where
/// the policy's error level is `detailed`.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Denial {
    /// The code.
    pub code: Code,
    /// The rule's `why`, shown escaped.
    pub why: Option<Reason>,
}

impl From<Code> for Denial {
    fn from(code: Code) -> Self {
        Self { code, why: None }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Signalled(u8),
    /// Strongroom ended it, or could not run it: the code says why.
    Ended(Code),
}

/// What a command used, all its processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Usage {
    /// Wall clock, microseconds.
    pub wall_us: u64,
    /// User time, microseconds.
    pub user_us: u64,
    /// System time, microseconds.
    pub system_us: u64,
    /// Largest resident set of one process, KiB.
    pub max_rss_kib: u64,
}

/// Everything about an ended command but its output.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Bytes it wrote to standard output, cut ones included.
    pub stdout_bytes: u64,
    /// Bytes it wrote to standard error, cut ones included.
    pub stderr_bytes: u64,
    /// The output limit was reached: what came after is gone.
    pub output_cut: bool,
    /// Protected names it created or changed.
    pub protected: List<PathBytes, 16>,
    /// Values that were masked in its output.
    pub masked: u64,
    /// The session has masked as many as it may: the rest of the output was
    /// withheld.
    pub withheld: bool,
    /// What the kernel enforced. `None`: the jail was never finished.
    pub receipt: Option<Receipt>,
}
