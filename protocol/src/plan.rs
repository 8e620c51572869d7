//! The plan: a policy compiled for one place. Written once by `strongroom
//! run` into a sealed memfd, read by every process. It holds no secret.

use bincode::{Decode, Encode};

use crate::action::{MAX_APPROVERS, MAX_PENDING};
use crate::channel::o::OPERATOR;
use crate::codec::{self, WireError};
use crate::receipt::{ProcView, Tier};
use crate::types::{Arg, CredentialName, EnvVar, Name, PathBytes, ProfileIx};
use crate::wire_enum::wire_enum;

/// Changes with every change of the plan's or a channel's encoding: binaries
/// of different versions refuse each other instead of guessing.
pub const VERSION: u16 = 4;

wire_enum!(
    /// How a worker gets namespaces of its own.
    Namespaces {
        /// It gets none.
        None = "none",
        /// By a user namespace, from the sandbox uid.
        User = "user",
        /// By CAP_SYS_ADMIN, before the uid is dropped.
        Privileged = "privileged",
    }
);

wire_enum!(
    /// What a command may reach.
    Network {
        /// Nothing.
        None = "none",
        /// The loopback of its own network namespace.
        Loopback = "loopback",
        /// The place's network.
        Open = "open",
    }
);

wire_enum!(
    /// What a rule does. The order is the strength: deny beats ask beats allow.
    Action {
        /// Run it.
        Allow = "allow",
        /// Ask a human.
        Ask = "ask",
        /// Refuse.
        Deny = "deny",
    }
);

wire_enum!(
    /// How much a denial tells.
    ErrorLevel {
        /// The code's own text.
        Minimal = "minimal",
        /// And the rule's `why`.
        Detailed = "detailed",
    }
);

wire_enum!(
    /// What a profile allows beneath a path.
    Access {
        /// Read, list and execute.
        Read = "read",
        /// Read, and change.
        Write = "write",
    }
);

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Ids {
    /// uid.
    pub uid: u32,
    /// gid.
    pub gid: u32,
}

/// One path of a profile, absolute. It existed when the plan was made; where
/// it is gone at set-up, set-up fails.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PathRule {
    /// Absolute, without `.`, `..` or `//`.
    pub path: PathBytes,
    /// What is allowed beneath.
    pub access: Access,
}

/// A symbolic link that a new root must show (`/bin -> usr/bin`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Link {
    /// Where it stands.
    pub path: PathBytes,
    /// What it says.
    pub target: PathBytes,
}

/// Bounds of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Wall clock, milliseconds. 0: none (the agent).
    pub wall_ms: u64,
    /// Processor time of all its processes, milliseconds. 0: none.
    pub cpu_ms: u64,
    /// Memory of all its processes, bytes. 0: none.
    pub memory: u64,
    /// Processes and threads at once. 0: none.
    pub processes: u32,
    /// Open files per process.
    pub open_files: u32,
    /// Bytes of one file. 0: none.
    pub file_size: u64,
    /// Bytes of output, both streams together. 0: none.
    pub output: u64,
    /// Bytes in its private folder, where that is a tmpfs. 0: none.
    pub tmp: u64,
}

/// What a jail allows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Profile {
    /// The policy's word for it.
    pub name: Name,
    /// Paths, in order: a later, deeper one wins in a new root.
    pub paths: Vec<PathRule>,
    /// Gets a folder of its own: TMPDIR, and HOME where the policy sets none.
    pub tmp: bool,
    /// Gets /dev/shm.
    pub shm: bool,
    /// A rule that leads here can grant a sealed file.
    pub leases: bool,
    /// The whole environment, but for what is granted.
    pub env: Vec<EnvVar>,
    /// The network.
    pub network: Network,
    /// Bounds.
    pub limits: Limits,
    /// Workers kept ready. 0: made when asked for.
    pub warm: u16,
}

wire_enum!(
    /// What one element of a pattern matches.
    PatternKind {
        /// Exactly these bytes (for a program without `/`: that name).
        Literal = "literal",
        /// Any one argument, `*`.
        Any = "*",
        /// Any rest, none included, `...`. Last only.
        Rest = "...",
        /// An argument with `*` inside it, matching any bytes there.
        Glob = "glob",
    }
);

/// One element of a rule's `match`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Pattern {
    /// The kind.
    pub kind: PatternKind,
    /// The text of a literal or glob, else empty.
    pub text: Arg,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rule {
    /// The policy's word for it.
    pub name: Name,
    /// What it matches.
    pub pattern: Vec<Pattern>,
    /// The jail.
    pub profile: ProfileIx,
    /// What is done.
    pub action: Action,
    /// The operator's reason; shown to the agent at level `detailed`.
    pub why: Vec<u8>,
    /// Credentials it carries.
    pub credentials: Vec<CredentialName>,
    /// The operator knows that its program can be told to print them.
    pub understood: bool,
}

wire_enum!(
    /// Whether real values may be written into the workspace.
    Plain {
        /// Never.
        Deny = "deny",
        /// Where a human says so, once for each file.
        Ask = "ask",
        /// Whenever an agent asks for it.
        Allow = "allow",
    }
);

/// A credential that rules may name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Credential {
    /// Its name.
    pub name: CredentialName,
    /// It is delivered in the environment.
    pub env: bool,
    /// It is delivered in sealed files.
    pub file: bool,
    /// Real values in the workspace.
    pub plain: Plain,
}

/// Where sealed files are put.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Leases {
    /// The folder, in memory. Of each worker's own where it has mounts of its
    /// own; elsewhere one for all, kept apart by Landlock.
    pub folder: PathBytes,
    /// The jail of the workers that write into the workspace for the broker.
    pub writer: ProfileIx,
}

