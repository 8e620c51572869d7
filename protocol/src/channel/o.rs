//! Channel O, operator and broker. The socket stands in the state folder; the
//! client must also present the token from a file there, because Landlock
//! ABI 7 does not mediate pathname sockets and in the same-uid tier the
//! file's mode alone would not keep a worker out.

use super::{Budget, direction};
use crate::codes::Code;
use crate::limits::MAX_PAGE;
use crate::receipt::Tier;
use crate::types::{
    ApprovalId, Arg, Argv, CredentialName, List, Name, Piece, Reason, ReqId, SecretBytes,
};
use crate::wire_enum::wire_enum;

/// Bytes of the operator's token.
pub const TOKEN: usize = 32;

/// Requests for credentials that can wait at once.
pub const MAX_REQUESTS: usize = 16;

/// Seconds after which [`Order::Await`] is answered although nothing changed.
pub const AWAIT_SECONDS: u64 = 25;

/// The name of the operator among the approvers.
pub const OPERATOR: &str = "operator";

direction!(
    /// What an operator may ask.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromOperator, Order, channel "O", "operator" => "broker",
    states OrderState { Fresh, Open, Entering },
    /// First message: version, and the token from the state folder.
    Hello {
        /// [`crate::plan::VERSION`].
        version: u16,
        /// The token.
        token: [u8; TOKEN],
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// How is the session?
    Status = 1, in [Open], fds 0, Budget::PerSecond(100);
    /// End one command at once.
    Kill {
        /// Which.
        id: ReqId,
    } = 2, in [Open], fds 0, Budget::PerSecond(100);
    /// End all commands and the agent at once.
    KillAll = 3, in [Open], fds 0, Budget::PerSecond(100);
    /// End the session in order: agent first, then what is left.
    Shutdown = 4, in [Open], fds 0, Budget::PerSecond(100);
    /// Enter a credential, or a new value for one. Its bytes follow.
    Put {
        /// Its name.
        name: CredentialName,
        /// Bytes that follow.
        size: u32,
        /// Take a value that is short or easily guessed.
        force: bool,
    } = 5, in [Open] => Entering, fds 0, Budget::PerSecond(1000);
    /// The next bytes of the value.
    Value {
        /// They.
        bytes: SecretBytes,
    } = 6, in [Entering], fds 0, Budget::Unbounded;
    /// All bytes are there: keep it.
    Keep = 7, in [Entering] => Open, fds 0, Budget::Unbounded;
    /// Erase a credential's value and end what holds it; its name stays.
    Revoke {
        /// Which.
        name: CredentialName,
    } = 8, in [Open], fds 0, Budget::PerSecond(1000);
    /// The same, and forget its name.
    Delete {
        /// Which.
        name: CredentialName,
    } = 9, in [Open], fds 0, Budget::PerSecond(1000);
    /// Which credentials are there? Never a value.
    Credentials {
        /// Those that follow this one in the order of names.
        after: Option<CredentialName>,
    } = 10, in [Open], fds 0, Budget::PerSecond(1000);
    /// Which credentials do agents ask for?
    Requests = 11, in [Open], fds 0, Budget::PerSecond(100);
    /// Forget such a request.
    Dismiss {
        /// Which.
        request: u32,
    } = 12, in [Open], fds 0, Budget::PerSecond(100);
    /// What waits for a human's decision, or was decided and not used yet?
    Approvals {
        /// Those that follow this one, oldest first.
        after: Option<ApprovalId>,
    } = 13, in [Open], fds 0, Budget::PerSecond(100);
    /// The action object of one request, see [`crate::action`].
    Show {
        /// Which.
        id: ApprovalId,
        /// From this byte of it on.
        from: u32,
    } = 14, in [Open], fds 0, Budget::PerSecond(1000);
    /// Decide on what was shown.
    Decide {
        /// Which.
        id: ApprovalId,
        /// SHA-256 of the bytes that were shown, see
        /// [`crate::action::DIGEST_PREFIX`].
        digest: [u8; 32],
        /// What.
        verdict: Verdict,
        /// The human's own words; a denial's are told to the agent.
        reason: Option<Reason>,
    } = 15, in [Open], fds 0, Budget::PerSecond(100);
    /// Answer when something has changed in what waits for humans, or after
    /// [`AWAIT_SECONDS`].
    Await {
        /// The last state seen; 0: none.
        seen: u64,
    } = 16, in [Open], fds 0, Budget::PerSecond(100);
);

direction!(
    /// What the broker answers.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToOperator, Reply, channel "O", "broker" => "operator",
    states ReplyState { Fresh, Open },
    /// The token was right.
    Welcome {
        /// [`crate::plan::VERSION`].
        version: u16,
        /// Whose it is: the operator's, or an approver's, who may do less.
        name: Name,
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// The state of the session.
    Status {
        /// It.
        status: Box<Status>,
    } = 1, in [Open], fds 0, Budget::Unbounded;
    /// Done.
    Done = 2, in [Open], fds 0, Budget::Unbounded;
    /// Refused.
    Refused {
        /// Why.
        code: Code,
    } = 3, in [Fresh, Open], fds 0, Budget::Unbounded;
    /// The credential is entered, changed, revoked or deleted.
    Changed {
        /// Which version of the credential this is, from 1; 0: it is gone.
        version: u64,
        /// Generation of the vault file; 0: it is kept in memory only.
        generation: u64,
        /// Commands that held it and are being ended.
        holders: u32,
    } = 4, in [Open], fds 0, Budget::Unbounded;
    /// Credentials, in the order of their names.
    Credentials {
        /// They.
        list: List<Held, MAX_PAGE>,
        /// There are more after the last one.
        more: bool,
    } = 5, in [Open], fds 0, Budget::Unbounded;
    /// What agents ask for, oldest first.
    Requests {
        /// They.
        list: List<Request, MAX_REQUESTS>,
    } = 6, in [Open], fds 0, Budget::Unbounded;
    /// What waits for a decision, oldest first.
    Approvals {
        /// They.
        list: List<Pending, MAX_PAGE>,
        /// There are more after the last one.
        more: bool,
    } = 7, in [Open], fds 0, Budget::Unbounded;
    /// The next bytes of an action object; the last ones if `last`.
    Shown {
        /// They.
        bytes: Piece,
        /// No more follow.
        last: bool,
    } = 8, in [Open], fds 0, Budget::Unbounded;
    /// The decision counts.
    Decided {
        /// Approvals so far.
        votes: u8,
        /// As many are needed.
        quorum: u8,
        /// Nothing more is to be decided.
        settled: bool,
    } = 9, in [Open], fds 0, Budget::Unbounded;
    /// The state of what waits for humans.
    News {
        /// Changes with every change.
        state: u64,
    } = 10, in [Open], fds 0, Budget::Unbounded;
);

wire_enum!(
    /// A human's decision.
    Verdict {
        /// Yes.
        Approve = "approve",
        /// No. One is enough.
        Deny = "deny",
    }
);

wire_enum!(
    /// What a human is asked for.
    Kind {
        /// To run a command.
        Exec = "exec",
        /// To write real values into the workspace.
        Plain = "plain",
        /// To delete a credential.
        Delete = "delete",
        /// To answer a question.
        Question = "question",
    }
);

/// A request that waits for a decision, in short.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Pending {
    /// Its number.
    pub id: ApprovalId,
    /// What is asked for.
    pub kind: Kind,
    /// The rule that asks.
    pub rule: Option<Name>,
    /// The command's arguments, a path, a name or a question: cut where it
    /// would not fit.
    pub head: List<Arg, 16>,
    /// It was cut.
    pub cut: bool,
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// Milliseconds until it counts as denied or, once approved, until the
    /// permission ends.
    pub left_ms: u64,
    /// Approvals so far.
    pub votes: u8,
    /// As many are needed.
    pub quorum: u8,
    /// It was approved, and its requester is gone: the same request, made
    /// again, may use it once.
    pub approved: bool,
    /// You have approved it.
    pub voted: bool,
    /// How often it was made.
    pub times: u32,
}

/// A credential as the operator knows it.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Held {
    /// Its name.
    pub name: CredentialName,
    /// Its value is there; otherwise it is revoked, or only named by the
    /// policy.
    pub there: bool,
    /// It was revoked.
    pub revoked: bool,
    /// The policy delivers it in the environment.
    pub env: bool,
    /// The policy delivers it in sealed files.
    pub file: bool,
    /// When it was first entered, seconds since 1970; 0: never.
    pub created: u64,
    /// When its value was last changed, likewise.
    pub changed: u64,
    /// Its version, from 1; 0: none.
    pub version: u64,
    /// When a command last got it in this session; 0: not yet.
    pub used: u64,
    /// Commands that hold it now.
    pub holders: u32,
}

