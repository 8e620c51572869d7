//! Channel R, broker and supervisor to the recorder: events, acknowledged in
//! order. Each writer has a socket of its own, so that neither can speak for
//! the other, and `audit verify` can hold the two accounts against each other.

use super::{Budget, direction};
use crate::action::MAX_APPROVERS;
use crate::channel::a::{Outcome, Usage, Values};
use crate::channel::o::{Kind, Verdict};
use crate::codes::Code;
use crate::limits::MAX_PAGE;
use crate::receipt::{Receipt, Tier};
use crate::stage::StageError;
use crate::types::{ApprovalId, Arg, CredentialName, List, Name, PathBytes, Reason, ReqId};

/// Arguments kept in a record; the rest is counted.
pub const RECORD_ARGS: usize = 64;

direction!(
    /// What the broker records.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromBroker, Record, channel "R", "broker" => "recorder",
    states RecordState { Open },
    /// A command was accepted and is about to run.
    Intent {
        /// The command.
        req: ReqId,
        /// What will run.
        action: Box<ActionRecord>,
    } = 0, in [Open], fds 0, Budget::Unbounded;
    /// A request was refused.
    Denied {
        /// Why.
        code: Code,
        /// What was asked.
        action: Box<ActionRecord>,
    } = 1, in [Open], fds 0, Budget::Unbounded;
    /// A command ended.
    Outcome {
        /// The command.
        req: ReqId,
        /// How.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// Bytes of standard output and standard error.
        output: [u64; 2],
        /// The output was cut.
        output_cut: bool,
        /// Protected names it created or changed.
        protected: List<PathBytes, 16>,
        /// Step of the jail that failed, if one did.
        failed: Option<StageError>,
        /// Values masked in its output.
        masked: u64,
        /// What two runs can be compared by; `None`: a file was written.
        digests: Option<Box<Digests>>,
    } = 2, in [Open], fds 0, Budget::Unbounded;
    /// A peer broke the protocol.
    Violation {
        /// Which channel.
        channel: u8,
        /// Which rule of it, as text of ours.
        rule: Name,
    } = 3, in [Open], fds 0, Budget::Unbounded;
    /// An operator gave an order.
    Order {
        /// `status`, `kill`, `kill-all`, `shutdown`, `refused`, …
        order: Name,
        /// The command, for `kill`.
        req: Option<ReqId>,
        /// Who; `None`: somebody without a token.
        by: Option<Name>,
    } = 4, in [Open], fds 0, Budget::Unbounded;
    /// A file is about to be written for an agent. Its outcome follows.
    Write {
        /// Its number, of the same row as the commands'.
        req: ReqId,
        /// What will be written.
        write: Box<WriteRecord>,
    } = 5, in [Open], fds 0, Budget::Unbounded;
    /// Something is about to be done with a credential, or was refused.
    Credential {
        /// `put`, `rotate`, `revoke`, `delete`, `request`, `dismiss`, `take-over`.
        verb: Name,
        /// Which.
        name: CredentialName,
        /// The agent's connection; `None`: the operator, or the start.
        connection: Option<u64>,
        /// The agent's own words, untrusted.
        reason: Option<Reason>,
        /// Why it was refused, if it was.
        code: Option<Code>,
        /// The approval it is allowed by.
        approval: Option<ApprovalId>,
    } = 6, in [Open], fds 0, Budget::Unbounded;
    /// The vault file was opened or written. Refused where the log has seen a
    /// later generation of it: then an older file was put back.
    Vault {
        /// `opened`, `written`.
        what: Name,
        /// The vault's random name.
        vault: [u8; 16],
        /// Its generation.
        generation: u64,
    } = 7, in [Open], fds 0, Budget::Unbounded;
    /// A file was not written.
    WriteDenied {
        /// Why.
        code: Code,
        /// The connection it came from.
        connection: u64,
        /// Where it was to stand.
        path: PathBytes,
    } = 8, in [Open], fds 0, Budget::Unbounded;
    /// The files of a command that a human must decide on are about to be
    /// looked at, in its jail. [`Record::Examined`] follows.
    Examine {
        /// Its number, of the same row as the commands'.
        req: ReqId,
        /// The request for approval.
        approval: ApprovalId,
        /// What was asked.
        action: Box<ActionRecord>,
    } = 9, in [Open], fds 0, Budget::Unbounded;
    /// They were.
    Examined {
        /// As above.
        req: ReqId,
        /// Why it came to nothing, if it did.
        code: Option<Code>,
    } = 10, in [Open], fds 0, Budget::Unbounded;
    /// A human is asked.
    Asked {
        /// The request for approval.
        approval: ApprovalId,
        /// What for.
        kind: Kind,
        /// SHA-256 of the action object.
        digest: [u8; 32],
        /// The agent's connection.
        connection: u64,
        /// The rule that asks.
        rule: Option<Name>,
        /// How many must agree.
        quorum: u8,
        /// The program's SHA-256, of a command.
        program: Option<[u8; 32]>,
        /// The question, or the agent's reason: its own words, untrusted.
        reason: Option<Reason>,
    } = 11, in [Open], fds 0, Budget::Unbounded;
    /// A human decided.
    Voted {
        /// The request for approval.
        approval: ApprovalId,
        /// SHA-256 of the action object that was shown.
        digest: [u8; 32],
        /// Who.
        approver: Name,
        /// What.
        verdict: Verdict,
        /// The human's own words.
        reason: Option<Reason>,
    } = 12, in [Open], fds 0, Budget::Unbounded;
    /// A request for approval is over, or may be used.
    Settled {
        /// The request for approval.
        approval: ApprovalId,
        /// SHA-256 of the action object.
        digest: [u8; 32],
        /// `approved`, `denied`, `timed-out`, `expired`, `changed`, `ended`.
        how: Name,
        /// Who agreed.
        approvers: List<Name, MAX_APPROVERS>,
    } = 13, in [Open], fds 0, Budget::Unbounded;
    /// A question was not put to a human.
    Unasked {
        /// Why.
        code: Code,
        /// The agent's connection.
        connection: u64,
        /// It, in the agent's own words, untrusted.
        question: Reason,
    } = 14, in [Open], fds 0, Budget::Unbounded;
    /// What a jail enforces. Before the first outcome that names it.
    Receipt {
        /// Its digest.
        digest: [u8; 32],
        /// It.
        receipt: Box<Receipt>,
    } = 15, in [Open], fds 0, Budget::Unbounded;
);