impl Leases {
    /// The folder's name, where it lies in a folder of ours.
    pub const OWN: &str = "leases";

    /// How its name begins in a folder that others use too. Eight hexadecimal
    /// digits follow.
    pub const PREFIX: &str = "strongroom-leases-";

    /// Whether a folder's name is one that such a folder can have, in this
    /// session or another.
    #[must_use]
    pub fn is_folder(name: &[u8]) -> bool {
        let digits = name.strip_prefix(Self::PREFIX.as_bytes());
        name == Self::OWN.as_bytes()
            || digits.is_some_and(|d| d.len() == 8 && d.iter().all(u8::is_ascii_hexdigit))
    }
}

/// Bounds of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SessionLimits {
    /// Commands a minute, on average. 0: none.
    pub commands_per_minute: u32,
    /// Commands at once, above the average.
    pub burst: u32,
    /// Commands in all. 0: none.
    pub commands: u64,
    /// Processor time in all, milliseconds. 0: none.
    pub cpu_ms: u64,
    /// Values masked in output in all; beyond it output is withheld. 0: none.
    pub masks: u64,
    /// Milliseconds from SIGTERM to the agent until SIGKILL to everything.
    pub grace_ms: u64,
}

/// Humans who decide.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Approvals {
    /// Their names, each with a token of its own.
    pub approvers: Vec<Name>,
    /// How many must agree; at most as many as there are.
    pub quorum: u8,
    /// A request that is not decided in so many milliseconds is denied.
    pub timeout_ms: u64,
    /// An approval whose requester is gone can be used so many milliseconds.
    pub permission_ms: u64,
    /// Requests that may wait at once.
    pub pending: u16,
    /// Denials in a row after which nobody is asked for a while; 0: any.
    pub denials: u16,
    /// That while, milliseconds.
    pub cool_down_ms: u64,
}

impl Default for Approvals {
    /// What a policy gets that says nothing of it.
    fn default() -> Self {
        Self {
            approvers: Name::new(OPERATOR).into_iter().collect(),
            quorum: 1,
            timeout_ms: 5 * 60 * 1000,
            permission_ms: 2 * 60 * 1000,
            pending: 16,
            denials: 3,
            cool_down_ms: 30 * 1000,
        }
    }
}

/// The agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Agent {
    /// Program and arguments.
    pub argv: Vec<Arg>,
    /// Its folder: in the workspace.
    pub cwd: PathBytes,
    /// Its profile.
    pub profile: ProfileIx,
}

/// A policy compiled for one place.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u16,
    /// Random, names the session in the log.
    pub session: [u8; 16],
    /// SHA-256 over the policy files, in the order they were read.
    pub policy_digest: [u8; 32],
    /// The tier, found by trying.
    pub tier: Tier,
    /// How workers get namespaces.
    pub namespaces: Namespaces,
    /// Which /proc they see.
    pub proc_view: ProcView,
    /// Landlock ABI found at start: set-up refuses to see another.
    pub landlock_abi: u8,
    /// Agent and workers. Never uid 0.
    pub sandbox: Ids,
    /// The broker.
    pub broker: Ids,
    /// The recorder.
    pub recorder: Ids,
    /// The workspace, absolute, no link in it.
    pub workspace: PathBytes,
    /// Names beneath the workspace that workers may not create or change.
    pub protect: Vec<PathBytes>,
    /// The state folder, absolute, no link in it.
    pub state: PathBytes,
    /// Folder of the programs of this install.
    pub programs: PathBytes,
    /// Links of the system that a new root must show.
    pub links: Vec<Link>,
    /// The agent.
    pub agent: Agent,
    /// Profiles; the agent's is among them.
    pub profiles: Vec<Profile>,
    /// Rules, in the file's order.
    pub rules: Vec<Rule>,
    /// Credentials, in the order of their names.
    pub credentials: Vec<Credential>,
    /// Sealed files; `None`: no credential is delivered so, or there is no
    /// folder for them in this place.
    pub leases: Option<Leases>,
    /// Bounds of the session.
    pub session_limits: SessionLimits,
    /// Humans who decide.
    pub approvals: Approvals,
    /// How much a denial tells.
    pub errors: ErrorLevel,
}

impl Plan {
    /// Reads a plan and checks that its parts refer to each other.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let plan: Self = codec::decode_plan(bytes)?;
        let known = |ix: ProfileIx| usize::from(ix.0) < plan.profiles.len();
        let sound = plan.version == VERSION
            && known(plan.agent.profile)
            && plan.rules.iter().all(|r| known(r.profile))
            && plan.leases.as_ref().is_none_or(|l| known(l.writer))
            && plan.sandbox.uid != 0
            && !plan.agent.argv.is_empty()
            && plan.approvals.quorum > 0
            && usize::from(plan.approvals.quorum) <= plan.approvals.approvers.len()
            && plan.approvals.approvers.len() <= MAX_APPROVERS
            && usize::from(plan.approvals.pending) <= MAX_PENDING;
        if sound { Ok(plan) } else { Err(WireError::Malformed) }
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// [`WireError::TooBig`] when it does not fit.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        codec::encode_plan(self)
    }

    /// A credential of the plan.
    #[must_use]
    pub fn credential(&self, name: &CredentialName) -> Option<&Credential> {
        self.credentials.iter().find(|c| c.name == *name)
    }

    /// A profile of the plan.
    #[must_use]
    pub fn profile(&self, ix: ProfileIx) -> Option<&Profile> {
        self.profiles.get(usize::from(ix.0))
    }
}