/// An agent's request for a credential.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Request {
    /// Its number.
    pub id: u32,
    /// Which credential.
    pub name: CredentialName,
    /// The agent's own words, untrusted.
    pub reason: Reason,
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// How often it was made.
    pub times: u32,
}

/// One running command.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Running {
    /// Its number.
    pub id: ReqId,
    /// Its rule.
    pub rule: Name,
    /// Its arguments, cut where the whole would not fit.
    pub argv: Argv,
    /// Arguments were cut.
    pub cut: bool,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
}

/// The state of the session.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Status {
    /// The session's random name.
    pub session: [u8; 16],
    /// The tier.
    pub tier: Tier,
    /// Milliseconds since start.
    pub age_ms: u64,
    /// Commands accepted so far.
    pub accepted: u64,
    /// Requests refused so far.
    pub refused: u64,
    /// Connections of agents.
    pub connections: u32,
    /// Running now, oldest first; no more than fit.
    pub running: List<Running, 64>,
    /// Running now, all of them.
    pub running_count: u32,
    /// Credentials whose value is there.
    pub credentials: u32,
    /// Generation of the vault file; 0: credentials are in memory only.
    pub vault: u64,
    /// How the memory that holds them is kept from swap and cores.
    pub arena: Name,
    /// Values masked so far in output.
    pub masked: u64,
    /// Requests for credentials that wait for a human.
    pub requests: u32,
    /// Requests for approval that wait for one.
    pub approvals: u32,
}