direction!(
    /// What the supervisor records.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromSupervisor, Account, channel "R", "supervisor" => "recorder",
    states AccountState { Open },
    /// The session began.
    Began {
        /// The session's random name.
        session: [u8; 16],
        /// SHA-256 of the policy.
        policy: [u8; 32],
        /// The tier.
        tier: Tier,
    } = 0, in [Open], fds 0, Budget::Once;
    /// A worker was handed to a command.
    Spawned {
        /// The command.
        req: ReqId,
        /// Its worker's slot.
        slot: u64,
        /// Its worker's process, as the supervisor sees it.
        pid: i32,
    } = 1, in [Open], fds 0, Budget::Unbounded;
    /// That worker ended.
    Exited {
        /// The command.
        req: ReqId,
        /// Exit status, or -signal.
        status: i32,
    } = 2, in [Open], fds 0, Budget::Unbounded;
    /// No worker could be made for a command.
    SpawnFailed {
        /// The command.
        req: ReqId,
        /// The step.
        error: StageError,
    } = 3, in [Open], fds 0, Budget::Unbounded;
    /// The agent was started.
    AgentStarted {
        /// Its worker's process.
        pid: i32,
    } = 4, in [Open], fds 0, Budget::Once;
    /// The agent ended.
    AgentExited {
        /// Exit status, or -signal.
        status: i32,
    } = 5, in [Open], fds 0, Budget::Once;
    /// The broker was lost; everything is being ended.
    BrokerLost = 6, in [Open], fds 0, Budget::Once;
    /// The session ended; nothing runs any more.
    Ended {
        /// Exit status of `strongroom run`.
        status: i32,
    } = 7, in [Open], fds 0, Budget::Once;
);

direction!(
    /// What the recorder answers, to either writer.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToWriter, Ack, channel "R", "recorder" => "writer",
    states AckState { Open },
    /// This many of the writer's records are kept.
    Kept {
        /// Count since the connection began.
        count: u64,
    } = 0, in [Open], fds 0, Budget::Unbounded;
    /// The log cannot be written. Nothing may take effect.
    Refused {
        /// errno(3) of the disk; `ESTALE`: an older vault was put back.
        errno: i32,
    } = 1, in [Open], fds 0, Budget::Unbounded;
);

/// A file written for an agent, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct WriteRecord {
    /// The connection it came from.
    pub connection: u64,
    /// Where, relative to the workspace.
    pub path: PathBytes,
    /// What becomes of its placeholders.
    pub values: Values,
    /// Bytes as the agent sent them.
    pub size: u32,
    /// SHA-256 of them: placeholders, no value.
    pub digest: [u8; 32],
    /// The credentials named in it.
    pub credentials: List<CredentialName, MAX_PAGE>,
    /// The agent's own words, untrusted.
    pub reason: Option<Reason>,
    /// The approval it was allowed by.
    pub approval: Option<ApprovalId>,
}

/// A command as it is recorded. Credential names only, never a value.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct ActionRecord {
    /// The connection it came from.
    pub connection: u64,
    /// The first arguments.
    pub argv: List<Arg, RECORD_ARGS>,
    /// How many arguments there were.
    pub argc: u32,
    /// SHA-256 over all arguments, each closed by a NUL, where the list above
    /// leaves some out or cuts one.
    pub argv_digest: Option<[u8; 32]>,
    /// Working folder, relative to the workspace.
    pub cwd: Option<PathBytes>,
    /// The rule that decided; `None`: none matched.
    pub rule: Option<Name>,
    /// Its profile.
    pub profile: Option<Name>,
    /// Credentials it is granted, or asked for in vain.
    pub credentials: List<CredentialName, 16>,
    /// The agent's own words, untrusted.
    pub reason: Option<Reason>,
    /// The approval it is allowed by.
    pub approval: Option<ApprovalId>,
}

/// What two runs of a command can be compared by. Each digest is a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Digests {
    /// Of all arguments, each closed by a NUL, values of credentials in them
    /// masked: who guesses a value cannot find out here that it is right.
    pub argv: [u8; 32],
    /// Of its program's file, where it could be read.
    pub program: Option<[u8; 32]>,
    /// What was put into its standard input; `None`: it was not launched.
    pub stdin: Option<Input>,
    /// Of what its client got of standard output and standard error; `None`
    /// where it was not launched, or the client had not taken all of it.
    pub output: Option<[[u8; 32]; 2]>,
    /// Of what its jail enforced ([`Record::Receipt`]); `None`: it was not
    /// launched.
    pub receipt: Option<[u8; 32]>,
}

/// What was put into a command's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Input {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub digest: [u8; 32],
}
