//! Channel A, agent and broker: untrusted requests, and their answers.
//!
//! Carried by the agent's inherited socket and by connections to the
//! listening socket named in `STRONGROOM_SOCKET`. Rights belong to the
//! connection: a command's number means nothing on another one.

use super::{Budget, direction};
use crate::codes::Code;
use crate::limits::MAX_CREDENTIALS;
use crate::receipt::{Receipt, Tier};
use crate::types::{Argv, CredentialName, List, Name, PathBytes, Reason, ReqId, SignalNo};

direction!(
    /// What an agent may ask.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromAgent, Request, channel "A", "agent" => "broker",
    states RequestState { Fresh, Open },
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
    } = 1, in [Open], fds 0, Budget::PerSecond(2000);
    /// Send a signal to a running command of this connection.
    Signal {
        /// Which.
        id: ReqId,
        /// What.
        signal: SignalNo,
    } = 2, in [Open], fds 0, Budget::PerSecond(200);
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
);

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
    /// What the kernel enforced. `None`: the jail was never finished.
    pub receipt: Option<Receipt>,
}
