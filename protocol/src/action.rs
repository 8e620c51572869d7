//! The action object: what a human decides on. The broker builds it from what
//! will really run, the operator's client shows all of it, and the decision
//! holds for these bytes alone ([`Action::encode`]) and for nothing else.

use bincode::{Decode, Encode};

use crate::codec::{self, WireError};
use crate::limits::{MAX_CREDENTIALS, MAX_PAGE};
use crate::plan::Network;
use crate::types::{ApprovalId, Argv, CredentialName, List, Name, PathBytes, Piece, Reason};

/// Files named by a command's arguments that are looked at; the rest is
/// counted.
pub const MAX_EXHIBITS: usize = 16;

/// Interpreters of a script; the kernel follows as many (execve(2)).
pub const MAX_INTERPRETERS: usize = 6;

/// Approvers in a policy.
pub const MAX_APPROVERS: usize = 16;

/// Requests for approval that can wait at once, whatever a policy says.
pub const MAX_PENDING: usize = 64;

/// The digest of an action object is SHA-256 over this and its bytes.
pub const DIGEST_PREFIX: &[u8] = b"strongroom action object 1\n";

/// What a human decides on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ActionObject {
    /// The session: a decision holds in no other.
    pub session: [u8; 16],
    /// SHA-256 of the policy.
    pub policy: [u8; 32],
    /// The request's number: a decision holds for no other.
    pub id: ApprovalId,
    /// The agent's connection.
    pub connection: u64,
    /// The rule that asks; `None`: the agent does, or Strongroom itself.
    pub rule: Option<Name>,
    /// The operator's words for it.
    pub why: Option<Reason>,
    /// How many approvers must agree.
    pub quorum: u8,
    /// What will be done.
    pub deed: Deed,
    /// The agent's own words, untrusted.
    pub reason: Option<Reason>,
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Deed {
    /// Run a command.
    Exec(Box<Exec>),
    /// Write real values into the workspace.
    Plain(Box<PlainFile>),
    /// Delete a credential.
    Delete(CredentialName),
    /// Nothing: the agent asks a question, and a yes is an answer.
    Question(Reason),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exec {
    /// Program and arguments, values of credentials in them masked.
    pub argv: Argv,
    /// SHA-256 over the real arguments, each closed by a NUL.
    pub argv_digest: [u8; 32],
    /// Working folder, relative to the workspace; `None`: the workspace.
    pub cwd: Option<PathBytes>,
    /// Its jail.
    pub profile: Name,
    /// The jail's network.
    pub network: Network,
    /// The credentials it is granted.
    pub credentials: List<CredentialName, MAX_CREDENTIALS>,
    /// The time it gets, milliseconds; 0: any.
    pub wall_ms: u64,
    /// The files it is.
    pub files: Files,
}

/// The files that a command is, as a worker found them in its jail.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Files {
    /// The program.
    pub program: Exhibit,
    /// The interpreters it names, if it is a script.
    pub interpreters: List<Exhibit, MAX_INTERPRETERS>,
    /// Plain files of the workspace that arguments name, in their order.
    pub named: List<Exhibit, MAX_EXHIBITS>,
    /// More of them that were not looked at.
    pub unseen: u32,
}

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exhibit {
    /// Where: absolute, or as the argument has it.
    pub path: PathBytes,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
    /// Its size, bytes.
    pub size: u64,
    /// No jail of this session can change it.
    pub firm: bool,
}

/// A file with real values in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PlainFile {
    /// Where, relative to the workspace.
    pub path: PathBytes,
    /// Its mode, if one was asked for.
    pub mode: Option<u16>,
    /// Bytes as the agent sent them.
    pub size: u32,
    /// SHA-256 of them: placeholders, no value.
    pub digest: [u8; 32],
    /// Their beginning, at most [`crate::limits::MAX_PIECE`] of them.
    pub head: Piece,
    /// The credentials named in it.
    pub credentials: List<CredentialName, MAX_PAGE>,
}

impl ActionObject {
    /// The bytes that are decided on.
    ///
    /// # Errors
    /// [`WireError::TooBig`] over [`crate::limits::MAX_ACTION`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        codec::encode_action(self)
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`WireError`] when they are not exactly one action.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        codec::decode_action(bytes)
    }
}
